"""A provider's models are all listed, on however many pages it tells them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import Settings
from tests.integration.test_queue import a_job
from tests.unit.raw_provider import Connection, provider
from worker.begun import Begun
from worker.executor import Executor
from worker.model_lists import MOST_PAGES
from worker.routing import Router
from worker.transport import Transport

PAGES: dict[str, dict[str, dict[str, Any]]] = {
    "gemini": {
        "/v1beta/models?pageSize=1000": {"models": [{"name": "models/a"}], "nextPageToken": "t/2"},
        "/v1beta/models?pageSize=1000&pageToken=t%2F2": {"models": [{"name": "models/b"}], "nextPageToken": "t3"},
        "/v1beta/models?pageSize=1000&pageToken=t3": {"models": [{"name": "models/c"}]},
    },
    "anthropic": {
        "/v1/models?limit=1000": {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"},
        "/v1/models?limit=1000&after_id=b": {"data": [{"id": "c"}], "has_more": False, "last_id": "c"},
    },
}


async def listed(name: str, answer: Any) -> tuple[list[str], list[str]]:
    """Ids of the listed models, and the paths that were asked for."""
    asked: list[str] = []

    async def handle(connection: Connection) -> None:
        asked.append((await connection.request()).split(b" ")[1].decode())
        body = json.dumps(answer(asked[-1])).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        await connection.write(head.encode() + body)

    async with provider(handle) as (url, _):
        network = NetworkSettings(base_url=url)
        keys = (ProviderKey(name="k", value="v"),)
        settings = Settings(providers={name: ProviderSettings(name=name, keys=keys, network=network)})
        transport = Transport()
        try:
            outcome = await Executor(Router(settings), transport).run(Begun(a_job(operation="models"), b""))
        finally:
            await transport.close()
    return [entry["id"] for entry in msgspec.json.decode(outcome.body)], asked


@pytest.mark.parametrize("name", list(PAGES))
async def test_all_pages_are_read(name: str) -> None:
    base = "" if name == "anthropic" else "/v1beta"
    pages = {path.removeprefix(base): page for path, page in PAGES[name].items()}
    found, asked = await listed(name, lambda path: pages[path.removeprefix(base)])
    assert found == ["a", "b", "c"]
    assert len(asked) == len(pages)


async def test_a_list_without_an_end_is_given_up() -> None:
    endless = {"models": [{"name": "models/a"}], "nextPageToken": "again"}
    _, asked = await listed("gemini", lambda _: endless)
    assert len(asked) == MOST_PAGES
