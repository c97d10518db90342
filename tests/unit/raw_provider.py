"""A provider for tests that must choose every byte: a server over sockets whose handlers read and write raw HTTP."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from shared.errors import ProviderError
from worker.transport import Call

SECRET = "key-that-must-not-be-seen"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

Handler = Callable[["Connection"], Awaitable[None]]


class Connection:
    """The provider's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self) -> bytes:
        """One whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        return head + await self.reader.readexactly(length)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def closed_by_peer(self) -> None:
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


class Provider:
    """A server that runs `handler` for every connection.

    Attributes:
        connections: how many were accepted.
        tasks: handlers that still run.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self.handler(Connection(reader, writer))
        finally:
            writer.close()
            self.tasks.discard(task)


@asynccontextmanager
async def provider(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, Provider]]:
    served = Provider(handler)
    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=tls, backlog=4096)
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", served
    finally:
        server.close()
        for task in list(served.tasks):
            task.cancel()
        await asyncio.gather(*served.tasks, return_exceptions=True)


def answering(*pieces: bytes) -> Handler:
    """Answers one request with `pieces` and hangs up."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        for piece in pieces:
            await connection.write(piece)

    return handle


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


async def silent(connection: Connection) -> None:
    await connection.request()
    await connection.closed_by_peer()


def call(url: str, *, timeout_s: float = 30.0, body: bytes = b"{}", **more: Any) -> Call:
    headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/json", **more.pop("headers", {})}
    return Call("POST", f"{url}/v1?key={SECRET}", headers, body, "acme", timeout_s, **more)


def plain_facts(error: ProviderError) -> None:
    """No error may tell the key, not even through what caused it."""
    assert error.provider == "acme"
    seen: BaseException | None = error
    while seen is not None:
        assert SECRET not in f"{seen} {seen!r}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
