"""The client's half of the queue and the worker's half, on a real server."""

import asyncio
import contextlib
import gc
import pickle
import signal
import warnings

import msgspec
import pytest
import redis
from arq.connections import ArqRedis
from arq.jobs import Job as ArqJob
from arq.jobs import JobStatus

from shared.errors import Conflict, NotFound, StoreError
from shared.ids import job_id, now_ms
from shared.job_index import JobIndex
from shared.job_values import unpack_told
from shared.jobs import Job, Outcome, State
from shared.lanes import QUEUE, WAKE, Lane
from shared.queue import WORKERS, Queue
from shared.queue_scripts import LISTED
from shared.settings import WorkerSettings
from shared.stores.redis import listen
from tests.integration.conftest import AT_ONCE_S, until
from worker.claim_script import CLAIM
from worker.lease import Lease, LeaseLost
from worker.lease_scripts import FOLLOWED_S
from worker.leases import LeaseWorker

FAST = WorkerSettings(slots=10, lease_s=20, renew_s=0.1, grace_s=1)
"""Hears of a cancel soon; its leases outlast whatever a busy machine makes it wait."""
BRIEF = msgspec.structs.replace(FAST, lease_s=3)
"""For what a lease that runs out, or does not, comes to."""


def a_job(**facts) -> Job:
    defaults = {
        "id": job_id(),
        "owner": "anonymous",
        "dialect": "anthropic",
        "operation": "chat",
        "model": "m",
        "request_id": "req_1",
        "created_ms": now_ms(),
        "ttl_s": 60,
        "deadline_ms": now_ms() + 60_000,
    }
    return Job(**{**defaults, **facts})


@contextlib.asynccontextmanager
async def working(store, task, settings=FAST):
    async def run_job(ctx, _job_id):
        await task(ctx["lease"])

    run_job.__qualname__ = "run_job"
    worker = LeaseWorker(store, [run_job], settings)
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        worker.stop()
        await serving


async def answer(lease: Lease) -> None:
    await lease.finish(State.SUCCEEDED, Outcome(status=200, body=b"answer to " + lease.body))


async def state_of(queue, job):
    return (await queue.look(job.id)).state


async def test_a_submitted_job_is_run_and_its_outcome_kept(store):
    queue, job = Queue(store), a_job()
    async with working(store, answer):
        assert (await queue.submit(job, b"body", waiter="")).new
        await until(lambda: is_final(queue, job))
    snapshot = await queue.look(job.id)
    assert (snapshot.state, snapshot.outcome.body) == (State.SUCCEEDED, b"answer to body")
    assert 0 < await store.call("TTL", "hermod:job:" + job.id) <= 60
    assert await store.call("KEYS", "arq:*") == []
    assert await store.call("ZCARD", QUEUE) == 0


async def is_final(queue, job):
    return (await queue.look(job.id)).state.final


async def test_arqs_own_job_api_reads_our_queue(store, server):
    queue, job, seen = Queue(store), a_job(), asyncio.Event()

    async def hold(lease):
        seen.set()
        await release.wait()
        await answer(lease)

    release = asyncio.Event()
    async with ArqRedis.from_url(server.url) as arq:
        theirs = ArqJob(job.id, arq, _queue_name=QUEUE, _deserializer=msgspec.msgpack.decode)
        await queue.submit(job, b"", waiter="")
        assert await theirs.status() is JobStatus.queued
        assert (await theirs.info()).function == "run_job"
        async with working(store, hold):
            await seen.wait()
            assert await theirs.status() is JobStatus.in_progress
            release.set()
            await until(lambda: is_final(queue, job))


async def test_a_waiter_is_told_the_outcome(store, server):
    queue, job, heard = Queue(store), a_job(), []

    async def listener():
        async for message in listen(server.url, "hermod:api:test"):
            heard.append(message and queue.read_notice(job.owner, unpack_told(message)))  # noqa: PERF401 - read while it grows

    listening = asyncio.create_task(listener())
    await until(lambda: heard == [None])
    async with working(store, answer):
        await queue.submit(job, b"x", waiter="hermod:api:test")
        await until(lambda: len(heard) == 2)
    listening.cancel()
    assert (heard[1].job_id, heard[1].seq, heard[1].outcome.body) == (job.id, 0, b"answer to x")


async def test_a_job_whose_worker_stops_renewing_is_run_again_and_the_first_can_write_nothing(store):
    queue, job = Queue(store), a_job()
    held = []

    async def freeze(lease):
        held.append(lease)
        await asyncio.Event().wait()

    frozen = LeaseWorker(store, [named(freeze)], msgspec.structs.replace(BRIEF, slots=1))
    frozen._renew_s = 3600
    serving = asyncio.create_task(frozen.serve())
    await queue.submit(job, b"x", waiter="")
    await until(lambda: held)
    async with working(store, answer):
        await until(lambda: is_final(queue, job))
    for write in (held[0].finish(State.FAILED, Outcome(status=500)), held[0].defer(0), held[0].append(1, b"late")):
        with pytest.raises(LeaseLost):
            await write
    assert (await queue.look(job.id)).state is State.SUCCEEDED
    frozen._grace_s = 0
    frozen.stop()
    await serving


def named(task):
    async def run_job(ctx, _job_id):
        await task(ctx["lease"])

    run_job.__qualname__ = "run_job"
    return run_job


async def test_a_long_job_keeps_its_lease_and_is_run_once(store):
    queue, job, runs = Queue(store), a_job(), []

    async def slow(lease):
        runs.append(lease.id)
        await asyncio.sleep(BRIEF.lease_s * 1.5)
        await answer(lease)

    async with working(store, slow, BRIEF), working(store, slow, BRIEF):
        await queue.submit(job, b"", waiter="")
        await until(lambda: is_final(queue, job))
    assert runs == [job.id]


@pytest.mark.usefixtures("told")
async def test_a_worker_that_leaves_hands_its_jobs_back_at_once(store):
    queue, job, started = Queue(store), a_job(), asyncio.Event()

    async def hold(_lease):
        started.set()
        await asyncio.Event().wait()

    leaving = LeaseWorker(store, [named(hold)], WorkerSettings(slots=10, lease_s=60, renew_s=1, grace_s=0))
    serving = asyncio.create_task(leaving.serve())
    await queue.submit(job, b"x", waiter="")
    await started.wait()
    async with working(store, answer):
        leaving.stop()
        await until(lambda: is_final(queue, job), AT_ONCE_S)
        await serving


@pytest.mark.usefixtures("told")
async def test_a_deferred_job_runs_when_it_is_due(store):
    queue, job, times = Queue(store), a_job(), []

    async def once_more(lease):
        times.append(asyncio.get_running_loop().time())
        await (answer(lease) if len(times) == 2 else lease.defer(0.3))

    async with working(store, once_more):
        await queue.submit(job, b"", waiter="")
        await until(lambda: is_final(queue, job))
    assert 0.29 < times[1] - times[0] < AT_ONCE_S


async def test_cancelling_a_queued_job_ends_it_at_once(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"", waiter="")
    await queue.cancel(job)
    assert await state_of(queue, job) is State.CANCELLED
    assert await store.call("ZCARD", QUEUE) == 0


async def test_cancelling_a_running_job_cancels_its_task(store):
    queue, job, started, stopped = Queue(store), a_job(), asyncio.Event(), asyncio.Event()

    async def hold(_lease):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with working(store, hold):
        await queue.submit(job, b"", waiter="")
        await started.wait()
        await queue.cancel(job)
        async with asyncio.timeout(AT_ONCE_S):
            await stopped.wait()
        await until(lambda: is_final(queue, job))
    assert await state_of(queue, job) is State.CANCELLED


async def test_a_cancel_that_comes_while_the_job_is_put_off_ends_it(store):
    queue, job = Queue(store), a_job()

    async def put_off(lease):
        await store.call("HSET", "hermod:job:" + lease.id, "cancel", "1")
        await lease.defer(60)

    async with working(store, put_off):
        await queue.submit(job, b"", waiter="")
        await until(lambda: is_final(queue, job))
    assert await state_of(queue, job) is State.CANCELLED
    assert await store.call("ZCARD", "hermod:later") == 0


async def test_a_cancel_outlives_the_worker_that_was_to_hear_of_it(store):
    queue, job, runs = Queue(store), a_job(), []
    await store.call("ZADD", WORKERS, now_ms() + 60_000, "another")  # or the lease would be spared as in an outage
    await queue.submit(job, b"", waiter="")
    [_], *_ = await store.run(CLAIM, 1, 1, "a worker that dies")
    await queue.cancel(job)

    async def run(lease):
        runs.append(lease)
        await answer(lease)

    async with working(store, run):
        await until(lambda: is_final(queue, job))
    assert (await state_of(queue, job), runs) == (State.CANCELLED, [])


async def test_an_owners_listing_is_bounded_and_holds_detached_jobs_only(store):
    queue, owned = Queue(store), "hermod:owned:anonymous"
    await queue.submit(a_job(), b"", waiter="")
    assert await store.call("EXISTS", owned) == 0
    older = [word for number in range(LISTED + 50) for word in (number, f"older-{number}")]
    await store.call("ZADD", owned, *older)
    newest = a_job(id="0" + job_id()[1:])
    await queue.submit(newest, b"", waiter="", detached=True)
    assert await store.call("ZCARD", owned) == LISTED
    assert await store.call("ZREVRANGE", owned, 0, 0) == [newest.id.encode()]
    assert await store.call("TTL", owned) > 0


@pytest.mark.parametrize(
    ("detached", "others", "expected"),
    [(False, False, State.CANCELLED), (True, False, State.QUEUED), (False, True, State.QUEUED)],
    ids=["nobody else waits", "asynchronous", "another client waits"],
)
async def test_a_client_that_leaves_cancels_only_what_nobody_else_wants(store, detached, others, expected):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"", waiter="api-1", detached=detached, idempotency_key="k")
    if others:
        await queue.submit(a_job(), b"", waiter="api-1", idempotency_key="k")
    await queue.cancel(job, leaving="api-1")
    assert await state_of(queue, job) is expected


async def test_a_job_that_was_joined_to_be_polled_outlives_the_client_that_waited_for_it(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"", waiter="api-1", idempotency_key="k")
    await queue.submit(a_job(), b"", waiter="", detached=True, idempotency_key="k")
    await queue.cancel(job, leaving="api-1")
    assert await state_of(queue, job) is State.QUEUED
    listed = await JobIndex(store).owned(job.owner, after=None, state=None, count=10)
    assert [standing.job.id for standing in listed] == [job.id]
    assert await store.call("ZSCORE", "hermod:recent", job.id) == job.created_ms


async def test_the_same_idempotency_key_is_the_same_job(store):
    queue = Queue(store)
    first = await queue.submit(a_job(), b"x", waiter="", idempotency_key="k")
    again = await queue.submit(a_job(), b"x", waiter="", idempotency_key="k")
    assert (first.new, again.new, again.job_id) == (True, False, first.job_id)
    with pytest.raises(Conflict):
        await queue.submit(a_job(), b"other", waiter="", idempotency_key="k")
    assert (await queue.submit(a_job(owner="someone else"), b"other", waiter="", idempotency_key="k")).new


async def test_an_sdks_retry_joins_the_job_of_its_first_try_unless_that_was_cancelled(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"x", waiter="")
    joined = await queue.submit(a_job(), b"x", waiter="", look_for_same=True)
    assert (joined.new, joined.job_id) == (False, job.id)
    assert (await queue.submit(a_job(), b"y", waiter="", look_for_same=True)).new
    await queue.cancel(job)
    assert (await queue.submit(a_job(), b"x", waiter="", look_for_same=True)).new


async def test_submitting_a_job_twice_writes_it_once(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"x", waiter="")
    assert (await queue.submit(job, b"x", waiter=""))[:2] == (job.id, True)
    assert await store.call("ZCARD", QUEUE) == 1


async def test_a_pickled_payload_is_refused_and_never_loaded(store, tmp_path):
    queue, job = Queue(store), a_job()
    witness = tmp_path / "executed"

    class Bomb:
        def __reduce__(self):
            return (open, (str(witness), "w"))

    await queue.submit(job, b"", waiter="")
    await store.call("SET", "arq:job:" + job.id, pickle.dumps(Bomb()))
    async with working(store, answer):
        await until(lambda: is_final(queue, job))
    assert await state_of(queue, job) is State.FAILED
    assert not witness.exists()


async def test_unknown_jobs_are_not_found(store):
    with pytest.raises(NotFound):
        await Queue(store).look(job_id())


@pytest.mark.parametrize(
    ("state", "detached", "least_s", "most_s"),
    [
        (State.SUCCEEDED, False, 86_000, 86_400),
        (State.FAILED, False, 1, FOLLOWED_S),
        (State.FAILED, True, 86_000, 86_400),
    ],
)
async def test_that_a_plain_request_failed_is_soon_forgotten(store, state, detached, least_s, most_s):
    queue, job = Queue(store), a_job(ttl_s=86_400)

    async def end(lease):
        await lease.finish(state, Outcome(status=529))

    async with working(store, end):
        await queue.submit(job, b"", waiter="", detached=detached, idempotency_key="k")
        await until(lambda: is_final(queue, job))
    assert least_s <= await store.call("TTL", "hermod:job:" + job.id) <= most_s


async def test_pieces_of_a_stream_are_kept_in_order_and_written_once(store):
    queue, job = Queue(store), a_job(stream=True)

    async def stream(lease):
        for number, data in enumerate((b"a", b"b", b"b2", b"c"), 1):
            await lease.append(min(number, 3) if number < 4 else 3, data)
        await lease.finish(State.SUCCEEDED, Outcome(status=200))

    async with working(store, stream):
        await queue.submit(job, b"", waiter="")
        await until(lambda: is_final(queue, job))
    assert await queue.events(job.owner, job.id) == [(1, b"a"), (2, b"b"), (3, b"b2")]
    assert await queue.events(job.owner, job.id, after=2) == [(3, b"b2")]


async def test_a_server_that_is_away_is_a_503_and_workers_come_back_by_themselves(store, server):
    queue, job = Queue(store), a_job()
    async with working(store, answer):
        server.stop(signal.SIGKILL)
        with pytest.raises(StoreError):
            await queue.submit(job, b"", waiter="")
        server.start()
        await queue.submit(job, b"", waiter="")
        await until(lambda: is_final(queue, job))


async def test_accepted_jobs_survive_a_kill_of_the_server(store, server):
    queue, jobs = Queue(store), [a_job() for _ in range(50)]
    await asyncio.gather(*(queue.submit(job, b"x", waiter="") for job in jobs))
    server.stop(signal.SIGKILL)
    server.start()
    async with working(store, answer):
        for job in jobs:
            await until(lambda job=job: is_final(queue, job))


def test_the_fixture_speaks_to_a_real_server(server):
    with redis.Redis.from_url(server.url) as client:
        assert client.info("server")["redis_version"]


async def test_a_worker_that_is_stopped_as_its_wait_ends_leaves_no_connection_open(store):
    await served_until_a_token_came(store)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in heard] == []


async def served_until_a_token_came(store):
    worker = LeaseWorker(store, [named(answer)], FAST)
    serving = asyncio.create_task(worker.serve())
    await until(lambda: waits_for_work(store))
    [wait] = [task for task in asyncio.all_tasks() if task.get_coro().__name__ == "_pop"]
    wait.add_done_callback(lambda _: worker.stop())
    await store.call("LPUSH", WAKE + Lane.INTERACTIVE, "1")
    await serving


async def waits_for_work(store):
    return b"cmd=blpop" in await store.call("CLIENT", "LIST")
