"""Clients that do not keep to HTTP: what is written is what is sent."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

WITHIN_S = 60.0
"""Only a standstill exceeds it."""


@dataclass
class Told:
    """What came back until the gateway closed the connection, or said nothing more."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.data.split(b"HTTP/1.1 ")[1:]]


@contextlib.contextmanager
def connected(port: int, within_s: float = WITHIN_S) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=within_s) as connection:
        yield connection


def listen(connection: socket.socket, quiet_s: float = WITHIN_S) -> Told:
    """What comes until the end, or until nothing has come for `quiet_s`."""
    connection.settimeout(quiet_s)
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except TimeoutError:
        return Told(data, closed=False)
    except ConnectionError:
        pass
    return Told(data, closed=True)


def said(port: int, data: bytes, quiet_s: float = 0.5) -> Told:
    """The answer to bytes that are sent at once, however long it takes to begin."""
    with connected(port) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        select.select([connection], [], [], WITHIN_S)
        return listen(connection, quiet_s)


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([line, "Host: gateway", *headers, "", ""]).encode("latin-1")


def resident_mib(pid: int) -> float:
    """What the process holds in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def pauses(port: int, for_s: float) -> list[float]:
    """How long each of many small requests of one client took, in seconds, sorted."""
    taken = []
    until = time.monotonic() + for_s
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)) as connection:
        while time.monotonic() < until:
            began = time.monotonic()
            connection.request("GET", "/live")
            assert connection.getresponse().read()
            taken.append(time.monotonic() - began)
    return sorted(taken)


def p99_ms(taken: list[float]) -> float:
    """Of `pauses`."""
    return taken[int(len(taken) * 0.99)] * 1000


def at_best(measure: Callable[[], float], most: float, rounds: int = 6) -> float:
    """The first of several measurements that is below `most`, or the least of them.

    What the gateway does is there in each of them; what else the machine does at the moment is not.
    """
    found: list[float] = []
    while len(found) < rounds and (not found or found[-1] >= most):
        found.append(measure())
    return min(found)
