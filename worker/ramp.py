"""How calls begin through a gate of which nothing is known: not all at once, for the first answers may tell a limit.

A worker sends a few calls and lets the others follow ever faster, within a second or two all of a burst. How many may
be on their way grows with the answers too, so that a gate in use holds nothing up. Refusals come back fast, and so do
the headers of the first answers: by then the gate is watched.
"""

from __future__ import annotations

import time

FIRST = 10
"""Calls of one worker that may be on their way at once through a gate that was not used lately."""
GROWS_S = 0.5
"""In which that number grows by a factor e while more want to go."""
IDLE_S = 60.0
"""After which a gate was not used lately."""


class _Way:
    """One gate's: how many may be on their way, how many stand in line, when the next of them may go."""

    def __init__(self, now: float) -> None:
        self.most = float(FIRST)
        self.waiting = 0
        self.next = now
        self.used = now


class Ramp:
    """One worker's gates."""

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}

    def wait_s(self, gate: str, flying: int) -> float:
        """How long a call is to wait when so many are on their way; one that waits says so with `waited`."""
        now = time.monotonic()
        way = self._ways.get(gate)
        if way is None or (now - way.used > IDLE_S and not way.waiting):
            way = self._ways[gate] = _Way(now)
        way.used = now
        if flying + way.waiting < way.most:
            return 0.0
        at = max(now, way.next)
        way.next = at + GROWS_S / way.most
        way.most += 1
        way.waiting += 1
        return at - now

    def waited(self, gate: str) -> None:
        """A call that was to wait waits no more."""
        self._ways[gate].waiting -= 1

    def answered(self, gate: str, flying: int) -> None:
        """A call was answered well when so many were on their way, itself included."""
        way = self._ways.get(gate)
        if way and 2 * flying >= way.most:
            way.most += 1

    def forget(self) -> None:
        """Drop the gates that were not used lately."""
        oldest = time.monotonic() - IDLE_S
        self._ways = {gate: way for gate, way in self._ways.items() if way.waiting or way.used > oldest}
