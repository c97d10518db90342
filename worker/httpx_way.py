"""Sends with any httpx transport, such as httpx.MockTransport in a test, instead of `worker/http1.py`."""

from __future__ import annotations

import httpx

from worker.http1 import DECODED, Fault, Kind, Opened

KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (httpx.InvalidURL, Kind.UNUSABLE),
    (httpx.UnsupportedProtocol, Kind.UNUSABLE),
    (httpx.LocalProtocolError, Kind.UNUSABLE),
    (httpx.ConnectError, Kind.NOT_SENT),
    (httpx.ConnectTimeout, Kind.NOT_SENT),
    (httpx.PoolTimeout, Kind.NOT_SENT),
    (httpx.ProxyError, Kind.NOT_SENT),
    (httpx.TimeoutException, Kind.LATE),
    (httpx.DecodingError, Kind.UNREADABLE),
    (httpx.TransportError, Kind.BROKE),
)
"""The first that fits."""


class HttpxWay:
    """Sends with `transport`; there is no client around it that would follow redirects or keep cookies."""

    def __init__(self, transport: httpx.AsyncBaseTransport, connect_s: float) -> None:
        self._transport = transport
        self._extensions = {"timeout": {"connect": connect_s}}

    async def open(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Opened:
        """Send a request and return once the headers of the answer are there. Raises Fault."""
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            request = httpx.Request(method, url, headers=sent, content=body, extensions=self._extensions)
            return _Answer(await self._transport.handle_async_request(request))
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise _fault(error) from None  # it may quote the URL

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class _Answer:
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._body = response.aiter_bytes()
        self.status = response.status_code
        self.headers = {name: value for name, value in response.headers.items() if name not in DECODED}

    def ready(self) -> bytes:
        return b""

    async def more(self) -> bytes:
        try:
            return await anext(self._body, b"")
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _fault(error) from None

    async def close(self) -> None:
        await self._response.aclose()


def _fault(error: Exception) -> Fault:
    return Fault(next(kind for theirs, kind in KINDS if isinstance(error, theirs)))
