"""When a shard holds a slot for nothing: every item it has begun waits, and for long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from shared.jobs import Attempt
from worker.retry import Next

LONG_S, LONGEST_S = 10.0, 30.0
"""A shard whose items all wait for longer is put off, for so long at most: then it looks whether it was cancelled."""


class Standstill:
    """What the items of one shard do at the moment: how many are on their way, and which of these wait."""

    def __init__(self) -> None:
        self._begun = 0
        self._due: dict[str, float] = {}

    def begin(self) -> None:
        """One more item is on its way."""
        self._begun += 1

    def end(self) -> None:
        """One less is."""
        self._begun -= 1

    @contextlib.contextmanager
    def waiting(self, job_id: str, attempts: Sequence[Attempt], delay_s: float) -> Iterator[None]:
        """Within it an item waits so long; one with tries that count goes on here, for elsewhere they are forgotten."""
        if all(attempt.then == Next.WAIT for attempt in attempts):
            self._due[job_id] = time.monotonic() + delay_s
        try:
            yield
        finally:
            self._due.pop(job_id, None)

    def put_off_s(self) -> float:
        """Seconds for which the shard is to be left alone; 0 when something of it goes on, or soon will."""
        wait_s = min(self._due.values(), default=0.0) - time.monotonic()
        return min(wait_s, LONGEST_S) if len(self._due) == self._begun and wait_s > LONG_S else 0.0
