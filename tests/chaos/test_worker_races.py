"""Races of one worker with itself: a lease it lost and got again, a claim on its way when it is told to stop."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.ids import job_id, now_ms
from shared.jobs import Job, Outcome, State
from shared.lanes import LATER, WAKE, Lane
from shared.queue import Queue
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore
from tests.integration.conftest import until
from worker.lease import Lease
from worker.leases import LeaseWorker

RUN_OUT = """
if redis.call('GET', 'arq:in-progress:' .. ARGV[1]) == ARGV[2] then
  redis.call('ZADD', KEYS[1], 1, ARGV[1])
  redis.call('LPUSH', KEYS[2], '1')
end
"""
"""The lease with this fence is over, and the worker looks for work at once."""

FAST = WorkerSettings(slots=10, lease_s=3, renew_s=0.1, grace_s=5)
"""Thirty renewals a lease: on a busy machine, too, only one that is not renewed runs out."""


@pytest.fixture
async def store(server) -> AsyncIterator[RedisStore]:
    opened = RedisStore(server.url)
    await opened.call("FLUSHALL")
    yield opened
    await opened.close()


async def submitted(store: RedisStore) -> Job:
    job = Job(
        id=job_id(),
        owner="anonymous",
        dialect="anthropic",
        operation="chat",
        model="m",
        request_id="req_1",
        created_ms=now_ms(),
        ttl_s=60,
        deadline_ms=now_ms() + 60_000,
    )
    await Queue(store).submit(job, b"", waiter="")
    return job


def named(task):
    async def run_job(ctx, _job_id):
        await task(ctx["lease"])

    run_job.__qualname__ = "run_job"
    return run_job


async def test_a_worker_that_lost_a_job_and_claims_it_again_keeps_only_the_new_lease(store):
    runs: list[Lease] = []

    async def second_run_ends(lease):
        runs.append(lease)
        if len(runs) == 1:
            await asyncio.Event().wait()
        await until(lambda: asyncio.get_running_loop().time() > begun + 1.5 * FAST.lease_s)
        await lease.finish(State.SUCCEEDED, Outcome(status=200))

    async def claimed_again() -> bool:
        await store.call("EVAL", RUN_OUT, 2, LATER, WAKE + Lane.INTERACTIVE, job.id, runs[0].fence)
        return len(runs) > 1

    begun = asyncio.get_running_loop().time()
    worker = LeaseWorker(store, [named(second_run_ends)], FAST)
    serving = asyncio.create_task(worker.serve())
    job = await submitted(store)
    await until(lambda: runs)
    await until(claimed_again)
    begun = asyncio.get_running_loop().time()
    await until(lambda: runs[0].ending)
    assert worker._held[job.id] is runs[-1]
    again = len(runs)
    await until(lambda: not worker.tasks)
    worker.stop()
    await serving
    assert len(runs) == again, "the new lease was not renewed"
    assert (await Queue(store).look(job.id)).state is State.SUCCEEDED


async def test_a_job_claimed_while_its_worker_is_told_to_stop_is_run(store):
    async def answer(lease):
        await lease.finish(State.SUCCEEDED, Outcome(status=200))

    watching = RedisStore(store.url)
    job = await submitted(store)
    worker = LeaseWorker(store, [named(answer)], WorkerSettings(lease_s=600, grace_s=5))
    await watching.call("CLIENT", "PAUSE", 60_000, "WRITE")
    serving = asyncio.create_task(worker.serve())
    await until(lambda: paused(watching))
    worker.stop()
    await asyncio.wait([serving], timeout=0.05)
    await watching.call("CLIENT", "UNPAUSE")
    await serving
    assert (await Queue(store).look(job.id)).state is State.SUCCEEDED
    await watching.close()


async def paused(store: RedisStore) -> bool:
    """Whether some client's command is held back."""
    return b"blocked_clients:0\r" not in await store.call("INFO", "clients")
