"""The HTTP clients that are compared: each takes a URL and hands out an answer whole, or in chunks.

Each library is imported by its own client alone, so that one process's memory is one client's, and a library that is
not installed spoils only its own row.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 950 + b'"}]}'
HEADERS = {"content-type": "application/json", "authorization": "Bearer dummy", "accept": "*/*"}
TIMEOUT = {"timeout": {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": None}}


class Hermod:
    """What a worker uses."""

    def __init__(self) -> None:
        from worker.transport import Call, Transport

        self.http = Transport(max_bytes=1 << 26)
        self.call = Call

    async def plain(self, url: str) -> bytes:
        return (await self.http.send(self.call("POST", url, HEADERS, BODY, "bench", 60.0))).body

    @asynccontextmanager
    async def stream(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self.http.stream(self.call("POST", url, HEADERS, BODY, "bench", 60.0)) as answer:
            yield answer.chunks()


class Client:
    """One httpx.AsyncClient, as most programs have it."""

    def __init__(self) -> None:
        import httpx

        self.http = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))

    async def plain(self, url: str) -> bytes:
        return (await self.http.post(url, content=BODY, headers=HEADERS)).content

    @asynccontextmanager
    async def stream(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self.http.stream("POST", url, content=BODY, headers=HEADERS) as response:
            yield response.aiter_bytes()


class Transports:
    """httpx transports in turn, without a client around them."""

    def __init__(self, module: ModuleType, make: Callable[[], Any], count: int) -> None:
        self.request = module.Request
        self.turn = itertools.cycle([make() for _ in range(count)])

    async def send(self, url: str) -> Any:
        request = self.request("POST", url, headers=HEADERS, content=BODY, extensions=TIMEOUT)
        return await next(self.turn).handle_async_request(request)

    async def plain(self, url: str) -> bytes:
        async with self.stream(url) as chunks:
            return b"".join([chunk async for chunk in chunks])

    @asynccontextmanager
    async def stream(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        response = await self.send(url)
        try:
            yield response.aiter_bytes()
        finally:
            await response.aclose()


class Aiohttp:
    """aiohttp without httpx's types."""

    def __init__(self) -> None:
        import aiohttp

        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        )

    async def plain(self, url: str) -> bytes:
        async with self.http.post(url, data=BODY, headers=HEADERS) as response:
            return await response.read()

    @asynccontextmanager
    async def stream(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self.http.post(url, data=BODY, headers=HEADERS) as response:
            yield response.content.iter_any()


class Pyreqwest:
    """pyreqwest (Rust) without httpx's types."""

    def __init__(self) -> None:
        from pyreqwest.client import ClientBuilder

        self.http = ClientBuilder().build()

    def request(self, url: str) -> Any:
        return self.http.post(url).headers(HEADERS).body_bytes(BODY)

    async def plain(self, url: str) -> bytes:
        response = await self.request(url).build().send()
        return bytes(await response.bytes())

    @asynccontextmanager
    async def stream(self, url: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self.request(url).build_streamed() as response:
            yield self.chunks(response.body_reader)

    async def chunks(self, reader: Any) -> AsyncIterator[bytes]:
        while (chunk := await reader.read()) is not None:
            yield bytes(chunk)


def httpx_pools(count: int) -> Transports:
    import httpx

    return _pools(httpx, count)


def httpx2_pools(count: int) -> Transports:
    import httpx2

    return _pools(httpx2, count)


def httpx_over_pyreqwest() -> Transports:
    import httpx
    from pyreqwest.compatibility.httpx import HttpxTransport

    return Transports(httpx, HttpxTransport, 1)


def _pools(module: ModuleType, count: int) -> Transports:
    limits = module.Limits(max_connections=None, max_keepalive_connections=None)
    return Transports(module, lambda: module.AsyncHTTPTransport(limits=limits), count)


CLIENTS: dict[str, Callable[[], Any]] = {
    "hermod": Hermod,
    "httpx": Client,
    "httpx-16": lambda: httpx_pools(16),
    "httpx-64": lambda: httpx_pools(64),
    "httpx2-64": lambda: httpx2_pools(64),
    "httpx/pyreqwest": httpx_over_pyreqwest,
    "aiohttp": Aiohttp,
    "pyreqwest": Pyreqwest,
}
