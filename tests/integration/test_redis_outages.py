"""Redis dies, loads, is full or read-only under a running gateway: nothing accepted is lost and nobody is lied to.

Each gateway is `hermod up` (API, worker and simulator as real processes) on a Redis server that the test handles.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import httpx
import pytest
import redis

from shared.errors import StoreError
from shared.stores.redis import RedisStore
from tests.integration.conftest import Server, until
from tests.integration.test_up_processes import Up, needs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="hermod up is for POSIX systems")

LEASE_S = 3.0
OVER_A_LEASE_S = 4.5
ENDS_WITHIN_S = 60.0
WORDS = 60


class Flaky(Server):
    """A server whose outages are the test's."""

    def begin(self, *options: str) -> None:
        """Start without waiting until it serves."""
        self._process = subprocess.Popen([*self._plan.arguments, *options], stdout=subprocess.DEVNULL)

    def say(self, *command: object) -> object:
        with redis.Redis.from_url(self.url) as client:
            return client.execute_command(*command)


class Gateway:
    """A running gateway and a client of it."""

    def __init__(self, up: Up, simulator: str, server: Flaky) -> None:
        self.url = f"http://127.0.0.1:{up.port}"
        self.server = server
        self._simulator = simulator

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=ENDS_WITHIN_S)

    def calls(self, user: str) -> list[dict]:
        with urllib.request.urlopen(f"{self._simulator}/__ledger?user={user}", timeout=10) as answer:  # noqa: S310 - ours
            return json.load(answer)["entries"]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[Gateway]:
    needs("api.app", "worker.main")
    folder = tmp_path_factory.mktemp("outages")
    config = folder / "config.json"
    config.write_text(json.dumps({"worker": {"lease_s": LEASE_S, "renew_s": 0.3, "grace_s": 1}}))
    server = Flaky(tmp_path_factory.mktemp("redis"))
    up = Up(folder, HERMOD_REDIS_URL=server.url, HERMOD_CONFIG=str(config))
    try:
        simulator = re.search(r"http://127\.0\.0\.1:\d+", up.until_ready().split("simulated at ")[1])[0]
        yield Gateway(up, simulator, server)
    finally:
        up.process.terminate()
        up.process.communicate()
        up.log.close()
        server.stop()


@pytest.fixture
def user(request) -> str:
    return request.node.name


def question(model: str, user: str, **more) -> dict:
    words = [{"role": "user", "content": "Count for me, please."}]
    return {"model": model, "max_tokens": 500, "messages": words, "metadata": {"user_id": user}, **more}


async def ask(client: httpx.AsyncClient, model: str, user: str, headers=None) -> httpx.Response:
    return await client.post("/anthropic/v1/messages", json=question(model, user), headers=headers or {})


async def submit(client, model, user) -> str:
    answer = await ask(client, model, user, {"x-bf-async": "true"})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def poll(client, job) -> httpx.Response:
    return await client.post("/anthropic/v1/messages", json={}, headers={"x-bf-async-id": job})


async def finished(client, job) -> httpx.Response:
    async def answered():
        answer = await poll(client, job)
        assert answer.status_code in {200, 503}, answer.text
        return answer if answer.headers.get("x-bf-async-status") == "succeeded" else None

    return await until(answered, ENDS_WITHIN_S)


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["content"][0]["text"]


async def streamed(client, model, user) -> str:
    """The whole text of a stream; fails on an error event or a missing end."""
    text, ended = "", False
    async with client.stream("POST", "/anthropic/v1/messages", json=question(model, user, stream=True)) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert event["type"] != "error", event
                text += event.get("delta", {}).get("text", "")
                ended = ended or event["type"] == "message_stop"
    assert ended
    return text


def assert_is_503(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"] == "1"
    assert answer.headers.get("x-should-retry", "true") == "true"
    assert answer.json()["type"] == "error"


async def assert_only_503(client, job, user) -> None:
    """What a client is told while jobs cannot be accepted."""
    assert_is_503(await ask(client, "sim-words-1", f"{user}-refused"))
    assert_is_503(await ask(client, "sim-words-1", f"{user}-refused", {"x-bf-async": "true"}))
    if job:
        assert_is_503(await poll(client, job))
        assert (await client.get("/health")).status_code == 503


async def begin(gateway, client, user):
    """One client of each kind, its call at the provider: plain, streamed, a job."""
    plain = asyncio.create_task(ask(client, f"sim-latency-3000+words-{WORDS}", f"{user}-plain"))
    stream = asyncio.create_task(streamed(client, f"sim-rate-15+words-{WORDS}", f"{user}-stream"))
    job = await submit(client, f"sim-latency-3000+words-{WORDS}", f"{user}-job")
    for kind in ("plain", "stream", "job"):
        await until(lambda kind=kind: gateway.calls(f"{user}-{kind}"), ENDS_WITHIN_S)
    return plain, stream, job


async def assert_all_end_right(gateway, client, user, plain, stream, job) -> None:
    expected = text_of(await plain)
    assert len(expected.split()) == WORDS
    assert await stream == expected, "every piece once, in order"
    assert text_of(await finished(client, job)) == expected
    for kind in ("plain", "stream", "job"):
        assert [call["finished"] for call in gateway.calls(f"{user}-{kind}")] == [True], kind
    assert not gateway.calls(f"{user}-refused"), "what was answered with 503 was not run"


async def events_of(client, job, seen) -> list[str]:
    """The kinds of a job's events until they end; the first sets `seen`."""
    kinds = []
    async with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
                seen.set()
    return kinds


async def for_a_while(seconds: float) -> None:
    """The outage itself takes time; nothing else tells that a lease would have run out."""
    deadline = time.monotonic() + seconds
    await until(lambda: time.monotonic() > deadline, seconds + 5)


async def test_a_server_that_is_killed_for_longer_than_a_lease_costs_nothing(gateway, user):
    async with gateway.client() as client:
        waiting = await begin(gateway, client, user)
        gateway.server.stop(signal.SIGKILL)
        await assert_only_503(client, waiting[2], user)
        await for_a_while(OVER_A_LEASE_S)
        gateway.server.start()
        await assert_all_end_right(gateway, client, user, *waiting)
        assert (await client.get("/health")).json()["status"] == "ok"


async def test_who_follows_a_jobs_events_need_not_come_back_after_an_outage(gateway, user):
    async with gateway.client() as client:
        job, seen = await submit(client, "sim-latency-6000", user), asyncio.Event()
        following = asyncio.create_task(events_of(client, job, seen))
        await asyncio.wait_for(seen.wait(), ENDS_WITHIN_S)
        await until(lambda: gateway.calls(user), ENDS_WITHIN_S)
        gateway.server.stop(signal.SIGKILL)
        await for_a_while(2)
        gateway.server.start()
        kinds = await following
    assert [kind for kind in kinds if kind != "waiting"] == ["queued", "running", "attempt", "answer", "succeeded"]


async def test_a_server_that_freezes_for_longer_than_a_lease_costs_nothing(gateway, user):
    async with gateway.client() as client:
        waiting = await begin(gateway, client, user)
        gateway.server._process.send_signal(signal.SIGSTOP)
        await for_a_while(OVER_A_LEASE_S)
        gateway.server._process.send_signal(signal.SIGCONT)
        await assert_all_end_right(gateway, client, user, *waiting)


async def test_while_the_server_loads_its_log_clients_get_503_and_waiting_ones_wait(gateway, user):
    async with gateway.client() as client:
        with redis.Redis.from_url(gateway.server.url) as filler:
            for _ in range(60):
                batch = filler.pipeline(transaction=False)
                for each in range(1000):
                    batch.set(f"filler-{each}", "x")
                batch.execute()
        waiting = await begin(gateway, client, user)
        gateway.server.stop(signal.SIGKILL)
        gateway.server.begin("--key-load-delay", "100")  # µs a key, so some seconds
        await until(lambda: is_loading(gateway.server))
        await assert_only_503(client, waiting[2], user)
        assert is_loading(gateway.server), "it was loading all the while"
        await until(lambda: not is_loading(gateway.server), ENDS_WITHIN_S)
        await assert_all_end_right(gateway, client, user, *waiting)


def is_loading(server) -> bool:
    try:
        return server.say("PING") is None
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.exceptions.ConnectionError:
        return False


async def test_a_full_server_refuses_what_is_new_and_ends_what_it_has(gateway, user):
    async with gateway.client() as client:
        waiting = await begin(gateway, client, user)
        again = await submit(client, "sim-429-once", f"{user}-again")
        await until(lambda: gateway.calls(f"{user}-again"), ENDS_WITHIN_S)
        gateway.server.say("CONFIG", "SET", "maxmemory", "1")
        try:
            await assert_only_503(client, None, user)
            assert (await poll(client, waiting[2])).status_code == 200
            await assert_all_end_right(gateway, client, user, *waiting)
            assert text_of(await finished(client, again)), "a job put off is claimed again"
        finally:
            gateway.server.say("CONFIG", "SET", "maxmemory", "0")
        assert text_of(await ask(client, "sim-words-1", user))


async def test_a_server_that_turns_replica_for_longer_than_a_lease_costs_nothing(gateway, user):
    async with gateway.client() as client:
        waiting = await begin(gateway, client, user)
        gateway.server.say("REPLICAOF", "127.0.0.1", "1")
        try:
            await assert_only_503(client, None, user)
            await for_a_while(OVER_A_LEASE_S + 1)
        finally:
            gateway.server.say("REPLICAOF", "NO", "ONE")
        await assert_all_end_right(gateway, client, user, *waiting)
        assert text_of(await ask(client, "sim-words-1", user))


async def test_a_follower_whose_connection_is_cut_gets_every_piece_once(gateway, user):
    async with gateway.client() as client:
        expected = text_of(await ask(client, f"sim-words-{WORDS}", user))
        stream = asyncio.create_task(streamed(client, f"sim-rate-15+words-{WORDS}", user))
        cuts = 0
        while not stream.done():
            cuts += gateway.server.say("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.wait([stream], timeout=0.15)
        assert await stream == expected
        assert cuts > 2


async def test_a_job_that_the_server_has_lost_is_a_503_to_who_waits_for_it(gateway, user):
    async with gateway.client() as client:
        waiting = asyncio.create_task(ask(client, "sim-latency-20000", user))
        await until(lambda: gateway.calls(user), ENDS_WITHIN_S)
        gateway.server.say("FLUSHALL")
        gateway.server.say("CLIENT", "KILL", "TYPE", "pubsub")
        assert_is_503(await waiting)


@pytest.mark.parametrize(
    "refusal",
    [
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "OOM command not allowed when used memory > 'maxmemory'. script: 1f2, on @user_script:1.",
        "ERR Error running script (call to f_1f2): @user_script:9: @user_script: 9: -OOM command not allowed",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "CLUSTERDOWN The cluster is down",
    ],
    ids=lambda text: text.split()[0] + text[-1],
)
async def test_a_server_that_cannot_serve_now_is_told_from_a_defect(refusal):
    serving = []

    async def serve(reader, writer):
        serving.append(asyncio.current_task())
        while line := await reader.readline():
            words = [await read_word(reader) for _ in range(int(line[1:]))]
            replies = {b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"PING": f"-{refusal}\r\n".encode()}
            writer.write(replies.get(words[0], b"+OK\r\n"))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        store = RedisStore(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(StoreError) as caught:
            await store.call("PING")
        assert (caught.value.status, caught.value.headers()) == (503, {"retry-after": "1"})
        await store.close()
        await asyncio.gather(*serving)


async def read_word(reader) -> bytes:
    size = int((await reader.readline())[1:])
    return (await reader.readexactly(size + 2))[:-2]
