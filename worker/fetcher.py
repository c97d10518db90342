"""Fetches from URLs that clients have chosen, through the guard and within bounds of time and size."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from worker.guard import FetchFailed, Guard, Refused

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 3
CONNECT_S = 5.0

_FAILURES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "its host does not answer"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "TLS with its host fails"),
    (aiohttp.ClientConnectorDNSError, "its host is not known"),
    (aiohttp.ClientConnectorError, "its host cannot be reached"),
    (Exception, "its host broke off, or does not speak HTTP"),
)
"""The first that fits."""


class Fetched:
    """An answer whose body is read as it comes, once.

    Attributes:
        status: HTTP status.
        url: the last one, after redirects.
        media_type: as declared, in lower case and without parameters; empty when it is not.
        charset: as declared; None when it is not.
        length: bytes as declared; None when they are not, or when the body is compressed.
    """

    def __init__(self, answer: aiohttp.ClientResponse, *, deadline: float, max_bytes: int) -> None:
        self.status = answer.status
        self.url = answer.url
        self.media_type = answer.content_type if "content-type" in answer.headers else ""
        self.charset = answer.charset
        self.length = None if "content-encoding" in answer.headers else answer.content_length
        self._body = answer.content
        self._deadline = deadline
        self._max_bytes = max_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of any size. Raises FetchFailed when it is too long, too late or breaks off."""
        if (self.length or 0) > self._max_bytes:
            raise self._too_long()
        size = 0
        while chunk := await _within(self._deadline, self._body.readany()):
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_long()
            yield chunk

    def _too_long(self) -> FetchFailed:
        return FetchFailed(f"it is longer than {self._max_bytes // (1024 * 1024) or 1} MiB")


class GuardedFetcher:
    """Goes where the guard lets it, never through a proxy, without cookies; create it in a running event loop."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(guard),
            use_dns_cache=False,
            force_close=True,
            limit=0,
            ssl=httpx.create_ssl_context(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        )

    @asynccontextmanager
    async def open(
        self,
        url: str,
        *,
        timeout_s: float,
        max_bytes: int,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        redirects: int = 0,
    ) -> AsyncIterator[Fetched]:
        """Send a request and enter when the headers of the answer are there, whatever its status.

        Args:
            url: of the client's choice.
            timeout_s: seconds for all of it, from the look-up to the last byte of the body.
            max_bytes: most bytes of the body, decompressed.
            method: as in HTTP.
            headers: besides `user-agent`, `accept` and `accept-encoding`, of which it may set the first two.
            body: what is sent.
            redirects: how many are followed, each checked as the first URL is; one more is an error.

        Raises:
            FetchFailed: there is no answer; or Refused: the guard does not let the URL through.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        sent = {"user-agent": "hermod", "accept": "*/*", **(headers or {}), "accept-encoding": "identity"}
        answer = await self._ask(url, redirects, deadline, method=method, headers=sent, data=body)
        try:
            yield Fetched(answer, deadline=deadline, max_bytes=max_bytes)
        finally:
            answer.close()

    async def close(self) -> None:
        """Close every connection; what is in flight fails."""
        await self._session.close()
        self._guard.close()

    async def _ask(self, url: str, redirects: int, deadline: float, **request: Any) -> aiohttp.ClientResponse:
        to = self._guard.parse(url)
        for left in range(redirects, -1, -1):
            asking = self._session.request(url=to, allow_redirects=False, **request)
            answer: aiohttp.ClientResponse = await _within(deadline, asking)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return answer
            answer.close()
            if left:
                to = self._guard.parse(_joined(to, answer.headers["location"]))
        raise FetchFailed(f"it redirects more than {redirects} times" if redirects else "it redirects")


class _Resolver(AbstractResolver):
    """Gives aiohttp the addresses that the guard lets through; it connects to one of them without asking again.

    It is not asked for addresses that stand in a URL: those `Guard.parse` has checked.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._guard.addresses(host, port)
        return [_result(host, port, address) for address in found if family in {socket.AF_UNSPEC, _family(address)}]

    async def close(self) -> None:
        """Nothing is open."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=address, port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
    )


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _joined(url: URL, location: str) -> str:
    try:
        return str(url.join(URL(location, encoded=True)))
    except ValueError:
        raise Refused("it redirects to what is no URL") from None


async def _within(deadline: float, waited: Any) -> Any:
    try:
        async with asyncio.timeout_at(deadline):
            return await waited
    except TimeoutError as error:
        raise FetchFailed("it takes too long") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The chain ends here, for it may quote the URL.
        raise FetchFailed(next(why for kind, why in _FAILURES if isinstance(error, kind))) from None
