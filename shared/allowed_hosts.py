"""Hosts an operator lets workers fetch from although they are not on the public internet: `worker.fetch_allow`."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

import msgspec

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_ENTRY = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<place>[^\[\]]*?))(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LAST_PORT = 65_535


class AllowedHost(msgspec.Struct, frozen=True):
    """One entry.

    Attributes:
        name: of the host, in lower case, whatever its addresses are; empty with `network`.
        network: of addresses, whatever the name is that leads there; None with `name`.
        port: the one that may be connected to; None for 80 and 443.
    """

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def __str__(self) -> str:
        place = self.name or str(self.network)
        return place if self.port is None else f"{place}, port {self.port}"

    def covers(self, host: str, address: Address) -> bool:
        """Whether a connection to `host` at `address` is meant."""
        return address in self.network if self.network is not None else host == self.name


def allowed_host(entry: str) -> AllowedHost:
    """An entry: a host, an address or a CIDR, each with a port if it is not 80 or 443; `[…]` around IPv6 with a port.

    Raises:
        ValueError: it is none of them.
    """
    whole = _network(entry)
    if whole is not None:
        return AllowedHost(network=whole)
    match = _ENTRY.fullmatch(entry)
    if match is None or int(match["port"] or 1) not in range(1, _LAST_PORT + 1):
        raise ValueError(entry)
    port = int(match["port"]) if match["port"] else None
    place = match["six"] or match["place"]
    network = _network(place)
    if network is not None:
        return AllowedHost(network=network, port=port)
    if match["six"] or not _NAME.fullmatch(place) or place.rpartition(".")[2].isdigit():
        raise ValueError(entry)
    return AllowedHost(name=place.lower(), port=port)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
