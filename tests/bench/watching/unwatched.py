"""The `hermod` command with metrics, traces and the job's id on log lines taken out: what they are compared with."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import api.server
import api.submit
import shared.queue
import worker.executor
import worker.lease
import worker.leases
import worker.turn
from deploy.cli import main


class _Nobody:
    """A metric that counts nothing."""

    value = 0

    def of(self, *_: object) -> _Nobody:
        return self


def _nothing(*_: object) -> None:
    return


def _unwatched(exchange: Any, asked: Any, target: Any, *, heard: Any) -> Awaitable[Any]:
    return exchange.run(asked, target, heard)


def take_out() -> None:
    """Put nothing in the place of all that watches a request."""
    replaced: list[tuple[Any, str, Any]] = [
        (api.server, "Watched", lambda app: app),
        (api.submit, "about", _nothing),
        (api.submit, "current", str),
        (shared.queue, "job_ended", _nothing),
        (worker.executor, "watched", _unwatched),
        (worker.executor, "count_spent", _nothing),
        (worker.lease, "job_ended", _nothing),
        (worker.leases, "watched_run", lambda _, run: run()),
        (worker.turn, "ATTEMPTS", _Nobody()),
        (worker.turn, "model_label", str),
    ]
    for module, name, instead in replaced:
        assert hasattr(module, name), f"{module.__name__}.{name} is no more"
        setattr(module, name, instead)


if __name__ == "__main__":
    take_out()
    main()
