"""How the processes tell whether they live and are ready, and how the API leaves when it is told to."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import AsyncIterator

import anthropic
import httpx
import openai
import pytest
import redis

from shared.config_file import load
from shared.masked import SettingsError
from tests.contract.process import eventually
from tests.contract.wire import Ledger, ask, connect
from tests.deploy.balancer import Balancer
from tests.deploy.process import STARTS_WITHIN_S, Process
from tests.integration.conftest import until
from tests.ports import free_port

ENDS_WITHIN_S = 30.0
"""A process that nothing keeps, on a busy machine too."""
PROBES = ("/live", "/ready", "/health")
SLOW = {"model": "sim-latency-3000+words-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Hello?"}]}


@pytest.fixture
def start(tmp_path, server):
    """Starts a command with the test's Redis, which knows of no process before, and a provider that is simulated."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    simulator = Process(tmp_path, "simulate").until_up("/__health")
    started = [simulator]
    document = {
        "redis": {"url": server.url},
        "object_store": {"path": str(tmp_path / "objects")},
        "providers": {
            name: {"keys": [{"value": "simulated"}], "network_config": {"base_url": simulator.url}}
            for name in ("anthropic", "openai")
        },
    }

    def start(*arguments, port=None, **changes):
        file = tmp_path / f"{len(started)}.json"
        file.write_text(json.dumps({**document, **changes}))
        started.append(Process(tmp_path, *arguments, "--config", str(file), port=port))
        return started[-1]

    start.ledger = Ledger(simulator.url)
    yield start
    for each in started:
        each.kill()


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_process_whose_needs_are_met_lives_is_ready_and_healthy(start, command):
    process = start(command).until_up()
    assert [process.status(path) for path in PROBES] == [200, 200, 200]
    assert ask(process.url, "HEAD", "/live").body == b""


@pytest.mark.parametrize("command", ["api", "worker"])
def test_without_redis_a_process_lives_but_is_neither_ready_nor_healthy(start, command):
    process = start(command, redis={"url": f"redis://127.0.0.1:{free_port()}"}).until_up()
    assert [process.status(path) for path in PROBES] == [200, 503, 503]


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_process_is_ready_once_the_object_store_has_answered_and_stays_so_without_it(start, command, tmp_path):
    folder = tmp_path / "objects"
    folder.touch()
    process = start(command).until_up()
    assert [process.status(path) for path in PROBES] == [200, 503, 503], "it has never been there"
    folder.unlink()
    eventually(lambda: process.status("/ready") == 200, STARTS_WITHIN_S, "it is not ready")
    folder.rename(tmp_path / "elsewhere")
    folder.touch()
    assert [process.status(path) for path in PROBES] == [200, 200, 503]


def test_a_worker_answers_nothing_else(start):
    worker = start("worker").until_up()
    assert worker.status("/v1/jobs") == 404
    assert ask(worker.url, "POST", "/live", b"{}").status == 405
    connection = connect(worker.url)
    connection.connect()
    connection.sock.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 404")
    connection.close()


def test_a_worker_may_have_no_port_at_all(start):
    asker = start("worker").until_up("/ready")
    silent = start("worker", "--metrics-port", "0", port=0)
    eventually(lambda: ask(asker.url, "GET", "/health").json["workers"] == 2, STARTS_WITHIN_S, "it does not work")
    assert asker.listens()
    assert not silent.listens()


def test_a_port_that_is_none_stops_the_start_with_its_path(tmp_path):
    (tmp_path / "config.json").write_text('{"worker": {"metrics_port": 70000}}')
    with pytest.raises(SettingsError, match=r"worker\.metrics_port: expected at most 65535, got 70000"):
        load(str(tmp_path / "config.json"), {}, secrets=False)


def test_a_worker_whose_port_is_taken_says_so_and_works(start):
    first = start("worker").until_up("/ready")
    second = start("worker", port=first.port)
    eventually(lambda: ask(first.url, "GET", "/health").json["workers"] == 2, STARTS_WITHIN_S, "it does not work")
    assert f"cannot listen on 127.0.0.1:{first.port}" in second.logged()


async def test_an_api_that_is_told_to_stop_says_so_and_answers_until_it_has_been_heard(start):
    drain_s = 10
    api, _ = start("api", "--drain", str(drain_s)).until_up(), start("worker").until_up("/ready")
    messages = f"{api.url}/anthropic/v1/messages"
    quick = {**SLOW, "model": "sim-words-5"}
    async with httpx.AsyncClient(timeout=30) as client:
        before = asyncio.create_task(client.post(messages, json=SLOW))
        assert "connection" not in (await client.post(messages, json=quick)).headers, "one that is kept"
        told = time.monotonic()
        api.process.send_signal(signal.SIGTERM)
        while (ready := await client.get(f"{api.url}/ready")).status_code == 200:
            assert time.monotonic() < told + drain_s
        assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
        assert (await client.get(f"{api.url}/live")).status_code == 200
        kept, new = await asyncio.gather(client.post(messages, json=quick), client.post(messages, json=SLOW))
        assert (kept.status_code, kept.headers["connection"]) == (200, "close")
        assert (new.status_code, (await before).status_code) == (200, 200)
    await asyncio.to_thread(api.process.wait, ENDS_WITHIN_S)
    assert time.monotonic() - told >= drain_s


async def test_a_stream_in_flight_ends_after_the_socket_has_closed(start):
    api, _ = start("api").until_up(), start("worker").until_up("/ready")
    body = {**SLOW, "model": "sim-rate-10+words-60", "stream": True}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{api.url}/anthropic/v1/messages", json=body) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "event: message_start"
        told = time.monotonic()
        api.process.send_signal(signal.SIGTERM)
        rest = [line async for line in lines]
    assert "event: message_stop" in rest
    assert sum("text_delta" in line for line in rest) == 60
    await asyncio.to_thread(api.process.wait, ENDS_WITHIN_S)
    assert time.monotonic() - told > 2, "the stream takes six seconds"


def test_an_api_in_nobodys_use_stops_at_once(start):
    api = start("api", "--grace", "300").until_up()
    api.process.send_signal(signal.SIGTERM)
    api.process.wait(ENDS_WITHIN_S)


# --- a client whose answer takes longer than the grace ----------------------------------------------------------------


@pytest.fixture
async def pair(start) -> AsyncIterator[tuple[Balancer, Process]]:
    """Two API processes behind a balancer, and the one of them that the first connection goes to; its grace is 1 s."""
    balancer, _ = Balancer(), start("worker").until_up("/ready")
    apis = [start("api", "--grace", "1").until_up("/ready") for _ in range(2)]
    await balancer.open()
    for api in apis:
        await balancer.until(balancer.add(api.url), ready=True)
    yield balancer, apis[0]
    await balancer.close()


async def told_to_stop_when_called(api, ledger, user):
    """Told once the provider has the call."""
    await until(lambda: asyncio.to_thread(ledger.calls, user))
    api.process.send_signal(signal.SIGTERM)


async def expect_one_call_that_ended(ledger, user):
    def ended():
        [call] = ledger.calls(user)
        return call["finished"] or call["aborted"]

    await until(lambda: asyncio.to_thread(ended))
    assert [call["finished"] for call in ledger.calls(user)] == [True]


async def test_an_sdk_whose_plain_request_outlasts_the_grace_gets_its_answer_from_another_process(start, pair):
    balancer, api = pair
    statuses = []

    async def note(response):
        statuses.append((response.status_code, response.headers.get("retry-after")))

    http = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [note]})
    async with anthropic.AsyncAnthropic(
        base_url=f"{balancer.url}/anthropic", api_key="any", http_client=http
    ) as client:
        body = {**SLOW, "model": "sim-latency-6000+words-5", "metadata": {"user_id": "plain"}}
        asking = asyncio.create_task(client.messages.create(**body))
        await told_to_stop_when_called(api, start.ledger, "plain")
        message = await asking
    assert len(message.content[0].text.split()) == 5
    assert statuses == [(503, "1"), (200, None)]
    await expect_one_call_that_ended(start.ledger, "plain")
    await asyncio.to_thread(api.process.wait, ENDS_WITHIN_S)


async def test_an_sdk_whose_stream_begins_after_the_grace_gets_all_of_it_from_another_process(start, pair):
    balancer, api = pair
    async with openai.AsyncOpenAI(base_url=f"{balancer.url}/openai/v1", api_key="any") as client:
        body = {"model": "sim-latency-6000+words-40", "messages": SLOW["messages"], "stream": True}
        asking = asyncio.create_task(client.chat.completions.create(**body, user="late"))
        await told_to_stop_when_called(api, start.ledger, "late")
        chunks = [chunk async for chunk in await asking]
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).split()) == 40
    await expect_one_call_that_ended(start.ledger, "late")


async def test_a_stream_that_outlasts_the_grace_ends_with_an_error_and_its_job_goes_on(start, pair):
    balancer, api = pair
    body = {**SLOW, "model": "sim-rate-10+words-80", "stream": True, "metadata": {"user_id": "long"}}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{balancer.url}/anthropic/v1/messages", json=body) as answer,
    ):
        await told_to_stop_when_called(api, start.ledger, "long")
        lines = [line async for line in answer.aiter_lines()]
    error = json.loads(lines[lines.index("event: error") + 1].removeprefix("data: "))
    assert "ask again" in error["error"]["message"]
    assert "event: message_stop" not in lines
    await expect_one_call_that_ended(start.ledger, "long")


async def test_a_submit_that_waits_is_told_of_its_job_when_the_process_has_to_stop(start, pair):
    balancer, api = pair
    headers = {"x-bf-async": "true", "prefer": "wait=60"}
    body = {**SLOW, "model": "sim-latency-6000+words-5", "metadata": {"user_id": "waits"}}
    async with httpx.AsyncClient(timeout=90) as client:
        asking = asyncio.create_task(client.post(f"{balancer.url}/anthropic/v1/messages", json=body, headers=headers))
        await told_to_stop_when_called(api, start.ledger, "waits")
        accepted = await asking
        assert (accepted.status_code, accepted.json()["content"]) == (200, [])
        poll = {"x-bf-async-id": accepted.json()["id"], "prefer": "wait=60"}
        answer = await client.post(f"{balancer.url}/anthropic/v1/messages", json={}, headers=poll)
    assert answer.json()["content"]
    await expect_one_call_that_ended(start.ledger, "waits")


async def test_a_client_that_leaves_while_the_process_is_stopping_still_cancels_its_job(start):
    api, _ = start("api", "--grace", "300").until_up(), start("worker").until_up("/ready")
    async with httpx.AsyncClient() as client:
        body = {**SLOW, "model": "sim-latency-60000", "metadata": {"user_id": "gone"}}
        asking = asyncio.create_task(client.post(f"{api.url}/anthropic/v1/messages", json=body))
        await told_to_stop_when_called(api, start.ledger, "gone")
        await until(lambda: not api.listens())
        asking.cancel()
        await asyncio.wait([asking])
    await until(lambda: start.ledger.calls("gone")[0]["aborted"])
    await asyncio.to_thread(api.process.wait, ENDS_WITHIN_S)


def test_whoever_reads_nothing_does_not_keep_a_process_that_is_stopping(start):
    api, _ = start("api", "--grace", "1").until_up(), start("worker").until_up("/ready")
    connection = connect(api.url)
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    body = {**SLOW, "model": "sim-words-100000", "stream": True, "metadata": {"user_id": "deaf"}, "max_tokens": 200_000}
    connection.request("POST", "/anthropic/v1/messages", json.dumps(body), {"content-type": "application/json"})
    eventually(lambda: [call for call in start.ledger.calls("deaf") if call["finished"]], 60, "it is not answered")
    told = time.monotonic()
    api.process.send_signal(signal.SIGTERM)
    api.process.wait(ENDS_WITHIN_S)
    assert time.monotonic() - told > 1
    connection.close()
