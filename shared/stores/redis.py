"""The one way to Redis: commands of concurrent tasks travel in one pipeline, scripts by their digest.

A lost reply leaves open whether the command ran, so everything sent from here may run twice: a submit knows its job's
id again, a finish its own fence, an append its number, and jobs of a lost claim come due again with their lease.

Measured: one pipeline per request reaches 3,400-4,000 submits/s on one core, one pipeline for all requests of a loop
turn 9,100-9,400. Foreign exceptions become `StoreError` here and nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.errors import StoreError

MAX_BATCH = 512
"""Commands in one pipeline; bounds how long one slow batch delays the next."""

_DOWN = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    OSError,
)


class Script:
    """A Lua script, sent by its SHA-1 and in full only when the server has forgotten it (restart, failover)."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def connect(url: str, *, timeout_s: float | None = 10) -> Redis:
    """A client that repeats nothing by itself; `RedisStore` knows when that is safe.

    `timeout_s` bounds each reply; None for connections that block on purpose.
    """
    return Redis.from_url(  # type: ignore[no-any-return]
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=5,
        retry=Retry(NoBackoff(), 0),
        protocol=3 if timeout_s is None else 2,
    )


class RedisStore:
    """Commands and scripts over one connection at a time, coalesced."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._redis = connect(url)
        self._waiting: list[tuple[tuple[Any, ...], Script | None, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """Run one command.

        Raises:
            StoreError: Redis is down, loading, full or read-only. The command may or may not have run.
        """
        return await self._enqueue(command, None)

    async def run(self, script: Script, keys: list[str], *args: Any) -> Any:
        """Run `script` atomically; raises StoreError like `call`."""
        return await self._enqueue(("EVALSHA", script.sha, len(keys), *keys, *args), script)

    async def close(self) -> None:
        """Close the connections; nothing may be in flight."""
        await self._redis.aclose()

    def _enqueue(self, command: tuple[Any, ...], script: Script | None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, script, future))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        return future

    async def _send_all(self) -> None:
        """Send what has gathered; whatever arrives meanwhile makes the next batch."""
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            replies = await self._send([command for command, _, _ in batch])
            forgotten = [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
            if forgotten:
                again = await self._send([_in_full(*batch[i][:2]) for i in forgotten])
                for i, reply in zip(forgotten, again, strict=True):
                    replies[i] = reply
            for (_, _, future), reply in zip(batch, replies, strict=True):
                _settle(future, reply)
        self._sender = None

    async def _send(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """One pipeline; a second time when the connection had gone stale, for every script of ours can be repeated."""
        replies = await self._send_once(commands)
        if replies and isinstance(replies[0], exceptions.ConnectionError):
            replies = await self._send_once(commands)
        return replies

    async def _send_once(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        try:
            return list(await pipe.execute(raise_on_error=False))
        except (exceptions.RedisError, OSError) as error:
            return [error] * len(commands)


def _in_full(command: tuple[Any, ...], script: Script | None) -> tuple[Any, ...]:
    assert script is not None, "only EVALSHA answers NOSCRIPT"  # noqa: S101 - a promise of Redis, not input
    return ("EVAL", script.source, *command[2:])


def _settle(future: asyncio.Future[Any], reply: Any) -> None:
    if future.done():
        return
    if not isinstance(reply, BaseException):
        future.set_result(reply)
        return
    error = as_store_error(reply) if isinstance(reply, _DOWN) else reply
    future.set_exception(error)


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
