"""An httpx transport over aiohttp: httpx's own connection pool walks every connection for every request.

Measured on two cores, answers delayed by a second: httpx falls seconds behind at 400 calls in flight and, spread over
64 pools, at 2,000; this one carries 2,000 at about 60 % of one core (`tests/bench/transport.py`). aiohttp keeps the
connections by origin, drops those that the server closed, decompresses in bounded steps and stops reading while
nobody reads from it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from yarl import URL

WHOLE_BODY = 64 * 1024
"""Bytes of a request body that are handed over at once; a longer one goes in slices of this size, each when the last
has left, so that a cancelled upload stops where it is."""

ANSWERED_BY_AIOHTTP = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that no longer tell the truth about a body that is handed on decoded."""

SKIPPED = ("accept", "accept-encoding", "content-type", "user-agent")
"""Headers aiohttp would add; what is sent is what the request says."""

ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.ReadError),
    (aiohttp.ClientError, httpx.NetworkError),
    (OSError, httpx.NetworkError),
    (ValueError, httpx.LocalProtocolError),
)
"""The first that fits. A ValueError is aiohttp's word for a header that cannot be sent."""


class Http1(httpx.AsyncBaseTransport):
    """Speaks HTTP/1.1 over TCP and TLS; create it in a running event loop.

    Redirects are not followed, cookies not kept, .netrc not read. Proxies come from the environment (`https_proxy`,
    `http_proxy`, `no_proxy`), read once; certificates are checked against `SSL_CERT_FILE`, `SSL_CERT_DIR` or certifi.
    Of the timeouts in a request's extensions, `connect` and `read` are kept; there is no wait for a free connection.
    """

    def __init__(self) -> None:
        self._proxies = getproxies()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=SKIPPED,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return once the headers of the answer are there. Raises httpx.TransportError."""
        timeouts = request.extensions.get("timeout", {})
        try:
            answer = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                data=_body(request),
                headers=request.headers.multi_items(),
                allow_redirects=False,
                proxy=self._proxy(request.url),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=timeouts.get("connect"), sock_read=timeouts.get("read")
                ),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _translated(error) from _harmless(error)
        headers = [(name, value) for name, value in answer.raw_headers if name.lower() not in ANSWERED_BY_AIOHTTP]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close every connection; calls in flight fail."""
        await self._session.close()

    def _proxy(self, url: httpx.URL) -> str | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return proxy if proxy and not proxy_bypass(url.host) else None


class _Body(httpx.AsyncByteStream):
    """The decoded body; closing it before its end closes the connection."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _translated(error) from _harmless(error)

    async def aclose(self) -> None:
        self._answer.close()


def _body(request: httpx.Request) -> Any:
    if len(request.content) <= WHOLE_BODY:
        return request.content or None
    return _slices(request.content)


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), WHOLE_BODY):
        yield body[at : at + WHOLE_BODY]


def _translated(error: Exception) -> httpx.TransportError | httpx.DecodingError:
    """The same fact in httpx's words; the message is a class name, for aiohttp's may quote the URL or the answer."""
    if isinstance(error.__cause__, aiohttp.http_exceptions.ContentEncodingError):
        return httpx.DecodingError("ContentEncodingError")
    return next(ours for theirs, ours in ERRORS if isinstance(error, theirs))(type(error).__name__)


def _harmless(error: Exception) -> OSError | None:
    """`error` if it can be chained: what the operating system says names a host at most."""
    return error if isinstance(error, OSError) else None
