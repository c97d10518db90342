"""Webhooks: what a receiver is sent, what becomes of one that refuses, and what the guard keeps from being reached."""

import asyncio
import base64
import contextlib
import json

import anthropic
import openai
import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook, WebhookVerificationError

from shared import metrics
from shared.batch_records import BatchRecords
from shared.batches import Batch, BatchState
from shared.bodies import Bodies
from shared.errors import NotFound
from shared.ids import job_id, now_ms
from shared.job_index import JobIndex
from shared.job_values import pack, unpack_job
from shared.jobs import Outcome, State
from shared.lanes import WAKE, Lane
from shared.queue import Queue
from shared.settings import Settings
from shared.stores.memory import MemoryBlobs
from shared.webhook_book import WebhookBook
from shared.webhook_events import OWNER
from shared.webhook_records import WebhookRecords
from shared.webhook_settings import EVENTS, WebhookSettings, new_secret
from tests.integration.conftest import until
from tests.integration.test_queue import FAST, a_job, working
from tests.receiver import Receiver
from tests.unit.certificates import self_signed
from worker.webhooks import Webhooks

ANSWER = b'{"id":"msg_1","content":[{"type":"text","text":"hello"}]}'


def an_endpoint(receiver, **facts) -> WebhookSettings:
    usual = {"name": "hook", "url": receiver.url, "secret": new_secret(), "allow_private_network": True}
    return WebhookSettings(**{**usual, **facts})


class Place:
    """A queue with a worker that ends jobs as `outcomes` says and delivers what follows from it."""

    def __init__(self, store, *endpoints, public_url=None):
        settings = Settings(webhooks=endpoints, public_url=public_url)
        self.store, self.queue, self.settings = store, Queue(store), settings
        self.book = WebhookBook(settings, store)
        self.records = WebhookRecords(store)
        self.bodies = Bodies(MemoryBlobs(), 1000)
        self.ending = (State.SUCCEEDED, Outcome(status=200, body=ANSWER))

    @contextlib.asynccontextmanager
    async def working(self, settings=FAST):
        webhooks = Webhooks(self.store, self.bodies, replace(self.settings, worker=settings))

        async def task(lease):
            if lease.job.operation == "webhook":
                await webhooks.deliver(lease)
            else:
                await lease.finish(*self.ending)

        try:
            async with working(self.store, task, settings):
                yield
        finally:
            await webhooks.close()

    async def submit(self, asked="hook", *, detached=True, **facts):
        job = a_job(**facts)
        hooks = await self.book.of_job(job, asked, detached=detached)
        await self.queue.submit(job, b"{}", waiter="", detached=detached, hooks=hooks)
        return job

    async def deliveries(self, name="hook"):
        return await JobIndex(self.store).owned(OWNER + name, after=None, state=None, count=100)

    async def until_settled(self, count, name="hook"):
        async def settled():
            found = await self.deliveries(name)
            return len(found) == count and all(each.state.final for each in found)

        await until(settled)
        return await self.deliveries(name)

    async def hurry(self):
        """What is put off is due now."""
        for job in await self.store.call("ZRANGE", "hermod:later", 0, -1):
            if await self.store.call("HGET", b"hermod:job:" + job, "state") == b"queued":
                await self.store.call("ZADD", "hermod:later", 1, job)
        await self.store.call("LPUSH", WAKE + Lane.INTERACTIVE, "1")


def verified(endpoint, received, secret=None):
    """The event as each vendor's own library reads it."""
    secret = secret or endpoint.secret
    text, headers = received.body.decode(), received.headers
    generic = Webhook(secret).verify(text, headers)
    with openai.OpenAI(api_key="k", webhook_secret=secret) as client:
        event = client.webhooks.unwrap(text, headers)
    with anthropic.Anthropic(api_key="k", webhook_key=secret) as client:
        theirs = client.beta.webhooks.unwrap(text, headers=headers)
    assert generic == json.loads(text)
    assert event.id == theirs.id == received.id == generic["id"]
    assert event.data.id == theirs.data.id == generic["data"]["id"]
    return event


# --- what is sent -----------------------------------------------------------------------------------------


async def test_the_end_of_a_job_is_told_in_words_that_all_three_libraries_read(store):
    with Receiver() as receiver:
        endpoint = an_endpoint(receiver, include_response=True, headers={"x-team": "red"})
        place = Place(store, endpoint, public_url="https://gateway.example.com")
        async with place.working():
            job = await place.submit(ttl_s=60)
            await until(lambda: receiver.received)
            [delivery] = await place.until_settled(1)
        [received] = receiver.received
    event = verified(endpoint, received)
    assert event.type == "async_job.completed"
    assert (received.path, received.headers["x-team"]) == ("/hook", "red")
    body = received.json
    data = body["data"]
    assert (body["object"], body["event"]) == ("event", "async_job.completed")
    assert abs(body["created_at"] - now_ms() / 1000) < 60
    assert (data["job_id"], data["status"], data["status_code"]) == (job.id, "completed", 200)
    assert data["request_type"] == "chat_completion"
    assert data["result_url"] == f"https://gateway.example.com/v1/jobs/{job.id}"
    assert data["response"] == json.loads(ANSWER)
    assert delivery.state is State.SUCCEEDED
    assert [attempt.number for attempt in delivery.attempts] == [1]


@pytest.mark.parametrize(
    ("dialect", "state", "outcome", "types"),
    [
        ("openai_responses", State.SUCCEEDED, b'{"status":"completed"}', ("async_job.completed", "response.completed")),
        (
            "openai_responses",
            State.SUCCEEDED,
            b'{"status":"incomplete"}',
            ("async_job.completed", "response.incomplete"),
        ),
        ("openai_responses", State.FAILED, b'{"error":{"message":"no"}}', ("async_job.failed", "response.failed")),
        ("openai_responses", State.EXPIRED, b'{"error":{"message":"no"}}', ("async_job.failed", "response.failed")),
        ("openai_responses", State.CANCELLED, b"", ("async_job.failed", "response.cancelled")),
        ("openai_chat", State.FAILED, b'{"error":{"message":"no"}}', ("async_job.failed", "async_job.failed")),
    ],
)
async def test_an_end_is_called_by_bifrosts_name_and_by_openais(store, dialect, state, outcome, types):
    with Receiver() as receiver:
        endpoint = an_endpoint(receiver, include_response=True)
        place = Place(store, endpoint)
        place.ending = (state, Outcome(status=200 if state is State.SUCCEEDED else 500, body=outcome))
        async with place.working():
            job = await place.submit(dialect=dialect)
            await until(lambda: receiver.received)
        body = receiver.received[0].json
    assert (body["event"], body["type"]) == types
    assert verified(endpoint, receiver.received[0]).type == types[1]
    if dialect == "openai_responses":
        assert body["data"]["id"] == f"resp_{job.id.replace('-', '')}"
    if state is State.FAILED:
        assert body["data"]["error"] == {"message": "no"}


async def test_a_queued_job_that_is_cancelled_is_told_of_in_the_same_step(store):
    with Receiver() as receiver:
        place = Place(store, an_endpoint(receiver))
        job = await place.submit()
        await place.queue.cancel(job)
        [delivery] = await place.deliveries()
        assert delivery.state is State.QUEUED, "before any worker has seen it"
        async with place.working():
            await until(lambda: receiver.received)
    assert receiver.received[0].json["data"]["status_code"] == 499


async def test_a_plain_request_is_told_of_only_when_it_asks_for_it(store):
    with Receiver() as receiver:
        place = Place(store, an_endpoint(receiver, events=EVENTS))
        async with place.working():
            await place.submit(asked="", detached=False)
            asked = await place.submit(asked="hook", detached=False)
            detached = await place.submit(asked="", detached=True)
            await place.until_settled(2)
    assert {received.json["data"]["job_id"] for received in receiver.received} == {asked.id, detached.id}


@pytest.mark.parametrize(("events", "told"), [(("async_job.failed",), 0), (("async_job.completed",), 1), ((), 0)])
async def test_an_endpoint_is_told_only_of_the_events_it_names(store, events, told):
    with Receiver() as receiver:
        place = Place(store, an_endpoint(receiver, events=events), an_endpoint(receiver, name="other"))
        async with place.working():
            await place.submit(asked="other")
            await place.until_settled(1, "other")
            await place.until_settled(told)
    assert len(receiver.received) == 1 + told


async def test_a_response_is_left_out_when_it_is_too_long_and_said_to_be_gone_when_it_is(store):
    with Receiver() as receiver:
        place = Place(store, an_endpoint(receiver, include_response=True))
        place.ending = (State.SUCCEEDED, Outcome(status=200, body=b'"%s"' % (b"a" * 256_000)))
        async with place.working():
            await place.submit()
            await until(lambda: receiver.received)
        gone = await place.submit()
        await place.queue.cancel(gone)
        await place.queue.forget(gone)
        async with place.working():
            await until(lambda: len(receiver.received) == 2)
    long, expired = (received.json["data"] for received in receiver.received)
    assert long["response_omitted"] is True
    assert "response" not in long
    assert expired["result_expired"] is True


@pytest.mark.parametrize("surface", ["openai", "anthropic"])
@pytest.mark.parametrize("state", [BatchState.COMPLETED, BatchState.EXPIRED, BatchState.CANCELLED, BatchState.FAILED])
async def test_the_end_of_a_batch_is_told_with_its_counts(store, surface, state):
    with Receiver() as receiver:
        endpoint = an_endpoint(receiver, events=EVENTS)
        place, batches = Place(store, endpoint), BatchRecords(store)
        batch = Batch(
            id=job_id(),
            owner="anonymous",
            surface=surface,
            dialect="anthropic",
            provider="anthropic",
            total=3,
            shards=1,
            created_ms=now_ms(),
        )
        await batches.create(batch, [0], hooks=await place.book.of_batch(batch, ""))
        await batches.start(batch.id)
        await batches.finalize(batch.id)
        for _ in range(2):  # a reply that was lost makes a worker say it again
            await batches.end(batch.id, state)
        async with place.working():
            await place.until_settled(1)
        [received] = receiver.received
    event = verified(endpoint, received)
    prefix = "batch_" if surface == "openai" else "msgbatch_"
    assert (event.type, event.data.id) == (f"batch.{state}", prefix + batch.id.replace("-", ""))
    assert received.json["data"]["request_counts"]["total"] == 3


# --- signatures -------------------------------------------------------------------------------------------


async def test_while_two_secrets_live_each_of_them_verifies_and_no_other(store):
    with Receiver() as receiver:
        endpoint = an_endpoint(receiver, previous_secret=new_secret())
        place = Place(store, endpoint)
        async with place.working():
            await place.submit()
            await until(lambda: receiver.received)
        [received] = receiver.received
    for secret in (endpoint.secret, endpoint.previous_secret):
        verified(endpoint, received, secret)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(received.body, received.headers)
    changed = received.body.replace(b"completed", b"failed")
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(changed, received.headers)


async def test_a_try_over_tls_that_it_trusts_succeeds(store, tmp_path, monkeypatch):
    context, certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Receiver(tls=context) as receiver:
        place = Place(store, an_endpoint(receiver))
        async with place.working():
            await place.submit()
            await place.until_settled(1)
        assert len(receiver.received) == 1


# --- receivers that do not take it ------------------------------------------------------------------------


async def test_a_receiver_that_was_down_gets_the_event_later_under_the_same_id_with_a_new_timestamp(store):
    with Receiver(answers=lambda number: (500 if number < 3 else 204, b"")) as receiver:
        endpoint = an_endpoint(receiver)
        place = Place(store, endpoint)
        counted = {status: tried(status) for status in ("5xx", "2xx")}
        async with place.working():
            await place.submit()
            for tries in (1, 2):
                await until(lambda tries=tries: len(receiver.received) == tries)
                [job] = await until_deferred(place, tries)
                pause_s = (job.waiting.due_ms - job.attempts[-1].ended_ms) / 1000
                assert 26 * tries < pause_s < 40 * tries
                await asyncio.sleep(1.1)  # the timestamp is in whole seconds
                await place.hurry()
            [delivery] = await place.until_settled(1)
    assert delivery.state is State.SUCCEEDED
    assert [attempt.failure and attempt.failure.upstream_status for attempt in delivery.attempts] == [500, 500, None]
    assert len(set(receiver.tries)) == 1
    assert {status: tried(status) - before for status, before in counted.items()} == {"5xx": 2, "2xx": 1}
    timestamps = [received.headers["webhook-timestamp"] for received in receiver.received]
    assert len(set(timestamps)) == 3
    for received in receiver.received:
        verified(endpoint, received)


def tried(status):
    return metrics.WEBHOOK_TRIES.of("hook", status).value


async def until_deferred(place, attempts):
    index = JobIndex(place.store)

    async def look():
        found = [await index.stand(each.job.id, each.job.owner) for each in await place.deliveries()]
        waits = all(each.waiting and each.waiting.due_ms and len(each.attempts) == attempts for each in found)
        return waits and found

    return await until(look)


async def test_after_72_hours_an_event_is_given_up(store):
    with Receiver(answers=lambda _: (503, b"")) as receiver:
        place = Place(store, an_endpoint(receiver))
        job = await place.submit()
        await place.queue.cancel(job)
        [delivery] = await place.deliveries()
        assert delivery.job.deadline_ms - delivery.job.created_ms == 72 * 3_600_000
        record = "hermod:job:" + delivery.job.id
        spec = await store.call("HGET", record, "spec")
        await store.call("HSET", record, "spec", pack(replace(unpack_job(spec), deadline_ms=now_ms() + 20_000)))
        async with place.working():
            [ended] = await place.until_settled(1)
    assert ended.state is State.FAILED
    assert ended.attempts[0].failure.message == "it answered 503"
    assert len(receiver.received) == 1


async def test_an_endpoint_that_answers_410_is_told_no_more_until_it_is_brought_back(store):
    with Receiver(answers=lambda number: (410 if number == 1 else 200, b"")) as receiver:
        place = Place(store, an_endpoint(receiver, events=EVENTS))
        async with place.working():
            await place.submit(asked="")
            await place.until_settled(1)
            await place.book.refresh()
            await place.submit(asked="")
            await place.submit(asked="hook")
            found = await place.until_settled(2)
            assert {each.state for each in found} == {State.FAILED}
            assert found[0].attempts[0].failure.message == "the endpoint is disabled"
            await place.records.mark("hook", None)
            await place.book.refresh()
            await place.submit(asked="")
            found = await place.until_settled(3)
    assert found[0].state is State.SUCCEEDED
    assert len(receiver.received) == 2


class Silent:
    """A server that takes requests and never answers; `most` is how many it has held at a time."""

    async def __aenter__(self):
        self.held, self.most = set(), 0
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self.held:
            writer.transport.abort()
        await until(lambda: not self.held)

    async def _hold(self, reader, writer):
        self.held.add(writer)
        self.most = max(self.most, len(self.held))
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self.held.discard(writer)


async def test_a_dead_endpoint_does_not_hold_up_another_and_gets_ten_tries_at_a_time_at_most(store):
    async with Silent() as dead:
        with Receiver() as receiver:
            endpoint = an_endpoint(receiver)
            place = Place(store, endpoint, replace(endpoint, name="dead", url=dead.url))
            async with place.working(replace(FAST, slots=100)):
                for _ in range(30):
                    await place.submit(asked="dead")
                await until(lambda: len(dead.held) == 10)
                for _ in range(30):
                    await place.submit(asked="hook")
                await place.until_settled(30)
                assert (len(dead.held), dead.most) == (10, 10)
                assert len(receiver.received) == 30


async def test_deliveries_leave_three_quarters_of_a_workers_slots_to_jobs(store):
    async with Silent() as dead:
        endpoint = WebhookSettings(name="hook", url=dead.url, secret=new_secret(), allow_private_network=True)
        place = Place(store, endpoint)
        async with place.working(replace(FAST, slots=8)):
            for _ in range(20):
                await place.submit()
            await until(lambda: dead.held)
            plain = [await place.submit(asked="", detached=False) for _ in range(20)]

            async def all_ended():
                return all([(await place.queue.look(job.id)).state.final for job in plain])

            await until(all_ended)
            assert dead.most == 2


async def test_of_an_endless_answer_only_the_beginning_is_read(store):
    sent, size = 0, 100_000_000

    async def serve(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        with contextlib.suppress(ConnectionError):
            while sent < size:
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    closed = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with Receiver() as receiver:
        place = Place(store, replace(an_endpoint(receiver), url=f"http://127.0.0.1:{port}/"))
        async with place.working():
            await place.submit()
            [delivery] = await place.until_settled(1)
    await closed.wait()
    server.close()
    assert delivery.state is State.SUCCEEDED
    assert sent < 20_000_000, "what does not fit into the buffers of the system is not taken"


# --- where it may go --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://100.64.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://localhost/hook",
    ],
)
async def test_nothing_private_is_reached_unless_the_endpoint_may(store, url):
    place = Place(store, WebhookSettings(name="hook", url=url, secret=new_secret()))
    async with place.working():
        await place.submit()
        [waiting] = await until_deferred(place, 1)
    assert "its host" in waiting.attempts[0].failure.message
    assert "public internet" in waiting.attempts[0].failure.message or "spelling" in waiting.attempts[0].failure.message


async def test_a_redirect_is_not_followed(store):
    with Receiver(answers=lambda _: (302, b"")) as receiver:
        place = Place(store, an_endpoint(receiver))
        async with place.working():
            await place.submit()
            [waiting] = await until_deferred(place, 1)
    assert [received.path for received in receiver.received] == ["/hook"]
    assert waiting.attempts[0].failure.message == "it redirects"


def test_a_secret_that_is_made_has_32_random_bytes():
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32


# --- endpoints made at run time ---------------------------------------------------------------------------


async def test_changes_of_an_endpoint_at_once_all_hold(store):
    records = WebhookRecords(store)
    await records.add(WebhookSettings(name="hook", url="https://example.com", secret=new_secret()))
    secret = new_secret()

    def rotated(endpoint):
        return replace(endpoint, secret=secret, previous_secret=endpoint.secret)

    def named(number):
        return lambda endpoint: replace(endpoint, headers={**endpoint.headers, f"x-{number}": "1"})

    await asyncio.gather(*[records.change("hook", change) for change in (rotated, *map(named, range(10)))])
    endpoint = await records.find("hook")
    assert endpoint.secret == secret
    assert sorted(endpoint.headers) == [f"x-{number}" for number in range(10)]
    await records.forget("hook")
    with pytest.raises(NotFound):
        await records.change("hook", rotated)
    assert await records.find("hook") is None
