"""A request becomes a job, and the client waits for it the way it asked to."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

from litestar import Request
from litestar.types import ASGIApp
from msgspec.structs import replace

from api.answers import error_of, finished, left, pending, plain, received
from api.auth import Caller, Door, owns
from api.cached import answered, cache_wish, planned, told_of
from api.follow import Follower
from api.headers import Wishes, forwarded, wishes
from api.incoming import incoming
from api.stored import Stored
from api.wait import Hub, Waiter
from shared.bodies import Bodies
from shared.dialects import DIALECTS
from shared.dialects.base import Dialect, Head
from shared.errors import CallerError, InvalidRequest, StoreError, TooLarge
from shared.governance_estimates import hold_ahead
from shared.governance_keyring import Keyring
from shared.ids import job_id, now_ms, request_id, uuid_of
from shared.jobs import Job, Outcome, Snapshot, State
from shared.json_bounds import SLICE, check_json
from shared.lanes import Lane
from shared.logs import about
from shared.models import split_model
from shared.prices import Prices
from shared.queue import Queue, Submission, cancelled_outcome, no_such_job
from shared.settings import Settings
from shared.traces import current
from shared.webhook_book import WebhookBook

AnyRequest = Request[Any, Any, Any]

PLAIN_TTL_S = 300
"""How long the outcome of a request that was waited for is kept: its SDK's own retry may still ask for it."""
ASYNC_DEADLINE_S = 86_400
"""An async job nobody could run for a day expires: what arq does, and the window of the vendors' batches."""


class Gateway:
    """What the API process holds: settings without provider keys, the queue, the hub of waiting requests."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        hub: Hub,
        bodies: Bodies,
        keyring: Keyring | None = None,
        webhooks: WebhookBook | None = None,
    ) -> None:
        self.settings = settings
        self.queue = queue
        self.hub = hub
        self.bodies = bodies
        self.door = Door(settings, keyring)
        self.follower = Follower(queue, hub)
        self.stored = Stored(queue, hub, bodies)
        self.webhooks = WebhookBook(settings) if webhooks is None else webhooks
        self._prices = Prices(settings.prices)

    async def answer(self, request: AnyRequest, dialect: Dialect, operation: str = "chat") -> ASGIApp:
        """Answer a POST whose body is a request of `dialect`. Raises GatewayError."""
        headers = dict(request.headers)
        asker, wish = self.door.caller(headers), wishes(headers, self.settings.client)
        if wish.poll_id:
            return await self._poll(dialect, operation, asker.owner, wish)
        job, body, detached = await self._read(request, dialect, operation, asker, wish)
        if detached and not job.stream:
            snapshot = await self._submit_detached(asker, job, body, wish)
            return _standing(dialect, snapshot, wish, body)
        return await self._submit_followed(request, dialect, asker, job, body, wish, detached=detached)

    async def submit(self, request: AnyRequest, dialect: Dialect, operation: str) -> Snapshot:
        """Submit the body of a POST as a job, asked for by a header or not; how it stands once the client has waited.

        Raises GatewayError.
        """
        headers = dict(request.headers)
        asker, wish = self.door.caller(headers), replace(wishes(headers, self.settings.client), submit=True)
        job, body, _ = await self._read(request, dialect, operation, asker, wish)
        snapshot = await self._submit_detached(asker, job, body, wish)
        if wish.wait_s or snapshot.job.id == job.id:
            return snapshot
        return await self.look(snapshot.job.id, dialect, operation, asker.owner, 0)

    async def look(self, job_id: str, dialect: Dialect, operation: str, owner: str, wait_s: float) -> Snapshot:
        """The owner's job of that kind as it stands, after up to `wait_s` seconds unless it is final; outcome whole.

        Raises:
            NotFound: unknown, expired, another owner's or another kind's.
            InvalidRequest: its answer was streamed, and is kept as events only.
        """
        with self.hub.waiting(job_id, owner) as waiter:
            for channel in (self.hub.channel if wait_s else "", ""):
                snapshot = await self.queue.look(job_id, channel)
                job = snapshot.job
                if not owns(owner, job) or (job.dialect, job.operation) != (dialect.name, operation):
                    raise no_such_job()
                if not channel or snapshot.state.final:
                    break
                waiter.owner = job.owner
                await self.hub.outcome(waiter, wait_s)
        if snapshot.outcome is None:
            return snapshot
        outcome = await self.bodies.whole(job.owner, job_id, snapshot.outcome)
        if job.stream and snapshot.state is State.SUCCEEDED and not outcome.body:
            message = f"This answer was streamed; its events can be read at /v1/jobs/{job_id}/events."
            raise InvalidRequest(message, code="job_streamed")
        return replace(snapshot, outcome=outcome)

    async def _read(
        self, request: AnyRequest, dialect: Dialect, operation: str, asker: Caller, wish: Wishes
    ) -> tuple[Job, bytes, bool]:
        """The job that the body asks for, the body as the worker needs it, whether the job goes on unwatched."""
        client, headers = self.settings.client, dict(request.headers)
        body = await whole_json(request, client.max_request_body_size_mb)
        head = dialect.read_head(body, operation, headers)
        if head.stream and wish.submit:
            raise InvalidRequest("stream: not possible together with x-bf-async; leave one out.", param="stream")
        for model in (head.model, *head.fallbacks):
            asker.check(*split_model(model, self.settings.providers, dialect.default_provider))
        if head.previous:
            body = await self.stored.continued(body, head.previous, asker.owner)
        job = _job(dialect, operation, asker.owner, wish, head, forwarded(headers, client))
        if job.store and not wish.submit:
            kept_s = client.response_store_ttl
            job = replace(job, ttl_s=max(kept_s, job.ttl_s) if wish.idempotency_key else kept_s)
        job = planned(job, body, cache_wish(headers, self.settings.cache), self.settings)
        return job, body, wish.submit or head.background

    async def ask(self, request: AnyRequest, dialect: Dialect, operation: str) -> Outcome:
        """Run a job that has no body (`models`) and wait for it. Raises GatewayError."""
        asker = self.door.caller(dict(request.headers))
        job = _job(dialect, operation, asker.owner, wishes({}, self.settings.client), Head(model=""), {})
        with self.hub.waiting(job.id, job.owner) as waiter:
            await self.queue.submit(job, b"", waiter=self.hub.channel, share=replace(asker.share, limits=None))
            outcome = await self._outcome_or_leave(request, job, waiter)
        if outcome.status != 200:  # noqa: PLR2004 - HTTP: a success
            raise error_of(dialect, job, outcome)
        return outcome

    async def _submit_detached(self, asker: Caller, job: Job, body: bytes, wish: Wishes) -> Snapshot:
        """Submit a job that nobody need wait for; how it stands once the client has waited.

        Who does not wait is told of an earlier job that it joins only the id: on the SDKs' routes a placeholder, whose
        id can be polled.
        """
        submission = await self._push(asker, job, body, wish, waits=False, detached=True)
        if wish.wait_s:
            with contextlib.suppress(StoreError):  # the job is accepted: its id must reach the client
                return await self.look(
                    submission.job_id, DIALECTS[job.dialect], job.operation, asker.owner, wish.wait_s
                )
        return Snapshot(job=replace(job, id=submission.job_id), state=State.QUEUED)

    async def _submit_followed(
        self,
        request: AnyRequest,
        dialect: Dialect,
        asker: Caller,
        job: Job,
        body: bytes,
        wish: Wishes,
        *,
        detached: bool,
    ) -> ASGIApp:
        with contextlib.ExitStack() as stack:
            waiter = stack.enter_context(self.hub.waiting(job.id, job.owner))
            submission = await self._push(asker, job, body, wish, waits=True, detached=detached)
            if submission.cached is not None:
                return answered(request.url.path, dialect, job, body, submission.cached)
            if not submission.new:
                waiter = stack.enter_context(self.hub.waiting(submission.job_id, job.owner))
                waiter.miss()
                job = replace(job, id=submission.job_id)
            if job.stream:
                return await self.follower.answer(job, waiter, stack)
            outcome = await self._outcome_or_leave(request, job, waiter)
            return plain(dialect, job, told_of(request.url.path, job, outcome))

    async def _push(
        self, asker: Caller, job: Job, body: bytes, wish: Wishes, *, waits: bool, detached: bool
    ) -> Submission:
        """Put the job into the queue, a large body saved before; one that was not needed after all is deleted."""
        about(job.id, job.trace)
        hooks = await self.webhooks.of_job(job, wish.webhook, detached=detached)
        reserves = self._reserves(asker, job, body)
        job = await self.bodies.save_request(job, body)
        try:
            submission = await self.queue.submit(
                job,
                body,
                waiter=self.hub.channel if waits else "",
                detached=detached,
                look_for_same=wish.retried,
                idempotency_key=wish.idempotency_key,
                share=asker.share,
                hooks=hooks,
                reserves=reserves,
            )
        except CallerError:
            await self.bodies.discard_request(job)
            raise
        if not submission.new:
            about(submission.job_id, job.trace)
            await self.bodies.discard_request(job)
        return submission

    def _reserves(self, asker: Caller, job: Job, body: bytes) -> bytes:
        """What the job's first claim is to reserve of its caller's budgets and windows."""
        if asker.grant is None:
            return b""
        default = DIALECTS[job.dialect].default_provider
        provider, model = split_model(job.model, self.settings.providers, default)
        return hold_ahead(asker.grant.limits(provider), job, body, partial(self._prices.cost, provider, model))

    async def _poll(self, dialect: Dialect, operation: str, owner: str, wish: Wishes) -> ASGIApp:
        # What a background response shows as its id is the response's, and is sent back like any other.
        snapshot = await self.look(uuid_of(wish.poll_id), dialect, operation, owner, wish.wait_s)
        answer = _standing(dialect, snapshot, wish)
        if snapshot.outcome and wish.read_once:
            return received(answer, partial(self.queue.forget, snapshot.job))
        return answer

    async def _outcome(self, waiter: Waiter) -> Outcome | None:
        """The outcome with its body, as `Hub.outcome`."""
        outcome = await self.hub.outcome(waiter)
        return outcome and await self.bodies.whole(waiter.owner, waiter.job_id, outcome)

    async def _outcome_or_leave(self, request: AnyRequest, job: Job, waiter: Waiter) -> Outcome:
        """Wait for the outcome; a client that disconnects meanwhile cancels its job."""
        done = asyncio.create_task(self._outcome(waiter))
        gone = asyncio.create_task(left(request.receive))
        try:
            await asyncio.wait((done, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not done.done():
                done.cancel()
                self.follower.leave(job)
        outcome = await done if done.done() else None
        return outcome or cancelled_outcome()


def _standing(dialect: Dialect, snapshot: Snapshot, wish: Wishes, body: bytes = b"") -> ASGIApp:
    """The job as a poll shows it; `body` as for the placeholder."""
    if snapshot.outcome:
        return finished(dialect, snapshot.job, snapshot.state, snapshot.outcome)
    return pending(dialect, snapshot.job, snapshot.state, body, waited=wish.wait_s > 0)


def _job(dialect: Dialect, operation: str, owner: str, wish: Wishes, head: Head, headers: dict[str, str]) -> Job:
    now, detached = now_ms(), wish.submit or head.background
    return Job(
        id=job_id(),
        owner=owner,
        dialect=dialect.name,
        operation=operation,
        model=head.model,
        fallbacks=head.fallbacks,
        stream=head.stream,
        headers=headers,
        request_id=request_id(),
        created_ms=now,
        ttl_s=wish.ttl_s if wish.submit or (wish.idempotency_key and not head.stream) else PLAIN_TTL_S,
        deadline_ms=now + int((ASYNC_DEADLINE_S if detached else wish.patience_s) * 1000),
        lane=Lane.ASYNC if detached else Lane.INTERACTIVE,
        store=head.store or head.background,
        key=wish.key,
        session=wish.session,
        trace=current() or wish.trace,
    )


async def read_body(request: AnyRequest, limit_mb: int) -> bytes:
    """The whole body. Raises TooLarge before more than the limit is held, Encoded."""
    over = TooLarge(f"The body is larger than {limit_mb} MiB (client.max_request_body_size_mb).")
    return b"".join([chunk async for chunk in incoming(request, limit_mb * 1024 * 1024, over)])


async def whole_json(request: AnyRequest, limit_mb: int) -> bytes:
    """The whole body, which is JSON within bounds if it is JSON. Raises TooLarge, Encoded, InvalidRequest."""
    body = await read_body(request, limit_mb)
    if len(body) > SLICE:
        await asyncio.to_thread(check_json, body)
    else:
        check_json(body)
    return body
