"""The scripts that all workers' calls go through, whatever order they come in and however often each is sent."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.gate_records import known_gates
from shared.ids import job_id, now_ms
from shared.stores.redis import RedisStore
from tests.integration.conftest import until
from tests.unit.fuzz.often import often
from worker.limit_admit import ADMIT
from worker.limit_endings import SETTLE, TROUBLE
from worker.limit_scripts import JOIN, KNOWN, RENEW

GATE, PROVIDER = "p|k|m", "p"
LEASE_MS = 60_000
A_MINUTE, AT_ONCE = 6000, 8
"""A thousand requests at once, then a hundred a second, of which eight may be on their way."""


class Gate:
    """One gate as workers use it."""

    def __init__(self, store, requests=A_MINUTE, tokens=0, calls=0):
        self.store = store
        self.line = f"{GATE} {PROVIDER} {requests} {tokens} {calls}"

    async def admit(self, call, *, job="", lane="async", horizon=5000, tokens=10):
        return await self.store.run(ADMIT, job or job_id(), call, lane, horizon, LEASE_MS, tokens, 0, self.line)

    async def settle(self, call, *, tokens=10, used=10, told="", ms=5):
        await self.store.run(SETTLE, GATE, PROVIDER, call, ms, tokens, 0, used, 0, told)

    async def trouble(self, call, kind, told_ms=0):
        return await self.store.run(TROUBLE, GATE, PROVIDER, call, kind, told_ms, 1, "")

    async def rate(self):
        """Calls a second that were found, in the middle of what grows."""
        return 1000 * float(await self.store.call("HGET", f"hermod:gate:{GATE}", "found:rate") or 0)

    async def full_at(self, kind):
        """When the bucket will be full, in ms."""
        return float(await self.store.call("HGET", f"hermod:gate:{GATE}", f"{kind}:tat") or 0)

    async def on_their_way(self):
        return {call.decode() for call in await self.store.call("ZRANGE", f"hermod:calls:{GATE}", 0, -1)}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "admit",
                "admit",
                "admit",
                "settle",
                "settle",
                "limited",
                "busy",
                "slow",
                "failed",
                "refused",
                "over",
                "renew",
            ]
        ),
        st.integers(0, 30),
        st.booleans(),
    ),
    max_size=60,
)


@often(60)
@given(STEPS)
def test_whatever_happens_the_calls_on_their_way_are_those_that_were_let_in_and_have_not_ended(server, steps):
    asyncio.run(_walk(server.url, steps))


async def _walk(url, steps):
    store = RedisStore(url)
    await store.call("FLUSHALL")
    gate, flying, number = Gate(store, calls=AT_ONCE), [], 0
    for what, pick, twice in steps:
        if what == "admit":
            number += 1
            call = f"w:{number}"
            shut_until = await closed_until(gate)
            verdicts = [await gate.admit(call) for _ in range(1 + twice)]
            opened = [verdict[0] for verdict in verdicts]
            assert opened in ([1], [0], [1, 1], [0, 0]), "sent again, the answer is the same"
            if opened[0]:
                assert shut_until < time.time() * 1000 + 1, "let in while nothing was to be sent"
                flying.append(call)
            assert len(flying) <= AT_ONCE
        elif flying:
            call = flying[pick % len(flying)]
            if what == "renew":
                await store.run(RENEW, GATE, PROVIDER, call, LEASE_MS)
                continue
            flying.remove(call)
            for _ in range(1 + twice):
                if what == "settle":
                    await gate.settle(call)
                else:
                    await gate.trouble(call, what, 200 if what == "limited" else 0)
        assert await gate.on_their_way() == set(flying)
    for call in flying:
        await gate.settle(call)
    assert await gate.on_their_way() == set()
    await store.close()


async def closed_until(gate):
    """Until when, in ms, nothing is to be sent."""
    ends = await gate.store.call("HMGET", f"hermod:gate:{GATE}", "open", "pause")
    return max(float(end or 0) for end in ends)


async def test_a_call_that_is_sent_again_because_its_reply_was_lost_is_paid_and_corrected_once(store):
    gate = Gate(store, tokens=60_000)
    assert await gate.admit("w:1", tokens=1000) == [1, 1]
    paid = await gate.full_at("own-tokens")
    assert await gate.admit("w:1", tokens=1000) == [1, 1]
    assert await gate.full_at("own-tokens") == paid
    for _ in range(3):
        await gate.settle("w:1", tokens=1000, used=400)
    assert await gate.full_at("own-tokens") == pytest.approx(paid - 600, abs=1)


async def test_a_call_larger_than_a_bucket_goes_when_that_is_full_and_is_paid_in_full(store):
    gate = Gate(store, requests=0, tokens=60_000)  # ten thousand at once, then one a ms
    now = time.time() * 1000
    assert await gate.admit("w:1", tokens=40_000) == [1, 1]
    assert await gate.full_at("own-tokens") == pytest.approx(now + 40_000, abs=500)
    waits = await gate.admit("w:2", tokens=40_000, horizon=60_000)
    assert waits[2] == pytest.approx(40_000, abs=500), "until the bucket is full again"


async def test_a_large_call_gets_its_turn_although_small_ones_keep_coming(store):
    gate = Gate(store, requests=0, tokens=60_000)
    assert await gate.admit("w:0", tokens=9_900) == [1, 1]
    for number in range(45):  # what small ones have reserved fills the five seconds ahead
        await gate.admit(f"w:s{number}", tokens=100)
    large = job_id()
    first = await gate.admit("w:large", job=large, tokens=9000)
    again = await gate.admit("w:large", job=large, tokens=9000)
    assert again[2] <= first[2], "a turn is reserved"
    assert await store.call("ZSCORE", f"hermod:turns:{GATE}", large)


async def test_a_turn_far_ahead_is_kept_when_its_job_asks_again(store):
    gate, job = Gate(store, requests=0, tokens=60_000), job_id()
    await gate.admit("w:1", tokens=40_000)
    await gate.admit("w:2", job=job, tokens=10_000, horizon=40_000)
    paid = await gate.full_at("own-tokens")
    told = await gate.admit("w:2", job=job, tokens=10_000, horizon=1000)
    assert told[2] == pytest.approx(40_000, abs=1000)
    assert await gate.full_at("own-tokens") == paid


async def test_after_the_servers_clock_was_put_back_nothing_stands_still_for_as_long(store):
    gate = Gate(store, tokens=60_000)
    await gate.admit("w:1")
    ahead = (time.time() + 86_400) * 1000
    times = {"pause": ahead, "pause_why": "rate_limited", "own-tokens:tat": ahead, "own-requests:tat": ahead}
    await store.call("HSET", f"hermod:gate:{GATE}", *(word for pair in times.items() for word in pair))
    assert (await gate.admit("w:2"))[0] == 1
    await store.call("HSET", f"hermod:gate:{GATE}", "open", ahead, "open_why", "key_set_aside")
    assert (await gate.admit("w:3"))[0] == 1


async def test_the_calls_of_a_worker_that_was_frozen_correct_nothing_and_come_not_back(store):
    gate = Gate(store, tokens=60_000, calls=AT_ONCE)
    await store.run(ADMIT, job_id(), "frozen:1", "async", 5000, 1, 1000, 0, gate.line)
    await until(lambda: gone(gate, "frozen:1"))
    paid = await gate.full_at("own-tokens")
    await store.run(RENEW, GATE, PROVIDER, "frozen:1", LEASE_MS)
    await gate.settle("frozen:1", tokens=1000, used=1)
    assert await gate.on_their_way() == set()
    assert await gate.full_at("own-tokens") == paid


async def gone(gate, call):
    other = job_id()
    opened, *_ = await gate.admit(other)
    assert opened
    await gate.trouble(other, "over")
    return call not in await gate.on_their_way()


async def test_a_call_that_was_on_its_way_when_its_gate_came_to_be_watched_is_counted_and_paid(store):
    gate = Gate(store, requests=0)
    await gate.settle("", told="requests 10 6000 5900")
    before = await gate.full_at("requests")
    for number in range(50):
        await store.run(JOIN, GATE, PROVIDER, f"w:{number}", LEASE_MS, 10, 10)
    assert await gate.full_at("requests") == pytest.approx(before + 500, abs=1)
    assert len(await gate.on_their_way()) == 50
    [known] = await store.run(KNOWN, "hermod:gates")
    assert known.startswith(GATE.encode())


async def test_operators_are_shown_a_gate_for_as_long_as_it_is_watched(store):
    await Gate(store).trouble("w:0", "failing")
    [gate] = await known_gates(store)
    assert (gate.provider, gate.key, gate.model, gate.fails) == ("p", "k", "m", 1)
    await store.call("ZADD", "hermod:gates", now_ms(), GATE)  # workers take it off when they next read all of them
    assert await known_gates(store) == []


async def test_nothing_is_kept_for_ever_of_a_gate_that_nobody_uses_any_more(store):
    """Clients name models, and may think of any number."""
    gate = Gate(store, tokens=60_000, calls=AT_ONCE)
    for number in range(AT_ONCE + 2):
        await gate.admit(f"w:{number}", tokens=2000)
    await gate.settle("w:0", told="requests 10 6000 5900")
    await gate.trouble("w:1", "limited")
    await gate.settle("w:2")
    for key in await store.call("KEYS", "hermod:*"):
        assert key == b"hermod:gates" or await store.call("PTTL", key) > 0, key


async def happened(store, seconds_ago, *fields):
    """What these fields note was so long ago."""
    at = (time.time() - seconds_ago) * 1000
    await store.call("HSET", f"hermod:gate:{GATE}", *(word for field in fields for word in (field, at)))


async def refused_after(gate, calls, seconds):
    """So many calls go well in so many seconds since the last refusal, then one is refused."""
    await happened(gate.store, 1, "pause")
    for number in range(calls + 1):
        call = job_id()
        await happened(gate.store, 1, "found:tat")
        assert await gate.admit(call) == [1, 1]
        if number < calls:
            await gate.settle(call)
    await happened(gate.store, seconds, "found:since")
    await gate.trouble(call, "limited")


async def spacing(gate, seconds):
    """ms between two calls that are let in so long after the pause."""
    await happened(gate.store, 1, "pause")
    await happened(gate.store, -60, "found:tat")
    before = await gate.full_at("found")
    await happened(gate.store, seconds, "found:from")
    await gate.admit(job_id(), horizon=10_000_000)
    return await gate.full_at("found") - before


async def test_the_rate_that_nobody_tells_is_what_went_through_between_two_refusals(store):
    gate = Gate(store, requests=0)
    await gate.trouble("w:0", "limited")
    assert await gate.rate() == 1, "nothing is known yet"
    for calls, seconds, rate in ((100, 10, 10), (200, 20, 10), (100, 20, 6.9)):
        await refused_after(gate, calls, seconds)
        assert await gate.rate() == pytest.approx(rate, rel=0.1), "the newest counts most"


async def test_after_a_refusal_the_rate_is_a_little_below_the_limit_and_later_beyond_it(store):
    gate = Gate(store, requests=0)
    await gate.trouble("w:0", "limited")
    await refused_after(gate, 100, 10)
    for seconds, share in ((0, 0.85), (10, 1.0), (20, 1.15), (30, 2.2)):
        assert await spacing(gate, seconds) == pytest.approx(100 / share, rel=0.1), share


async def test_at_a_low_limit_the_probes_are_as_many_calls_apart(store):
    gate = Gate(store, requests=0)
    await gate.trouble("w:0", "limited")
    await refused_after(gate, 10, 10)
    assert await spacing(gate, 20) > 1000, "25 calls take 25 s"
    assert await spacing(gate, 25) == pytest.approx(1000, rel=0.1)


async def test_until_the_second_refusal_the_rate_doubles(store):
    gate = Gate(store, requests=0)
    await gate.trouble("w:0", "limited")
    assert await spacing(gate, 0) == pytest.approx(1000, rel=0.1)
    assert await spacing(gate, 3) == pytest.approx(250, rel=0.1)


async def test_refusals_without_a_call_between_them_say_nothing_of_the_rate(store):
    gate = Gate(store, requests=0)
    await gate.trouble("w:0", "limited")
    await refused_after(gate, 100, 10)
    found = await gate.rate()
    for _ in range(5):
        await gate.trouble(job_id(), "limited")
        await happened(store, 1, "pause")
    assert await gate.rate() == found


async def test_an_answer_to_what_was_sent_before_a_refusal_does_not_shorten_the_next_pause(store):
    gate = Gate(store)
    await gate.admit("w:old")
    for round_ in range(3):
        await gate.trouble(f"w:{round_}", "limited")
        await happened(store, 1, "pause")
    await happened(store, 60, "refused")
    await gate.settle("w:old", ms=61_000)
    assert int(await store.call("HGET", f"hermod:gate:{GATE}", "streak")) == 3
    await gate.admit("w:new")
    await gate.settle("w:new", ms=59_000)
    assert int(await store.call("HGET", f"hermod:gate:{GATE}", "streak")) == 0


async def test_of_a_days_limit_all_that_is_left_may_be_used_at_once(store):
    gate = Gate(store, requests=0)
    await gate.settle("", told="requests-day 6000 14400 14000")
    opened = [(await gate.admit(f"w:{number}"))[0] for number in range(430)]
    assert opened.count(1) == pytest.approx(400, abs=10), "one comes back in six seconds"


async def test_what_is_left_of_a_day_is_left_after_a_pause_too(store):
    gate = Gate(store, requests=0)
    await gate.settle("", told="requests-day 6000 14400 14000")
    await gate.trouble("w:0", "limited")
    await happened(store, 1, "pause")
    await store.call("HDEL", f"hermod:gate:{GATE}", "found:rate")
    opened = [(await gate.admit(f"w:{number}"))[0] for number in range(50)]
    assert opened == [1] * 50
