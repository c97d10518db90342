"""Questions `hermod up` asks of this machine: is the port free, does Redis answer, does the gateway answer."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from urllib.parse import unquote, urlsplit

_ANSWER_WITHIN_S = 2.0
_ASK_EVERY_S = 0.02
_FREE_PORTS = range(22_000, 32_000)
"""Below those that the system gives to outgoing connections (Linux: 32768 and up, others: 49152 and up): one of
these could take a port between the moment it was found free and the moment the server binds it."""


def reachable(host: str) -> str:
    """The address under which this machine reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - a name, not a bind


def url_of(host: str, port: int) -> str:
    """`http://…` of a server bound to `host`, as seen from this machine."""
    name = reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def why_not_bindable(host: str, port: int) -> str | None:
    """The system's reason why no server can listen there, None when one can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind, protocol)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def why_not_served(host: str, port: int) -> str | None:
    """For a person: which port cannot be listened on, why, and what to do about it; None when it can."""
    reason = why_not_bindable(host, port)
    if reason is None:
        return None
    what_to_do = {
        os.strerror(errno.EADDRINUSE): "stop what uses it or choose another --port",
        os.strerror(errno.EACCES): "choose a --port from 1024 on",
    }
    return f"cannot listen on {host}:{port} ({reason}): {what_to_do.get(reason, 'choose another --host')}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    Raises OSError when no server can listen there at all.
    """
    for port in random.sample(_FREE_PORTS, k=100):
        if (why_not := why_not_bindable("127.0.0.1", port)) is None:
            return port
    raise OSError(f"no port of 127.0.0.1 from {_FREE_PORTS[0]} to {_FREE_PORTS[-1]} can be listened on: {why_not}")


async def until(true: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Asks again and again until the answer is yes; False when it is not within that many seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not await true():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_ASK_EVERY_S)
    return True


async def redis_answers(url: str) -> bool:
    """Whether the server at a `redis://` URL answers PING (it does not while it still loads its data)."""
    parts = urlsplit(url)
    login = _redis_command("AUTH", unquote(parts.password)) if parts.password else ""
    reply = await _ask(parts.hostname or "127.0.0.1", parts.port or 6379, login + _redis_command("PING"), b"PONG")
    return b"+PONG" in reply


async def http_status(host: str, port: int, path: str) -> int | None:
    """Status of a GET, None when nothing answers."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    first_line = (await _ask(reachable(host), port, request, b"\r\n")).partition(b"\r\n")[0].split()
    if len(first_line) > 1 and first_line[0].startswith(b"HTTP/") and first_line[1].isdigit():
        return int(first_line[1])
    return None


async def listens(host: str, port: int) -> bool:
    """Whether a server accepts connections there."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(reachable(host), port), _ANSWER_WITHIN_S)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _redis_command(*words: str) -> str:
    """The command as an array of bulk strings (RESP): fakeredis does not read the inline form."""
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


async def _ask(host: str, port: int, request: str, end: bytes) -> bytes:
    """What came back up to and including `end`; empty when nobody answers in time."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                return await reader.readuntil(end)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""
