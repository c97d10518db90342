"""How calls begin through a gate of which nothing is known: not all at once, for the first answers may tell a limit.

A worker sends a few calls and lets the others follow ever faster, within a second or two all of a burst; each good
answer lets two more go, so that a provider that answers fast is fully used in no time. Those who follow are spread over
the time that the answer took: calls that were sent in a heap are answered in a heap, and twice as many at once would
overstep a limit by all of them before the first refusal is back. How many may be on their way grows with the answers
too, so that a gate in use holds nothing up. Refusals come back fast, and so do the headers of the first answers: by
then the gate is watched.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

FIRST = 10
"""Calls of one worker that may be on their way at once through a gate that was not used lately."""
GROWS_S = 0.5
"""In which that number grows by a factor e while more want to go and no answer comes."""
FOLLOW = 2
"""Calls that go on a good answer: one in the place of what was answered, and one more."""
IDLE_S = 60.0
"""After which a gate was not used lately."""


class _Way:
    """One gate's: how many may be on their way, those in line included; the line; when the next of it may go.

    By the clock (`next`), or because calls were answered (`follows`), of which `heap` were on their way together.
    """

    def __init__(self, now: float) -> None:
        self.most = float(FIRST)
        self.line: deque[asyncio.Future[None]] = deque()
        self.next = now
        self.follows = now
        self.heap = 0
        self.used = now

    def follow(self, flying: int, s: float) -> None:
        """Let one in line go after an answer, of a heap of so many, that took so long: all spread over that time."""
        now = time.monotonic()
        self.heap = flying if self.follows <= now else max(self.heap, flying)
        at = max(now, self.follows)
        self.follows = at + s / (FOLLOW * max(1, self.heap))
        if at > now:
            asyncio.get_running_loop().call_later(at - now, self.let_next_go)
        else:
            self.let_next_go()

    def let_next_go(self) -> None:
        """The first in line need not wait any more."""
        if self.line:
            self.let_go(self.line[0])

    def let_go(self, turn: asyncio.Future[None]) -> None:
        """It need not wait any more, for whichever reason."""
        if turn in self.line:
            self.line.remove(turn)
        if not turn.done():
            turn.set_result(None)


class Ramp:
    """One worker's gates."""

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}

    def goes(self, gate: str, flying: int) -> bool:
        """Whether a call may go now, while so many are on their way; if not, it is to `wait`."""
        now = time.monotonic()
        way = self._ways.get(gate)
        if way is None or (now - way.used > IDLE_S and not way.line):
            way = self._ways[gate] = _Way(now)
        way.used = now
        return not way.line and flying < way.most

    async def wait(self, gate: str) -> None:
        """Return when it is the call's turn, of which `goes` has just said that it may not go."""
        way, now = self._ways[gate], time.monotonic()
        at = max(now, way.next)
        way.next = at + GROWS_S / way.most
        way.most += 1
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        way.line.append(turn)
        clock = loop.call_later(at - now, way.let_go, turn)
        try:
            await turn
        finally:
            clock.cancel()
            way.let_go(turn)

    def answered(self, gate: str, flying: int, ms: float) -> None:
        """A call was answered well, `ms` after it went, when so many were on their way, itself included."""
        way = self._ways.get(gate)
        if way is None:
            return
        if 2 * flying >= way.most:
            way.most += 1
        if way.line:
            for _ in range(min(FOLLOW, len(way.line))):
                way.follow(flying, ms / 1000)

    def forget(self) -> None:
        """Drop the gates that were not used lately."""
        oldest = time.monotonic() - IDLE_S
        self._ways = {gate: way for gate, way in self._ways.items() if way.line or way.used > oldest}
