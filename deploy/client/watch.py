"""A batch followed to its end: a bar on a terminal, else a line now and then, or JSON."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

import click
import msgspec

from deploy.client.batch_status import Status, path_of, status_of
from deploy.client.gateway import Away, Gateway
from deploy.client.pace import Pace

LINE_EVERY_S = 3.0
WINDOW_S = 10.0
"""The speed is that of the last seconds."""

Seen = tuple[dict[str, Any], Status]


def watch_batch(gateway: Gateway, batch_id: str, *, as_json: bool) -> None:
    """Show a batch until it has ended, and end with status 1 unless every request succeeded; Ctrl-C ends it sooner."""
    show = _json if as_json else _bar if sys.stdout.isatty() else _lines
    try:
        status = show(_followed(gateway, path_of(batch_id)))
    except KeyboardInterrupt:
        click.echo(f"stopped watching; the batch goes on: hermod batches watch {batch_id}", err=True)
        click.get_current_context().exit(1)
    if not as_json:
        cost = f", cost {status.price}" if status.price else ""
        click.echo(f"{status.id} {status.state}: {status.counts} of {status.total}{cost}")
    if not status.all_succeeded:
        click.echo(f"why: hermod batches results --errors {batch_id}", err=True)
        click.get_current_context().exit(1)


def _followed(gateway: Gateway, path: str) -> Iterator[Seen]:
    """The batch again and again, last when it has ended. Raises Refused or Away."""
    pace = Pace()
    while True:
        try:
            batch = gateway.get(path)
        except Away as trouble:
            pace.outlast(trouble)
            continue
        status = status_of(batch)
        yield batch, status
        if status.ended:
            return
        pace.rest()


def _json(seen: Iterator[Seen]) -> Status:
    """The gateway's own object, a line each time it has changed."""
    last: dict[str, Any] = {}
    for batch, _ in seen:
        if batch != last:
            click.echo(msgspec.json.encode(batch))
        last = batch
    return status_of(last)


def _lines(seen: Iterator[Seen]) -> Status:
    """What changed, a line every LINE_EVERY_S at most."""
    speed, told, at = Speed(), "", -LINE_EVERY_S
    for _, status in seen:
        now = time.monotonic()
        speed.note(now, status.done)
        what = f"{status.state}: {status.done}/{status.total}, {status.counts}"
        if what != told and now - at >= LINE_EVERY_S and not status.ended:
            click.echo(", ".join([what, *_facts(status, speed)]))
            told, at = what, now
    return status


def _bar(seen: Iterator[Seen]) -> Status:
    """One line that is written anew."""
    speed, first = Speed(), next(seen)
    with click.progressbar(
        length=first[1].total,
        show_eta=False,
        show_percent=True,
        show_pos=True,
        item_show_func=lambda text: text,
        update_min_steps=0,
        width=0,
    ) as bar:
        for _, status in chain([first], seen):
            speed.note(time.monotonic(), status.done)
            bar.update(status.done - bar.pos, ", ".join([status.counts, *_facts(status, speed)]))
    return status


class Speed:
    """How fast a batch has been in the last WINDOW_S."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, done: int) -> None:
        """So many requests had ended by then."""
        self._noted.append((now_s, done))
        while now_s - self._noted[0][0] > WINDOW_S:
            self._noted.popleft()

    @property
    def per_s(self) -> float:
        """Requests a second; 0 when that cannot be told."""
        (first_s, before), (last_s, done) = self._noted[0], self._noted[-1]
        return (done - before) / (last_s - first_s) if last_s > first_s else 0.0


def _facts(status: Status, speed: Speed) -> Iterator[str]:
    if speed.per_s and not status.ended:
        yield f"{speed.per_s:.1f}/s"
        yield f"ETA {timedelta(seconds=round((status.total - status.done) / speed.per_s))}"
    if status.cost is not None:
        yield f"${status.cost:.4f}"
