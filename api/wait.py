"""The ways a client waits for its job: for the outcome, along the event stream, or by polling.

Each API process listens on one pub/sub channel of its own. A job's record names the channels that want to hear of it,
so a worker tells exactly the processes that wait. What was published while the connection was down is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator

from shared.jobs import Notice, Outcome
from shared.queue import Queue, unpack_notice
from shared.stores.redis import listen

HEARTBEAT_S = 15.0
"""Longest silence on a stream; load balancers cut after 30 to 120 s."""
MAX_BEHIND = 256
"""Pieces kept in memory for a slow reader; beyond, they are read from Redis again."""


class Waiter:
    """One request waiting for one job."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.final: Notice | None = None
        self.behind = False
        self._pieces: list[Notice] = []
        self._news = asyncio.Event()

    def tell(self, notice: Notice) -> None:
        """Take a notice; never blocks, holds at most MAX_BEHIND pieces."""
        if notice.seq == 0:
            self.final = notice
        elif len(self._pieces) < MAX_BEHIND and not self.behind:
            self._pieces.append(notice)
        else:
            self.behind = True
        self._news.set()

    def miss(self) -> None:
        """Notices may have been lost: read Redis."""
        self.behind = True
        self._news.set()

    async def news(self, timeout_s: float | None) -> list[Notice] | None:
        """Pieces since the last call, [] when something else happened, None after `timeout_s` without any."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return None
        self._news.clear()
        pieces, self._pieces = self._pieces, []
        return pieces


class Hub:
    """All waiting requests of this API process."""

    def __init__(self, queue: Queue, redis_url: str) -> None:
        self.channel = "hermod:api:" + secrets.token_hex(8)
        self._queue = queue
        self._url = redis_url
        self._waiters: dict[str, list[Waiter]] = {}
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start listening."""
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._listener:
            self._listener.cancel()
            await asyncio.wait([self._listener])

    @contextlib.contextmanager
    def waiting(self, job_id: str) -> Iterator[Waiter]:
        """A waiter that hears of the job; enter it before the job is submitted."""
        waiter = Waiter(job_id)
        self._waiters.setdefault(job_id, []).append(waiter)
        try:
            yield waiter
        finally:
            others = self._waiters[job_id]
            others.remove(waiter)
            if not others:
                del self._waiters[job_id]

    async def outcome(self, waiter: Waiter, timeout_s: float | None = None) -> Outcome | None:
        """Wait until the job is final; None after `timeout_s`. Raises NotFound when its record is gone."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while waiter.final is None:
            if waiter.behind:
                await self._catch_up(waiter)
                continue
            if await waiter.news(None if deadline is None else max(0.0, deadline - loop.time())) is None:
                return None
        return waiter.final.outcome

    async def follow(self, waiter: Waiter) -> AsyncIterator[bytes | Notice | None]:
        """The job's event stream in order: pieces, None after HEARTBEAT_S of silence, last the final notice."""
        seen = 0
        while True:
            if waiter.behind or waiter.final:
                await self._catch_up(waiter)
                # What was appended before the end was announced is in the stream by now.
                for number, data in await self._queue.events(waiter.job_id, seen):
                    seen = number
                    yield data
                if waiter.final:
                    yield waiter.final
                    return
            pieces = await waiter.news(HEARTBEAT_S)
            if pieces is None:
                yield None
            for piece in pieces or ():
                if piece.seq == seen + 1:
                    seen = piece.seq
                    yield piece.data
                elif piece.seq > seen:
                    waiter.behind = True

    async def _catch_up(self, waiter: Waiter) -> None:
        """The end may have been announced while nobody listened."""
        waiter.behind = False
        if waiter.final is None:
            snapshot = await self._queue.look(waiter.job_id, self.channel)
            if snapshot.state.final:
                waiter.tell(Notice(waiter.job_id, 0, outcome=snapshot.outcome, state=snapshot.state))

    async def _listen(self) -> None:
        async for message in listen(self._url, self.channel):
            if message is None:
                for waiters in self._waiters.values():
                    for waiter in waiters:
                        waiter.miss()
                continue
            notice = unpack_notice(message)
            for waiter in self._waiters.get(notice.job_id, ()):
                waiter.tell(notice)
