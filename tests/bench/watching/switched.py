"""The `hermod` command, whose metrics, traces and log fields are taken out by SIGUSR1 and put back by SIGUSR2.

In one process, for two would differ by more than is to be measured.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable
from typing import Any

import api.server
import api.submit
import shared.queue
import worker.executor
import worker.lease
import worker.leases
import worker.turn
from api.watched import Watched
from deploy.cli import main

TAKE_OUT, PUT_BACK = signal.SIGUSR1, signal.SIGUSR2


class _Nobody:
    """A metric that counts nothing."""

    value = 0

    def of(self, *_: object) -> _Nobody:
        return self


class _Switched:
    """The API's application, watched or not."""

    watched = True

    def __init__(self, app: Any) -> None:
        self._apps = {True: Watched(app), False: app}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._apps[_Switched.watched](scope, receive, send)


def _nothing(*_: object) -> None:
    return


def _bare(exchange: Any, asked: Any, target: Any, *, heard: Any) -> Awaitable[Any]:
    found: Awaitable[Any] = exchange.run(asked, target, heard)
    return found


_INSTEAD: list[tuple[Any, str, Any]] = [
    (api.submit, "about", _nothing),
    (api.submit, "current", str),
    (shared.queue, "job_ended", _nothing),
    (worker.executor, "watched", _bare),
    (worker.executor, "count_spent", _nothing),
    (worker.lease, "job_ended", _nothing),
    (worker.leases, "watched_run", lambda _, run: run()),
    (worker.turn, "ATTEMPTS", _Nobody()),
    (worker.turn, "model_label", str),
]
_USUAL = [(module, name, getattr(module, name)) for module, name, _ in _INSTEAD]


def _switch(signum: int, _: object) -> None:
    _Switched.watched = signum == PUT_BACK
    for module, name, value in _USUAL if _Switched.watched else _INSTEAD:
        setattr(module, name, value)


if __name__ == "__main__":
    api.server.Watched = _Switched  # type: ignore[assignment, misc]
    signal.signal(TAKE_OUT, _switch)
    signal.signal(PUT_BACK, _switch)
    main()
