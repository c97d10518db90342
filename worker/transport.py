"""Sends calls to providers and reads their answers: every byte for a provider that leaves a worker passes here.

There is no cookie jar, no redirect is followed, and a key goes to the URL of its call and nowhere else. Instead of
sockets any `httpx.AsyncBaseTransport` fits underneath (httpx.MockTransport in a test).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import msgspec

from shared.errors import Garbled, ProviderError, TimedOut, Unreachable
from shared.network_settings import StreamGuard
from shared.provider_settings import NetworkSettings
from worker.http1 import Fault, Http1, Kind, Opened, Reach, Way
from worker.httpx_way import HttpxWay
from worker.pace import paced

MIB = 1024 * 1024


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

    def __init__(self, opened: Opened, call: Call, rules: _Rules, *, deadline: float, idle_s: float) -> None:
        self.status = opened.status
        self.headers = opened.headers
        self._opened = opened
        self._provider = call.provider
        self._rules = rules
        self._deadline = deadline
        self._idle_s = idle_s

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of any size, none read before it is asked for beyond a socket's buffer.

        Raises:
            TimedOut: silent for `idle_s`, or the call's time is over.
            Unreachable: the connection broke.
            Garbled: the body is over the cap, or its compression is broken.
            Overloaded: it is slower than the provider's stream guard allows; before the first piece.
        """
        guard = self._rules.guard
        return self._chunks() if guard is None else paced(self._chunks(), guard, self._provider)

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks()`, but that no pace is asked of it."""
        return b"".join([chunk async for chunk in self._chunks()])

    async def _chunks(self) -> AsyncIterator[bytes]:
        size = 0
        while chunk := await self._next():
            size += len(chunk)
            if size > self._rules.max_bytes:
                raise _too_long(self._provider)
            yield chunk

    async def _next(self) -> bytes:
        try:
            if chunk := self._opened.ready():
                return chunk
            now = asyncio.get_running_loop().time()
            async with asyncio.timeout_at(min(self._deadline, now + self._idle_s)):
                return await self._opened.more()
        except (Fault, TimeoutError) as error:
            raise _ours(error, self._provider) from error.__cause__


class _Rules(msgspec.Struct, frozen=True):
    """What holds for one provider's answers."""

    way: Way
    max_bytes: int
    guard: StreamGuard | None = None


class Transport:
    """The worker's one way out to providers; create it in a running event loop.

    One serves all providers: they are told apart by the `provider` of a call. Those whose settings agree share
    connections, kept by origin, their TLS context and name cache.
    """

    def __init__(
        self,
        *,
        networks: Mapping[str, NetworkSettings] | None = None,
        max_bytes: int | None = None,
        idle_s: float = 60.0,
        connect_s: float | None = None,
        http: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open the transport.

        Args:
            networks: how providers are reached, by name; another is reached by the defaults.
            max_bytes: cap on one answer's body after decompression; None for the provider's own.
            idle_s: seconds a stream may be silent, where the call does not say.
            connect_s: seconds for name, connection and TLS; None for the provider's own.
            http: what to send with, to all providers, instead of sockets.
        """
        self._max_bytes = max_bytes
        self._idle_s = idle_s
        self._connect_s = connect_s
        self._http = None if http is None else HttpxWay(http, connect_s or NetworkSettings().connect_timeout_in_seconds)
        self._ways: dict[Reach, Way] = {}
        self._others = self._rules(NetworkSettings())
        self._by_name = {name: self._rules(network) for name, network in (networks or {}).items()}

    async def send(self, call: Call) -> Answer:
        """Send `call` and read the whole answer.

        A cancelled send closes its connection, as does one that fails. Nothing is repeated: whether to is the
        policy's to decide, on the error's `sent`.

        Raises:
            Unreachable: no connection, a broken one, or an answer that is not HTTP.
            TimedOut: `call.timeout_s` is over.
            Garbled: the body is over the cap, or its compression is broken.
        """
        rules = self._by_name.get(call.provider, self._others)
        try:
            async with asyncio.timeout(call.timeout_s):
                opened = await rules.way.open(call.method, call.url, _headers(call, "gzip, deflate"), call.body)
                try:
                    body = await _whole(opened, rules.max_bytes, call.provider)
                finally:
                    await opened.close()
        except (Fault, TimeoutError) as error:
            raise _ours(error, call.provider) from error.__cause__
        return Answer(opened.status, opened.headers, body)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[StreamAnswer]:
        """Send `call`; enter when its headers are there. Leaving before the body's end closes the connection.

        Raises:
            Unreachable, TimedOut, Garbled: as `send`, on entering and while reading.
        """
        rules = self._by_name.get(call.provider, self._others)
        idle_s = self._idle_s if call.idle_s is None else call.idle_s
        deadline = asyncio.get_running_loop().time() + call.timeout_s
        # No compressor between a token and its reader: some servers' compressors hold events back.
        headers = _headers(call, "identity")
        try:
            async with asyncio.timeout_at(deadline):
                opened = await rules.way.open(call.method, call.url, headers, call.body)
        except (Fault, TimeoutError) as error:
            raise _ours(error, call.provider) from error.__cause__
        try:
            yield StreamAnswer(opened, call, rules, deadline=deadline, idle_s=idle_s)
        finally:
            await opened.close()

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        for way in self._ways.values():
            await way.close()
        if self._http is not None:
            await self._http.close()

    def _rules(self, network: NetworkSettings) -> _Rules:
        max_bytes = self._max_bytes or network.max_response_mb * MIB
        guard = network.stream_throughput_guard
        return _Rules(self._http or self._way(network), max_bytes, guard)

    def _way(self, network: NetworkSettings) -> Way:
        reach = Reach(
            connect_s=self._connect_s or network.connect_timeout_in_seconds,
            keep_s=network.keep_alive_timeout_in_seconds,
            most=network.max_conns_per_host,
            ca=network.ca_cert_pem + network.proxy.ca_cert_pem,
            verify=not network.insecure_skip_verify,
            proxy=network.proxy,
        )
        if reach not in self._ways:
            self._ways[reach] = Http1(reach)
        return self._ways[reach]


def _headers(call: Call, encodings: str) -> dict[str, str]:
    given = {name.lower(): value for name, value in call.headers.items()}
    return {"user-agent": "hermod", "accept-encoding": encodings, **given}


async def _whole(opened: Opened, max_bytes: int, provider: str) -> bytes:
    chunks, size = [], 0
    while chunk := await opened.more():
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_long(provider)
    return b"".join(chunks)


def _too_long(provider: str) -> Garbled:
    return Garbled("The provider's answer is too long: see max_response_mb.", provider=provider)


def _ours(error: Fault | TimeoutError, provider: str) -> ProviderError:
    """The seam: what went wrong becomes an error of `shared/errors.py`; no message holds the URL."""
    match error.kind if isinstance(error, Fault) else Kind.LATE:
        case Kind.UNUSABLE:
            message = "The provider's URL or a header for it cannot be sent: check base_url and extra_headers."
            return Unreachable(message, provider=provider, sent=False, should_retry=False)
        case Kind.NOT_SENT:
            return Unreachable("No connection to the provider.", provider=provider, sent=False)
        case Kind.LATE:
            return TimedOut("The provider did not answer in time.", provider=provider)
        case Kind.UNREADABLE:
            return Garbled("The provider's answer cannot be decompressed.", provider=provider)
        case Kind.BROKE:
            return Unreachable("The connection to the provider broke.", provider=provider)
