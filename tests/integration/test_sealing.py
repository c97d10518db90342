"""What lies in Redis under a key and cannot be read: told plainly, and nothing else suffers from it."""

import asyncio
import contextlib
import json
from collections import Counter

import msgspec
import pytest

from api.wait import Hub
from shared.answer_store import AnswerStore
from shared.batch_records import BatchRecords
from shared.batch_results import BatchResults
from shared.batches import WINDOW_MS, BatchState, Counts, blob, named_after
from shared.bodies import Bodies
from shared.cache import CachePlan
from shared.cache_settings import CacheSettings
from shared.cached_answer import Entry
from shared.cached_answer import pack as pack_entry
from shared.errors import GatewayError, NotFound
from shared.files import EVERYONE, File, Files
from shared.files import blob as file_blob
from shared.ids import job_id, now_ms
from shared.job_index import JobIndex
from shared.job_values import pack
from shared.jobs import Attempt, Job, Outcome, State
from shared.lanes import LATER
from shared.queue import Queue
from shared.sealing import open_seal
from shared.settings import Settings
from shared.stores.envelopes import MasterKeys
from shared.stores.memory import MemoryBlobs
from shared.stores.redis import RedisStore
from shared.stores.sealed import SealedBlobs
from shared.uploads import Upload, Uploads
from shared.webhook_events import OWNER, TEST, hook
from shared.webhook_records import WebhookRecords
from shared.webhook_settings import WebhookSettings, new_secret
from tests.batches import at_work, ended, item, items, question, results, settings, simulated, submit
from tests.integration.conftest import until
from tests.integration.test_queue import FAST, a_job, answer, is_final, working
from worker.answer_cache import AnswerCache
from worker.leases import LeaseWorker
from worker.tasks import run_job
from worker.webhooks import Webhooks

OLD, NEW = (bytes([number]) * 32 for number in (1, 2))


@pytest.fixture
async def provider():
    async with simulated() as running:
        yield running


@pytest.fixture
async def opened(store):
    """Opens stores under keys; Redis is empty at first."""
    async with contextlib.AsyncExitStack() as stack:

        def under(*keys):
            made = RedisStore(store.url, open_seal(keys))
            stack.push_async_callback(made.close)
            return made

        yield under


@contextlib.asynccontextmanager
async def at_real_work(store):
    """A worker with its tasks, which answers with the request."""
    worker, bodies = LeaseWorker(store, [run_job], FAST), Bodies(MemoryBlobs(), 1000)
    webhooks = Webhooks(store, bodies, Settings())
    worker.ctx.update(executor=Echo(), bodies=bodies, webhooks=webhooks)
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        worker.stop()
        await serving
        await webhooks.close()


class Asking(msgspec.Struct):
    """Asks for the answer to a job."""

    job: Job
    body: bytes = b"asked"
    attempts: tuple[Attempt, ...] = ()


class Echo:
    """Answers with the request."""

    async def run(self, asked):
        return Outcome(status=200, body=asked.body)


async def flip(store, key, field):
    """Change the last bit of a field, as a bad memory does."""
    value = await store.call("HGET", key, field)
    await store.call("HSET", key, field, value[:-1] + bytes([value[-1] ^ 1]))


async def run_through(store, body=b"body", **facts):
    """A job that a worker has answered."""
    queue, job = Queue(store), a_job(**facts)
    async with working(store, answer):
        await queue.submit(job, body, waiter="", detached=True)
        await until(lambda: is_final(queue, job))
    return job


async def test_a_job_goes_through_a_change_of_keys(opened):
    old, both, new = opened(OLD), opened(NEW, OLD), opened(NEW)
    job = a_job()
    await Queue(old).submit(job, b"body", waiter="", detached=True)
    async with working(both, answer):
        await until(lambda: is_final(Queue(both), job))
    assert (await Queue(new).look(job.id)).outcome.body == b"answer to body"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_job_whose_request_cannot_be_read_fails_with_the_reason_and_holds_up_no_other(opened, stream):
    old, new = opened(OLD), opened(NEW)
    queue, lost, good = Queue(new), a_job(stream=stream), a_job()
    await Queue(old).submit(lost, b"body", waiter="")
    async with at_real_work(new):
        await queue.submit(good, b"body", waiter="")
        await until(lambda: is_final(queue, lost))
        await until(lambda: is_final(queue, good))
    snapshot = await queue.look(lost.id)
    assert (snapshot.state, snapshot.outcome.status) == (State.FAILED, 500)
    assert "the request" in (told := json.loads(snapshot.outcome.body)["error"]["message"])
    assert "encryption.keys" in told
    assert (await queue.look(good.id)).outcome.body == b"body"
    assert (await JobIndex(new).find(lost.id)).attempts == ()


@pytest.mark.parametrize("field", ["body", "attempts"])
async def test_a_job_with_a_flipped_bit_fails_with_the_reason(opened, field):
    store = opened(NEW)
    queue, job = Queue(store), a_job()
    await queue.submit(job, b"body", waiter="")
    tried = Attempt(number=1, target="t", key="k", started_ms=1, ended_ms=2)
    attempts = store.seal.close(job.owner, pack((tried,)), "attempts", job.id)
    await store.call("HSET", f"hermod:job:{job.id}", "attempts", attempts)
    await flip(store, f"hermod:job:{job.id}", field)
    async with at_real_work(store):
        await until(lambda: is_final(queue, job))
    snapshot = await queue.look(job.id)
    assert snapshot.state is State.FAILED
    assert b"changed, cut, or is another's" in snapshot.outcome.body


async def test_a_stream_that_began_under_a_key_that_is_gone_is_ended_with_the_reason(opened):
    old, new = opened(OLD), opened(NEW)
    queue, job, begun = Queue(new), a_job(stream=True), asyncio.Event()

    async def begin(lease):
        await lease.append(1, b"event: ping\n\n")
        begun.set()
        await asyncio.Event().wait()

    await Queue(old).submit(job, b"body", waiter="")
    async with working(old, begin, msgspec.structs.replace(FAST, grace_s=0)):
        await begun.wait()
    async with at_real_work(new):
        await until(lambda: is_final(queue, job))
    assert [number for number, _ in await old.call("XRANGE", f"hermod:events:{job.id}", "-", "+")] == [b"1-0", b"2-0"]
    with pytest.raises(GatewayError, match="the piece"):
        await queue.events(job.owner, job.id)
    [(number, told)] = await queue.events(job.owner, job.id, after=1)
    assert number == 2
    assert b"encryption.keys" in told


async def test_a_client_that_waits_is_told_what_cannot_be_read(opened, server):
    new, old = opened(NEW), opened(OLD)
    queue, job = Queue(new), a_job()
    hub = Hub(queue, server.url)
    await hub.open()
    with hub.waiting(job.id, job.owner) as waiter:
        await Queue(old).submit(job, b"body", waiter=hub.channel)
        waiting = asyncio.create_task(hub.outcome(waiter))
        async with working(old, answer):
            with pytest.raises(GatewayError, match=r"the answer .* encryption\.keys"):
                async with asyncio.timeout(10):
                    await waiting
        assert not hub._listener.done()
    await hub.close()


async def test_answers_and_pieces_in_each_others_place_are_refused(opened):
    store = opened(NEW)
    queue = Queue(store)

    async def stream(lease):
        for number in (1, 2):
            await lease.append(number, b"piece %d of " % number + lease.body)
        await answer(lease)

    jobs = [a_job(stream=True), a_job(stream=True)]
    async with working(store, stream):
        for number, job in enumerate(jobs):
            await queue.submit(job, b"job %d" % number, waiter="")
            await until(lambda job=job: is_final(queue, job))
    one, two = (f"hermod:job:{job.id}" for job in jobs)
    outcome = await store.call("HGET", one, "outcome")
    await store.call("HSET", one, "outcome", await store.call("HGET", two, "outcome"))
    with pytest.raises(GatewayError, match="another's"):
        await queue.look(jobs[0].id)
    await store.call("HSET", one, "outcome", outcome, "spec", pack(msgspec.structs.replace(jobs[0], owner="robber")))
    with pytest.raises(GatewayError, match="another's"):
        await queue.look(jobs[0].id)
    [(_, (_, first)), (_, (_, second))] = await store.call("XRANGE", f"hermod:events:{jobs[0].id}", "-", "+")
    await store.call("DEL", f"hermod:events:{jobs[0].id}")
    for number, data in ((1, second), (2, first)):
        await store.call("XADD", f"hermod:events:{jobs[0].id}", f"{number}-0", "d", data)
    with pytest.raises(GatewayError, match="another's"):
        await queue.events(jobs[0].owner, jobs[0].id)


async def test_who_makes_a_running_job_its_own_reads_nothing_of_it(opened, server):
    store = opened(NEW)
    queue, job, begun, goes_on = Queue(store), a_job(stream=True, owner="me"), asyncio.Event(), asyncio.Event()
    hub, record = Hub(queue, server.url), f"hermod:job:{job.id}"
    await hub.open()

    async def stream(lease):
        await lease.append(1, b"event: a\n\n")
        begun.set()
        await goes_on.wait()
        await lease.append(2, b"event: b\n\n")
        await answer(lease)

    async def followed(owner):
        with hub.waiting(job.id, owner) as waiter:
            waiter.miss()
            return [piece async for piece in hub.follow(waiter)]

    async with working(store, stream):
        await queue.submit(job, b"body", waiter="")
        await begun.wait()
        with pytest.raises(GatewayError, match=r"the record of this job .* another's"):
            await followed("robber")
        await store.call("HSET", record, "spec", pack(msgspec.structs.replace(job, owner="robber")))
        with pytest.raises(GatewayError, match=r"the piece .* another's"):
            await followed("robber")
        with hub.waiting(job.id, "robber") as robber:
            await queue.look(job.id, hub.channel)  # from now on it is told of each piece
            robbing = asyncio.ensure_future(anext(hub.follow(robber)))
            goes_on.set()
            with pytest.raises(GatewayError, match=r"the piece .* another's|the answer .* another's"):
                async with asyncio.timeout(10):
                    await robbing
        await store.call("HSET", record, "spec", pack(job))
        *pieces, notice = await followed("me")
    assert pieces == [b"event: a\n\n", b"event: b\n\n"]
    assert notice.outcome.body == b"answer to body"
    await hub.close()


async def test_what_a_caller_forwards_is_read_by_the_worker_alone(opened):
    store, seen = opened(NEW), []
    headers = {"x-tenant": "tenants-secret", "anthropic-beta": ""}
    queue, job = Queue(store), a_job(owner="me", headers=headers)

    async def look(lease):
        seen.append(lease.job.headers)
        await answer(lease)

    await queue.submit(job, b"body", waiter="")
    spec = await store.call("HGET", f"hermod:job:{job.id}", "spec")
    assert b"x-tenant" in spec
    assert b"tenants-secret" not in spec
    async with working(store, look):
        await until(lambda: is_final(queue, job))
    assert seen == [headers]
    found = (await queue.look(job.id)).job
    assert queue.headers(found) == headers
    for wrong in (msgspec.structs.replace(found, owner="robber"), msgspec.structs.replace(job, headers={"a": "clear"})):
        with pytest.raises(GatewayError, match="the forwarded header"):
            queue.headers(wrong)


async def test_a_plan_that_was_made_anothers_finds_no_answer_of_that_one(opened):
    store, asked = opened(NEW), Asking(a_job(owner="robber", operation="embeddings"))
    plan = CachePlan(id="a", key="k", owner="me", ttl_s=60, threshold=1, direct=True, semantic=False, store=True)
    await AnswerStore(store).keep(plan, entry := Entry("me", b"answer", {}), 10_000)
    assert await AnswerStore(store).get("me", "a") == [entry]
    cache = AnswerCache(store, CacheSettings())
    made = await cache.answer(asked, plan, Echo().run)
    await cache.close()
    assert made.body == b"asked"
    assert await AnswerStore(store).get("me", "a") == [None], "nor is what the robber was told passed off on the owner"


async def test_an_answer_in_the_cache_that_cannot_be_read_is_asked_for_anew(opened):
    old, new = opened(OLD), opened(NEW)
    plan = CachePlan(id="a", key="k", owner="me", ttl_s=60, threshold=1, direct=True, semantic=False, store=True)
    await AnswerStore(old).keep(plan, entry := Entry("me", b"answer", {}), 10_000)
    kept = await Queue(old).submit(a_job(owner="me", cache=plan), b"{}", waiter="")
    assert kept.cached == pack_entry(entry)
    assert await AnswerStore(new).get("me", "a") == [None]
    missed = await Queue(new).submit(a_job(owner="me", cache=plan), b"{}", waiter="")
    assert (missed.new, missed.cached) == (True, None)


async def test_files_and_uploads_that_cannot_be_read_are_told_of_and_spoil_no_listing(opened):
    old, new = opened(OLD), opened(NEW)
    facts = {"owner": "me", "filename": "a", "mime_type": "text/plain", "size": 1, "purpose": "batch"}
    lost, good, other = (File(id=job_id(), created_ms=number, **facts) for number in range(3))
    await Files(old).add(lost)
    for file in (good, other):
        assert await Files(new).add(file) == file
    assert await Files(new).listed("me", count=10) == [other, good]
    assert await Files(new).listed(EVERYONE, count=10) == [other, good]
    assert await Files(new).find(good.id, "me", "file") == good
    with pytest.raises(NotFound):
        await Files(new).find(good.id, "robber", "file")
    await new.call("COPY", f"hermod:file:{good.id}", f"hermod:file:{other.id}", "REPLACE")
    for unread in (lost, other):
        with pytest.raises(GatewayError, match="the record of a file"):
            await Files(new).find(unread.id, "me", "file")
    upload = Upload(id=job_id(), created_ms=now_ms(), **facts)
    await Uploads(old).create(upload)
    assert (await Uploads(old).find(upload.id, "me", "upload")).upload == upload
    with pytest.raises(GatewayError, match="the record of an upload"):
        await Uploads(new).find(upload.id, "me", "upload")


async def test_a_delivery_to_an_endpoint_that_cannot_be_read_fails_with_the_reason(opened, caplog):
    old, new = opened(OLD), opened(NEW)
    endpoint = WebhookSettings(name="told", url="https://hooks.example/x", secret=new_secret())
    await WebhookRecords(old).add(endpoint)
    assert await WebhookRecords(old).all() == {"told": endpoint}
    assert await WebhookRecords(new).all() == {}
    assert "webhook told is told nothing" in caplog.text
    delivery, queue = a_job(owner=OWNER + "told"), Queue(new)
    await WebhookRecords(new).tell(hook("told", delivery.id, "*", 60), f"{TEST} test 200 1 *\nx".encode())
    async with at_real_work(new):
        await until(lambda: is_final(queue, delivery))
    standing = await JobIndex(new).find(delivery.id)
    assert standing.state is State.FAILED
    assert "encryption.keys" in standing.attempts[0].failure.message


async def test_a_step_of_the_gateways_own_goes_on_though_its_tries_cannot_be_read(opened):
    old, new = opened(OLD), opened(NEW)
    delivery, queue = a_job(owner=OWNER + "told"), Queue(new)
    await WebhookRecords(new).tell(hook("told", delivery.id, "*", 60), f"{TEST} test 200 1 *\nx".encode())
    tried = Attempt(number=1, target="t", key="k", started_ms=1, ended_ms=2)
    attempts = old.seal.close(delivery.owner, pack((tried,)), "attempts", delivery.id)
    await new.call("HSET", f"hermod:job:{delivery.id}", "attempts", attempts)
    async with at_real_work(new):
        await until(lambda: is_final(queue, delivery))
    [attempt] = (await JobIndex(new).find(delivery.id)).attempts
    assert "no such endpoint" in attempt.failure.message


async def test_what_a_batch_was_given_lies_sealed_and_spoils_no_listing(opened):
    old, new = opened(OLD), opened(NEW)
    facts = {"owner": "me", "metadata": {"case": "a-secret-case"}, "headers": {"x-tenant": "tenants-secret"}}
    lost, good = (
        await submit(old, MemoryBlobs(), items(1), **facts),
        await submit(new, MemoryBlobs(), items(1), **facts),
    )
    spec = await new.call("HGET", f"hermod:batch:{good.id}", "spec")
    assert b"case" in spec
    assert not [word for word in (b"a-secret-case", b"tenants-secret") if word in spec]
    assert (await BatchRecords(new).look(good.id)).batch == good
    with pytest.raises(GatewayError, match="the forwarded header"):
        await BatchRecords(new).look(lost.id)
    listed = {
        progress.batch.id: progress.batch for progress in await BatchRecords(new).owned("me", "anthropic", count=9)
    }
    assert listed == {good.id: good, lost.id: msgspec.structs.replace(lost, metadata={}, headers={})}


@pytest.mark.parametrize("window", ["open", "over"])
async def test_a_batch_that_cannot_be_read_waits_for_its_key_until_its_window_is_over(opened, provider, window):
    old, new, blobs = opened(OLD), opened(NEW), MemoryBlobs()
    created = now_ms() - (WINDOW_MS + 1000 if window == "over" else 0)
    batch = await submit(old, blobs, items(2), metadata={"a": "b"}, created_ms=created)
    record, job = f"hermod:batch:{batch.id}", f"hermod:job:{batch.id}"
    async with at_work(new, blobs, settings(provider.url)):
        if window == "open":
            await until(lambda: is_deferred(new, batch.id))
        else:
            await until(lambda: has_state(new, record, b"failed"))
            await until(lambda: has_state(new, job, b"failed"))
    assert await new.call("HGET", record, "state") == (b"in_progress" if window == "open" else b"failed")
    assert provider.calls() == []
    assert (await ended(old, batch) is None) == (window == "open")


async def is_deferred(store, job_id):
    """Due in about a minute, and not at once again."""
    state, due = await store.call("HGET", f"hermod:job:{job_id}", "state"), await store.call("ZSCORE", LATER, job_id)
    return state == b"queued" and due is not None and 30_000 < float(due) - now_ms() < 120_000


async def has_state(store, key, state):
    return await store.call("HGET", key, "state") == state


LOST = {
    "out": (["item-2", "item-3"], ["item-0", "item-1", "item-4"]),
    "-out": (["item-2", "item-3"], ["item-0", "item-1", "item-4"]),
    "err": ([], ["item-0", "item-1", "item-2", "item-3", "item-4"]),
    "out in": (["", ""], ["item-0", "item-1", "item-4"]),
}
"""Of the second shard: what cannot be read, or with `-` is gone; whose lines are in errors and answers."""


@pytest.mark.parametrize("lost", LOST)
async def test_results_that_cannot_be_read_are_errors_and_hold_up_no_batch(opened, provider, lost):
    store, inner = opened(NEW), MemoryBlobs()
    blobs, openai = (
        SealedBlobs(inner, MasterKeys([NEW])),
        {"surface": "openai", "dialect": "openai_chat", "owner": "me"},
    )
    batch = await submit(store, blobs, items(5), shard_items=2, provider="openai", **openai)
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: ended(store, batch))
        for kind in lost.split():
            if kind.startswith("-"):
                await inner.delete(blob(batch.id, kind[1:], 1))
            else:
                await inner.put(blob(batch.id, kind, 1), await inner.get(blob(batch.id, "in", 0)))
        await finish_again(store, batch)
        progress = await until(lambda: ended(store, batch))
    assert progress.state is BatchState.COMPLETED
    files = [await lines_of(blobs, batch, file_id) for file_id in (progress.error_file, progress.output_file)]
    errors, answers = LOST[lost]
    assert [sorted(line["custom_id"] for line in lines) for lines in files] == [errors, answers]
    assert all("encryption.keys" in line["response"]["body"]["error"]["message"] for line in files[0])


@pytest.mark.parametrize("lost", ["out", "err", "out err"])
async def test_each_item_has_one_line_though_results_cannot_be_read_to_their_end(opened, provider, lost):
    store, inner = opened(NEW), MemoryBlobs()
    blobs = SealedBlobs(inner, MasterKeys([NEW]))
    asked = [item(index, question(index, "sim-404" if index % 2 else "sim-words-40000")) for index in range(8)]
    batch = await submit(store, blobs, asked, shard_items=4, owner="me")
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: ended(store, batch))
    for kind in lost.split():
        key = blob(batch.id, kind, 1)
        sealed = await inner.get(key)
        await inner.put(key, sealed[:-20] + bytes(20))
    found = BatchResults(blobs, batch, await BatchRecords(store).firsts(batch.id))
    read = [(shard, kind) for shard in range(2) for kind in ("out", "err")]
    pieces = [lines for shard, kind in read async for lines in found.lines(kind, shard)]
    rows = list(map(json.loads, b"".join([*pieces, await found.missing(0), await found.missing(1)]).splitlines()))
    assert sorted(row["custom_id"] for row in rows) == [f"item-{index}" for index in range(8)]
    ends = Counter(row["result"]["type"] for row in rows)
    gone = [row for row in rows if "cannot read it" in json.dumps(row)]
    assert gone
    assert ends["errored"] == 4 + sum(row["custom_id"] in {"item-4", "item-6"} for row in gone)


async def finish_again(store, batch):
    """As if the last step had not been done."""
    name = named_after(batch.id, "finish")
    old = (await Queue(store).look(name)).job
    await store.call("DEL", f"hermod:job:{name}")
    await store.call("HDEL", f"hermod:batch:{batch.id}", "ended")
    await store.call("HSET", f"hermod:batch:{batch.id}", "state", "finalizing")
    await Queue(store).submit(old, batch.id.encode(), waiter="")


async def lines_of(blobs, batch, file_id):
    data = await blobs.of(batch.owner).get(file_blob(file_id)) if file_id else b""
    return list(map(json.loads, data.splitlines()))


async def test_an_item_whose_result_cannot_be_read_is_an_error_among_the_results(opened, provider):
    store, blobs = opened(NEW), MemoryBlobs()
    batch = await submit(store, blobs, [*items(3), *items(5, "sim-latency-4000")[3:]])
    record = f"hermod:batch-items:{batch.id}:0"
    async with at_work(store, blobs, settings(provider.url)):
        await until(lambda: has_fields(store, record, 3))
        packed = await store.call("HGET", record, 1)
        assert b"question" not in packed
        await flip(store, record, 1)
        progress = await until(lambda: ended(store, batch))
    assert progress.counts == Counts(succeeded=5)
    lines = {line["custom_id"]: line["result"] for line in await results(blobs, batch)}
    assert [name for name, result in lines.items() if result["type"] == "errored"] == ["item-1"]
    assert "encryption.keys" in lines["item-1"]["error"]["error"]["message"]
    assert len(lines) == 5


async def has_fields(store, key, number):
    return await store.call("HLEN", key) == number
