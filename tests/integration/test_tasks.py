"""What `run_job` does with jobs that must not simply be run."""

import asyncio
import json

import msgspec
import pytest

from api.wait import MAX_BEHIND, Hub
from shared.bodies import Bodies
from shared.jobs import Notice, Outcome, State
from shared.queue import Queue
from shared.stores.memory import MemoryBlobs
from tests.integration.conftest import until
from tests.integration.test_queue import FAST, a_job, is_final, working
from worker.leases import MAX_CRASHES, LeaseWorker
from worker.tasks import run_job


async def real_tasks(store):
    worker = LeaseWorker(store, [run_job], FAST)
    worker.ctx.update(executor=None, bodies=Bodies(MemoryBlobs(), 1000))  # none of these jobs may get to be executed
    return worker, asyncio.create_task(worker.serve())


async def test_a_request_that_took_down_three_workers_fails_and_is_not_given_to_a_fourth(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"{}", waiter="")
    await store.call("HSET", "hermod:job:" + job.id, "crashes", MAX_CRASHES)
    worker, serving = await real_tasks(store)
    await until(lambda: is_final(queue, job))
    snapshot = await queue.look(job.id)
    assert snapshot.state is State.FAILED
    assert "took down 3 workers" in json.loads(snapshot.outcome.body)["error"]["message"]
    worker.stop()
    await serving


async def test_a_job_whose_deadline_passed_while_it_waited_expires_unrun(store):
    queue, job = Queue(store), a_job(deadline_ms=1)
    await queue.submit(job, b"{}", waiter="")
    worker, serving = await real_tasks(store)
    await until(lambda: is_final(queue, job))
    snapshot = await queue.look(job.id)
    assert (snapshot.state, snapshot.outcome.status) == (State.EXPIRED, 504)
    worker.stop()
    await serving


async def test_a_call_that_cannot_be_sent_fails_alone_and_the_next_one_works(store):
    with pytest.raises(TypeError):
        await store.call("SET", "key", object())
    assert await store.call("PING") == b"PONG"


async def test_a_stream_whose_worker_is_gone_ends_with_the_dialects_error(store):
    queue, job = Queue(store), a_job(stream=True)
    await queue.submit(job, b"{}", waiter="")
    await store.call("XADD", "hermod:events:" + job.id, "1-0", "d", b"event: message_start\ndata: {}\n\n")
    await store.call("HSET", "hermod:job:" + job.id, "started", 1)
    worker, serving = await real_tasks(store)
    await until(lambda: is_final(queue, job))
    (_, first), (_, last) = await queue.events(job.owner, job.id)
    assert first.startswith(b"event: message_start")
    assert last.startswith(b"event: error\ndata: ")
    worker.stop()
    await serving


async def test_a_reader_slower_than_its_stream_still_gets_every_piece_once(store, server):
    queue, job, pieces = Queue(store), a_job(stream=True), MAX_BEHIND * 3
    hub = Hub(queue, server.url)
    await hub.open()

    async def stream(lease):
        for number in range(1, pieces + 1):
            await lease.append(number, b"%d " % number)
        await lease.finish(State.SUCCEEDED, Outcome(status=200))

    with hub.waiting(job.id, job.owner) as waiter:
        await queue.submit(job, b"", waiter=hub.channel)
        events = hub.follow(waiter)
        async with working(store, stream):
            await until(lambda: is_final(queue, job))
        assert waiter.behind
        got = [event async for event in events]
    assert isinstance(got[-1], Notice)
    assert b"".join(got[:-1]).split() == [b"%d" % number for number in range(1, pieces + 1)]
    await hub.close()


@pytest.mark.usefixtures("told")
async def test_deferred_jobs_start_within_fifty_milliseconds_of_their_time(store):
    """And of what the machine adds to them, which a write at the same time tells."""
    queue, late_ms, writes_ms = Queue(store), [], []

    async def write():
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(0.4)
        await store.call("SET", "beside", "x")
        writes_ms.append((asyncio.get_running_loop().time() - now) * 1000 - 400)

    async def twice(lease):
        now = asyncio.get_running_loop().time()
        if lease.id in first:
            late_ms.append((now - first[lease.id]) * 1000 - 400)
            await lease.finish(State.SUCCEEDED, Outcome(status=200))
        else:
            first[lease.id] = now
            writing.append(asyncio.create_task(write()))
            await lease.defer(0.4)

    first, writing = {}, []
    settings = msgspec.structs.replace(FAST, slots=50, renew_s=3)
    jobs = [a_job() for _ in range(20)]
    async with working(store, twice, settings), working(store, twice, settings):
        for job in jobs:
            await queue.submit(job, b"", waiter="")
            await asyncio.sleep(0.02)  # spread over time, so that each has a due time of its own
        for job in jobs:
            await until(lambda job=job: is_final(queue, job))
    await asyncio.gather(*writing)
    assert len(late_ms) == len(jobs)
    late_ms.sort()
    writes_ms.sort()
    print(f"\nlate by p50 {late_ms[10]:.1f} ms, worst {late_ms[-1]:.1f} ms; a write by p50 {writes_ms[10]:.1f} ms")
    assert late_ms[10] <= 50 + 4 * writes_ms[10], "a claim is some writes one after another"
