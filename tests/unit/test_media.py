"""Images and documents given by URL, for providers that fetch nothing: a real server, a request of each dialect."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from shared.allowed_hosts import allowed_host
from shared.chat import ChatRequest, Document, Image, Inline, PlainText, ToolResult, Url
from shared.dialects import DIALECTS
from shared.errors import CallerError, InvalidRequest, TooLarge
from tests.unit.raw_provider import Connection, Provider, provider, until
from worker import media
from worker.attachments import MIB
from worker.fetcher import GuardedFetcher
from worker.guard import Guard
from worker.media import Media
from worker.providers.base import Row
from worker.room import Room, kept

ROW = Row(name="acme", wire="openai_chat", fetches=False, reads=("https://acme.example/v1/files/",))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
IMAGES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(50),
    "image/gif": b"GIF89a" + bytes(50),
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(50),
}
PDF = b"%PDF-1.7\n" + bytes(50)

Served = dict[str, tuple[str, bytes]]


class Site:
    """A server of `pages`, path to type and body, and what asks it.

    Attributes:
        url: its origin.
        served: its connections.
    """

    def __init__(self, url: str, served: Provider, room: Room | None) -> None:
        self.url = url
        self.served = served
        entry = allowed_host(f"127.0.0.1:{urlsplit(url).port}")
        self.fetcher = GuardedFetcher(Guard([entry]))
        self.media = Media(self.fetcher, room)

    async def embedded(self, body: dict[str, Any], dialect: str = "anthropic") -> ChatRequest:
        """The request that a body of a dialect becomes."""
        parsed = DIALECTS[dialect].parse(json.dumps(body).encode(), "m", {})
        return await self.media.embedded(parsed, ROW)

    async def inlined(self, body: dict[str, Any], dialect: str = "anthropic") -> dict[str, Any]:
        """The body that a body of a dialect becomes where it is passed through."""
        made: dict[str, Any] = json.loads(await self.media.inlined(json.dumps(body).encode(), dialect, ROW))
        return made


@asynccontextmanager
async def site(pages: Served, room: Room | None = None, status: int = 200) -> AsyncIterator[Site]:
    async def handle(connection: Connection) -> None:
        head = await connection.request()
        media_type, body = pages.get(head.split(b" ")[1].decode().partition("?")[0], ("", b""))
        lines = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n"
        declared = f"content-type: {media_type}\r\n" if media_type else ""
        await connection.write(f"{lines}{declared}\r\n".encode() + body)

    async with provider(handle) as (url, served):
        opened = Site(url, served, room)
        try:
            yield opened
        finally:
            await opened.fetcher.close()


def anthropic(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(blocks)}]}


def by_url(url: str, kind: str = "image") -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "url": url}}


def asked(dialect: str, kind: str, url: str) -> dict[str, Any]:
    """A request that names one image or document by URL, as the second part of its first turn."""
    if dialect == "anthropic":
        return anthropic({"type": "text", "text": "x"}, by_url(url, kind))
    if dialect == "openai_chat":
        image = {"type": "image_url", "image_url": {"url": url}}
        file = {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}
        part = image if kind == "image" else file
        return {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}
    image, file = {"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": url}
    part = image if kind == "image" else file
    return {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}, part]}]}


PATHS = {
    "anthropic": "messages.0.content.1",
    "openai_chat": "messages[0].content[1]",
    "openai_responses": "input[0].content[1]",
}


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("media_type", IMAGES)
async def test_an_image_by_url_becomes_one_inline(dialect: str, media_type: str) -> None:
    async with site({"/a": (media_type, IMAGES[media_type])}) as here:
        request = await here.embedded(asked(dialect, "image", f"{here.url}/a?signature=s"), dialect)
    (part,) = [part for part in request.messages[0].content if isinstance(part, Image)]
    assert part.source == Inline(media_type, base64.b64encode(IMAGES[media_type]).decode())


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_pdf_by_url_becomes_one_inline(dialect: str) -> None:
    async with site({"/a": ("application/pdf", PDF)}) as here:
        request = await here.embedded(asked(dialect, "document", f"{here.url}/a"), dialect)
    (part,) = [part for part in request.messages[0].content if isinstance(part, Document)]
    assert part.source == Inline("application/pdf", base64.b64encode(PDF).decode())


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("text/plain", "é\n".encode()),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbf" + "é\n".encode()),
        ("text/csv; charset=ISO-8859-1", b"\xe9\n"),
    ],
)
async def test_a_text_by_url_becomes_text(declared: str, body: bytes) -> None:
    async with site({"/a": (declared, body)}) as here:
        request = await here.embedded(asked("anthropic", "document", f"{here.url}/a"))
    assert request.messages[0].content[1] == Document(PlainText("é\n"))


@pytest.mark.parametrize("declared", ["", "application/octet-stream", "binary/octet-stream"])
@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [("image", "/a", PNG), ("image", "/a.jpg", PNG), ("document", "/a.pdf", PDF), ("document", "/a.txt", b"text")],
)
async def test_what_is_declared_as_mere_bytes_is_told_by_its_name_and_beginning(
    declared: str, kind: str, path: str, body: bytes
) -> None:
    async with site({path: (declared, body)}) as here:
        request = await here.embedded(asked("anthropic", kind, here.url + path))
    part = request.messages[0].content[1]
    assert isinstance(part, Image | Document)
    if path == "/a.txt":
        assert part.source == PlainText("text")
    else:
        assert part.source == Inline(
            "image/png" if kind == "image" else "application/pdf", base64.b64encode(body).decode()
        )


async def test_an_image_declared_as_another_kind_of_image_is_what_it_is() -> None:
    async with site({"/a": ("image/jpeg", PNG)}) as here:
        request = await here.embedded(asked("anthropic", "image", f"{here.url}/a"))
    part = request.messages[0].content[1]
    assert isinstance(part, Image)
    assert isinstance(part.source, Inline)
    assert part.source.media_type == "image/png"


async def test_all_of_a_request_are_fetched_those_in_tool_results_too_and_the_rest_stays() -> None:
    body = anthropic({"type": "text", "text": "x"}, by_url("URL/a"), by_url("URL/b", "document"))
    body["messages"] += [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [by_url("URL/c")]}]},
    ]
    pages = {"/a": ("image/png", PNG), "/b": ("application/pdf", PDF), "/c": ("image/gif", IMAGES["image/gif"])}
    async with site(pages) as here:
        body = json.loads(json.dumps(body).replace("URL", here.url))
        before = DIALECTS["anthropic"].parse(json.dumps(body).encode(), "m", {})
        after = await here.media.embedded(before, ROW)
    assert after.messages[0].content[0] == before.messages[0].content[0]
    assert after.messages[1] == before.messages[1]
    result = after.messages[2].content[0]
    assert isinstance(result, ToolResult)
    found = [*after.messages[0].content[1:], *result.content]
    assert [part.source.media_type for part in found] == ["image/png", "application/pdf", "image/gif"]  # type: ignore[union-attr]
    assert msgspec.structs.replace(after, messages=()) == msgspec.structs.replace(before, messages=())


async def test_a_request_without_urls_is_the_very_same() -> None:
    async with site({}) as here:
        request = DIALECTS["anthropic"].parse(json.dumps(anthropic({"type": "text", "text": "x"})).encode(), "m", {})
        assert await here.media.embedded(request, ROW) is request


@pytest.mark.parametrize("url", ["gs://bucket/a.png", "s3://bucket/a", "https:a", "https://acme.example/v1/files/a"])
async def test_what_is_not_on_the_web_or_is_read_by_the_provider_is_left_to_the_adapter(url: str) -> None:
    async with site({}) as here:
        request = await here.embedded(asked("anthropic", "image", url))
    assert request.messages[0].content[1] == Image(Url(url))


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("kind", ["image", "document"])
async def test_a_body_that_is_passed_through_means_the_same_as_before(dialect: str, kind: str) -> None:
    pages = {"/a": ("image/png", PNG) if kind == "image" else ("application/pdf", PDF)}
    async with site(pages) as here:
        body = asked(dialect, kind, f"{here.url}/a")
        inlined = await here.inlined(body, dialect)
        assert DIALECTS[dialect].parse(json.dumps(inlined).encode(), "m", {}) == await here.embedded(body, dialect)


@pytest.mark.parametrize("url", ["gs://bucket/http:", "https://acme.example/v1/files/a"])
async def test_a_body_without_urls_to_fetch_is_the_very_same(url: str) -> None:
    async with site({}) as here:
        body = json.dumps(asked("anthropic", "image", url)).encode()
        assert await here.media.inlined(body, "anthropic", ROW) is body


Refusals = dict[str, tuple[str, str, Callable[[str], str], Served, str]]
SVG = ("image/svg+xml", b"<svg/>")
REFUSED: Refusals = {
    "no such page": ("image", "404", lambda url: f"{url}/a", {}, "answered 404"),
    "a page": ("image", "200", lambda url: f"{url}/a", {"/a": ("text/html", b"<html>")}, "'text/html'"),
    "an svg": ("image", "200", lambda url: f"{url}/a", {"/a": SVG}, "no PNG, JPEG, GIF or WebP"),
    "empty": ("image", "200", lambda url: f"{url}/a", {"/a": ("image/png", b"")}, "no PNG, JPEG, GIF or WebP"),
    "an image as document": ("document", "200", lambda url: f"{url}/a", {"/a": ("image/png", PNG)}, "PDF or text"),
    "no pdf": ("document", "200", lambda url: f"{url}/a", {"/a": ("application/pdf", PNG)}, "neither a PDF"),
    "no text": ("document", "200", lambda url: f"{url}/a", {"/a": ("text/plain", b"\xff\xfe")}, "not text"),
    "no such charset": ("document", "200", lambda url: f"{url}/a", {"/a": ("text/plain; charset=idna", b"a")}, "text"),
    "inside": ("image", "200", lambda _: "http://169.254.169.254/latest", {}, "not on the public internet"),
    "unusual": ("image", "200", lambda _: "http://2130706433/", {}, "usual spelling"),
    "broken": ("image", "200", lambda _: "http://[::1", {}, "not an http or https URL"),
    "a user": ("image", "200", lambda _: "http://ann:secret@example.com/a", {}, "user name or password"),
    "a port": ("image", "200", lambda _: "http://127.0.0.1:1/a", {}, "neither 80 nor 443"),
    "no host": ("image", "200", lambda _: "http:///a", {}, "not an http or https URL"),
}


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("passed_through", [False, True])
async def test_what_cannot_be_had_is_a_400_that_names_the_field_and_not_the_query(
    dialect: str, case: str, *, passed_through: bool
) -> None:
    kind, status, where, pages, why = REFUSED[case]
    async with site(pages, status=int(status)) as here:
        url = where(here.url) + "?signature=secret#secret"
        with pytest.raises(InvalidRequest) as caught:
            await (here.inlined if passed_through else here.embedded)(asked(dialect, kind, url), dialect)
    error = caught.value
    assert (error.status, error.param) == (400, PATHS[dialect])
    assert error.message.startswith(f"{PATHS[dialect]}: the {kind} at http:")
    assert why in error.message
    assert "Send it inline" in error.message
    told: BaseException | None = error
    while told is not None:
        assert "secret" not in f"{told} {told!r}"
        told = told.__cause__


async def test_the_path_inside_a_tool_result_is_named() -> None:
    body = anthropic({"type": "tool_result", "tool_use_id": "t", "content": [by_url("http://10.0.0.1/a")]})
    async with site({}) as here:
        with pytest.raises(InvalidRequest) as caught:
            await here.embedded(body)
    assert caught.value.param == "messages.0.content.0.content.0"


async def test_more_urls_than_a_request_may_have_are_refused_before_any_is_fetched() -> None:
    async with site({"/a": ("image/png", PNG)}) as here:
        with pytest.raises(InvalidRequest) as caught:
            await here.embedded(anthropic(*[by_url(f"{here.url}/a")] * 101))
        assert here.served.connections == 0
    assert caught.value.param == "messages.0.content.100"


# --- sizes -------------------------------------------------------------------------------------------------


def large(size: int) -> tuple[str, bytes]:
    return "image/png", PNG + bytes(size - len(PNG))


async def test_each_may_be_so_large_and_no_larger() -> None:
    async with site({"/a": large(20 * MIB), "/b": large(20 * MIB + 1)}) as here:
        assert await here.embedded(anthropic(by_url(f"{here.url}/a")))
        with pytest.raises(InvalidRequest, match="longer than 20 MiB"):
            await here.embedded(anthropic(by_url(f"{here.url}/b")))


async def test_all_of_a_request_together_may_be_so_large_and_no_larger() -> None:
    async with site({"/a": large(8 * MIB)}) as here:
        assert await here.embedded(anthropic(*[by_url(f"{here.url}/a")] * 4))
        with pytest.raises(TooLarge) as caught:
            await here.embedded(anthropic(*[by_url(f"{here.url}/a")] * 5))
    assert (caught.value.param or "").startswith("messages.0.content.")


async def test_a_request_that_turns_out_larger_than_reserved_is_fetched_again_with_more_reserved() -> None:
    room = Room(33 * MIB)
    async with site({"/a": large(7 * MIB)}, room) as here, room.taken(27 * MIB) as others:
        task = asyncio.create_task(here.embedded(anthropic(by_url(f"{here.url}/a"))))
        await until(lambda: bool(room._waiting), 10)  # of 6 MiB that were free it got all, and 7 came
        others.give(others.size)
        await task
        assert here.served.connections == 2


async def test_what_fails_when_it_is_fetched_again_is_the_callers_to_change_too() -> None:
    room, pages = Room(33 * MIB), {"/a": large(7 * MIB)}
    async with site(pages, room) as here, room.taken(27 * MIB) as others:
        task = asyncio.create_task(here.embedded(anthropic(by_url(f"{here.url}/a"))))
        await until(lambda: bool(room._waiting), 10)
        pages["/a"] = ("text/html", b"gone")
        others.give(others.size)
        with pytest.raises(InvalidRequest, match="text/html"):
            await task


async def test_what_all_requests_of_a_worker_hold_is_bounded_until_their_calls_have_ended() -> None:
    room, held, most = Room(10 * MIB), 0, 0
    async with site({"/a": large(3 * MIB)}, room) as here:

        async def attempt() -> None:
            nonlocal held, most
            with kept():
                await here.embedded(anthropic(by_url(f"{here.url}/a")))
                held += 3 * MIB
                most = max(most, held)
                await asyncio.sleep(0.05)  # the call to the provider
                held -= 3 * MIB

        await asyncio.gather(*(attempt() for _ in range(12)))
    assert 3 * MIB < most <= 10 * MIB
    assert room.take_now(10 * MIB)


async def test_what_fails_or_is_cancelled_holds_nothing() -> None:
    room = Room(10 * MIB)
    async with site({"/a": ("image/png", b"no")}, room) as here:
        with kept(), pytest.raises(CallerError):
            await here.embedded(anthropic(by_url(f"{here.url}/a")))
        task = asyncio.create_task(here.embedded(anthropic(by_url(f"{here.url}/a"))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert room.take_now(10 * MIB)


async def test_slow_hosts_cost_no_more_than_the_time_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "FETCH_S", 2.0)

    async def never(connection: Connection) -> None:
        await connection.request()
        await connection.closed_by_peer()

    async with provider(never) as (url, served):
        here = Site(url, served, None)
        with pytest.raises(InvalidRequest, match="too long"):
            await asyncio.wait_for(here.embedded(anthropic(*[by_url(f"{url}/a")] * 8)), 14)
        await here.fetcher.close()
