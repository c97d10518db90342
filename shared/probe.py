"""A process's own HTTP server, for whoever watches it: probes and metrics, nothing for clients.

It answers `GET` of `/live`, `/ready` and `/health` (see `shared/health.py`) and of `/metrics`, one request a
connection, on a port of its own that a network policy can keep to the cluster.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from shared.health import Health, Said
from shared.metrics import CONTENT_TYPE
from shared.queue_gauges import Scrape

log = logging.getLogger("hermod.probe")

_REQUEST_S = 5.0
"""How long a caller may take to ask: probes ask at once."""

_Answer: TypeAlias = tuple[int, str, bytes]
"""Status, media type, body."""


class Probe:
    """Answers on `host` and `port`; port 0 for nothing at all. `setting` is what sets the port."""

    def __init__(self, health: Health, scrape: Scrape, host: str, port: int, setting: str) -> None:
        self._scrape = scrape
        self._host = host
        self._port = port
        self._setting = setting
        self._probes: dict[str, Callable[[], Awaitable[Said]]] = {
            "/live": health.live,
            "/ready": health.ready,
            "/health": health.health,
        }
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. A port that is taken is said: a machine with several processes has one probe, and loses no work."""
        if not self._port:
            return
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            log.warning(
                "no probes and metrics of this process: cannot listen on %s:%d (%s); --metrics-port or %s sets it",
                self._host,
                self._port,
                os.strerror(error.errno) if error.errno else error,
                self._setting,
            )

    async def close(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, media_type, body = await self._answer(head)
            writer.write(_head(status, media_type, len(body)) + (b"" if head.startswith(b"HEAD ") else body))
            await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked so is no probe, or has gone
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> _Answer:
        method, _, rest = head.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if path not in {*self._probes, "/metrics"}:
            return _json(404, {"error": f"not served here; there are {', '.join(self._probes)}, /metrics"})
        if method not in {"GET", "HEAD"}:
            return _json(405, {"error": f"{path} answers GET"})
        if path == "/metrics":
            return 200, CONTENT_TYPE, await self._scrape.text()
        return _json(*await self._probes[path]())


def _json(status: int, body: object) -> _Answer:
    return status, "application/json", msgspec.json.encode(body)


def _head(status: int, media_type: str, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"content-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    ).encode()
