"""Several keys and targets: which is asked, what happens when one is refused, and what is on record then."""

import asyncio
import contextlib

import msgspec
import pytest

from deploy.simulator.http import Connection
from deploy.simulator.knobs import Knobs
from deploy.simulator.limits import Conduct
from deploy.simulator.simulator import Simulator
from shared.bodies import Bodies
from shared.job_index import JobIndex
from shared.jobs import State
from shared.lanes import Lane
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.queue import Queue
from shared.settings import Settings
from shared.stores.memory import MemoryBlobs
from tests.batches import FAST
from tests.integration.conftest import until
from tests.integration.test_queue import a_job
from worker.executor import Executor
from worker.leases import LeaseWorker
from worker.limits import Limits
from worker.routing import Router
from worker.tasks import run_job
from worker.transport import Transport

KEYS = ("one", "two", "three")


class Place:
    """A worker in this loop, and the provider it calls."""

    def __init__(self, store, simulator, url):
        network = NetworkSettings(base_url=url, retry_backoff_initial_ms=10, retry_backoff_max_ms=20)
        keys = tuple(ProviderKey(name=name, value=f"sk-{name}") for name in KEYS)
        providers = {
            name: ProviderSettings(name=name, keys=(*keys, _same(name, weight)), network=network)
            for name, weight in (("anthropic", 1000), ("openai", 1))
        }
        self.settings = Settings(providers=providers, fallbacks={"anthropic/poor": ("openai/rich",)})
        self._store, self._simulator = store, simulator

    def conduct(self, *names, **facts):
        for name in names:
            self._simulator._limits.conduct(Conduct(key=f"sk-{name}", **facts))

    async def ended(self, within_s=20.0, **facts):
        """A job, submitted and done."""
        job = a_job(**{"model": "m", "lane": Lane.ASYNC, **facts})
        body = b'{"model":"%b","max_tokens":9,"messages":[{"role":"user","content":"x"}]}' % job.model.encode()
        await Queue(self._store).submit(job, body, waiter="", detached=True)
        return await until(lambda: self.final(job), within_s)

    async def final(self, job):
        standing = await JobIndex(self._store).find(job.id)
        return standing if standing.state.final else None


def _same(provider, weight):
    """A key whose name another provider's has too, as the names have that no operator chose."""
    return ProviderKey(name="same", value=f"sk-{provider}", models=("both",), weight=weight)


@pytest.fixture
async def place(store):
    loop, simulator = asyncio.get_running_loop(), Simulator(Knobs())
    server = await loop.create_server(lambda: Connection(simulator.respond, loop), "127.0.0.1", 0)
    made = Place(store, simulator, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with working(store, made.settings):
        yield made
    server.close()


@contextlib.asynccontextmanager
async def working(store, settings):
    transport, limits = Transport(max_bytes=1 << 20), Limits(store)
    worker = LeaseWorker(store, [run_job], FAST)
    executor = Executor(Router(settings), transport, limits=limits)
    worker.ctx.update(executor=executor, bodies=Bodies(MemoryBlobs(), 1 << 18), store=store)
    limits.open()
    serving = asyncio.create_task(worker.serve())
    try:
        yield
    finally:
        worker.stop()
        await serving
        await limits.close()
        await transport.close()


async def test_answers_tell_the_key_that_served_them_and_all_keys_get_their_share(place):
    served = set()
    for _ in range(200):
        served.add((await place.ended()).outcome.headers["x-bf-key"])
        if served == set(KEYS):
            return
    pytest.fail(f"of 200 jobs none went to {set(KEYS) - served}")


async def test_a_refused_key_is_followed_by_another_at_once_and_asked_no_more(place):
    place.conduct("one", "two", revoked=True)
    ended = [await place.ended() for _ in range(12)]
    assert {one.state for one in ended} == {State.SUCCEEDED}
    tried = [attempt for one in ended for attempt in one.attempts]
    refused = [attempt.key for attempt in tried if attempt.then == "next_key"]
    assert sorted(refused) == sorted(set(refused)), "each was found out once"
    assert {attempt.key for attempt in tried if not attempt.then} == {"three"}
    for one in ended:
        for before, after in zip(one.attempts, one.attempts[1:], strict=False):
            assert after.started_ms - before.ended_ms < 500


async def test_when_all_keys_are_refused_the_job_fails_with_502_and_that_code(place):
    place.conduct(*KEYS, revoked=True)
    first, second = await place.ended(dialect="openai_chat"), await place.ended(dialect="openai_chat")
    assert [attempt.then for attempt in first.attempts] == ["next_key", "next_key", "fail"]
    assert {one.outcome.status for one in (first, second)} == {502}
    code = msgspec.json.decode(first.outcome.body)["error"]["code"]
    assert (code, msgspec.json.decode(second.outcome.body)["error"]["code"]) == ("upstream_credentials_exhausted", code)
    assert len(second.attempts) == 1, "they are not asked again"


async def test_when_the_account_of_every_key_is_empty_all_jobs_fail_with_the_same_429(place):
    first, second = [await place.ended(model="sim-402", dialect="openai_chat") for _ in range(2)]
    assert [len(one.attempts) for one in (first, second)] == [len(KEYS), 1], "the second asked no key again"
    codes = [msgspec.json.decode(one.outcome.body)["error"]["code"] for one in (first, second)]
    assert codes == ["insufficient_quota"] * 2
    assert {one.outcome.status for one in (first, second)} == {429}
    assert {one.outcome.headers["x-should-retry"] for one in (first, second)} == {"false"}


async def test_a_refused_key_is_not_taken_for_another_providers_of_the_same_name(place):
    place.conduct("anthropic", revoked=True)
    ended = await place.ended(model="both", key="same")
    assert [(attempt.target, attempt.then) for attempt in ended.attempts] == [
        ("anthropic/both", "next_key"),
        ("openai/both", ""),
    ]
    assert ended.state is State.SUCCEEDED


async def test_a_pinned_key_serves_and_an_unknown_one_is_told(place):
    assert {(await place.ended(key="two")).outcome.headers["x-bf-key"] for _ in range(8)} == {"two"}
    unknown = await place.ended(key="nobody")
    assert unknown.outcome.status == 400
    assert b"x-bf-api-key" in unknown.outcome.body


async def test_a_session_keeps_its_key_until_that_is_refused(place):
    keys = [(await place.ended(session="s")).outcome.headers["x-bf-key"] for _ in range(6)]
    assert len(set(keys)) == 1
    place.conduct(keys[0], revoked=True)
    moved = [(await place.ended(session="s")).outcome.headers["x-bf-key"] for _ in range(6)]
    assert len(set(moved)) == 1
    assert moved[0] != keys[0]


async def test_after_a_failed_try_another_key_is_asked_first(place):
    usual = (await place.ended(session="s")).outcome.headers["x-bf-key"]
    place.conduct(usual, cut_every=1)
    ended = await place.ended(session="s")
    assert [attempt.then for attempt in ended.attempts] == ["retry", ""]
    assert ended.attempts[0].key == usual != ended.attempts[1].key


async def test_a_configured_fallback_serves_when_the_wait_would_be_long(place):
    place.conduct(*KEYS, requests_per_minute=1, burst_s=1)
    ended = [await place.ended(model="poor", lane=Lane.INTERACTIVE) for _ in range(4)]
    assert [one.outcome.headers["x-bf-model"] for one in ended] == ["poor"] * 3 + ["rich"]
    assert ended[3].outcome.headers["x-bf-fallback-index"] == "1"
    assert ended[3].attempts[-2].then == "fallback"


async def test_a_job_that_waits_for_a_limit_says_so_and_until_when(place, store):
    place.conduct(*KEYS, requests_per_minute=20, burst_s=1)
    for _ in range(3):
        await place.ended()
    job = a_job(model="m", lane=Lane.ASYNC)
    await Queue(store).submit(job, b'{"model":"m","max_tokens":9,"messages":[]}', waiter="", detached=True)
    waiting = await until(lambda: put_off(store, job))
    assert waiting.why == "rate_limited anthropic/m"
    assert waiting.due_ms


async def put_off(store, job):
    standing = await JobIndex(store).stand(job.id, job.owner)
    return standing.waiting and standing.waiting.why and standing.waiting
