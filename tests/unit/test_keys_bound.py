"""A key goes to its own address and nowhere else: keys side by side, redirects, what the client sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.errors import AuthFailed, Garbled
from shared.jobs import Attempt, Job
from shared.provider_settings import AzureKey, NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import Settings
from tests.made import a_job
from tests.unit.raw_provider import Connection, Handler, provider
from worker.executor import Executor
from worker.routing import Router
from worker.transport import Transport

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
ANSWER = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


class Asked(msgspec.Struct):
    job: Job
    body: bytes = BODY
    attempts: tuple[Attempt, ...] = ()
    record: str = ""


def keeping(heads: list[str], status: int = 200, headers: str = "", body: Any = ANSWER) -> Handler:
    async def handle(connection: Connection) -> None:
        heads.append((await connection.request()).partition(b"\r\n\r\n")[0].decode().lower())
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\n{headers}content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        await connection.write(head.encode() + text)

    return handle


async def run(name: str, *keys: ProviderKey, headers: dict[str, str] | None = None, **network: Any) -> None:
    """One call with each key: the model of the key's name is its own, and called `m` at the provider."""
    own = tuple(replace(key, models=(key.name,), aliases={key.name: "m"}) for key in keys)
    settings = ProviderSettings(name=name, keys=own, network=NetworkSettings(max_retries=0, **network))
    transport = Transport(max_bytes=1_000_000)
    try:
        for key in keys:
            job = a_job(model=f"{name}/{key.name}", headers=headers or {})
            await Executor(Router(Settings(providers={name: settings})), transport).run(Asked(job))
    finally:
        await transport.close()


async def test_keys_of_one_provider_go_each_to_its_own_endpoint():
    first: list[str] = []
    second: list[str] = []
    async with provider(keeping(first)) as (one, _), provider(keeping(second)) as (two, _):
        await run(
            "azure",
            ProviderKey(name="a", value="key-of-a", azure=AzureKey(endpoint=one)),
            ProviderKey(name="b", value="key-of-b", azure=AzureKey(endpoint=two, api_version="2024-10-21")),
            base_url="http://127.0.0.1:1",
        )
    assert [head.splitlines()[0] for head in (*first, *second)] == [
        "post /openai/v1/chat/completions http/1.1",
        "post /openai/deployments/m/chat/completions?api-version=2024-10-21 http/1.1",
    ]
    assert "api-key: key-of-a" in first[0]
    assert "api-key: key-of-b" in second[0]
    assert "key-of-b" not in first[0]
    assert "key-of-a" not in second[0]


async def test_local_servers_go_each_to_its_own_address():
    first: list[str] = []
    second: list[str] = []
    async with provider(keeping(first)) as (one, _), provider(keeping(second)) as (two, _):
        local = {"x": one, "y": two}
        await run("ollama", *(ProviderKey(name=name, value="", base_url=at) for name, at in local.items()))
    assert len(first) == len(second) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(status):
    heads: list[str] = []
    elsewhere: list[str] = []
    async with (
        provider(keeping(elsewhere)) as (other, _),
        provider(keeping(heads, status, f"location: {other}/v1/chat/completions\r\n")) as (url, _),
    ):
        with pytest.raises(Garbled, match="redirect"):
            await run("openai", ProviderKey(name="a", value="key-of-a"), base_url=url)
    assert len(heads) == 1
    assert elsewhere == []


async def test_nothing_of_the_clients_own_credentials_reaches_a_provider():
    heads: list[str] = []
    async with provider(keeping(heads)) as (url, _):
        await run("openai", ProviderKey(name="a", value="key-of-a"), base_url=url, headers={"x-trace": "t"})
    sent = {line.partition(":")[0] for line in heads[0].splitlines()[1:]}
    assert sent == {
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-trace",
    }


async def test_a_provider_that_quotes_its_key_back_does_not_tell_it():
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    quoting = {"error": {"message": f"Incorrect API key provided: {secret}", "type": "invalid_request_error"}}
    async with provider(keeping([], 401, "", quoting)) as (url, _):
        with pytest.raises(AuthFailed) as caught:
            await run("openai", ProviderKey(name="a", value=secret), base_url=url)
    assert secret not in caught.value.message
