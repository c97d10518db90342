"""Which addresses a worker may connect to when a client has chosen the URL.

    URL ─▶ scheme, host, port fit ─▶ name looked up ─▶ every address fits ─▶ connected to these and no others

A name is looked up once for each connection, and what is connected to is what was checked: an answer that changes
between the two (DNS rebinding) has no effect. TLS and the `Host` header keep the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from yarl import URL

from shared.allowed_hosts import Address, AllowedHost

USUAL_PORTS = frozenset({80, 443})
LOOKUPS = 16
"""Names looked up at a time, in threads of their own: a slow name server must not hold up anything else."""

Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, as text. Raises OSError."""

_NETWORKS = [
    ipaddress.ip_network(network)
    for network in (
        # IANA's special-purpose registries (RFC 6890), what is not globally reachable, and what is out of use
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        # of 2000::/3, the only unicast addresses in use: IETF protocols with Teredo, documentation, 6to4
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""Outside it lie loopback, unique local, link-local and site-local, multicast, NAT64, discard and segment routing."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")


class FetchFailed(Exception):
    """Nothing was fetched.

    Attributes:
        why: for the client, as in "… could not be fetched: it answered 404"; no address, nothing of the URL.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Refused(FetchFailed):
    """The guard does not let it through."""


class Guard:
    """Lets through what is on the public internet at port 80 or 443, and what is in `allow`."""

    def __init__(self, allow: Iterable[AllowedHost] = (), lookup: Lookup | None = None) -> None:
        self._allow = tuple(allow)
        self._threads = ThreadPoolExecutor(LOOKUPS, "lookup")
        self._lookup = lookup or self._system_lookup

    def parse(self, text: str) -> URL:
        """A URL as it will be used. Raises Refused when it is not one that may be fetched, whatever its host is."""
        try:
            # What is written is what is sent: a signature may cover every byte.
            url = URL(text, encoded=text.isascii())
            host, port = url.raw_host, url.port
        except (ValueError, IndexError):  # yarl's IndexError on some that are not ASCII
            raise _no_url() from None
        if not host or not port or url.scheme not in {"http", "https"} or _UNPRINTABLE.search(text):
            raise _no_url()
        if url.raw_user is not None or url.raw_password is not None:
            raise Refused("it holds a user name or password")
        self._check_literal(host, port)
        return url

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where `host` may be connected to. Raises Refused when one of its addresses is not allowed, OSError."""
        found = await self._lookup(host, port)
        if not found:
            raise OSError("no address")
        for address in found:
            self._check(host, port, ipaddress.ip_address(address))
        return found

    def close(self) -> None:
        """Look up no more names."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check_literal(self, host: str, port: int) -> None:
        """Refuses a host that is an address which is not allowed, or one in another than its usual spelling."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            # Some would read these as numbers that stand for an address.
            if not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
                raise Refused("its host is neither a name nor an IP address in its usual spelling") from None
            return
        self._check(host, port, address)

    def _check(self, host: str, port: int, address: Address) -> None:
        for entry in self._allow:
            ports = USUAL_PORTS if entry.port is None else {entry.port}
            if port in ports and entry.covers(host.lower(), address):
                return
        if port not in USUAL_PORTS:
            raise Refused("its port is neither 80 nor 443")
        if not is_public(address):
            raise Refused("its host is not on the public internet")

    async def _system_lookup(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(found))


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is empty or of more than 63 characters
        raise OSError("no name") from None
    return [str(info[4][0]) for info in found]


def is_public(address: Address) -> bool:
    """Whether anyone on the internet means the same host by it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _GLOBAL_UNICAST or address.scope_id:
            return False
    return address.is_global and not any(address in network for network in _NETWORKS)


def _no_url() -> Refused:
    return Refused("it is not an http or https URL")
