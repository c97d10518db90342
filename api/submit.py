"""A request becomes a job, and the client waits for it the way it asked to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.response import Stream

from api.auth import caller
from api.errors import REQUEST_ID_HEADER
from api.headers import Wishes, forwarded, wishes
from api.wait import Hub, Waiter
from shared.dialects.base import Dialect, Head
from shared.errors import Cancelled, InvalidRequest, NotFound, TooLarge
from shared.ids import job_id, now_ms, request_id
from shared.jobs import Job, Notice, Outcome, State
from shared.lanes import Lane
from shared.models import split_model
from shared.queue import Queue
from shared.settings import Settings
from shared.sse import COMMENT, write

AnyRequest = Request[Any, Any, Any]

PLAIN_TTL_S = 300
"""How long the outcome of a request that was waited for is kept: its SDK's own retry may still ask for it."""
ASYNC_DEADLINE_S = 86_400
"""An async job nobody could run for a day expires: what arq does, and the window of the vendors' batches."""
PENDING_RETRY_MS = 1000
"""`retry-after-ms` of a placeholder that was waited for in vain."""


class Gateway:
    """What the API process holds: settings without provider keys, the queue, the hub of waiting requests."""

    def __init__(self, settings: Settings, queue: Queue, hub: Hub) -> None:
        self.settings = settings
        self.queue = queue
        self.hub = hub
        self._leaving: set[asyncio.Task[None]] = set()

    async def answer(self, request: AnyRequest, dialect: Dialect, operation: str = "chat") -> Response[Any]:
        """Answer a POST whose body is a request of `dialect`. Raises GatewayError."""
        client = self.settings.client
        headers = dict(request.headers)
        asker, wish = caller(headers, client), wishes(headers, client)
        if wish.poll_id:
            return await self._poll(dialect, asker.owner, wish)
        body = await read_body(request, client.max_request_body_size_mb)
        head = dialect.read_head(body, operation)
        if head.stream and wish.submit:
            raise InvalidRequest("stream: not possible together with x-bf-async; leave one out.", param="stream")
        for model in (head.model, *head.fallbacks):
            split_model(model, self.settings.providers, dialect.default_provider)
        job = _job(dialect, operation, asker.owner, wish, head)
        job = msgspec.structs.replace(job, headers=forwarded(headers, client))
        return await self._submit(request, dialect, job, body, wish)

    async def ask(self, request: AnyRequest, dialect: Dialect, operation: str) -> Outcome:
        """Run a job that has no body (`models`) and wait for it. Raises GatewayError."""
        headers = dict(request.headers)
        wish = wishes({}, self.settings.client)
        job = _job(dialect, operation, caller(headers, self.settings.client).owner, wish, Head(model=""))
        with self.hub.waiting(job.id) as waiter:
            await self.queue.submit(job, b"", waiter=self.hub.channel)
            return await self._outcome_or_leave(request, job, waiter)

    async def _submit(
        self, request: AnyRequest, dialect: Dialect, job: Job, body: bytes, wish: Wishes
    ) -> Response[Any]:
        waits = not wish.submit or wish.wait_s > 0
        with contextlib.ExitStack() as stack:
            waiter = stack.enter_context(self.hub.waiting(job.id))
            submission = await self.queue.submit(
                job,
                body,
                waiter=self.hub.channel if waits else "",
                detached=wish.submit,
                look_for_same=wish.retried,
                idempotency_key=wish.idempotency_key,
            )
            if not submission.new:
                waiter = stack.enter_context(self.hub.waiting(submission.job_id))
                waiter.miss()
                job = msgspec.structs.replace(job, id=submission.job_id)
            if job.stream:
                return await self._follow(dialect, job, waiter, stack)
            if wish.submit:
                outcome = await self.hub.outcome(waiter, wish.wait_s) if waits else None
                return finished(dialect, job, outcome) if outcome else pending(dialect, job, State.QUEUED, wish)
            return plain(dialect, job, await self._outcome_or_leave(request, job, waiter))

    async def _poll(self, dialect: Dialect, owner: str, wish: Wishes) -> Response[Any]:
        with self.hub.waiting(wish.poll_id) as waiter:
            snapshot = await self.queue.look(wish.poll_id, self.hub.channel if wish.wait_s else "")
            job = snapshot.job
            if job.owner != owner or job.dialect != dialect.name:
                raise NotFound("No such job: unknown, expired, or not yours.", code="job_not_found")
            outcome = snapshot.outcome
            if outcome is None and wish.wait_s:
                outcome = await self.hub.outcome(waiter, wish.wait_s)
        return finished(dialect, job, outcome) if outcome else pending(dialect, job, snapshot.state, wish)

    async def _outcome_or_leave(self, request: AnyRequest, job: Job, waiter: Waiter) -> Outcome:
        """Wait for the outcome; a client that disconnects meanwhile cancels its job."""
        done = asyncio.create_task(self.hub.outcome(waiter))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not done.done():
                done.cancel()
                self._leave(job)
        outcome = await done if done.done() else None
        return outcome or Outcome(status=Cancelled.status)

    async def _follow(self, dialect: Dialect, job: Job, waiter: Waiter, stack: contextlib.ExitStack) -> Response[Any]:
        """Relay the job's events; an error before the first of them is a plain error response."""
        events = self.hub.follow(waiter)
        first = await anext(events)
        if isinstance(first, Notice) and first.state is not State.SUCCEEDED:
            return plain(dialect, job, first.outcome or Outcome(status=Cancelled.status))
        relayed = self._relayed(job, first, events, stack.pop_all())
        return Stream(relayed, media_type="text/event-stream", headers=_headers(dialect, job, {}))

    async def _relayed(
        self,
        job: Job,
        event: bytes | Notice | None,
        events: AsyncIterator[bytes | Notice | None],
        stack: contextlib.ExitStack,
    ) -> AsyncIterator[bytes]:
        begun = False
        with stack:
            try:
                while not isinstance(event, Notice):
                    begun = begun or event is not None
                    yield COMMENT if event is None else event
                    event = await anext(events)
                if not begun and event.outcome and event.state is not State.SUCCEEDED:
                    yield write(event.outcome.body, "error")
            finally:
                if not isinstance(event, Notice):
                    self._leave(job)

    def _leave(self, job: Job) -> None:
        """Cancel in a task of its own: the request's own task is being cancelled."""
        self._background(self.queue.cancel(job, self.hub.channel))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _job(dialect: Dialect, operation: str, owner: str, wish: Wishes, head: Head) -> Job:
    now = now_ms()
    return Job(
        id=job_id(),
        owner=owner,
        dialect=dialect.name,
        operation=operation,
        model=head.model,
        fallbacks=head.fallbacks,
        stream=head.stream,
        request_id=request_id(),
        created_ms=now,
        ttl_s=wish.ttl_s if wish.submit else PLAIN_TTL_S,
        deadline_ms=now + int((ASYNC_DEADLINE_S if wish.submit else wish.patience_s) * 1000),
        lane=Lane.ASYNC if wish.submit else Lane.INTERACTIVE,
    )


def plain(dialect: Dialect, job: Job, outcome: Outcome) -> Response[bytes]:
    """The outcome as a plain request's answer."""
    return Response(
        outcome.body or dialect.render_error(Cancelled("The job was cancelled.", code="cancelled"), job.request_id),
        status_code=outcome.status,
        headers=_headers(dialect, job, outcome.headers),
        media_type="application/json",
    )


def finished(dialect: Dialect, job: Job, outcome: Outcome) -> Response[bytes]:
    """The outcome as a poll's answer: never one that the documented polling loops cannot leave."""
    response = plain(dialect, job, outcome)
    if outcome.status < 400:  # noqa: PLR2004 - HTTP's line between success and error
        response.content = dialect.fill_empty(response.content)
        response.headers["x-bf-async-status"] = State.SUCCEEDED
        return response
    # The job failed, the poll did not: an SDK that polls again would get the same answer.
    response.headers["x-should-retry"] = "false"
    response.headers["x-bf-async-status"] = State.CANCELLED if outcome.status == Cancelled.status else State.FAILED
    return response


def pending(dialect: Dialect, job: Job, state: State, wish: Wishes) -> Response[bytes]:
    """The placeholder of an accepted or unfinished job."""
    headers = _headers(dialect, job, {"x-bf-async-status": state})
    if wish.wait_s:
        headers["retry-after-ms"] = str(PENDING_RETRY_MS)
    body = dialect.placeholder(job.id, job.model, job.created_ms // 1000)
    return Response(body, status_code=200, headers=headers, media_type="application/json")


def _headers(dialect: Dialect, job: Job, more: dict[str, str]) -> dict[str, str]:
    return {**more, REQUEST_ID_HEADER[dialect.name]: job.request_id, "x-bf-job-id": job.id}


async def read_body(request: AnyRequest, limit_mb: int) -> bytes:
    """The whole body. Raises TooLarge before more than the limit is held."""
    limit = limit_mb * 1024 * 1024
    message = f"The body is larger than {limit_mb} MiB (client.max_request_body_size_mb)."
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(message)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(message)
        chunks.append(chunk)
    return b"".join(chunks)


async def _disconnected(request: AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
