"""The transport against real sockets: what is sent, what comes back, and what each failure becomes."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from shared.errors import Garbled, ProviderError, TimedOut, Unreachable
from tests.unit.raw_provider import (
    CHUNKED,
    OK,
    SECRET,
    Connection,
    Handler,
    answering,
    call,
    plain_facts,
    provider,
    silent,
    until,
)
from worker.transport import Transport

MAX_BYTES = 200_000


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    opened = Transport(max_bytes=MAX_BYTES, idle_s=0.3, connect_s=2)
    yield opened
    await opened.close()


def compressed(body: bytes, encoding: bytes = b"gzip") -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (encoding, len(body)) + body


async def resetting(connection: Connection) -> None:
    await connection.request()


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ((OK,), 200, b"ok"),
        ((b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nun", b"til the end"), 200, b"until the end"),
        ((CHUNKED, b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"), 200, b"abc"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,), 200, b"ok"),
        ((b"HTTP/1.1 529 Overloaded\r\ncontent-length: 4\r\n\r\nbusy",), 529, b"busy"),
        ((compressed(gzip.compress(b"x" * 1000)),), 200, b"x" * 1000),
        ((compressed(zlib.compress(b"x" * 1000), b"deflate"),), 200, b"x" * 1000),
    ],
    ids=["length", "until close", "chunked", "interim", "error status", "gzip", "deflate"],
)
async def test_an_answer_is_read_whole_whatever_its_framing(
    transport: Transport, pieces: tuple[bytes, ...], status: int, body: bytes
) -> None:
    async with provider(answering(*pieces)) as (url, _):
        answer = await transport.send(call(url))
    assert (answer.status, answer.body) == (status, body)


async def test_the_request_on_the_wire_is_the_call_and_nothing_the_caller_did_not_ask_for(transport: Transport) -> None:
    seen: list[bytes] = []

    async def handle(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.write(OK)

    async with provider(handle) as (url, _):
        await transport.send(call(url, body=b'{"a":1}', headers={"X-Tag": "grün"}))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    line, *fields = head.lower().split(b"\r\n")
    headers = dict(field.split(b": ", 1) for field in fields)
    assert line == b"post /v1?key=%b http/1.1" % SECRET.encode()
    assert body == b'{"a":1}'
    assert headers == {
        b"host": url.removeprefix("http://").encode(),
        b"user-agent": b"hermod",
        b"accept-encoding": b"gzip, deflate",
        b"authorization": b"bearer " + SECRET.encode(),
        b"content-type": b"application/json",
        b"content-length": b"7",
        b"x-tag": "grün".encode(),
    }


async def test_header_names_are_lower_case_and_cookies_are_not_kept(transport: Transport) -> None:
    seen: list[bytes] = []

    async def handle(connection: Connection) -> None:
        for _ in range(2):
            seen.append(await connection.request())
            await connection.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: tenant=a; Path=/\r\nX-Id: 7\r\n\r\n"))

    async with provider(handle) as (url, served):
        answer = await transport.send(call(url))
        await transport.send(call(url))
        assert served.connections == 1
    assert answer.headers["x-id"] == "7"
    assert all(name == name.lower() for name in answer.headers)
    assert b"cookie" not in seen[1].lower()


async def test_a_redirect_is_returned_not_followed(transport: Transport) -> None:
    async with provider(answering(OK)) as (elsewhere, other):
        head = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % elsewhere.encode()
        async with provider(answering(head)) as (url, _):
            answer = await transport.send(call(url))
        assert (answer.status, answer.headers["location"]) == (307, elsewhere)
        assert other.connections == 0


async def test_a_large_body_arrives_whole(transport: Transport) -> None:
    sizes: list[int] = []

    async def handle(connection: Connection) -> None:
        sizes.append(len((await connection.request()).partition(b"\r\n\r\n")[2]))
        await connection.write(OK)

    async with provider(handle) as (url, _):
        await transport.send(call(url, body=b"x" * 3_000_001))
    assert sizes == [3_000_001]


async def test_any_httpx_transport_fits_underneath() -> None:
    mock = httpx.MockTransport(lambda request: httpx.Response(201, headers={"X-Path": request.url.path}, content=b"hi"))
    transport = Transport(max_bytes=10, http=mock)
    answer = await transport.send(call("http://provider"))
    assert (answer.status, answer.headers["x-path"], answer.body) == (201, "/v1", b"hi")
    await transport.close()


PROMISED = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (silent, TimedOut),
        (resetting, Unreachable),
        (answering(PROMISED + b"cut"), Unreachable),
        (answering(CHUNKED + b"5\r\nab"), Unreachable),
        (answering(CHUNKED + b"zz\r\nab\r\n"), Unreachable),
        (answering(f"{SECRET} is not HTTP\r\n\r\n".encode()), Unreachable),
        (answering(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000 + b"\r\n"), Unreachable),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000), Garbled),
        (answering(compressed(gzip.compress(bytes(100_000_000), 1))), Garbled),
        (answering(compressed(b"not gzip")), Garbled),
    ],
    ids=[
        "silent", "closed", "cut", "cut chunk", "bad chunk", "not http", "many headers", "too long", "bomb", "bad gzip",
    ],
)  # fmt: skip
async def test_each_failure_has_its_error_and_may_have_been_sent(
    transport: Transport, handler: Handler, expected: type[ProviderError]
) -> None:
    patience_s = 1 if expected is TimedOut else 30
    async with provider(handler) as (url, _):
        with pytest.raises(expected) as caught:
            await transport.send(call(url, timeout_s=patience_s))
        plain_facts(caught.value)
        assert caught.value.sent
        with pytest.raises(expected) as caught:
            async with transport.stream(call(url, timeout_s=patience_s)) as answer:
                await answer.read()
        plain_facts(caught.value)


@pytest.mark.parametrize(
    ("url", "should_retry"),
    [
        ("http://127.0.0.1:1", None),
        ("http://does-not-exist.invalid", None),
        ("ftp://127.0.0.1", False),
        ("provider", False),
        ("http://a:b:c", False),
    ],
    ids=["refused", "no such name", "scheme", "no scheme", "port"],
)
async def test_what_was_never_sent_says_so(transport: Transport, url: str, should_retry: bool | None) -> None:
    with pytest.raises(Unreachable) as caught:
        await transport.send(call(url, timeout_s=60))  # where there is no network it takes long to know no name
    plain_facts(caught.value)
    assert not caught.value.sent
    assert caught.value.should_retry is should_retry


async def test_a_header_that_would_smuggle_another_is_not_sent(transport: Transport) -> None:
    async with provider(answering(OK)) as (url, _):
        with pytest.raises(Unreachable) as caught:
            await transport.send(call(url, headers={"x-tag": "a\r\nx-other: b"}))
    plain_facts(caught.value)
    assert not caught.value.sent
    assert caught.value.should_retry is False


async def test_a_connection_that_never_says_hello_is_unreachable_not_timed_out() -> None:
    transport = Transport(max_bytes=10, connect_s=0.1)
    async with provider(Connection.closed_by_peer) as (url, _):
        with pytest.raises(Unreachable) as caught:
            await transport.send(call(url.replace("http:", "https:")))
    assert not caught.value.sent
    await transport.close()


async def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(transport: Transport) -> None:
    async def once(connection: Connection) -> None:
        await connection.request()
        await connection.write(OK)

    async with provider(once) as (url, served):
        for expected in (1, 2, 3):
            assert (await transport.send(call(url))).body == b"ok"
            await until(lambda: not served.tasks)
            await asyncio.sleep(0)
            assert served.connections == expected


async def test_a_call_lost_on_a_kept_connection_is_not_repeated_in_silence(transport: Transport) -> None:
    requests = 0

    async def handle(connection: Connection) -> None:
        nonlocal requests
        while True:
            await connection.request()
            requests += 1
            if requests == 2:
                return
            await connection.write(OK)

    async with provider(handle) as (url, _):
        await transport.send(call(url))
        with pytest.raises(Unreachable) as caught:
            await transport.send(call(url))
    assert caught.value.sent
    assert requests == 2
