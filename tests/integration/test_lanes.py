"""Lanes side by side in one worker: however slow the jobs of one are, those of the others find a slot."""

import asyncio
import contextlib
import json
import time
from collections import Counter

import pytest
from msgspec.structs import replace

from shared.bodies import Bodies
from shared.lanes import Lane
from shared.queue import Queue
from shared.settings import WorkerSettings
from shared.stores.memory import MemoryBlobs
from shared.webhook_book import WebhookBook
from tests.batches import at_work, ended, items, question, settings, simulated, submit
from tests.integration.conftest import AT_ONCE_S, until
from tests.integration.test_queue import a_job, answer, is_final, working
from tests.integration.test_webhooks import an_endpoint
from tests.receiver import Receiver
from worker.claim_script import CLAIM
from worker.lane_slots import LaneSlots
from worker.waker import IDLE_S
from worker.webhooks import Webhooks

EIGHT = WorkerSettings(slots=8, lease_s=60, renew_s=3, grace_s=0)


async def lined_up(store, lane, count, **facts):
    jobs = [a_job(lane=lane, **facts) for _ in range(count)]
    for job in jobs:
        await Queue(store).submit(job, json.dumps(question(0, job.model)).encode(), waiter="")
    return jobs


async def asked(store, lane):
    """A job that is submitted, and waited for."""
    [job] = await lined_up(store, lane, 1)
    await until(lambda: is_final(Queue(store), job), AT_ONCE_S)


async def hold(_lease):
    await asyncio.Event().wait()


def held(worker):
    return Counter(lease.job.lane for lease in worker._held.values())


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


@contextlib.asynccontextmanager
async def full_of_async_jobs(store, blobs, known):
    """A worker that holds as many async jobs as it may, each of which takes a minute; more of them wait."""
    most = LaneSlots(known.worker.slots, known.worker.batch_slots).room().async_
    await lined_up(store, Lane.ASYNC, 2 * known.worker.slots, model="anthropic/sim-latency-60000")
    async with at_work(store, blobs, known) as worker:
        await until(lambda: held(worker)[Lane.ASYNC] == most)
        yield worker


@pytest.mark.usefixtures("told")
async def test_beside_slow_async_jobs_a_request_is_answered_its_webhook_sent_and_a_batch_runs(store, provider):
    blobs = MemoryBlobs()
    with Receiver() as receiver:
        known = replace(settings(provider.url, EIGHT), webhooks=(an_endpoint(receiver),))
        webhooks = Webhooks(store, Bodies(blobs, 1000), known)
        async with full_of_async_jobs(store, blobs, known) as worker:
            worker.ctx["webhooks"] = webhooks
            job = a_job(model="anthropic/m")
            hooks = await WebhookBook(known, store).of_job(job, "hook", detached=True)
            await Queue(store).submit(job, json.dumps(question(0)).encode(), waiter="", detached=True, hooks=hooks)
            await until(lambda: is_final(Queue(store), job), AT_ONCE_S)
            await until(lambda: receiver.received, AT_ONCE_S)
            batch = await submit(store, blobs, items(6), shard_items=2)
            progress = await until(lambda: ended(store, batch), AT_ONCE_S)
            assert progress.counts.succeeded == 6
            assert held(worker)[Lane.ASYNC] == 5
        await webhooks.close()


@pytest.mark.usefixtures("told")
async def test_receivers_that_do_not_answer_hold_up_no_request(store):
    async def task(lease):
        await (answer if lease.job.lane is Lane.INTERACTIVE else hold)(lease)

    await lined_up(store, Lane.CHORES, 20)
    await lined_up(store, Lane.ASYNC, 20)
    await lined_up(store, Lane.BATCH, 20)
    async with working(store, task, EIGHT) as worker:
        await until(lambda: len(worker._held) == 7)
        assert held(worker)[Lane.CHORES] == 2
        for _ in range(10):
            await asked(store, Lane.INTERACTIVE)
        assert len(worker._held) == 7


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("lane", [Lane.CHORES, Lane.ASYNC, Lane.BATCH])
async def test_the_slot_that_a_job_of_a_lane_leaves_is_taken_at_once_though_the_worker_waits(store, lane):
    async with working(store, answer, replace(EIGHT, slots=2)):
        for job in await lined_up(store, lane, 20):
            await until(lambda job=job: is_final(Queue(store), job), AT_ONCE_S)


@pytest.mark.usefixtures("told")
async def test_a_worker_with_its_fill_of_a_lane_leaves_what_comes_to_one_with_room(store):
    async with working(store, hold, EIGHT) as full:
        await lined_up(store, Lane.ASYNC, 5)
        await until(lambda: held(full)[Lane.ASYNC] == 5)
        async with working(store, answer, EIGHT):
            for _ in range(20):
                await asked(store, Lane.ASYNC)


async def test_workers_whose_lanes_are_full_do_not_keep_each_other_awake(store):
    four = replace(EIGHT, slots=4)
    for lane in (Lane.CHORES, Lane.ASYNC, Lane.BATCH):
        await lined_up(store, lane, 9)
    async with working(store, hold, four) as first, working(store, hold, four) as second:
        await until(lambda: len(first._held) == len(second._held) == 3)
        assert held(first) == held(second) == {Lane.CHORES: 1, Lane.ASYNC: 1, Lane.BATCH: 1}

        async def claims():
            return int(await store.call("GET", "hermod:fences"))  # each takes one for its one free slot

        before, began = await claims(), time.monotonic()
        await until(lambda: more_than(claims, before + 6))
        assert time.monotonic() - began > 2 * IDLE_S, "each looks by itself once in IDLE_S"


async def more_than(count, number):
    return await count() > number


@pytest.mark.usefixtures("told")
async def test_a_full_worker_hands_on_what_it_was_told(store):
    """It took the token of one job while it filled up with another; a worker with room learns of it."""

    async def hold_or_answer(lease):
        await (hold if lease.job.model == "slow" else answer)(lease)

    one = replace(EIGHT, slots=1)
    async with working(store, hold, one), working(store, hold_or_answer, EIGHT):
        for _ in range(20):
            await asyncio.gather(*(lined_up(store, lane, 1, model="quick") for lane in Lane))
            await until(lambda: waiting_nowhere(store), AT_ONCE_S)


async def waiting_nowhere(store):
    return not await store.call("KEYS", "hermod:due:*")


async def test_lower_lanes_have_their_share_of_claims_that_take_one_job_each(store):
    for lane in Lane:
        await lined_up(store, lane, 40)
    claimed = Counter()
    for _ in range(32):
        [fields], *_ = await store.run(CLAIM, 1, 60_000, "w1")
        claimed[await store.call("HGET", b"hermod:job:" + fields[0], "lane")] += 1
    assert claimed == {b"interactive": 24, b"chores": 2, b"async": 4, b"batch": 2}


async def test_requests_that_never_stop_coming_starve_no_lane(store):
    """Ten clients, each with its next request as soon as the last is answered, and two slots."""

    async def client():
        while True:
            await asked(store, Lane.INTERACTIVE)

    async with working(store, answer, replace(EIGHT, slots=2)):
        clients = [asyncio.create_task(client()) for _ in range(10)]
        try:
            for lane in (Lane.CHORES, Lane.ASYNC, Lane.BATCH):
                await asked(store, lane)
        finally:
            for task in clients:
                task.cancel()
            await asyncio.wait(clients)
