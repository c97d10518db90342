"""Streams that trickle are given up while another attempt is still possible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from shared.errors import Overloaded, Unreachable
from shared.network_settings import StreamGuard
from shared.provider_settings import NetworkSettings
from tests.unit.raw_provider import CHUNKED, Connection, Handler, call, plain_facts, provider, until
from worker.transport import Transport

GUARD = StreamGuard(minimum_output_characters_per_second=100, probe_window_in_seconds=1)
WRITTEN = {
    "anthropic": b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"%b"}}\n\n',
    "anthropic thinking": b'data: {"delta":{"type":"thinking_delta","thinking":"%b"}}\n\n',
    "openai chat": b'data: {"choices":[{"delta":{"content": "%b"}}]}\n\n',
    "openai tool call": b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"%b"}}]}}]}\n\n',
    "openai responses": b'data: {"type":"response.output_text.delta","delta":"%b"}\n\n',
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":"%b"}]}}]}\n\n',
    "bedrock": b'\x00\x00\x01\x02{"contentBlockIndex":0,"delta":{"text":"%b"}}\x03\x04',
}
BEGIN = b'event: message_start\ndata: {"type":"message_start","message":{"content":[]}}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def streaming(*pieces: bytes | float) -> Handler:
    """Writes pieces and sleeps between them; then ends the answer."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(CHUNKED)
        for piece in pieces:
            if isinstance(piece, bytes):
                await connection.write(chunk(piece))
            else:
                await asyncio.sleep(piece)
        await connection.write(b"0\r\n\r\n")

    return handle


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    opened = Transport(networks={"acme": NetworkSettings(stream_throughput_guard=GUARD)})
    yield opened
    await opened.close()


async def read(transport: Transport, url: str) -> list[bytes]:
    async with transport.stream(call(url)) as answer:
        return [piece async for piece in answer.chunks()]


@pytest.mark.parametrize("wire", WRITTEN)
async def test_a_stream_that_comes_fast_enough_is_handed_on_byte_for_byte(transport: Transport, wire: str) -> None:
    pieces = [BEGIN, *(WRITTEN[wire] % (b"%d" % number * 30) for number in range(9)), b"data: [DONE]\n\n"]
    async with provider(streaming(*pieces)) as (url, _):
        assert b"".join(await read(transport, url)) == b"".join(pieces)


@pytest.mark.parametrize("wire", WRITTEN)
async def test_a_stream_that_trickles_is_given_up_before_its_first_byte(transport: Transport, wire: str) -> None:
    trickle: list[bytes | float] = [WRITTEN[wire] % b"ab", 0.2] * 50
    async with provider(streaming(BEGIN, *trickle)) as (url, served):
        began = time.monotonic()
        with pytest.raises(Overloaded) as caught:
            await read(transport, url)
        assert 0.9 < time.monotonic() - began < 8, "to its end it would be ten"
        await until(lambda: not served.tasks)
    plain_facts(caught.value)
    assert caught.value.code == "stream_throughput_below_minimum"


async def test_what_is_held_back_is_handed_on_as_soon_as_the_pace_is_shown(transport: Transport) -> None:
    text = WRITTEN["openai chat"] % (b"x" * 100)
    async with provider(streaming(text, 60.0)) as (url, _), transport.stream(call(url)) as answer:
        assert await anext(answer.chunks()) == text


async def test_a_short_answer_is_not_slow(transport: Transport) -> None:
    pieces = [BEGIN, WRITTEN["anthropic"] % b"hi"]
    async with provider(streaming(*pieces)) as (url, _):
        assert b"".join(await read(transport, url)) == b"".join(pieces)


async def test_waiting_for_the_first_character_is_not_slowness(transport: Transport) -> None:
    pieces = [BEGIN, b'event: ping\ndata: {"type":"ping"}\n\n', WRITTEN["anthropic"] % (b"x" * 200)]
    async with provider(streaming(pieces[0], 0.7, pieces[1], 0.7, pieces[2])) as (url, _):
        assert b"".join(await read(transport, url)) == b"".join(pieces)


async def test_no_pace_is_asked_for_once_it_was_shown(transport: Transport) -> None:
    text = WRITTEN["openai chat"] % (b"x" * 100)
    slow = WRITTEN["openai chat"] % b"x"
    async with provider(streaming(text, 0.8, slow, 0.8, slow)) as (url, _):
        assert b"".join(await read(transport, url)) == text + slow + slow


async def test_characters_cut_apart_by_the_network_are_counted_once(transport: Transport) -> None:
    text = (WRITTEN["openai chat"] % "é".encode()) * 120
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    async with provider(streaming(*pieces)) as (url, _):
        assert b"".join(await read(transport, url)) == text


async def test_a_stream_that_breaks_while_it_is_held_back_is_a_broken_stream(transport: Transport) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(CHUNKED + chunk(BEGIN))

    async with provider(handle) as (url, _):
        with pytest.raises(Unreachable):
            await read(transport, url)
