"""Large bodies of requests and outcomes lie in the object store, whatever becomes of the job."""

import asyncio
import contextlib
import json
import sys
import time

import httpx
import pytest

from shared.bodies import Bodies
from shared.errors import GatewayError, StoreError
from shared.job_values import unpack_told
from shared.jobs import Outcome, State
from shared.queue import Queue
from shared.stores.memory import MemoryBlobs
from shared.stores.redis import listen
from tests.integration.conftest import until
from tests.integration.test_queue import FAST, a_job, is_final
from tests.integration.test_up_processes import Up, needs
from worker.leases import LeaseWorker
from worker.sweep import forget_blobs
from worker.tasks import run_job

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="hermod up is for POSIX systems")

INLINE = 1000
LARGE, SMALL = b"x" * (INLINE + 1), b"x" * INLINE


class Frail(MemoryBlobs):
    """A store that can be away."""

    away = False

    async def put(self, key, data, **facts):
        self._check()
        await super().put(key, data, **facts)

    async def get(self, key, start=0, length=None):
        self._check()
        return await super().get(key, start, length)

    def _check(self):
        if self.away:
            raise StoreError("away")

    def stored(self):
        return sorted(self._blobs)


class Echo:
    """An executor that answers with the request."""

    def __init__(self):
        self.bodies = []

    async def run(self, lease):
        self.bodies.append(lease.body)
        return Outcome(status=200, body=lease.body)


@pytest.fixture
def blobs():
    return Frail()


@pytest.fixture
def bodies(blobs):
    return Bodies(blobs, INLINE)


@contextlib.asynccontextmanager
async def running(store, bodies, executor):
    worker = LeaseWorker(store, [run_job], FAST)
    worker.ctx.update(executor=executor, bodies=bodies)
    serving = asyncio.create_task(worker.serve())
    try:
        yield
    finally:
        worker.stop()
        await serving


async def submitted(queue, bodies, body, **facts):
    job = await bodies.save_request(a_job(**facts), body)
    await queue.submit(job, body, waiter="hermod:api:test")
    return job


@pytest.mark.parametrize(("body", "saved"), [(SMALL, 0), (LARGE, 1)], ids=["at the threshold", "above it"])
async def test_only_bodies_above_the_threshold_are_blobs_and_the_request_goes_with_its_job(
    store, blobs, bodies, body, saved
):
    queue, echo = Queue(store), Echo()
    job = await submitted(queue, bodies, body)
    assert blobs.stored() == [f"jobs/{job.id}/request"] * saved
    assert len(await store.call("HGET", "hermod:job:" + job.id, "body")) == (0 if saved else len(body))
    async with running(store, bodies, echo):
        await until(lambda: is_final(queue, job))
        await until(lambda: f"jobs/{job.id}/request" not in blobs.stored())
    outcome = (await queue.look(job.id)).outcome
    assert (len(blobs.stored()), outcome.blob != "", outcome.body == b"") == (saved, bool(saved), bool(saved))
    assert (await bodies.whole(job.owner, job.id, outcome)).body == body
    assert echo.bodies == [body]


async def test_what_waiters_are_told_holds_no_large_body(store, server, bodies):
    queue, heard = Queue(store), []

    async def listener():
        async for message in listen(server.url, "hermod:api:test"):
            heard.append(message)  # noqa: PERF401 - read while it grows

    listening = asyncio.create_task(listener())
    await until(lambda: heard == [None])
    async with running(store, bodies, Echo()):
        job = await submitted(queue, bodies, LARGE * 100)
        await until(lambda: len(heard) == 2)
    listening.cancel()
    assert len(heard[1]) < INLINE
    assert queue.read_notice(job.owner, unpack_told(heard[1])).outcome.blob


async def test_requests_are_told_apart_by_their_real_body(store, bodies):
    queue = Queue(store)
    first = await submitted(queue, bodies, LARGE)
    other, same = LARGE + b"y", LARGE
    assert (await queue.submit(a_job(body_blob=True), other, waiter="", look_for_same=True)).new
    assert (await queue.submit(a_job(body_blob=True), same, waiter="", look_for_same=True)).job_id == first.id


async def test_a_job_whose_body_was_lost_fails_with_a_500_and_is_logged(store, blobs, bodies, caplog):
    queue = Queue(store)
    job = await submitted(queue, bodies, LARGE)
    await blobs.delete(f"jobs/{job.id}/request")
    async with running(store, bodies, Echo()):
        await until(lambda: is_final(queue, job))
    snapshot = await queue.look(job.id)
    assert (snapshot.state, snapshot.outcome.status) == (State.FAILED, 500)
    assert b"lost the body" in snapshot.outcome.body
    assert job.id in {getattr(record, "job_id", "") for record in caplog.records if record.levelname == "ERROR"}


async def test_an_outcome_whose_body_was_lost_is_a_500(blobs, bodies):
    outcome = await bodies.save_outcome(job := a_job(), "worker:1", Outcome(status=200, body=LARGE))
    await blobs.delete(outcome.blob)
    with pytest.raises(GatewayError) as caught:
        await bodies.whole(job.owner, job.id, outcome)
    assert caught.value.status == 500


async def test_a_job_waits_for_the_object_store_that_holds_its_body(store, blobs, bodies, monkeypatch):
    monkeypatch.setattr("worker.tasks.OBJECTS_AWAY_S", 0.05)
    queue, echo = Queue(store), Echo()
    job = await submitted(queue, bodies, LARGE)
    blobs.away = True
    async with running(store, bodies, echo):
        await until(lambda: store.call("HEXISTS", "hermod:job:" + job.id, "attempts"))
        assert not echo.bodies
        blobs.away = False
        await until(lambda: is_final(queue, job))
    assert (await queue.look(job.id)).state is State.SUCCEEDED


async def test_a_large_answer_is_kept_in_redis_while_the_object_store_is_away(store, blobs, bodies):
    class Slow(Echo):
        async def run(self, lease):
            blobs.away = True
            return await super().run(lease)

    queue = Queue(store)
    job = await submitted(queue, bodies, LARGE)
    async with running(store, bodies, Slow()):
        await until(lambda: is_final(queue, job))
    outcome = (await queue.look(job.id)).outcome
    assert (outcome.body, outcome.blob) == (LARGE, "")


async def test_a_worker_that_lost_its_job_does_not_write_over_the_answer(store, blobs, bodies):
    queue, first, release = Queue(store), asyncio.Event(), asyncio.Event()

    class Frozen(Echo):
        async def run(self, lease):
            if not first.is_set():
                first.set()
                await store.call("ZADD", "hermod:later", 1, lease.id)
                lease.ending = "nobody tells it that its lease is lost"
                await release.wait()
                return Outcome(status=200, body=b"late" + LARGE)
            return Outcome(status=200, body=b"right" + LARGE)

    job = await submitted(queue, bodies, LARGE)
    async with running(store, bodies, Frozen()), running(store, bodies, Frozen()):
        await until(lambda: is_final(queue, job))
        release.set()
    outcome = (await queue.look(job.id)).outcome
    assert (await bodies.whole(job.owner, job.id, outcome)).body == b"right" + LARGE
    assert blobs.stored() == [outcome.blob]


async def test_blobs_are_deleted_when_nobody_can_ask_for_them_any_more(store, blobs, bodies):
    queue = Queue(store)
    waiting, cancelled = await submitted(queue, bodies, LARGE), await submitted(queue, bodies, LARGE)
    await queue.cancel(cancelled)
    await blobs.put("jobs/gone/request", b"")
    await blobs.put("jobs/gone/outcome-w-1", b"")
    await blobs.put(f"jobs/{cancelled.id}/outcome-w-1", b"")
    await blobs.put("files/of-somebody", b"")
    assert await forget_blobs(store, bodies, time.time() - 3600) == 0
    assert await forget_blobs(store, bodies, time.time() + 1) == 3
    assert blobs.stored() == sorted(
        ["files/of-somebody", f"jobs/{cancelled.id}/outcome-w-1", f"jobs/{waiting.id}/request"]
    )


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    needs("api.app", "worker.main")
    folder = tmp_path_factory.mktemp("bodies")
    config = folder / "config.json"
    config.write_text(json.dumps({"object_store": {"inline_bytes": INLINE}}))
    up = Up(folder, HERMOD_CONFIG=str(config))
    try:
        up.until_ready()
        yield up
    finally:
        up.process.terminate()
        up.process.communicate()
        up.log.close()


def ask(up, words, question, **headers):
    body = {"model": f"sim-words-{words}", "max_tokens": 5000, "messages": [{"role": "user", "content": question}]}
    url = f"http://127.0.0.1:{up.port}/anthropic/v1/messages"
    return httpx.post(url, json=body, headers={"x-" + name: value for name, value in headers.items()}, timeout=30)


def objects(up):
    return {path.name.split("-")[0] for path in (up.folder / "data" / "objects" / "jobs").rglob("*") if path.is_file()}


@on_posix
async def test_large_questions_and_answers_travel_through_the_folder_of_hermod_up(gateway):
    """Asked plainly, as a job with and without waiting, and polled: always the same answer."""
    question, words = "why? " * 1000, 1500
    plain = ask(gateway, words, question)
    assert len(plain.json()["content"][0]["text"].split()) == words
    await until(lambda: objects(gateway) == {"outcome"})  # the request goes with its job, a moment later

    async def polled():
        answer = ask(gateway, words, question, **{"bf-async-id": job})
        return answer if answer.json()["content"] else None

    job = ask(gateway, words, question, **{"bf-async": "true"}).json()["id"]
    waited = ask(gateway, words, question, **{"bf-async": "true", "bf-async-wait": "20"})
    for answer in (await until(polled, 30), waited):
        assert answer.json()["content"] == plain.json()["content"]


@on_posix
def test_health_says_when_the_object_store_is_away(gateway):
    folder = gateway.folder / "data" / "objects"
    url = f"http://127.0.0.1:{gateway.port}/health"
    assert httpx.get(url).json()["object_store"] == "ok"
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    try:
        answer = httpx.get(url)
        assert (answer.status_code, answer.json()["redis"]) == (503, "ok")
        assert "object store" in answer.json()["object_store"]
        refused = ask(gateway, 1, "why? " * 1000)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert ask(gateway, 1, "why?").status_code == 200, "small ones need no object store"
    finally:
        folder.unlink()
        folder.with_name("elsewhere").rename(folder)
    assert httpx.get(url).status_code == 200
