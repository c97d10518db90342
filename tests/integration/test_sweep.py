"""What records and queue disagree on is healed: each broken thing is run, expired or removed in the end."""

import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from arq.connections import ArqRedis

from shared.bodies import Bodies
from shared.files import File, Files
from shared.ids import job_id, now_ms
from shared.jobs import Outcome, State
from shared.queue import Queue, Share
from shared.stores.folder import FolderBlobs
from shared.uploads import Upload, Uploads
from tests.integration.conftest import until
from tests.integration.test_queue import FAST, a_job, answer, is_final, working
from worker.leases import LeaseWorker
from worker.sweep import BATCH_AGE_S, BLOB_AGE_S, CRON_JOBS, heal, sweep, sweep_blobs

CAPPED = Share(max_running=2)


async def take_out_of_arqs_queue(store, job):
    await store.call("ZREM", "arq:queue", job.id)


async def lose_arqs_record(store, job):
    await store.call("DEL", f"arq:job:{job.id}")


async def lose_the_line(store, job):
    await store.call("DEL", f"hermod:due:{job.lane}:{job.owner}")


async def lose_its_place(store, job):
    await store.call("LREM", f"hermod:due:{job.lane}:{job.owner}", 0, job.id)
    await store.call("RPUSH", f"hermod:due:{job.lane}:{job.owner}", job_id())


async def lose_the_ring(store, job):
    await store.call("DEL", f"hermod:ring:{job.lane}")


async def lose_everything_but_the_record(store, job):
    keys = await store.call("KEYS", "*")
    await store.call("DEL", *(key for key in keys if key != f"hermod:job:{job.id}".encode()))


async def run_without_a_lease(store, job):
    await lose_the_line(store, job)
    await store.call("HSET", f"hermod:job:{job.id}", "state", "running")
    await store.call("SET", f"arq:in-progress:{job.id}", "a worker that is gone")


async def park_for_ever(store, job):
    await store.call("DEL", f"hermod:ring:{job.lane}")
    await store.call("SADD", "hermod:parked", job.owner)
    await store.call("HSET", "hermod:running", job.owner, 2)


BREAKAGES = {
    take_out_of_arqs_queue: "put back into the queue",
    lose_arqs_record: "put back into the queue",
    lose_the_line: "lined up",
    lose_its_place: "lined up",
    lose_the_ring: "owner let in",
    lose_everything_but_the_record: "lined up",
    run_without_a_lease: "taken from a worker without a lease",
    park_for_ever: "owners let in",
}


@pytest.mark.parametrize("break_it", BREAKAGES, ids=lambda each: each.__name__)
async def test_a_job_that_fell_out_of_the_queue_is_run_after_a_sweep(store, break_it):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"x", waiter="", share=CAPPED)
    await break_it(store, job)
    healed = await heal(store)
    assert BREAKAGES[break_it] in healed, healed
    assert await store.call("ZSCORE", "arq:queue", job.id) is not None
    async with working(store, answer):
        await until(lambda: is_final(queue, job))
    assert (await queue.look(job.id)).outcome.body == b"answer to x"
    assert not await heal(store)
    assert [await store.call("EXISTS", f"hermod:{name}") for name in ("unfinished", "parked")] == [0, 0]


async def test_nothing_is_done_to_what_is_right(store):
    queue, capped = Queue(store), a_job(owner="capped")
    for job in (a_job(), capped, a_job(owner="capped")):
        await queue.submit(job, b"", waiter="", share=CAPPED if job.owner == "capped" else Share())

    async def put_off(lease):
        await (lease.defer(30) if lease.id == capped.id else answer(lease))

    async with working(store, put_off):
        await until(lambda: is_final_or_deferred(store))
    await queue.submit(a_job(), b"", waiter="")
    before = await everything(store)
    assert not await heal(store)
    assert await everything(store) == before


async def is_final_or_deferred(store):
    return await store.call("ZCARD", "arq:queue") == await store.call("ZCARD", "hermod:later") == 1


async def everything(store):
    keys = await store.call("KEYS", "*")
    return {key: await value(store, key) for key in keys if key not in {b"hermod:sweep", b"hermod:running"}}


async def value(store, key):
    """A hash field by field: Redis may write the same fields in another order."""
    if await store.call("TYPE", key) != b"hash":
        return await store.call("DUMP", key)
    fields = await store.call("HGETALL", key)
    return dict(fields) if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))


async def test_a_job_past_its_deadline_does_not_wait_for_the_long_line_before_it(store):
    queue, late, ran = Queue(store), a_job(deadline_ms=now_ms() - 1), []
    others = [a_job() for _ in range(20)]
    for job in (*others, late):
        await queue.submit(job, b"", waiter="")
    assert await heal(store) == {"lined up to expire": 1}
    assert not await heal(store), "once is enough"

    async def note(lease):
        ran.append((lease.id, lease.late))
        await lease.finish(State.EXPIRED if lease.late else State.SUCCEEDED, Outcome(status=200))

    async with working(store, note):
        await until(lambda: is_final(queue, others[-1]))
    assert ran[0] == (late.id, True)
    assert len(ran) == 21


async def test_members_of_the_queue_without_an_unfinished_record_are_removed(store, server):
    queue, ended, gone = Queue(store), a_job(), job_id()
    await queue.submit(ended, b"", waiter="")
    await queue.cancel(ended)
    await store.call("ZADD", "arq:queue", 1, ended.id, 1, gone)
    await store.call("SET", f"arq:job:{gone}", "x")
    async with ArqRedis.from_url(server.url) as arq:
        await arq.enqueue_job("somebody_elses", _queue_name="arq:queue", _job_id="theirs")
    assert await heal(store) == {"removed": 2}
    assert await store.call("ZRANGE", "arq:queue", 0, -1) == [b"theirs"]
    assert await store.call("EXISTS", f"arq:job:{gone}") == 0


async def test_counters_of_owners_are_what_their_jobs_say(store):
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"", waiter="")
    await store.call("HSET", "hermod:unfinished", "nobody", 7, job.owner, 9)
    await store.call("HSET", "hermod:running", "nobody", 2, "was here", 0)
    assert await heal(store) == {"counters corrected": 3}
    assert await store.call("HGETALL", "hermod:unfinished") == {job.owner.encode(): b"1"}
    assert await store.call("EXISTS", "hermod:running") == 0


async def test_a_run_walks_a_bounded_slice_and_the_next_one_goes_on(store, monkeypatch):
    monkeypatch.setattr("worker.sweep.SLICE_STEPS", 1)
    monkeypatch.setattr("worker.sweep.STEP_KEYS", 10)
    queue, jobs, healed, runs = Queue(store), [a_job() for _ in range(60)], 0, 0
    for job in jobs:
        await queue.submit(job, b"", waiter="")
        await take_out_of_arqs_queue(store, job)
    while healed < 60:
        found = (await heal(store))["put back into the queue"]
        assert found < 60
        healed, runs = healed + found, runs + 1
        assert runs < 200
    assert await store.call("ZCARD", "arq:queue") == 60


async def test_what_was_healed_is_logged_and_nothing_else(store, caplog):
    caplog.set_level(logging.INFO, "hermod.sweep")
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"", waiter="")
    await sweep({"store": store})
    assert not caplog.messages
    await lose_the_line(store, job)
    await sweep({"store": store})
    assert caplog.messages == ["healed: 1 lined up"]


async def test_of_all_workers_one_sweeps(store):
    """arq enqueues the run of a minute under one id, whoever is first."""
    minute = datetime.now(tz=UTC)
    workers = [LeaseWorker(store, [answer], FAST, [replace(bell) for bell in CRON_JOBS]) for _ in range(2)]
    for worker in workers:
        for bell in worker.cron_jobs:
            bell.next_run = minute
        await worker.run_cron(minute, 1.0)
    queued = sorted(await store.call("ZRANGE", "arq:queue", 0, -1))
    assert [each.split(b":")[0] for each in queued] == [b"sweep", b"sweep_blobs", b"sweep_budgets"]
    for worker in workers:
        await worker.pool.aclose()


async def test_the_bytes_of_files_and_uploads_that_nobody_speaks_of_are_deleted_once_they_are_old(store, tmp_path):
    folder = FolderBlobs(tmp_path)
    await folder.ready()
    known_file, known_upload, unknown = job_id(), job_id(), [job_id() for _ in range(101)]
    await Files(store).add(a_file(known_file))
    await Uploads(store).create(an_upload(known_upload))
    kept = [f"files/{known_file}/content", f"uploads/{known_upload}/part", f"files/{job_id()}/content"]
    gone = [f"files/{each}/content" for each in unknown] + [f"uploads/{each}/part" for each in unknown]
    for key in kept + gone:
        await folder.put(key, b"x")
    hours_ago = time.time() - 2 * BLOB_AGE_S
    for key in kept[:2] + gone:
        os.utime(tmp_path / key, (hours_ago, hours_ago))
    await sweep_blobs({"store": store, "bodies": Bodies(folder, 1000)})
    assert sorted([info.key async for info in folder.list("")]) == sorted(kept)
    await store.call("DEL", f"hermod:file:{known_file}", f"hermod:upload:{known_upload}")  # as their expiry does
    await sweep_blobs({"store": store, "bodies": Bodies(folder, 1000)})
    assert [info.key async for info in folder.list("")] == kept[2:], "the young one may get its record yet"
    await folder.close()


async def test_what_dead_writers_left_half_written_is_deleted_after_a_day(store, tmp_path):
    folder = FolderBlobs(tmp_path)
    await folder.ready()
    for name, age_s in (("fresh", BATCH_AGE_S - 60), ("stale", BATCH_AGE_S + 60)):
        (tmp_path / ".incoming" / name).write_bytes(b"half")
        os.utime(tmp_path / ".incoming" / name, (time.time() - age_s,) * 2)
    await sweep_blobs({"store": store, "bodies": Bodies(folder, 1000)})
    assert [path.name for path in (tmp_path / ".incoming").iterdir()] == ["fresh"]
    await folder.close()


def a_file(file_id):
    facts = {"owner": "anonymous", "filename": "a", "mime_type": "text/plain", "purpose": "user_data"}
    return File(id=file_id, size=1, created_ms=now_ms(), **facts)


def an_upload(upload_id):
    facts = {"owner": "anonymous", "filename": "a", "mime_type": "text/plain", "purpose": "user_data"}
    return Upload(id=upload_id, size=1, created_ms=now_ms(), **facts)
