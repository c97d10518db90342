"""HTTP/1.1 over TCP and TLS, by aiohttp called directly.

httpx's own connection pool walks every connection for every request: it falls seconds behind at 400 calls in flight.
aiohttp keeps connections by origin, drops those that the server closed, decompresses in bounded steps and stops
reading while nobody reads from it. Compared with the same behind httpx's requests and responses a call takes a third to
a half less of the processor's time; HTTP/2, as httpx has it, takes almost three times as much.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from enum import Enum
from functools import lru_cache
from typing import Protocol
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import msgspec
from yarl import URL

from shared.network_settings import ProxySettings

WHOLE_BODY = 64 * 1024
"""Bytes of a request body that are handed over at once; a longer one goes in slices of this size, each when the last
has left, so that a cancelled upload stops where it is."""

DECODED = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that no longer tell the truth about a body that is handed on decoded."""

SKIPPED = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers aiohttp would add; what is sent is what the request says."""


class Kind(Enum):
    """What went wrong, in the words that matter to who sent the request."""

    UNUSABLE = "the URL or a header cannot be sent"
    NOT_SENT = "no connection"
    BROKE = "the connection broke, or the answer is not HTTP"
    LATE = "too late"
    UNREADABLE = "the compression is broken"


class Fault(Exception):
    """A request failed. Neither it nor its cause holds the URL or a byte of the answer."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind.value)
        self.kind = kind


KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (aiohttp.ConnectionTimeoutError, Kind.NOT_SENT),
    (aiohttp.ServerTimeoutError, Kind.LATE),
    (aiohttp.ClientHttpProxyError, Kind.NOT_SENT),
    (aiohttp.ClientConnectorError, Kind.NOT_SENT),
    (aiohttp.InvalidURL, Kind.UNUSABLE),
    (aiohttp.NonHttpUrlClientError, Kind.UNUSABLE),
    (aiohttp.ClientError, Kind.BROKE),
    (OSError, Kind.BROKE),
    (ValueError, Kind.UNUSABLE),
)
"""The first that fits. A ValueError is aiohttp's word for a header that cannot be sent."""


class Opened(Protocol):
    """An answer whose headers are there.

    Attributes:
        status: HTTP status.
        headers: names in lower case; none of those that only tell of the body's transfer.
    """

    status: int
    headers: dict[str, str]

    def ready(self) -> bytes:
        """What has arrived of the decoded body; empty when that is nothing, or all has been read. Raises Fault."""
        ...

    async def more(self) -> bytes:
        """What arrives next; empty at the end. Raises Fault."""
        ...

    async def close(self) -> None:
        """Be done with it; before the body's end the connection is closed."""
        ...


class Way(Protocol):
    """Something that sends requests."""

    async def open(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Opened:
        """Send a request and return once the headers of the answer are there. Raises Fault."""
        ...

    async def close(self) -> None:
        """Close every connection; what is in flight fails."""
        ...


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How connections are made; providers that agree in all of it share theirs.

    Attributes:
        connect_s: seconds for name, connection and TLS.
        keep_s: seconds a connection is kept without a call.
        most: connections to one host; 0 for any number. A call waits for one as long as it has time.
        ca: PEM of authorities that are trusted besides the usual.
        verify: certificates are checked.
        proxy: the way to the host.
    """

    connect_s: float = 10.0
    keep_s: float = 15.0
    most: int = 0
    ca: str = ""
    verify: bool = True
    proxy: ProxySettings = ProxySettings()


class Http1:
    """Connections of one reach; create it in a running event loop.

    Redirects are not followed, cookies not kept, .netrc not read. Certificates are checked against `SSL_CERT_FILE`,
    `SSL_CERT_DIR` or certifi; the environment's proxies (`https_proxy`, `http_proxy`, `no_proxy`) are read once.
    """

    def __init__(self, reach: Reach) -> None:
        self._proxy = reach.proxy
        self._environment = getproxies() if reach.proxy.type == "environment" else {}
        # aiohttp's `connect` has the wait for a free connection in it, which may well take as long as a call.
        connect_s = None if reach.most else reach.connect_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=reach.most, keepalive_timeout=reach.keep_s, ssl=_trust(reach)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=SKIPPED,
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=reach.connect_s),
        )

    async def open(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Opened:
        """Send a request and return once the headers of the answer are there. Raises Fault."""
        if len(body) > WHOLE_BODY:
            headers = {**headers, "content-length": str(len(body))}
        try:
            to = _parsed(url)
            answer = await self._session.request(
                method,
                to,
                data=_slices(body) if len(body) > WHOLE_BODY else body or None,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy_to(to),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _fault(error) from _harmless(error)
        return _Answer(answer)

    async def close(self) -> None:
        """Close every connection; what is in flight fails."""
        await self._session.close()

    def _proxy_to(self, url: URL) -> str | None:
        if self._proxy.type != "environment":
            return self._proxy.url
        if not self._environment:
            return None
        proxy = self._environment.get(url.scheme) or self._environment.get("all")
        return proxy if proxy and not proxy_bypass(url.host or "") else None


class _Answer:
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._body = answer.content
        self.status = answer.status
        self.headers = _headers(answer)

    def ready(self) -> bytes:
        try:
            return self._body.read_nowait()
        except (aiohttp.ClientError, OSError) as error:
            raise _fault(error) from _harmless(error)

    async def more(self) -> bytes:
        try:
            return await self._body.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _fault(error) from _harmless(error)

    async def close(self) -> None:
        self._answer.close()


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in answer.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        if name not in DECODED:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _trust(reach: Reach) -> ssl.SSLContext:
    trust = httpx.create_ssl_context(verify=reach.verify)
    if reach.ca:
        trust.load_verify_locations(cadata=reach.ca)
    return trust


@lru_cache(maxsize=1024)
def _parsed(url: str) -> URL:
    """`url` as it is; there are few of them. Raises ValueError."""
    return URL(url, encoded=True)


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), WHOLE_BODY):
        yield body[at : at + WHOLE_BODY]


def _fault(error: Exception) -> Fault:
    if isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError):
        return Fault(Kind.UNREADABLE)
    return Fault(next(kind for theirs, kind in KINDS if isinstance(error, theirs)))


def _harmless(error: Exception) -> OSError | None:
    """`error` if it can be chained: what the operating system says names a host at most; aiohttp may quote the URL."""
    return error if isinstance(error, OSError) else None
