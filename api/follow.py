"""A job's events to a client as they come, and what becomes of a job whose client went away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from litestar.types import ASGIApp

from api.answers import plain, streamed
from api.wait import Hub, Waiter
from shared.dialects import DIALECTS
from shared.errors import GatewayError, NotFound, StoreError
from shared.jobs import Job, Notice, State
from shared.queue import Queue, cancelled_outcome
from shared.sse import COMMENT, noted, write

log = logging.getLogger("hermod.api")

LEAVING_AGAIN_S = 0.5
LEAVING_TRIES = 120
"""For a minute, as long as a worker keeps its outcome, the job of a client that left is cancelled despite an outage."""

Pick = Callable[[bytes], bytes]
"""What of a piece is for this client: a client that resumes has seen the first pieces."""


class Follower:
    """Relays event streams."""

    def __init__(self, queue: Queue, hub: Hub) -> None:
        self._queue = queue
        self._hub = hub
        self._leaving: set[asyncio.Task[None]] = set()

    async def answer(self, job: Job, waiter: Waiter, stack: contextlib.ExitStack, pick: Pick | None = None) -> ASGIApp:
        """The job's events as a response, which closes `stack` at its end.

        An error before the first of them is a plain error response. Raises NotFound when they have expired.
        """
        events = self._hub.follow(waiter)
        first = await anext(events)
        if isinstance(first, Notice) and first.state is not State.SUCCEEDED:
            return plain(DIALECTS[job.dialect], job, first.outcome or cancelled_outcome())
        if isinstance(first, Notice):
            raise NotFound("The events of this answer are no longer kept.", code="events_expired")
        headers, first = noted(first) if first else ({}, first)
        if job.cache:
            headers |= await self._queue.served_from_cache(job)
        return streamed(DIALECTS[job.dialect], job, self._relayed(job, first, events, stack.pop_all(), pick), headers)

    async def _relayed(
        self,
        job: Job,
        event: bytes | Notice | None,
        events: AsyncIterator[bytes | Notice | None],
        stack: contextlib.ExitStack,
        pick: Pick | None,
    ) -> AsyncIterator[bytes]:
        last = b""
        with stack:
            try:
                while not isinstance(event, Notice):
                    last = event or last
                    if wanted := COMMENT if event is None else pick(event) if pick else event:
                        yield wanted
                    event = await anext(events)
                if not last and event.outcome and event.state is not State.SUCCEEDED:
                    yield write(event.outcome.body, "error")
            except GatewayError as error:
                yield DIALECTS[job.dialect].stream_error(error, job, last)
            finally:
                if not isinstance(event, Notice) and pick is None:
                    self.leave(job)  # one that resumes leaves the job to whoever began it

    def leave(self, job: Job) -> None:
        """Cancel the job unless somebody else waits for it, in a task of its own: the request's is being cancelled.

        The job of a client that was cut off by us goes on: its SDK asks again, elsewhere, and joins it.
        """
        if self._hub.stopping:
            return
        task = asyncio.create_task(self._cancel(job))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _cancel(self, job: Job) -> None:
        for _ in range(LEAVING_TRIES):
            try:
                await self._queue.cancel(job, self._hub.channel)
            except StoreError:
                await asyncio.sleep(LEAVING_AGAIN_S)
            else:
                return
        log.warning("nobody waits for a job that could not be cancelled", extra={"job_id": job.id})
