"""What the gauges say of the queue is so, to the second, whichever process is asked."""

import math
import re
import signal
import time

import pytest

from shared.batch_records import RECORD as BATCH
from shared.batch_records import BatchRecords
from shared.batches import Batch, BatchState, Ending
from shared.ids import job_id, now_ms
from shared.lanes import LATER, Lane
from shared.queue import JOB, WORKERS, Queue, Share
from shared.queue_gauges import KEPT_MS, Scrape
from tests.integration.conftest import until
from tests.integration.test_queue import a_job, answer, working
from worker.claim_script import CLAIM
from worker.lease_scripts import ALIVE, DEFER

OPEN = "hermod:batches-open"


@pytest.fixture
async def scrape(store):
    """What a process that is scraped now says, by series; what was counted before is forgotten."""

    async def ask() -> dict[str, float]:
        await store.call("DEL", "hermod:gauges")
        return read(await Scrape(store).text())

    return ask


def read(text: bytes) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^([^# ]\S*) (\S+)$", text.decode(), re.MULTILINE)}


def lane(metric: str, name: str) -> str:
    return f'hermod_queue_{metric}{{lane="{name}"}}'


async def put(store, age_s=0.0, share=None, **facts) -> str:
    job = a_job(created_ms=now_ms() - int(age_s * 1000), **facts)
    await Queue(store).submit(job, b"body", waiter="", share=share or Share())
    return job.id


async def claim(store, count=1):
    claimed, _, _ = await store.run(CLAIM, count, 60_000, "w1")
    return claimed


async def test_an_empty_queue_is_0_everywhere(scrape):
    said = await scrape()
    for name in Lane:
        assert [said[lane(metric, name)] for metric in ("depth", "oldest_seconds", "backlog_seconds")] == [0, 0, 0]
    assert said["hermod_workers"] == 0


async def test_depth_and_oldest_age_are_told_by_lane_over_all_owners(store, scrape):
    await put(store, age_s=5, owner="a")
    await put(store, age_s=42, owner="b", lane=Lane.ASYNC)
    for _ in range(3):
        await put(store, age_s=7, owner="c", lane=Lane.ASYNC)
    said = await scrape()
    assert {name: said[lane("depth", name)] for name in Lane} == {"interactive": 1, "chores": 0, "async": 4, "batch": 0}
    assert said[lane("oldest_seconds", "interactive")] == pytest.approx(5, abs=1)
    assert said[lane("oldest_seconds", "async")] == pytest.approx(42, abs=1)
    assert said[lane("oldest_seconds", "batch")] == 0


async def test_a_job_that_comes_due_again_waits_from_then_on_not_from_its_creation(store, scrape):
    await put(store, age_s=3600)
    [[claimed, fence, *_]] = await claim(store)
    assert (await scrape())[lane("oldest_seconds", "interactive")] == 0, "a running job does not wait"
    await store.run(DEFER, claimed, fence, 0, b"", "")
    said = await scrape()
    assert said[lane("depth", "interactive")] == 1
    assert said[lane("oldest_seconds", "interactive")] < 5


async def test_one_that_waits_behind_those_that_came_due_again_is_still_the_oldest(store, scrape):
    await put(store)
    [[claimed, fence, *_]] = await claim(store)
    await put(store, age_s=90)
    await store.run(DEFER, claimed, fence, 0, b"", "")
    assert (await scrape())[lane("oldest_seconds", "interactive")] == pytest.approx(90, abs=1)


async def test_a_cancelled_job_does_not_wait(store, scrape):
    gone = await put(store, age_s=600)
    await put(store, age_s=3)
    await Queue(store).cancel(a_job(id=gone))
    assert (await scrape())[lane("oldest_seconds", "interactive")] == pytest.approx(3, abs=1)


async def test_jobs_behind_their_callers_own_limit_ask_for_no_more_workers(store, scrape):
    for _ in range(3):
        await put(store, age_s=50, owner="capped", share=Share(max_running=1))
    assert len(await claim(store)) == 1
    assert await claim(store) == [], "its limit is one"
    said = await scrape()
    assert said[lane("depth", "interactive")] == 2
    assert said[lane("oldest_seconds", "interactive")] == 0


async def test_what_dead_workers_held_waits_even_when_no_worker_is_left_to_see_it(store, scrape):
    await put(store, lane=Lane.ASYNC)
    [[claimed, *_]] = await claim(store)
    await store.call("ZADD", LATER, "XX", now_ms() - 30_000, claimed)
    said = await scrape()
    assert said[lane("depth", "async")] == 1
    assert said[lane("oldest_seconds", "async")] == pytest.approx(30, abs=1)


async def test_the_backlog_is_the_depth_over_the_recent_rate(store, scrape):
    await scrape()
    await put(store)
    assert (await scrape())[lane("backlog_seconds", "interactive")] == math.inf, "nothing was begun yet"
    for _ in range(59):
        await put(store)
    await store.call("HSET", "hermod:claim-rates", "at", now_ms() - 600_000)
    assert len(await claim(store, 16)) == 16
    await store.run(ALIVE, "w1", 1000, 16, 0, 0)
    rate = 16 / 600
    assert (await scrape())[lane("backlog_seconds", "interactive")] == pytest.approx(44 / rate, rel=0.02)


async def test_all_processes_say_the_same_and_redis_counts_once(store):
    first, second = Scrape(store), Scrape(store)
    before = read(await first.text())
    await put(store)
    again = read(await second.text())
    assert again[lane("depth", "interactive")] == before[lane("depth", "interactive")] == 0
    assert 0 < await store.call("PTTL", "hermod:gauges") <= KEPT_MS
    await until(lambda: _sees(second, 1))


async def _sees(scrape: Scrape, depth: int) -> bool:
    return read(await scrape.text())[lane("depth", "interactive")] == depth


async def test_while_redis_is_away_the_queue_is_not_told_and_the_rest_is(store, server):
    await Scrape(store).text()
    server.stop(signal.SIGKILL)
    try:
        said = read(await Scrape(store).text())
    finally:
        server.start()
    assert lane("depth", "interactive") not in said
    assert "hermod_workers" not in said
    assert "hermod_leases" in said
    assert lane("depth", "interactive") in read(await Scrape(store).text())


async def test_workers_alive_are_counted(store, scrape):
    await store.call("ZADD", WORKERS, now_ms() + 60_000, "w1", now_ms() + 60_000, "w2", now_ms() - 1, "dead")
    assert (await scrape())["hermod_workers"] == 2


async def test_a_worker_tells_its_slots_what_it_holds_and_what_has_ended(store, scrape):
    ended = 'hermod_jobs_total{lane="async",operation="chat",state="succeeded"}'
    cancelled = 'hermod_jobs_total{lane="async",operation="chat",state="cancelled"}'
    before = await scrape()
    await Queue(store).cancel(a_job(id=await put(store, lane=Lane.ASYNC), lane=Lane.ASYNC))
    async with working(store, answer):
        put_in = await put(store, lane=Lane.ASYNC)

        async def done() -> bool:
            return await store.call("HGET", JOB + put_in, "state") == b"succeeded"

        await until(done)
        said = await scrape()
        assert (said['hermod_slots{state="free"}'], said['hermod_slots{state="busy"}']) == (10, 0)
        assert said["hermod_leases"] == 0

        async def told() -> bool:
            return await store.call("HGET", "hermod:claims", "async") == b"1"

        await until(told)
    assert said[ended] - before[ended] == 1
    assert said[cancelled] - before[cancelled] == 1
    assert said["hermod_lease_takeovers_total"] == before["hermod_lease_takeovers_total"]


async def test_a_lease_that_ran_out_is_a_takeover_counted_once(store, scrape):
    before = (await scrape())["hermod_lease_takeovers_total"]
    put_in = await put(store)
    assert await claim(store)
    await store.call("ZADD", WORKERS, now_ms() + 60_000, "other")
    await store.call("ZADD", LATER, "XX", now_ms() - 1, put_in)
    async with working(store, answer):

        async def done() -> bool:
            return await store.call("HGET", JOB + put_in, "state") == b"succeeded"

        await until(done)
    assert (await scrape())["hermod_lease_takeovers_total"] - before == 1


async def test_ten_thousand_owners_are_counted_in_a_moment(store, scrape):
    submits = [put(store, owner=f"o{number}", age_s=9) for number in range(10_000)]
    for first in range(0, 10_000, 500):
        for each in submits[first : first + 500]:
            await each
    took_s = []
    for _ in range(5):  # the quickest: the others tell of the machine
        began = time.perf_counter()
        said = await scrape()
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 1
    assert said[lane("depth", "interactive")] == 10_000
    assert said[lane("oldest_seconds", "interactive")] >= 9


async def test_items_of_open_batches_are_told_and_an_ended_batch_is_not(store, scrape):
    records = BatchRecords(store)
    for number, total in enumerate((10, 5)):
        batch = a_batch(id=job_id(), total=total)
        await records.create(batch, [0])
        assert (await scrape())['hermod_batches{state="in_progress"}'] == number, "a batch is open once it is started"
        await records.start(batch.id)
    await store.call("HINCRBY", BATCH + batch.id, Ending.ERRORED, 2)
    said = await scrape()
    assert said['hermod_batches{state="in_progress"}'] == 2
    assert said['hermod_batch_items{state="processing"}'] == 13
    assert said['hermod_batch_items{state="errored"}'] == 2
    await records.finalize(batch.id)
    assert (await scrape())['hermod_batches{state="finalizing"}'] == 1
    await records.end(batch.id, BatchState.COMPLETED)
    said = await scrape()
    assert (said['hermod_batches{state="finalizing"}'], said['hermod_batches{state="in_progress"}']) == (0, 1)
    assert said['hermod_batch_items{state="processing"}'] == 10
    await store.call("DEL", BATCH + (await store.call("SMEMBERS", OPEN))[0].decode())
    assert (await scrape())['hermod_batches{state="in_progress"}'] == 0
    assert await store.call("EXISTS", OPEN) == 0, "a record that is gone is forgotten"


def a_batch(**facts) -> Batch:
    usual = {"owner": "o", "surface": "anthropic", "dialect": "anthropic", "provider": "anthropic", "shards": 1}
    return Batch(created_ms=now_ms(), **{**usual, **facts})
