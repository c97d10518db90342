"""The one way to Redis: calls of concurrent tasks travel together, scripts by their digest.

Measured: one pipeline per request reaches 3,400-4,000 submits/s on one core, one pipeline for all requests of a loop
turn 9,100-9,400. Calls of one script that gather while a batch is on its way become one call of it.

A lost reply leaves open whether a call ran, so everything sent from here may run twice: a submit knows its job's id
again, a finish its own fence, an append its number, and jobs of a lost claim come due again with their lease.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.errors import StoreError
from shared.masked import mask_url
from shared.sealing import CLEAR, Seal

log = logging.getLogger("hermod.redis")

MAX_BATCH = 256
"""Calls in one batch; bounds how long the server serves nobody else (about 10 µs a call)."""

REPLY_S = 10.0
"""Longest wait for the replies of one batch."""
LAST_REPLY_S = 1.0
"""The same when the connection is to be closed."""

_DOWN = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    OSError,
)

_DOWN_WORDS = re.compile(r"(?:^|-)(?:LOADING|BUSY|OOM|READONLY|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|MISCONF|TRYAGAIN)\b")
"""Codes of a server that cannot serve now (loading, a long script, full, failing over, its disk full). The client has a
class for some of them only; servers before 7 quote the code of an error inside a script, behind a dash."""

_AWAY_WORDS = re.compile(r"(?:^|-)(?:LOADING|MASTERDOWN|CLUSTERDOWN)\b")
REFUSALS_EVERY_S = 60.0
"""How often it is said of a server that is there that it refuses commands: full, or its disk is."""

_KEEPALIVE = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
"""A server that vanished without a word (power, network) is noticed within 20 s even by who only listens."""

_EVEN_WHEN_FULL = "redis.call('DEL', 'hermod:none')"
"""A server at its `maxmemory` refuses a script's writes until the script has made one that takes no memory."""

_NOTHING_TO_SETTLE = "local function settle() end\n"
_EACH_CALL = """
local arity, replies = tonumber(ARGV[1]), {}
for first = 2, #ARGV, arity do
  replies[#replies + 1] = one(unpack(ARGV, first, first + arity - 1)) or false
end
settle()
return replies
"""


class Script:
    """A Lua script that defines `one(...)`, run once for every call of a batch, and may define `settle()`, run last.

    `settle` is for writes that all calls share: each write is an entry of its own in the server's log.

    Sent by its SHA-1, in full only when the server has forgotten it (restart, failover). Key names are built inside
    the scripts: one Redis, not Redis Cluster. `even_when_full` is for what must go on when memory has run out:
    everything but what lets more work in.
    """

    def __init__(self, source: str, *, even_when_full: bool = False) -> None:
        self.source = _NOTHING_TO_SETTLE + source + (_EVEN_WHEN_FULL if even_when_full else "") + _EACH_CALL
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class _Command(NamedTuple):
    """One command on the wire and who waits for its reply, or for the items of it."""

    words: tuple[Any, ...]
    script: Script | None
    waiting: list[asyncio.Future[Any]]


def connect(url: str, *, timeout_s: float | None = 10) -> Redis:
    """A client that repeats nothing by itself; `RedisStore` knows when that is safe.

    `timeout_s` bounds each reply; None for connections that block on purpose.
    """
    keepalive: dict[str, Any] = {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    return Redis.from_url(  # type: ignore[no-any-return]
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        protocol=3 if timeout_s is None else 2,
        **({} if url.startswith("unix:") else keepalive),
    )


class RedisStore:
    """Commands and scripts over one connection, one batch on its way at a time. Replies are as Redis sent them.

    Attributes:
        seal: under which whoever stores here what callers send or get is to put it.
    """

    def __init__(self, url: str, seal: Seal = CLEAR) -> None:
        self.url = url
        self.seal = seal
        self._connection = connect(url, timeout_s=None).connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._gathered: list[tuple[Script | None, tuple[Any, ...], asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None
        self._answers = True
        self._refusal_told = -REFUSALS_EVERY_S

    async def call(self, *command: Any) -> Any:
        """Run one command.

        Raises:
            StoreError: Redis is down, loading, full or read-only. The command may or may not have run.
        """
        return await self._gather(None, command)

    async def run(self, script: Script, first: Any, *args: Any) -> Any:
        """Run `script` atomically; raises StoreError like `call`.

        Calls of one script take equally many arguments, and at least one: over none, the server would loop for ever.
        """
        return await self._gather(script, (first, *args))

    async def close(self) -> None:
        """Close the connection; nobody may be waiting for a reply.

        One may be on its way all the same, to who was cancelled: closed under it, the sender would open a connection
        anew, and nobody would close that.
        """
        if self._sender is not None:
            _, late = await asyncio.wait([self._sender], timeout=LAST_REPLY_S)
            for sender in late:
                sender.cancel()
                await asyncio.wait([sender])
        await self._connection.disconnect()

    def _gather(self, script: Script | None, words: tuple[Any, ...]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._gathered.append((script, words, future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        return future

    async def _send_all(self) -> None:
        """Send what has gathered; whatever arrives meanwhile makes the next batch."""
        while self._gathered:
            batch, self._gathered = self._gathered[:MAX_BATCH], self._gathered[MAX_BATCH:]
            commands = _commands(batch)
            try:
                replies = await self._replies(commands)
            except Exception as error:  # noqa: BLE001 - a defect is told to every caller of the batch, and only to them
                replies = [error] * len(commands)
            for command, reply in zip(commands, replies, strict=True):
                _settle(command, reply)
        self._sender = None

    async def _replies(self, commands: list[_Command]) -> list[Any]:
        replies = await self._send([command.words for command in commands])
        for index, reply in enumerate(replies):
            if isinstance(reply, exceptions.NoScriptError):
                [replies[index]] = await self._send([_in_full(commands[index])])
        return replies

    async def _send(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """One pipeline; a second time when the connection had gone stale, for everything can be repeated."""
        replies = await self._send_once(commands)
        if isinstance(replies[0], exceptions.ConnectionError):
            replies = await self._send_once(commands)
        self._tell([reply for reply in replies if isinstance(reply, BaseException) and _is_down(reply)])
        return replies

    def _tell(self, troubles: list[BaseException]) -> None:
        """Say once that the server is away, and once that it is back; now and then, that it refuses some commands."""
        away = next((trouble for trouble in troubles if _is_away(trouble)), None)
        if (away is None) is not self._answers:
            self._answers = away is None
            if away is None:
                log.info("Redis at %s answers again", mask_url(self.url))
            else:
                log.warning("Redis at %s is not reachable: %s", mask_url(self.url), str(away) or type(away).__name__)
        elif troubles and away is None and time.monotonic() - self._refusal_told >= REFUSALS_EVERY_S:
            self._refusal_told = time.monotonic()
            log.warning("Redis at %s refuses commands: %s", mask_url(self.url), troubles[0])

    async def _send_once(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Packed by hiredis: redis-py's own packing was half of what a submit or a finish cost."""
        try:
            async with asyncio.timeout(REPLY_S):
                await self._connection.send_packed_command(map(hiredis.pack_command, commands), check_health=False)
                return [await self._reply() for _ in commands]
        except (exceptions.RedisError, OSError) as error:  # TimeoutError is an OSError
            await self._connection.disconnect(nowait=True)
            return [error] * len(commands)

    async def _reply(self) -> Any:
        try:
            return await self._connection.read_response()
        except exceptions.ResponseError as error:
            return error


def _commands(batch: list[tuple[Script | None, tuple[Any, ...], asyncio.Future[Any]]]) -> list[_Command]:
    """Calls of one script become one EVALSHA; the order of different tasks' calls means nothing."""
    commands: list[_Command] = []
    scripts: dict[Script, tuple[list[Any], list[asyncio.Future[Any]]]] = {}
    for script, words, future in batch:
        if script is None:
            commands.append(_Command(words, None, [future]))
        elif script in scripts:
            calls, waiting = scripts[script]
            calls += words
            waiting.append(future)
        else:
            scripts[script] = (["EVALSHA", script.sha, 0, len(words), *words], [future])
    commands += [_Command(tuple(words), script, waiting) for script, (words, waiting) in scripts.items()]
    return commands


def _in_full(command: _Command) -> tuple[Any, ...]:
    assert command.script is not None, "only EVALSHA answers NOSCRIPT"  # noqa: S101 - a promise of Redis, not input
    return ("EVAL", command.script.source, *command.words[2:])


def _settle(command: _Command, reply: Any) -> None:
    if isinstance(reply, BaseException):
        error = as_store_error(reply) if _is_down(reply) else reply
        replies = [error] * len(command.waiting)
    else:
        replies = [reply] if command.script is None else reply
    for future, one in zip(command.waiting, replies, strict=True):
        if future.done():
            continue
        if isinstance(one, BaseException):
            future.set_exception(one)
        else:
            future.set_result(one)


def _is_down(error: BaseException) -> bool:
    return isinstance(error, _DOWN) or _DOWN_WORDS.search(str(error)) is not None


def _is_away(error: BaseException) -> bool:
    """Whether no command at all is served."""
    gone = isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError)
    return gone or _AWAY_WORDS.search(str(error)) is not None


def as_store_error(cause: BaseException) -> StoreError:
    """`cause` as our error, without the URL (it may hold a password)."""
    error = StoreError(f"The job store is not reachable ({type(cause).__name__}); try again.", retry_after_s=1)
    error.__cause__ = cause
    return error


async def listen(url: str, channel: str) -> AsyncIterator[bytes | None]:
    """Messages of a pub/sub channel; None each time a subscription begins, for what was missed must be read again.

    Reconnects for ever, at most every 0.2 s.
    """
    while True:
        redis = connect(url, timeout_s=None)
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                async for message in pubsub.listen():
                    if message["type"] == "subscribe":
                        yield None
                    elif message["type"] == "message":
                        yield message["data"]
        except (exceptions.RedisError, OSError):
            await asyncio.sleep(0.2)
        finally:
            await redis.aclose()
