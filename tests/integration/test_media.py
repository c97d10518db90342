"""An image given by URL reaches a provider that fetches nothing, as bytes, and one that fetches, as the URL."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.allowed_hosts import allowed_host
from shared.errors import InvalidRequest
from shared.jobs import Outcome
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings, VertexKey
from shared.settings import Settings
from tests.contract.asking import PIXEL
from tests.integration.test_queue import a_job
from tests.unit.raw_provider import Connection, provider
from worker.begun import Begun
from worker.executor import Executor
from worker.fetcher import GuardedFetcher
from worker.guard import Guard
from worker.media import Media
from worker.routing import Router
from worker.transport import Transport

ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}


def http(media_type: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


PAPER = b"%PDF-1.4 of words"


def part_of(dialect: str, url: str, media: str = "image/png") -> dict[str, Any]:
    """An image, or another thing, by URL, as a dialect has it."""
    if not media.startswith("image/"):
        return {"type": "document", "source": {"type": "url", "url": url}}
    if dialect == "anthropic":
        return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


async def asked(
    name: str, *, allowed: bool = True, dialect: str = "anthropic", model: str = "m", media: str = "image/png"
) -> tuple[Outcome, str, Any]:
    """The outcome of a request with an image by URL, the URL, and the image as the provider was sent it."""
    seen: list[bytes] = []

    async def models(connection: Connection) -> None:
        seen.append((await connection.request()).partition(b"\r\n\r\n")[2])
        await connection.write(http("application/json", json.dumps(ANSWER).encode()))

    async def images(connection: Connection) -> None:
        await connection.request()
        await connection.write(http(media, base64.b64decode(PIXEL) if media == "image/png" else PAPER))

    async with provider(models) as (models_url, _), provider(images) as (images_url, _):
        network = NetworkSettings(base_url=f"{models_url}/v1", max_retries=0)
        vertex = VertexKey(project_id="p", region="r") if name == "vertex" else None
        settings = ProviderSettings(name=name, keys=(ProviderKey(name="k", value="v", vertex=vertex),), network=network)
        transport = Transport(networks={name: network})
        allow = [allowed_host(f"127.0.0.1:{urlsplit(images_url).port}")] if allowed else []
        fetcher = GuardedFetcher(Guard(allow))
        executor = Executor(Router(Settings(providers={name: settings})), transport, media=Media(fetcher))
        url = f"{images_url}/a.png?signature=s"
        content = [part_of(dialect, url, media)]
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
        try:
            job = a_job(dialect=dialect, operation="chat", model=f"{name}/{model}")
            outcome = await executor.run(Begun(job, json.dumps(body).encode()))
        finally:
            await transport.close()
            await fetcher.close()
    content = json.loads(seen[0])["messages"][0]["content"]
    return outcome, url, content if isinstance(content, str) else content[0]


async def test_a_provider_that_fetches_nothing_gets_the_bytes() -> None:
    outcome, _, part = await asked("ollama")
    assert outcome.status == 200
    assert part == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}


async def test_a_body_that_is_passed_through_gets_the_bytes_too_and_keeps_the_rest() -> None:
    outcome, _, part = await asked("ollama", dialect="openai_chat")
    assert outcome.status == 200
    assert part == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}


async def test_claude_at_a_provider_that_fetches_nothing_gets_the_bytes() -> None:
    outcome, _, part = await asked("vertex", model="claude-sonnet-4-5")
    assert outcome.status == 200
    assert part == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


async def test_a_body_that_is_passed_through_to_who_fetches_keeps_the_url() -> None:
    outcome, url, part = await asked("groq", dialect="openai_chat", allowed=False)
    assert outcome.status == 200
    assert part == part_of("openai_chat", url)


async def test_a_provider_that_fetches_gets_the_url_and_the_worker_fetches_nothing() -> None:
    outcome, url, part = await asked("groq", allowed=False)
    assert outcome.status == 200
    assert part == {"type": "image_url", "image_url": {"url": url}}


async def test_a_document_by_url_is_fetched_for_a_wire_that_has_no_place_for_it() -> None:
    outcome, _, part = await asked("groq", media="application/pdf")
    assert outcome.status == 200
    assert part["type"] == "file"
    assert part["file"]["file_data"] == f"data:application/pdf;base64,{base64.b64encode(PAPER).decode()}"


async def test_a_text_by_url_is_told_as_text() -> None:
    outcome, _, said = await asked("groq", media="text/plain")
    assert outcome.status == 200
    assert said == "%PDF-1.4 of words"


async def test_a_url_that_leads_inside_is_the_callers_mistake_and_no_call_is_made() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await asked("ollama", allowed=False)
    assert caught.value.param == "messages.0.content.0"


async def test_in_a_body_that_is_passed_through_it_is_the_callers_mistake_likewise() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await asked("ollama", dialect="openai_chat", allowed=False)
    assert caught.value.param == "messages[0].content[0]"
