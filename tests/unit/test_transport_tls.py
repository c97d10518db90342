"""The transport through TLS and through proxies."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from shared.errors import Garbled, Unreachable
from shared.network_settings import ProxySettings
from shared.provider_settings import NetworkSettings
from tests.unit.certificates import self_signed
from tests.unit.raw_provider import (
    OK,
    SECRET,
    Connection,
    Handler,
    answering,
    call,
    plain_facts,
    provider,
)
from worker.transport import Transport


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1 and the certificate, which nobody has signed, to trust."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def proxying(seen: list[bytes]) -> Handler:
    """Keeps the head of the first request; tunnels a CONNECT to where it wants to go, answers anything else."""

    async def handle(connection: Connection) -> None:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        if not head.startswith(b"CONNECT"):
            await connection.write(OK)
            return
        host, _, port = head.split(b" ")[1].decode().partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await connection.write(b"HTTP/1.1 200 Established\r\n\r\n")
        back = asyncio.create_task(pipe(reader, connection.writer))
        await pipe(connection.reader, writer)
        writer.close()
        await back

    return handle


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "tunnel"])
async def test_a_trusted_certificate_is_accepted_through_a_tunnel_too(
    monkeypatch: pytest.MonkeyPatch, tls: tuple[ssl.SSLContext, Path], through_proxy: bool
) -> None:
    context, certificate = tls
    seen: list[bytes] = []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with provider(answering(OK), context) as (url, _), provider(proxying(seen)) as (proxy, _):
        if through_proxy:
            monkeypatch.setenv("https_proxy", proxy)
        transport = Transport(max_bytes=10)
        assert (await transport.send(call(url))).body == b"ok"
        await transport.close()
    assert [head[:8] for head in seen] == [b"CONNECT "] * through_proxy
    assert all(SECRET.encode() not in head for head in seen)


@pytest.mark.parametrize(("no_proxy", "asked"), [("", 1), ("127.0.0.1", 0)])
async def test_the_environments_proxy_is_used_unless_the_host_is_excepted(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, asked: int
) -> None:
    seen: list[bytes] = []
    async with provider(answering(OK)) as (url, _), provider(proxying(seen)) as (proxy, _):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", no_proxy)
        transport = Transport(max_bytes=10)
        assert (await transport.send(call(url))).body == b"ok"
        await transport.close()
    assert [head.split(b" ")[1].startswith(url.encode()) for head in seen] == [True] * asked


async def test_an_untrusted_certificate_is_refused_before_the_key_is_sent(tls: tuple[ssl.SSLContext, Path]) -> None:
    seen: list[bytes] = []

    async def handle(connection: Connection) -> None:
        seen.append(await connection.request())

    async with provider(handle, tls[0]) as (url, _):
        transport = Transport(max_bytes=10)
        with pytest.raises(Unreachable) as caught:
            await transport.send(call(url))
        await transport.close()
    assert not caught.value.sent
    assert seen == []


async def answered(url: str, **network: Any) -> bytes:
    """The answer to a call to a provider with that `network_config`."""
    transport = Transport(networks={"acme": NetworkSettings(**network)})
    try:
        return (await transport.send(call(url))).body
    finally:
        await transport.close()


async def test_an_authority_of_the_providers_own_is_trusted_for_it_alone(tls: tuple[ssl.SSLContext, Path]) -> None:
    context, certificate = tls
    async with provider(answering(OK), context) as (url, _):
        assert await answered(url, ca_cert_pem=certificate.read_text()) == b"ok"
        transport = Transport(networks={"other": NetworkSettings(ca_cert_pem=certificate.read_text())})
        with pytest.raises(Unreachable):
            await transport.send(call(url))
        await transport.close()


async def test_a_certificate_is_not_checked_where_the_operator_says_so(tls: tuple[ssl.SSLContext, Path]) -> None:
    async with provider(answering(OK), tls[0]) as (url, _):
        assert await answered(url, insecure_skip_verify=True) == b"ok"


@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
async def test_a_providers_own_proxy_gets_its_credentials_and_never_the_key(
    tls: tuple[ssl.SSLContext, Path], proxy_scheme: str
) -> None:
    context, certificate = tls
    seen: list[bytes] = []
    proxy_tls = context if proxy_scheme == "https" else None
    async with provider(answering(OK), context) as (url, _), provider(proxying(seen), proxy_tls) as (proxy, _):
        by_proxy = ProxySettings(
            type="http", url=proxy.replace("://", "://ann:p%40ss@"), ca_cert_pem=certificate.read_text()
        )
        assert await answered(url, proxy=by_proxy) == b"ok"
    assert len(seen) == 1
    assert seen[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Basic " + base64.b64encode(b"ann:p@ss") in seen[0]
    assert SECRET.encode() not in seen[0]


async def test_a_provider_without_a_proxy_is_reached_directly_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with provider(answering(OK)) as (url, _), provider(proxying([])) as (proxy, proxied):
        monkeypatch.setenv("http_proxy", proxy)
        assert await answered(url, proxy=ProxySettings(type="none")) == b"ok"
        assert proxied.connections == 0


async def test_a_proxy_that_refuses_leaves_the_call_unsent() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"

    async def refusing(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.write(refusal)

    async with provider(refusing) as (proxy, _):
        with pytest.raises(Unreachable) as caught:
            await answered("https://127.0.0.1:1", proxy=ProxySettings(type="http", url=proxy))
    assert not caught.value.sent
    plain_facts(caught.value)


async def test_no_more_connections_are_made_to_a_host_than_allowed() -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(OK)

    async with provider(handle) as (url, served):
        transport = Transport(networks={"acme": NetworkSettings(max_conns_per_host=2)})
        answers = await asyncio.gather(*(transport.send(call(url)) for _ in range(10)))
        await transport.close()
        assert served.connections == 2
    assert {answer.body for answer in answers} == {b"ok"}


async def test_the_longest_answer_is_the_providers_own_setting() -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (2 << 20, bytes(2 << 20))
    async with provider(answering(long)) as (url, _):
        assert len(await answered(url, max_response_mb=2)) == 2 << 20
        with pytest.raises(Garbled) as caught:
            await answered(url, max_response_mb=1)
    plain_facts(caught.value)


async def test_providers_whose_settings_agree_share_connections_and_others_do_not() -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(OK)

    networks = {
        "one": NetworkSettings(max_retries=5),
        "two": NetworkSettings(),
        "three": NetworkSettings(keep_alive_timeout_in_seconds=3),
    }
    async with provider(handle) as (url, served):
        transport = Transport(networks=networks)
        counts = []
        for name in ("one", "two", "unknown", "three"):
            await transport.send(structs.replace(call(url), provider=name))
            counts.append(served.connections)
        await transport.close()
    assert counts == [1, 1, 1, 2]
