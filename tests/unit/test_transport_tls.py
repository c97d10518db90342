"""The transport through TLS and through proxies."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shared.errors import Unreachable
from tests.unit.raw_provider import (
    OK,
    SECRET,
    Connection,
    Handler,
    answering,
    call,
    provider,
)
from worker.transport import Transport


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1 and the certificate, which nobody has signed, to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context, folder / "certificate.pem"


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
