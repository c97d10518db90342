"""The ramp: calls through a gate of which nothing is known follow each other, not all at once."""

import asyncio
import time

from worker import ramp
from worker.ramp import FIRST, FOLLOW, Ramp

GATE = "openai:one:m"
ANSWERED_MS = 300.0


class Calls:
    """Calls through one gate; `went` is when each of them did."""

    def __init__(self):
        self.ramp = Ramp()
        self.went = []

    async def one(self):
        if not self.ramp.goes(GATE, len(self.went)):
            await self.ramp.wait(GATE)
        self.went.append(time.monotonic())

    def begin(self, count):
        return [asyncio.create_task(self.one()) for _ in range(count)]


async def test_those_who_follow_answers_that_came_in_a_heap_are_spread_over_the_time_these_took(monkeypatch):
    monkeypatch.setattr(ramp, "GROWS_S", 3600.0)  # by the clock only one goes, at once
    calls = Calls()
    begun = calls.begin(FIRST + 1 + FOLLOW * FIRST)
    async with asyncio.timeout(10):
        await asyncio.gather(*begun[: FIRST + 1])
    heap = time.monotonic()
    for _ in range(FIRST):
        calls.ramp.answered(GATE, FIRST, ANSWERED_MS)
    async with asyncio.timeout(10):
        await asyncio.gather(*begun)
    followed = [at - heap for at in calls.went[FIRST + 1 :]]
    assert len(followed) == FOLLOW * FIRST
    assert sum(s < ANSWERED_MS / 2000 for s in followed) <= FIRST + 1
    assert followed[-1] > 0.9 * ANSWERED_MS / 1000


async def test_nobody_overtakes_the_line(monkeypatch):
    monkeypatch.setattr(ramp, "GROWS_S", 3600.0)
    calls = Calls()
    begun = calls.begin(FIRST + 2)
    async with asyncio.timeout(10):
        await asyncio.gather(*begun[: FIRST + 1])
    assert not calls.ramp.goes(GATE, 0), "one waits in line"
    calls.ramp.answered(GATE, 1, 0.0)
    async with asyncio.timeout(10):
        await asyncio.gather(*begun)
    assert calls.ramp.goes(GATE, 0)
