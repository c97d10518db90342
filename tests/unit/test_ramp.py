"""The ramp: calls through a gate of which nothing is known follow each other, not all at once."""

import asyncio
import math
import selectors
import time
from types import SimpleNamespace

import pytest

from worker import ramp
from worker.ramp import FIRST, FOLLOW, GROWS_S, Ramp

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
        self.went.append(asyncio.get_running_loop().time())

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


class Hasty(selectors.DefaultSelector):
    """Time stands still while there is something to do, and is skipped while there is nothing but to wait."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(timeout and 0.0)


def test_a_burst_that_nobody_answers_goes_by_the_clock_and_ever_faster(monkeypatch):
    selector = Hasty()
    loop = asyncio.SelectorEventLoop(selector)
    monkeypatch.setattr(loop, "time", lambda: selector.now)
    monkeypatch.setattr(ramp, "time", SimpleNamespace(monotonic=loop.time))
    calls = Calls()

    async def burst():
        await asyncio.gather(*calls.begin(400))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(burst())
    assert len(calls.went) == 400
    assert calls.went[-1] < 2
    for count in (FIRST * 2, FIRST * 10, 400):
        assert calls.went[count - 1] == pytest.approx(GROWS_S * math.log(count / FIRST), rel=0.1)


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
