"""The ways a client waits for its job: for the outcome, along the event stream, or by polling.

Each API process listens on one pub/sub channel of its own. A job's record names the channels that want to hear of it,
so a worker tells exactly the processes that wait. What was published while the connection was down is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Iterator

from shared.errors import GatewayError, NotFound, StoreError
from shared.job_values import unpack_told
from shared.jobs import Job, Notice, Outcome
from shared.queue import Queue
from shared.sealing import TOUCHED, unreadable
from shared.stores.redis import listen

HEARTBEAT_S = 15.0
"""Longest silence on a stream; load balancers cut after 30 to 120 s."""
AGAIN_S = 0.2
"""Pause before Redis is asked again what was missed: the job goes on, and its client need not hear of an outage."""
CANCEL_WAIT_S = 3.0
"""How long the answer to a cancel waits for the worker to let go of a running job: usually some milliseconds."""
MAX_BEHIND = 256
"""Pieces kept in memory for a slow reader; beyond, they are read from Redis again."""


class Stopping(GatewayError):
    """503: this process is being stopped and its time is up; the job goes on, and a client that asks again joins it."""

    status = 503

    def __init__(self) -> None:
        message = "This process of the gateway is being stopped; ask again, another one answers."
        super().__init__(message, code="gateway_stopping", retry_after_s=1)


class Waiter:
    """One request waiting for one job.

    Attributes:
        owner: whose job it has to be, or nothing of it can be read.
        final: the notice of the end, once it is known.
        behind: what was told is not all there is; Redis has it.
    """

    def __init__(self, job_id: str, owner: str) -> None:
        self.job_id = job_id
        self.owner = owner
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
    """All waiting requests of this API process.

    Attributes:
        stopping: set by `cut`: whoever is still connected does not go away, but is sent away.
    """

    def __init__(self, queue: Queue, redis_url: str) -> None:
        self.channel = "hermod:api:" + secrets.token_hex(8)
        self._queue = queue
        self._url = redis_url
        self._waiters: dict[str, list[Waiter]] = {}
        self._listener: asyncio.Task[None] | None = None
        self.stopping = False

    async def open(self) -> None:
        """Start listening."""
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._listener:
            self._listener.cancel()
            await asyncio.wait([self._listener])

    def cut(self) -> None:
        """From now on nobody waits here: who has a time limit is at its end, who has none is told so, by Stopping.

        A job that has just ended is told as such to both.
        """
        self.stopping = True
        self._miss()

    @contextlib.contextmanager
    def waiting(self, job_id: str, owner: str) -> Iterator[Waiter]:
        """A waiter that hears of the owner's job; enter it before the job is submitted."""
        waiter = Waiter(job_id, owner)
        self._waiters.setdefault(job_id, []).append(waiter)
        if self.stopping:
            waiter.miss()
        try:
            yield waiter
        finally:
            others = self._waiters[job_id]
            others.remove(waiter)
            if not others:
                del self._waiters[job_id]

    async def outcome(self, waiter: Waiter, timeout_s: float | None = None) -> Outcome | None:
        """Wait until the job is final; None after `timeout_s`, sooner when the process is being stopped.

        Raises:
            StoreError: its record is gone.
            Stopping: the process is being stopped, and the client cannot do without the outcome: no `timeout_s`.
            GatewayError: the outcome cannot be read.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while waiter.final is None:
            left_s = None if deadline is None else max(0.0, deadline - loop.time())
            if self.stopping and deadline is not None:
                return None
            if waiter.behind and left_s != 0.0:
                await self._catch_up(waiter)
            elif await waiter.news(left_s) is None:
                return None
        return waiter.final.outcome

    async def cancel(self, job: Job) -> None:
        """Cancel a job and wait for its end as its other waiters do: they are told before a cancel is acknowledged."""
        with self.waiting(job.id, job.owner) as waiter:
            snapshot = await self._queue.look(job.id, self.channel)
            if not snapshot.state.final:
                await self._queue.cancel(job)
                await self.outcome(waiter, CANCEL_WAIT_S)

    async def follow(self, waiter: Waiter, seen: int = 0) -> AsyncGenerator[bytes | Notice | None]:
        """The job's event stream in order: pieces, None after HEARTBEAT_S of silence, last the final notice.

        The pieces up to number `seen` are left out.

        Raises:
            StoreError: the job's record is gone.
            Stopping: the process is being stopped.
            GatewayError: a part of the stream is gone, or cannot be read.
        """
        loop = asyncio.get_running_loop()
        spoke = loop.time()
        while True:
            left_s = spoke + HEARTBEAT_S - loop.time()
            if left_s <= 0:
                spoke = loop.time()
                yield None
                continue
            pieces, complete = await self._next(waiter, seen, left_s)
            for number, data in pieces:
                if number == seen + 1:
                    seen, spoke = number, loop.time()
                    yield data
                elif number > seen:
                    waiter.behind = True
            if complete and waiter.final:
                yield waiter.final
                return

    async def _next(self, waiter: Waiter, seen: int, timeout_s: float) -> tuple[list[tuple[int, bytes]], bool]:
        """Pieces after `seen`, possibly none, and whether they are the last: those told, or Redis' when some were not.

        Whoever was behind stays so while Redis is away.
        """
        if not waiter.behind and not waiter.final:
            return [(piece.seq, piece.data) for piece in await waiter.news(timeout_s) or ()], False
        await self._catch_up(waiter)
        if waiter.behind:
            return [], False
        # What was appended before the end was announced is in the stream by now; what comes after this look is not.
        ended = waiter.final is not None
        try:
            pieces = await self._queue.events(waiter.owner, waiter.job_id, seen)
        except StoreError:
            await self._away(waiter)
            return [], False
        if pieces and pieces[-1][0] != seen + len(pieces):
            raise GatewayError("The job store has lost a part of this answer; ask again.", code="answer_lost")
        return pieces, ended

    async def _catch_up(self, waiter: Waiter) -> None:
        """The end may have been announced while nobody listened. The waiter stays behind while Redis is away."""
        waiter.behind = False
        if waiter.final is not None:
            return
        if self.stopping:
            raise Stopping
        try:
            snapshot = await self._queue.look(waiter.job_id, self.channel)
        except StoreError:
            await self._away(waiter)
            return
        except NotFound as gone:
            # A 404 would tell an SDK not to ask again, and this client never gave an id.
            raise StoreError(
                "The job store has lost this job in an outage, or its outcome has expired; ask again.",
                code="job_lost",
                retry_after_s=1,
            ) from gone
        if snapshot.job.owner != waiter.owner:
            raise unreadable("the record of this job", TOUCHED, "value_unreadable")
        if snapshot.state.final:
            waiter.tell(Notice(waiter.job_id, 0, outcome=snapshot.outcome, state=snapshot.state))

    async def _away(self, waiter: Waiter) -> None:
        waiter.behind = True
        await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async for message in listen(self._url, self.channel):
            if message is None:
                self._miss()
                continue
            told = unpack_told(message)
            for waiter in self._waiters.get(told.job_id, ()):
                try:
                    waiter.tell(self._queue.read_notice(waiter.owner, told))
                except GatewayError:  # it reads the same in Redis, and tells its client why
                    waiter.miss()

    def _miss(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.miss()
