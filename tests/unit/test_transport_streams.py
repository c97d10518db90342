"""The transport while answers stream, are cancelled, and are many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from shared.errors import Garbled, ProviderError, TimedOut
from tests.unit.raw_provider import (
    CHUNKED,
    OK,
    Connection,
    Handler,
    answering,
    call,
    plain_facts,
    provider,
    silent,
    until,
)
from worker.transport import Call, Transport

MAX_BYTES = 200_000
FEED = b"data: 1\n\n"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    opened = Transport(max_bytes=MAX_BYTES, idle_s=0.5, connect_s=20)
    yield opened
    await opened.close()


async def test_a_stream_is_handed_on_event_by_event(transport: Transport) -> None:
    read = asyncio.Event()

    async def handle(connection: Connection) -> None:
        head = await connection.request()
        assert b"accept-encoding: identity" in head.lower()
        await connection.write(CHUNKED)
        for number in range(3):
            await connection.write(b"9\r\ndata: %d\n\n\r\n" % number)
            await read.wait()  # the next event is not written before this one was read
            read.clear()
        await connection.write(b"0\r\n\r\n")

    async with provider(handle) as (url, _), transport.stream(call(url)) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
        seen = []
        async for chunk in answer.chunks():
            seen.append(chunk)
            read.set()
    assert seen == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


async def test_the_connection_of_a_finished_stream_is_used_again(transport: Transport) -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(CHUNKED + b"9\r\n" + FEED + b"\r\n0\r\n\r\n")

    async with provider(handle) as (url, served):
        for _ in range(3):
            async with transport.stream(call(url)) as answer:
                assert await answer.read() == FEED
        assert served.connections == 1


@pytest.mark.parametrize(
    ("timeout_s", "idle_s", "least_s"),
    [(90.0, None, 0.5), (90.0, 1.0, 1.0), (1.0, 90.0, 1.0)],
    ids=["the transport's idle time", "the call's", "the call's whole time"],
)
async def test_a_stream_that_falls_silent_times_out(
    transport: Transport, timeout_s: float, idle_s: float | None, least_s: float
) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(CHUNKED + b"9\r\n" + FEED + b"\r\n")
        await connection.closed_by_peer()

    seen = []
    async with provider(handle) as (url, served):
        began = time.monotonic()
        with pytest.raises(TimedOut) as caught:  # noqa: PT012 - what was read before matters too
            async with transport.stream(call(url, timeout_s=timeout_s, idle_s=idle_s)) as answer:
                async for chunk in answer.chunks():
                    seen.append(chunk)  # noqa: PERF401 - the loop is what is broken off
        assert least_s <= time.monotonic() - began < 45
        await until(lambda: not served.tasks, within_s=10)
    plain_facts(caught.value)
    assert seen == [FEED]


async def test_waiting_for_the_first_byte_is_not_idleness(transport: Transport) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.reader.read(1), 0.6)  # longer than idle_s
        await connection.write(OK)

    async with provider(handle) as (url, _), transport.stream(call(url)) as answer:
        assert await answer.read() == b"ok"


async def test_an_endless_stream_ends_at_the_cap(transport: Transport) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(CHUNKED)
        while True:
            await connection.write(b"400\r\n" + bytes(1024) + b"\r\n")

    size = 0
    async with provider(handle) as (url, _):
        with pytest.raises(Garbled):  # noqa: PT012 - what was read before matters too
            async with transport.stream(call(url)) as answer:
                async for chunk in answer.chunks():
                    size += len(chunk)
    assert 0 < size <= MAX_BYTES


async def test_a_stream_nobody_reads_from_is_not_read_ahead(transport: Transport) -> None:
    written = 0

    async def handle(connection: Connection) -> None:
        nonlocal written
        await connection.request()
        await connection.write(CHUNKED)
        while True:
            await connection.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            written += 65536

    async with provider(handle) as (url, _), transport.stream(call(url)):
        before = -1
        while written != before:
            before = written
            await asyncio.sleep(0.1)
    assert 0 < written < 16 * 1024 * 1024  # the sockets' own buffers take a few MiB


async def test_what_the_reader_of_a_stream_raises_is_the_readers_own(transport: Transport) -> None:
    async with provider(answering(OK)) as (url, _):
        with pytest.raises(TimeoutError) as caught:
            async with transport.stream(call(url)):
                raise TimeoutError("the reader's")
    assert str(caught.value) == "the reader's"


async def headers_only(connection: Connection) -> None:
    await connection.request()
    await connection.write(CHUNKED)
    await connection.closed_by_peer()


async def unread(connection: Connection) -> None:
    """Takes the head, then lets the body wait for ever."""
    await connection.reader.readuntil(b"\r\n\r\n")
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(0.3)
    connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await connection.closed_by_peer()


@pytest.mark.parametrize(
    ("handler", "body"),
    [(silent, b"{}"), (headers_only, b"{}"), (unread, bytes(30_000_000))],
    ids=["before the answer", "in the body", "in the upload"],
)
@pytest.mark.parametrize("way", ["send", "stream"])
async def test_the_provider_sees_a_cancelled_call_hang_up_within_a_second(
    transport: Transport, handler: Handler, body: bytes, way: str
) -> None:
    async def stream(to: Call) -> None:
        async with transport.stream(to) as answer:
            await answer.read()

    async with provider(handler) as (url, served):
        to = call(url, body=body, timeout_s=30, idle_s=30)
        task = asyncio.create_task(transport.send(to) if way == "send" else stream(to))
        await until(lambda: bool(served.tasks))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not served.tasks, within_s=10)


async def test_leaving_a_stream_early_hangs_up(transport: Transport) -> None:
    async with provider(headers_only) as (url, served):
        async with transport.stream(call(url)) as answer:
            assert answer.status == 200
        await until(lambda: not served.tasks, within_s=10)


async def test_two_thousand_calls_are_in_flight_at_once(transport: Transport) -> None:
    everyone = asyncio.Event()
    waiting = 0

    async def handle(connection: Connection) -> None:
        nonlocal waiting
        await connection.request()
        waiting += 1
        if waiting == 2000:
            everyone.set()
        await everyone.wait()  # no answer before all have asked
        await connection.write(OK)

    async with provider(handle) as (url, served):
        answers = await asyncio.gather(*(transport.send(call(url, timeout_s=60)) for _ in range(2000)))
        assert served.connections == 2000
    assert {answer.body for answer in answers} == {b"ok"}


async def test_calls_in_flight_fail_when_the_transport_closes() -> None:
    transport = Transport(max_bytes=10)
    async with provider(silent) as (url, served):
        task = asyncio.create_task(transport.send(call(url)))
        await until(lambda: bool(served.tasks))
        await transport.close()
        with pytest.raises(ProviderError):
            await task
