"""What operators are shown of all owners' jobs, on a real server."""

from shared.batch_records import BatchRecords
from shared.batches import Batch
from shared.files import EVERYONE, File, Files
from shared.ids import job_id, now_ms
from shared.job_index import JobIndex
from shared.job_register import MOST_LOOKED_AT, JobRegister, Place, Register, in_state
from shared.jobs import Outcome, State
from shared.lanes import Lane
from shared.queue import Queue, Share
from shared.queue_scripts import KEPT_BODY_BYTES, RECENT
from shared.tenants import busiest
from tests.integration.conftest import until
from tests.integration.test_queue import a_job, answer, working


def anything(_):
    return True


async def ids(register, which, wanted=anything, after=None, count=50):
    found = await register.page(which, after=after, count=count, wanted=wanted)
    return [row.job.id for row in found.rows], found.next


async def submitted(queue, body=b"asked", detached=True, **facts):
    job = a_job(**facts)
    await queue.submit(job, body, waiter="", detached=detached)
    return job


async def test_the_newest_detached_jobs_of_all_owners_are_listed_and_plain_ones_are_not(store):
    queue, register = Queue(store), JobRegister(store)
    at = now_ms()
    jobs = [await submitted(queue, owner=owner, created_ms=at + n) for n, owner in enumerate(["a", "b", "a"])]
    plain = await submitted(queue, detached=False)
    listed, following = await ids(register, Register.RECENT)
    assert listed == [job.id for job in reversed(jobs)]
    assert following is None
    assert plain.id in (await ids(register, Register.UNFINISHED))[0]


async def test_pages_show_every_job_once_although_newer_ones_come_in_between(store):
    queue, register = Queue(store), JobRegister(store)
    at = now_ms()
    jobs = [await submitted(queue, created_ms=at + n // 3) for n in range(20)]
    seen, after = [], None
    while True:
        page, after = await ids(register, Register.RECENT, after=after, count=6)
        seen += page
        if after is None:
            break
        await submitted(queue, created_ms=at + 1000)
    assert sorted(seen) == sorted(job.id for job in jobs)


async def test_a_page_goes_on_after_a_job_that_is_gone(store):
    queue, register = Queue(store), JobRegister(store)
    at = now_ms()
    jobs = [await submitted(queue, created_ms=at + n) for n in range(5)]
    await store.call("DEL", "hermod:job:" + jobs[2].id)
    await ids(register, Register.RECENT)
    assert (await ids(register, Register.RECENT, after=Place(str(jobs[2].created_ms), jobs[2].id)))[0] == [
        jobs[1].id,
        jobs[0].id,
    ]


async def test_what_expired_is_taken_off_the_list_but_never_off_the_queue(store):
    queue, register = Queue(store), JobRegister(store)
    job = await submitted(queue)
    await store.call("DEL", "hermod:job:" + job.id)
    for which in (Register.RECENT, Register.UNFINISHED):
        assert await ids(register, which) == ([], None)
    assert await register.sizes() == {Register.RECENT: 0, Register.UNFINISHED: 1, Register.FAILURES: 0}


async def test_a_rare_job_is_found_over_several_pages_each_of_bounded_work(store):
    queue, register = Queue(store), JobRegister(store)
    at = now_ms()
    rare = await submitted(queue, model="rare", created_ms=at)
    for n in range(MOST_LOOKED_AT + 10):
        await submitted(queue, created_ms=at + 1 + n)

    def is_rare(row):
        return row.job.model == "rare"

    first, after = await ids(register, Register.RECENT, is_rare)
    assert first == []
    assert (await ids(register, Register.RECENT, is_rare, after=after))[0] == [rare.id]


async def test_the_list_is_bounded(store):
    queue = Queue(store)
    await store.call("ZADD", "hermod:recent", *(part for n in range(RECENT + 999) for part in (n + 1, f"old-{n}")))
    job = await submitted(queue)
    assert await store.call("ZCARD", "hermod:recent") == RECENT
    assert await store.call("ZSCORE", "hermod:recent", job.id) is not None


async def test_failures_of_plain_requests_are_listed_too_and_successes_are_not(store):
    queue, register = Queue(store), JobRegister(store)

    async def fail_the_bad(lease):
        await (lease.finish(State.FAILED, Outcome(status=502)) if lease.job.model == "bad" else answer(lease))

    async with working(store, fail_the_bad):
        bad = await submitted(queue, model="bad", detached=False)
        good = await submitted(queue, model="good", detached=False)
        for job in (bad, good):
            await until(lambda job=job: ended(queue, job))
    assert await ids(register, Register.FAILURES) == ([bad.id], None)


async def ended(queue, job):
    return (await queue.look(job.id)).state.final


async def test_the_request_of_a_detached_job_that_failed_is_kept_unless_it_is_large(store):
    queue, register = Queue(store), JobRegister(store)

    async def fail(lease):
        await lease.finish(State.FAILED, Outcome(status=502))

    async with working(store, fail):
        kept = await submitted(queue, b"x" * KEPT_BODY_BYTES)
        large = await submitted(queue, b"x" * (KEPT_BODY_BYTES + 1))
        plain = await submitted(queue, detached=False)
        for job in (kept, large, plain):
            await until(lambda job=job: ended(queue, job))
    assert [await register.keeps_request(job.id) for job in (kept, large, plain)] == [True, False, False]


async def test_the_request_of_a_job_that_succeeded_is_not_kept_and_that_of_a_cancelled_one_is(store):
    queue, register = Queue(store), JobRegister(store)
    cancelled = await submitted(queue)
    await queue.cancel(cancelled)
    async with working(store, answer):
        done = await submitted(queue)
        await until(lambda: ended(queue, done))
    assert await register.keeps_request(cancelled.id)
    assert not await register.keeps_request(done.id)


def test_every_state_has_a_list_in_which_such_jobs_are():
    assert {state: in_state(state) for state in State} == {
        State.QUEUED: Register.UNFINISHED,
        State.RUNNING: Register.UNFINISHED,
        State.SUCCEEDED: Register.RECENT,
        State.CANCELLED: Register.RECENT,
        State.FAILED: Register.FAILURES,
        State.EXPIRED: Register.FAILURES,
    }


async def test_jobs_are_counted_by_the_minute(store):
    queue, register = Queue(store), JobRegister(store)
    now = 29_000_000 * 60_000 + 30_000
    for ago_min in (0, 0, 2):
        await submitted(queue, created_ms=now - ago_min * 60_000)
    assert await register.by_minute(Register.RECENT, now, 4) == [0, 1, 0, 2]


async def test_the_busiest_owners_come_first_with_their_lines(store):
    queue = Queue(store)
    for n in range(3):
        await submitted(queue, owner="vk:busy", lane=Lane.ASYNC, created_ms=now_ms() - 5000 + n)
    await submitted(queue, owner="vk:calm", lane=Lane.INTERACTIVE)
    owners, [busy, calm] = await busiest(store, 10)
    assert owners == 2
    assert (busy.owner, busy.unfinished, busy.lines[Lane.ASYNC].depth, busy.due) == ("vk:busy", 3, 3, 3)
    assert 4900 < busy.lines[Lane.ASYNC].oldest_ms < 15_000
    assert (calm.owner, calm.lines[Lane.INTERACTIVE].depth, calm.at_cap) == ("vk:calm", 1, False)
    assert [tenant.owner for tenant in (await busiest(store, 1))[1]] == ["vk:busy"]


async def test_an_owner_at_its_cap_is_told_apart(store):
    queue = Queue(store)

    async def hang(lease):
        await until(lambda: lease.ending is not None)

    async with working(store, hang) as worker:
        for _ in range(2):
            await queue.submit(a_job(owner="vk:capped"), b"", waiter="", share=Share(max_running=1))
        await until(lambda: at_cap(store))
        worker.stop()


async def at_cap(store):
    _, tenants = await busiest(store, 10)
    return tenants and tenants[0].at_cap


async def test_an_operator_finds_a_job_whoever_owns_it(store):
    queue = Queue(store)
    job = await submitted(queue, owner="vk:somebody")
    assert (await JobIndex(store).find(job.id)).job == job


async def test_batches_and_files_of_all_owners_are_listed(store):
    records, files = BatchRecords(store), Files(store)
    for number, owner in enumerate(("a", "b", "c")):
        batch = Batch(
            id=job_id(),
            owner=owner,
            surface="openai",
            dialect="openai_chat",
            provider="openai",
            total=1,
            shards=1,
            created_ms=1000 + number,
        )
        await records.create(batch, [0])
        file = File(
            id=job_id(),
            owner=owner,
            filename=f"{owner}.txt",
            mime_type="text/plain",
            size=1,
            purpose="user_data",
            created_ms=1000 + number,
        )
        await files.add(file)
    newest = await records.newest(count=2)
    assert [row.batch.owner for row in newest] == ["c", "b"]
    assert [row.batch.owner for row in await records.newest(after=newest[-1].batch.id, count=2)] == ["a"]
    listed = await files.listed(EVERYONE, count=2)
    assert [file.owner for file in listed] == ["c", "b"]
    assert [file.owner for file in await files.listed("b", count=5)] == ["b"]
    await records.forget(newest[0].batch)
    assert [row.batch.owner for row in await records.newest(count=5)] == ["b", "a"]
