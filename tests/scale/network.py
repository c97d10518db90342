"""Several hosts on one machine: network namespaces on one switch, each with a cable that can be pulled."""

import itertools
import os
import secrets
import shutil
import subprocess

BENCHMARKS = "198.18"
"""Addresses for tests of networks, which are nobody's (RFC 2544)."""


class Unavailable(Exception):
    """This machine has no namespaces for us; the text says why."""


class Host:
    """One machine of the network, known by its `address`."""

    def __init__(self, name: str, address: str, switch: str) -> None:
        self.name, self.address = name, address
        self._namespace = f"{switch}-{name}"
        self._port = f"{switch}-{address.rpartition('.')[2]}"
        _ip("netns", "add", self._namespace)
        _ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", self._namespace)
        _ip("link", "set", self._port, "master", switch, "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{address}/24", "dev", "eth0")):
            _ip("-n", self._namespace, *words)
        _ip("-n", self._namespace, "link", "set", "eth0", "up")

    @property
    def run(self) -> tuple[str, ...]:
        """What to put before a command for it to run there."""
        return ("ip", "netns", "exec", self._namespace)

    def cut(self) -> None:
        """Pull its cable: packets vanish, no connection is told."""
        _ip("link", "set", self._port, "down")

    def join(self) -> None:
        _ip("link", "set", self._port, "up")

    def remove(self) -> None:
        _ip("link", "del", self._port)
        _ip("netns", "del", self._namespace)


class Network:
    """The switch; this process is on it too."""

    def __init__(self) -> None:
        """Raises Unavailable."""
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Unavailable("hosts are network namespaces, which need root and iproute2")
        self._switch = "hm" + secrets.token_hex(2)
        self._subnet = f"{BENCHMARKS}.{secrets.randbelow(254) + 1}"
        self._numbers = itertools.count(2)
        self._hosts: list[Host] = []
        _ip("link", "add", self._switch, "type", "bridge")
        try:
            _ip("addr", "add", f"{self._subnet}.1/24", "dev", self._switch)
            _ip("link", "set", self._switch, "up")
        except Unavailable:
            self.close()
            raise

    def host(self, name: str) -> Host:
        """A new one. Raises Unavailable."""
        self._hosts.append(Host(name, f"{self._subnet}.{next(self._numbers)}", self._switch))
        return self._hosts[-1]

    def close(self) -> None:
        for host in self._hosts:
            host.remove()
        _ip("link", "del", self._switch)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip()}")
