"""Windows of budgets and rate limits on the server's clock, and the books of reservations under any order of events."""

import asyncio
import calendar
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from shared.governance_meters import COST, REQUESTS, TOKENS, WINDOWS, Meter, limits, meters_of, read_meter
from shared.governance_settings import Budget, RateLimit
from shared.queue import Queue
from shared.stores.redis import Script
from tests.integration.conftest import until
from tests.made import a_job
from worker.budget_scripts import GIVE_BACK, RECLAIM, RESERVE, SETTLE
from worker.claim_script import CLAIM
from worker.lease import Lease

pack = msgspec.msgpack.encode
NEXT = Script(
    WINDOWS
    + """
local function one(now, count, unit, aligned)
  return string.format('%.0f', window_end(tonumber(now), tonumber(count), unit, aligned == '1'))
end
"""
)
LENGTHS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "M": 2_592_000, "Q": 7_776_000, "Y": 31_536_000}


async def end_of(store, at, period, *, aligned):
    now = round(at.timestamp() * 1000)
    ends = int(await store.run(NEXT, now, int(period[:-1]), period[-1], int(aligned)))
    return datetime.fromtimestamp(ends / 1000, UTC)


@pytest.mark.parametrize(
    ("at", "period", "expected"),
    [
        ("2026-11-21T16:05:41", "1m", "2026-11-21T16:06:00"),
        ("2026-11-21T16:05:41", "1h", "2026-11-21T17:00:00"),
        ("2026-11-21T23:59:59", "1d", "2026-11-22T00:00:00"),
        ("2026-11-21T16:05:41", "1w", "2026-11-23T00:00:00"),
        ("2026-11-23T00:00:00", "1w", "2026-11-30T00:00:00"),
        ("2026-11-21T16:05:41", "1M", "2026-12-01T00:00:00"),
        ("2026-12-31T23:59:59", "1M", "2027-01-01T00:00:00"),
        ("2028-02-29T12:00:00", "1M", "2028-03-01T00:00:00"),
        ("2026-11-21T16:05:41", "1Q", "2027-01-01T00:00:00"),
        ("2026-07-01T00:00:00", "1Q", "2026-10-01T00:00:00"),
        ("2026-11-21T16:05:41", "1Y", "2027-01-01T00:00:00"),
        ("2100-02-28T12:00:00", "1M", "2100-03-01T00:00:00"),
    ],
)
async def test_a_calendar_window_ends_with_the_calendars(store, at, period, expected):
    end = await end_of(store, datetime.fromisoformat(at + "+00:00"), period, aligned=True)
    assert end == datetime.fromisoformat(expected + "+00:00")


async def test_months_quarters_and_years_end_right_on_every_day_of_four_centuries(store):
    first = datetime(1970, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=n, seconds=random.Random(n).randrange(86_400)) for n in range(0, 146_097, 7)]
    for period, months in (("1M", 1), ("1Q", 3), ("1Y", 12)):
        ends = await asyncio.gather(*(end_of(store, day, period, aligned=True) for day in days))
        for day, end in zip(days, ends, strict=True):
            month = ((day.month - 1) // months + 1) * months
            expected = datetime(day.year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            assert end == expected, (day, period)
    assert calendar.isleap(2000), "the range has a leap century in it"


@pytest.mark.parametrize("period", ["30s", "5m", "1h", "1d", "1w", "1M", "1Q", "1Y"])
async def test_any_other_window_lasts_its_length_from_its_first_call(store, period):
    at = datetime(2026, 11, 21, 16, 5, 41, 123_000, tzinfo=UTC)
    assert await end_of(store, at, period, aligned=False) == at + timedelta(
        seconds=int(period[:-1]) * LENGTHS_S[period[-1]]
    )


def a_meter(limit, kind=COST, period="1d", name="vk:a"):
    if kind == COST:
        return meters_of(name, "a", (Budget(max_limit=limit, reset_duration=period),), None)
    names = {TOKENS: "token", REQUESTS: "request"}
    rate_limit = RateLimit(**{f"{names[kind]}_max_limit": limit, f"{names[kind]}_reset_duration": period})
    return meters_of(name, "a", (), rate_limit)


async def reserve(store, meters, amounts, hold="1", worker="w", of=("none", "it"), **more):
    return await store.run(RESERVE, worker, hold, pack((meters, amounts)), *of, more.get("instead", ""))


async def test_a_window_begins_anew_on_the_servers_clock(store):
    meters = a_meter(2, REQUESTS, "4s")
    for hold in "12":
        assert await reserve(store, meters, [(1, 0)], hold) == [b"held"]
    verdict, index, spent, wait_ms = await reserve(store, meters, [(1, 0)], "3")
    assert (verdict, index, spent) == (b"refused", 1, 1)
    assert 0 < wait_ms <= 4000
    seconds, micros = await store.call("TIME")
    before_ms = int(seconds) * 1000 + int(micros) // 1000
    assert (await read_meter(store, meters[0])).resets_ms in range(before_ms, before_ms + 4001)
    await until(lambda: is_held(store, meters, "4"))
    assert (await read_meter(store, meters[0])).used == 1


async def is_held(store, meters, hold):
    return await reserve(store, meters, [(1, 0)], hold) == [b"held"]


async def test_amounts_beyond_a_million_dollars_are_counted_exactly(store):
    meters = a_meter(9 * 10**15)
    await reserve(store, meters, [(8_999_999_999_999_999, 1)])
    await store.run(SETTLE, "w", "1", 1, 8_999_999_999_999_997, 0)
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held) == (8_999_999_999_999_997, 0)


async def test_a_reservation_and_a_settlement_whose_reply_was_lost_count_once(store):
    meters = a_meter(1000)
    for _ in range(2):
        assert await reserve(store, meters, [(600, 10)]) == [b"held"]
    assert (await read_meter(store, meters[0])).held == 600
    assert [await store.run(SETTLE, "w", "1", 1, 50, 5) for _ in range(2)] == [1, 0]
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held) == (50, 0)


async def test_a_worker_that_was_taken_for_dead_corrects_its_estimate_when_it_lives(store):
    meters = a_meter(1000)
    await reserve(store, meters, [(900, 100)], worker="frozen")
    assert await store.run(RECLAIM, 20) == 1, "nobody said that it is alive"
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held, reading.uncertain) == (100, 0, 100)
    await store.run(SETTLE, "frozen", "1", 1, 40, 0)
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held, reading.uncertain) == (40, 0, 0)


async def test_a_dead_workers_reservation_gives_way_to_the_next_call(store):
    meters = a_meter(1000)
    await reserve(store, meters, [(1000, 1)], worker="dead")
    assert await reserve(store, meters, [(5, 1)], worker="w") == [b"held"]


async def test_a_call_whose_price_is_unknown_is_told_and_counts_nothing(store):
    meters = a_meter(1000)
    await reserve(store, meters, [(0, 0)])
    await store.run(SETTLE, "w", "1", 1, "", 77)
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.unpriced) == (0, 1)


CHAIN = (*a_meter(5_000, name="vk:a"), *a_meter(50_000, TOKENS, name="vk:a"), *a_meter(8_000, name="team:t"))


class Model:
    """The books in Python beside those of the scripts: what is done to the one is done to the other."""

    def __init__(self, store, seed):
        self.store = store
        self.rng = random.Random(seed)
        self.books = {meter.name: Counter() for meter in CHAIN}
        self.holds, self.lost = {}, {}
        self.workers = ["w1", "w2", "w3"]
        self.steps = Counter()

    async def live(self):
        for worker in self.workers:
            await self.store.call("ZADD", "hermod:workers", int(time.time() * 1000) + 60_000, worker)

    def actual(self):
        return {kind: self.rng.randint(0, 1200) for kind in (COST, TOKENS)}

    def charge(self, meters, amounts, actual):
        for meter, (held, estimated) in zip(meters, amounts, strict=True):
            uncertain = estimated if actual is None else 0
            value = estimated if actual is None else actual[meter.kind]
            self.books[meter.name].update(held=-held, used=value, uncertain=uncertain)

    async def reserve(self):
        meters = tuple(self.rng.sample(CHAIN, self.rng.randint(1, 3)))
        amounts = [(self.rng.randint(0, 900), self.rng.randint(0, 90)) for _ in meters]
        hold, worker = str(self.steps.total()), self.rng.choice(self.workers)
        full = any(self.books[m.name]["used"] + self.books[m.name]["held"] >= m.limit for m in meters)
        [verdict, *_] = await reserve(self.store, meters, amounts, hold, worker)
        assert verdict == (b"refused" if full else b"held")
        self.steps["refused" if full else "reserved"] += 1
        if not full:
            self.holds[hold] = (worker, meters, amounts)
            for meter, (held, _) in zip(meters, amounts, strict=True):
                self.books[meter.name]["held"] += held

    async def settle(self, *, known=True):
        if self.holds:
            hold = self.rng.choice(list(self.holds))
            worker, meters, amounts = self.holds.pop(hold)
            actual = self.actual() if known else None
            words = (1, actual[COST], actual[TOKENS]) if actual else (0, 0, 0)
            for _ in range(self.rng.randint(1, 2)):
                await self.store.run(SETTLE, worker, hold, *words)
            self.charge(meters, amounts, actual)
            self.steps["settled" if known else "uncertain"] += 1

    async def break_off(self):
        await self.settle(known=False)

    async def kill(self):
        dead = self.rng.choice(self.workers)
        await self.store.call("ZREM", "hermod:workers", dead)
        await self.store.run(RECLAIM, 20)
        for hold in [name for name, (worker, *_) in self.holds.items() if worker == dead]:
            _, meters, amounts = self.lost[hold] = self.holds.pop(hold)
            self.charge(meters, amounts, None)
        await self.live()
        self.steps["killed"] += 1

    async def come_back(self):
        if self.lost:
            hold = self.rng.choice(list(self.lost))
            worker, meters, amounts = self.lost.pop(hold)
            actual = self.actual()
            await self.store.run(SETTLE, worker, hold, 1, actual[COST], actual[TOKENS])
            for meter, (_, estimated) in zip(meters, amounts, strict=True):
                self.books[meter.name].update(used=actual[meter.kind] - estimated, uncertain=-estimated)
            self.steps["late"] += 1

    async def compare(self):
        for meter in CHAIN:
            reading = await read_meter(self.store, meter)
            found = {"used": reading.used, "held": reading.held, "uncertain": reading.uncertain}
            assert found == {name: self.books[meter.name][name] for name in found}, meter.name


@pytest.mark.parametrize("seed", range(20))
async def test_the_books_balance_whatever_happens_in_whichever_order(store, seed):
    model = Model(store, seed)
    await model.live()
    steps = [model.reserve, model.settle, model.break_off, model.kill, model.come_back]
    for _ in range(120):
        [step] = model.rng.choices(steps, [6, 4, 1, 0.3, 0.7])
        await step()
        await model.compare()
    print(f"\nseed {seed}: {dict(model.steps)}")


def test_no_meters_are_no_limits():
    assert limits(()) is None
    assert limits(a_meter(1)).packed == pack(a_meter(1))
    assert isinstance(a_meter(1)[0], Meter)


# --- a claim that reserves --------------------------------------------------------------------------------


async def submitted(store, meters, amounts):
    """A job whose first claim is to reserve that."""
    job = a_job()
    await Queue(store).submit(job, b"{}", waiter="", reserves=pack((meters, amounts)))
    return job


async def claimed(store, worker="w", lease_ms=60_000):
    async def first():
        return (await store.run(CLAIM, 1, lease_ms, worker))[0]

    return Lease(store, (await until(first))[0])


async def test_the_first_claim_of_a_job_reserves_what_its_call_may_cost(store):
    meters = (*a_meter(1000), *a_meter(5, REQUESTS))
    job = await submitted(store, meters, [(600, 10), (1, 0)])
    lease = await claimed(store)
    assert lease.hold == pack((meters, [(600, 10), (1, 0)]))
    assert [(await read_meter(store, meter)).held for meter in meters] == [600, 0]
    await store.run(SETTLE, "w", job.id, 1, 50, 5)
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held) == (50, 0)
    assert (await read_meter(store, meters[1])).used == 1


async def test_a_claim_that_would_overstep_a_limit_reserves_nothing_and_leaves_the_refusal_to_the_worker(store):
    meters = (*a_meter(1000), *a_meter(5, REQUESTS))
    await reserve(store, meters[:1], [(1000, 1)])
    await submitted(store, meters, [(1, 1), (1, 0)])
    assert (await claimed(store)).hold == b""
    assert [(await read_meter(store, meter)).used for meter in meters] == [0, 0]


async def test_what_a_claim_holds_is_charged_by_estimate_when_its_lease_runs_out_though_its_worker_lives(store):
    """A reply to a claim that was lost leaves its job to the next worker, and its hold to nobody."""
    meters = (*a_meter(1000), *a_meter(5, REQUESTS))
    job = await submitted(store, meters, [(600, 10), (1, 0)])
    await store.call("ZADD", "hermod:workers", int(time.time() * 1000) + 60_000, "w")
    assert (await claimed(store, lease_ms=1)).hold
    again = await claimed(store, worker="other")
    assert (again.id, again.again, again.hold) == (job.id, True, b""), "its worker reserves what is to be repeated"
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held, reading.uncertain) == (10, 0, 10)
    for hold in "12":
        assert await reserve(store, meters, [(600, 10), (1, 0)], hold, "other", (job.id, job.id)) == [b"held"]
        await store.run(SETTLE, "other", hold, 1, 40, 0)
    reading = await read_meter(store, meters[0])
    assert (reading.used, reading.held) == (90, 0)
    assert (await read_meter(store, meters[1])).used == 1, "a request counts once"


async def test_a_request_that_filled_its_window_may_be_tried_again(store):
    meters = a_meter(1, REQUESTS)
    job = await submitted(store, meters, [(1, 0)])
    await claimed(store)
    assert await reserve(store, meters, [(1, 0)], "2", of=(job.id, job.id)) == [b"held"]
    assert (await reserve(store, meters, [(1, 0)], "3", of=(job.id, "another item")))[0] == b"refused"
    assert (await read_meter(store, meters[0])).used == 1


async def stands(store, *meters):
    """Used and held, of each meter."""
    readings = [await read_meter(store, meter) for meter in meters]
    return [(reading.used, reading.held) for reading in readings]


async def test_a_wrong_guess_of_who_will_be_asked_leaves_nothing_on_the_meters_of_the_one_that_is_not(store):
    own = (*a_meter(1000), *a_meter(1, REQUESTS))
    guessed, right = (a_meter(5, REQUESTS, name=name) for name in ("guessed", "right"))
    job = await submitted(store, (*guessed, *own), [(1, 0), (600, 10), (1, 0)])
    await claimed(store)
    assert await stands(store, *guessed, *own) == [(1, 0), (0, 600), (1, 0)]
    amounts = [(1, 0), (700, 10), (1, 0)]
    for _ in range(2):  # the reply to the first was lost
        verdict = await reserve(store, (*right, *own), amounts, "2", of=(job.id, job.id), instead=job.id)
        assert verdict == [b"held"], "the room that its own claim had taken"
    assert await stands(store, *guessed, *right, *own) == [(0, 0), (1, 0), (0, 700), (1, 0)]


async def test_a_claim_without_a_call_leaves_nothing_on_any_meter(store):
    meters = (*a_meter(1000), *a_meter(5, REQUESTS))
    job = await submitted(store, meters, [(600, 10), (1, 0)])
    await claimed(store)
    for _ in range(2):
        await store.run(GIVE_BACK, "w", job.id, job.id, job.id)
    assert await stands(store, *meters) == [(0, 0), (0, 0)]
    await reserve(store, meters, [(600, 10), (1, 0)], "2", of=(job.id, job.id))
    assert await stands(store, *meters) == [(0, 600), (1, 0)]


async def test_what_was_charged_by_estimate_is_given_back_too_but_stays_counted_for_whoever_repeats_it(store):
    meters = (*a_meter(1000), *a_meter(5, REQUESTS))
    job = await submitted(store, meters, [(600, 10), (1, 0)])
    await claimed(store)
    assert await store.run(RECLAIM, 20) == 1
    assert await stands(store, *meters) == [(10, 0), (1, 0)]
    await store.run(GIVE_BACK, "w", job.id, job.id, job.id)
    assert await stands(store, *meters) == [(0, 0), (1, 0)]
