"""Sends calls to providers and reads their answers: every byte that leaves a worker passes here.

Speaks httpx's interface, so that any `httpx.AsyncBaseTransport` fits underneath (httpx.MockTransport in a test), but
uses no httpx client: there is no cookie jar, no redirect is followed, and a key goes to the URL of its call and
nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache

import httpx
import msgspec

from shared.errors import Garbled, TimedOut, Unreachable
from worker.http1 import Http1


class Call(msgspec.Struct, frozen=True):
    """One request to a provider.

    Attributes:
        url: absolute; may hold a key.
        provider: catalog name, for errors.
        timeout_s: seconds for the whole exchange, from the connection to the last byte.
        idle_s: seconds a stream may be silent once it has begun; None for the transport's own figure.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    provider: str
    timeout_s: float
    idle_s: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the provider answered, whatever the status; header names in lower case, the body decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamAnswer:
    """An answer whose body is read as it comes, once: in `chunks()`, or whole with `read()`.

    Attributes:
        status: HTTP status.
        headers: names in lower case.
    """

    def __init__(
        self, response: httpx.Response, provider: str, *, deadline: float, idle_s: float, max_bytes: int
    ) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = dict(response.headers.items())
        self._response = response
        self._provider = provider
        self._deadline = deadline
        self._idle_s = idle_s
        self._max_bytes = max_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of any size, none read before it is asked for beyond a socket's buffer.

        Raises:
            TimedOut: silent for `idle_s`, or the call's time is over.
            Unreachable: the connection broke.
            Garbled: the body is over the cap, or its compression is broken.
        """
        clock = asyncio.get_running_loop().time
        body = aiter(self._response.aiter_bytes())
        size = 0
        while True:
            with _ours(self._provider):
                async with asyncio.timeout_at(min(self._deadline, clock() + self._idle_s)):
                    chunk = await anext(body, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > self._max_bytes:
                raise Garbled("The provider's answer is too long.", provider=self._provider)
            yield chunk

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks()`."""
        return b"".join([chunk async for chunk in self.chunks()])


class Transport:
    """The worker's one way out; create it in a running event loop.

    One serves all providers: it keeps connections by origin, shares the TLS context and the name cache, and what
    differs between providers travels in the `Call`.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        idle_s: float = 60.0,
        connect_s: float = 10.0,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open the transport.

        Args:
            max_bytes: cap on one answer's body after decompression.
            idle_s: seconds a stream may be silent, where the call does not say.
            connect_s: seconds for name, connection and TLS.
            http: what to send with; Http1 when None.
        """
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._timeouts = {"timeout": {"connect": connect_s}}
        self._http = Http1() if http is None else http

    async def send(self, call: Call) -> Answer:
        """Send `call` and read the whole answer.

        A cancelled send closes its connection, as does one that fails. Nothing is repeated: whether to is the
        policy's to decide, on the error's `sent`.

        Raises:
            Unreachable: no connection, a broken one, or an answer that is not HTTP.
            TimedOut: `call.timeout_s` is over.
            Garbled: the body is over the cap, or its compression is broken.
        """
        async with self._open(call, idle_s=call.timeout_s, encodings="gzip, deflate") as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[StreamAnswer]:
        """Send `call`; enter when its headers are there. Leaving before the body's end closes the connection.

        Raises:
            Unreachable, TimedOut, Garbled: as `send`, on entering and while reading.
        """
        idle_s = self._idle_s if call.idle_s is None else call.idle_s
        # No compressor between a token and its reader: some servers' compressors hold events back.
        async with self._open(call, idle_s=idle_s, encodings="identity") as answer:
            yield answer

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        await self._http.aclose()

    @asynccontextmanager
    async def _open(self, call: Call, *, idle_s: float, encodings: str) -> AsyncIterator[StreamAnswer]:
        deadline = asyncio.get_running_loop().time() + call.timeout_s
        with _ours(call.provider):
            request = self._request(call, encodings)
            async with asyncio.timeout_at(deadline):
                response = await self._http.handle_async_request(request)
        try:
            yield StreamAnswer(response, call.provider, deadline=deadline, idle_s=idle_s, max_bytes=self._max_bytes)
        finally:
            await response.aclose()

    def _request(self, call: Call, encodings: str) -> httpx.Request:
        headers = {"user-agent": "hermod", "accept-encoding": encodings}
        headers.update((name.lower(), value) for name, value in call.headers.items())
        return httpx.Request(
            call.method,
            _url(call.url),
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=call.body,
            extensions=self._timeouts,
        )


@lru_cache(maxsize=1024)
def _url(url: str) -> httpx.URL:
    """`url` parsed: there are few of them, and parsing is a tenth of what a call costs."""
    return httpx.URL(url)


_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@contextmanager
def _ours(provider: str) -> Iterator[None]:
    """The seam: httpx's errors become those of `shared/errors.py`; no message holds the URL.

    Stands around our own waiting only: what the reader of a stream raises is the reader's.
    """
    try:
        yield
    except _UNUSABLE:
        # The chain ends here, for it may quote the URL.
        message = "The provider's URL or a header for it cannot be sent: check base_url and extra_headers."
        raise Unreachable(message, provider=provider, sent=False, should_retry=False) from None
    except _NEVER_SENT as error:
        raise Unreachable("No connection to the provider.", provider=provider, sent=False) from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise TimedOut("The provider did not answer in time.", provider=provider) from error
    except httpx.DecodingError as error:
        raise Garbled("The provider's answer cannot be decompressed.", provider=provider) from error
    except httpx.TransportError as error:
        raise Unreachable("The connection to the provider broke.", provider=provider) from error
