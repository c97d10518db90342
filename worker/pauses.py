"""Leaving a busy provider alone for a while."""

from __future__ import annotations

import time

FIRST_S = 0.5
LONGEST_S = 60.0
"""Pauses double from the first to the longest while a target refuses everything."""
LONGEST_TOLD_S = 600.0
"""A provider that says a longer `retry-after` is asked again all the same: one call in ten minutes is no burden."""


class Pauses:
    """Until when a worker's items leave alone the targets that said "later"; by target, for limits are a model's."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._refusals: dict[str, int] = {}

    def left_s(self, target: str) -> float:
        """Seconds for which nothing is sent to the target; 0 or less for none."""
        return self._until.get(target, 0.0) - time.monotonic()

    def begin(self, target: str, told_s: float | None) -> None:
        """The target refused, and told to wait for `told_s` seconds, if anything."""
        if self.left_s(target) <= 0:  # of the calls that were on their way together, the first counts
            self._refusals[target] = self._refusals.get(target, 0) + 1
        ours_s = min(FIRST_S * 2.0 ** min(self._refusals.get(target, 1) - 1, 32), LONGEST_S)
        until = time.monotonic() + max(ours_s, min(told_s or 0.0, LONGEST_TOLD_S))
        self._until[target] = max(until, self._until.get(target, 0.0))

    def forget(self, target: str) -> None:
        """The target has answered: what it refuses next is a matter of its own."""
        self._refusals.pop(target, None)
