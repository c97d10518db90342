"""Ports for servers of tests, each given out once, whichever test process asks."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from contextlib import closing
from pathlib import Path

_FIRST, _END = 10_000, 22_000
"""Below the ports that the system gives to outgoing connections (Linux: 32768 and up, others: 49152 and up), one of
which may take a port that was free a moment ago, and below those that `hermod up` looks among."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 where nobody listens.

    Test processes that run side by side take turns through one range: a port that was merely found free is
    another's before the server that it was found for has bound it.
    """
    turn = Path(tempfile.gettempdir()) / f"hermod-test-ports-{os.getuid()}"
    with turn.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        port = int(file.read() or _FIRST)
        while not _bindable(port):
            port = _after(port)
        file.truncate(0)
        file.write(str(_after(port)))
    return port


def _after(port: int) -> int:
    return port + 1 if port + 1 < _END else _FIRST


def _bindable(port: int) -> bool:
    with closing(socket.socket()) as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
