"""Fetching from URLs of clients' choice: real servers, names that lead to them, and names that lead astray."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.allowed_hosts import allowed_host
from tests.unit.certificates import HOST, self_signed
from tests.unit.raw_provider import CHUNKED, OK, Connection, Handler, answering, provider, silent, until
from worker.fetcher import GuardedFetcher
from worker.guard import FetchFailed, Guard, Lookup, Refused

LOCAL = "127.0.0.1"


def found(*addresses: str) -> Lookup:
    async def lookup(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return lookup


@asynccontextmanager
async def fetching(*allow: str, lookup: Lookup | None = None) -> AsyncIterator[Callable[..., Awaitable[bytes]]]:
    """What fetches a URL and returns the whole body."""
    fetcher = GuardedFetcher(Guard(map(allowed_host, allow), lookup or found(LOCAL)))

    async def fetch(url: str, **how: Any) -> bytes:
        async with fetcher.open(url, **{"timeout_s": 30, "max_bytes": 1000, "redirects": 3, **how}) as answer:
            return b"".join([chunk async for chunk in answer.chunks()])

    try:
        yield fetch
    finally:
        await fetcher.close()


def here(url: str) -> str:
    """The entry that allows a test's server by its address."""
    return f"{LOCAL}:{urlsplit(url).port}"


def named(url: str, host: str = HOST) -> str:
    return url.replace(LOCAL, host)


def redirecting(*locations: str, status: int = 302) -> Handler:
    """Answers its nth request with the nth location, the ones after the last with OK."""
    served = itertools.count()

    async def handle(connection: Connection) -> None:
        await connection.request()
        number = next(served)
        head = b"HTTP/1.1 %d Found\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n"
        await connection.write(OK if number >= len(locations) else head % (status, locations[number].encode()))

    return handle


async def test_a_name_is_connected_to_at_the_address_that_was_checked() -> None:
    seen: list[bytes] = []

    async def handle(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.write(OK)

    async with provider(handle) as (url, _), fetching(here(url)) as fetch:
        assert await fetch(named(url) + "/a?b=%2F") == b"ok"
    head = seen[0].lower()
    assert head.startswith(b"get /a?b=%2f http/1.1\r\n")
    assert f"host: {urlsplit(named(url)).netloc}\r\n".encode() in head
    assert b"cookie" not in head
    assert b"authorization" not in head


async def test_tls_is_with_the_name_not_with_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context, certificate = self_signed(tmp_path)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with provider(answering(OK), context) as (url, _), fetching(here(url)) as fetch:
        assert await fetch(named(url)) == b"ok"
        with pytest.raises(FetchFailed, match="certificate"):
            await fetch(named(url, "another.example.com"))
    assert asked == [HOST, "another.example.com"]


async def test_an_untrusted_certificate_is_not_accepted(tmp_path: Path) -> None:
    context: ssl.SSLContext = self_signed(tmp_path)[0]
    async with provider(answering(OK), context) as (url, _), fetching(here(url)) as fetch:
        with pytest.raises(FetchFailed, match="certificate"):
            await fetch(named(url))


async def test_a_name_that_changes_its_address_is_looked_up_once_and_refused_the_next_time() -> None:
    """DNS rebinding: the first answer passes the check, the second is where the attacker wants to get."""
    turns = itertools.chain([LOCAL], itertools.repeat("127.0.0.9"))
    lookups = 0

    async def rebinding(_host: str, _port: int) -> list[str]:
        nonlocal lookups
        lookups += 1
        return [next(turns)]

    async with provider(answering(OK)) as (url, served), fetching(here(url), lookup=rebinding) as fetch:
        assert await fetch(named(url)) == b"ok"
        assert (lookups, served.connections) == (1, 1)
        with pytest.raises(Refused):
            await fetch(named(url))
        assert (lookups, served.connections) == (2, 1)


@pytest.mark.parametrize("name", ["localhost", "inside.example.com"])
async def test_a_name_that_leads_inside_is_not_connected_to(name: str) -> None:
    async with provider(answering(OK)) as (url, served), fetching("media.internal") as fetch:
        with pytest.raises(Refused):
            await fetch(named(url, name))
        with pytest.raises(Refused):
            await fetch(f"http://{name}/")
        assert served.connections == 0


async def test_one_address_inside_among_others_is_enough_to_refuse() -> None:
    async with (
        provider(answering(OK)) as (url, served),
        fetching(here(url), lookup=found(LOCAL, "10.0.0.1")) as fetch,
    ):
        with pytest.raises(Refused):
            await fetch(named(url))
        assert served.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    async with provider(redirecting("/b", "c?d=%2F", status=status)) as (url, served), fetching(here(url)) as fetch:
        assert await fetch(named(url)) == b"ok"
        assert served.connections == 3


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "//10.0.0.1/",
        "http://[::1]/",
        "http://2130706433/",
        "http://example.com@127.0.0.1/",
        "file:///etc/passwd",
        "http://[",
        "gopher://example.com/",
    ],
)
async def test_a_redirect_is_checked_as_the_first_url_is(location: str) -> None:
    async with provider(redirecting(location)) as (url, _), fetching(here(url)) as fetch:
        with pytest.raises(Refused):
            await fetch(named(url))


async def test_a_redirect_to_a_name_that_leads_inside_is_refused() -> None:
    async def lookup(host: str, _port: int) -> list[str]:
        return [LOCAL if host == HOST else "192.168.1.1"]

    async with (
        provider(redirecting("http://other.example.com/")) as (url, _),
        fetching(here(url), lookup=lookup) as fetch,
    ):
        with pytest.raises(Refused):
            await fetch(named(url))


async def test_more_redirects_than_allowed_are_an_error() -> None:
    async with provider(redirecting(*["/again"] * 9)) as (url, served), fetching(here(url)) as fetch:
        with pytest.raises(FetchFailed, match="more than 3"):
            await fetch(named(url))
        assert served.connections == 4
        with pytest.raises(FetchFailed, match="redirects"):
            await fetch(named(url), redirects=0)
        assert served.connections == 5


LONG = b"x" * 1001


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + LONG,
        CHUNKED + b"3e9\r\n" + LONG + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n" + gzip.compress(bytes(10_000_000)),
    ],
    ids=["declared", "chunked", "compressed"],
)
async def test_what_is_too_long_is_given_up(answer: bytes) -> None:
    async with provider(answering(answer)) as (url, _), fetching(here(url)) as fetch:
        with pytest.raises(FetchFailed, match="longer"):
            await fetch(named(url))


async def test_a_declared_length_that_is_too_long_is_not_read_at_all() -> None:
    async def promising(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n")
        await connection.closed_by_peer()

    async with provider(promising) as (url, served), fetching(here(url)) as fetch:
        with pytest.raises(FetchFailed, match="longer"):
            await fetch(named(url), timeout_s=60)
        await until(lambda: not served.tasks)


async def dripping(connection: Connection) -> None:
    await connection.request()
    await connection.write(CHUNKED)
    while True:
        await connection.write(b"1\r\nx\r\n")
        await asyncio.sleep(0.02)


async def lost(*_: object) -> list[str]:
    raise OSError("no such name")


async def stuck(*_: object) -> list[str]:
    await asyncio.sleep(60)
    return []


@pytest.mark.parametrize(
    ("handler", "lookup", "why"),
    [
        (silent, found(LOCAL), "too long"),
        (dripping, found(LOCAL), "too long"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncut"), found(LOCAL), "broke off"),
        (answering(b"no HTTP\r\n\r\n"), found(LOCAL), "broke off"),
        (answering(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot gzip"), found(LOCAL), "broke off"),
        (answering(), found(LOCAL), "broke off"),
        (silent, lost, "not known"),
        (silent, stuck, "too long"),
        (silent, found(), "."),
    ],
    ids=["silent", "dripping", "cut", "no http", "bad gzip", "hangs up", "no name", "slow name", "no address"],
)
async def test_each_failure_says_why_and_nothing_of_the_url(handler: Handler, lookup: Lookup, why: str) -> None:
    async with provider(handler) as (url, _), fetching(here(url), lookup=lookup) as fetch:
        began = time.monotonic()
        with pytest.raises(FetchFailed, match=why) as caught:
            await fetch(f"{named(url)}/?signature=secret", timeout_s=0.5 if why == "too long" else 30)
        assert time.monotonic() - began < 25
    seen: BaseException | None = caught.value
    while seen is not None:
        assert "secret" not in f"{seen} {seen!r}"
        assert LOCAL not in f"{seen} {seen!r}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


async def test_a_host_that_cannot_be_reached_says_so() -> None:
    async with fetching(f"{LOCAL}:1") as fetch:
        with pytest.raises(FetchFailed, match="reached"):
            await fetch(f"http://{HOST}:1/")


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider(answering(OK)) as (url, _), provider(answering(OK)) as (proxy, proxied):
        monkeypatch.setenv("http_proxy", proxy)
        async with fetching(here(url)) as fetch:
            assert await fetch(named(url)) == b"ok"
        assert proxied.connections == 0


async def test_what_is_declared_of_the_answer_can_be_read() -> None:
    head = b"HTTP/1.1 404 Not Found\r\ncontent-type: Text/Plain; charset=Latin-1\r\ncontent-length: 2\r\n\r\nno"
    async with provider(answering(head)) as (url, _):
        fetcher = GuardedFetcher(Guard([allowed_host(here(url))], found(LOCAL)))
        async with fetcher.open(named(url), timeout_s=30, max_bytes=9) as answer:
            assert (answer.status, answer.media_type, answer.length) == (404, "text/plain", 2)
            assert (answer.charset or "").lower() == "latin-1"
            assert answer.url.path == "/"
        await fetcher.close()


async def test_something_can_be_posted() -> None:
    seen: list[bytes] = []

    async def handle(connection: Connection) -> None:
        seen.append(await connection.request())
        await connection.write(OK)

    async with provider(handle) as (url, _), fetching(here(url)) as fetch:
        await fetch(named(url), method="POST", headers={"content-type": "application/json"}, body=b"{}")
    head, _, body = seen[0].lower().partition(b"\r\n\r\n")
    assert head.startswith(b"post / http/1.1")
    assert b"content-type: application/json" in head
    assert body == b"{}"


async def test_leaving_early_hangs_up() -> None:
    async with provider(dripping) as (url, served):
        fetcher = GuardedFetcher(Guard([allowed_host(here(url))], found(LOCAL)))
        async with fetcher.open(named(url), timeout_s=60, max_bytes=9):
            pass
        await until(lambda: not served.tasks)
        await fetcher.close()
