"""A provider to measure against: answers after a set time, or streams stamped events. Knows just enough HTTP/1.1.

`/after/<ms>` answers 1 KiB of JSON; `/sse/<events>/<gap_ms>` streams events whose data begins with the time they were
written (CLOCK_MONOTONIC, which all processes of a machine share), so that a reader knows how late it is.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

BODY = b'{"object":"answer","text":"' + b"x" * 995 + b'"}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FILLING = b"y" * 100


def event() -> bytes:
    """One chunk that holds one event of about 150 bytes."""
    data = b'data: {"t":%017.6f,"delta":"%b"}\n\n' % (time.monotonic(), FILLING)
    return b"%x\r\n%b\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One connection; requests come one after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, after = head.lower().partition(b"content-length:")
        length = int(after.split(b"\r\n", 1)[0] or 0)
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        what, *numbers = head.split(b" ", 2)[1].strip(b"/").split(b"/")
        if what == b"after":
            self.later(int(numbers[0]), self.answer)
        else:
            self.transport.write(STREAM)
            self.stream(int(numbers[0]), int(numbers[1]))

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(PLAIN)

    def later(self, after_ms: int, what: Callable[[], None]) -> None:
        if after_ms:
            self.loop.call_later(after_ms / 1000, what)
        else:
            what()

    def stream(self, left: int, gap_ms: int) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(b"0\r\n\r\n")
            return
        self.transport.write(event())
        self.loop.call_later(gap_ms / 1000, self.stream, left - 1, gap_ms)


async def serve() -> None:
    """Serve until killed; the one line written is the port."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=8192)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
