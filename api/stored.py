"""Responses that were kept: read again, continued, cancelled, deleted, their streams resumed."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from api.auth import owns
from api.wait import Hub
from shared.bodies import Bodies
from shared.dialects.openai_responses import OPENAI_RESPONSES, history
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.ids import uuid_of
from shared.jobs import Job, Outcome, State
from shared.queue import Queue


class Kept(NamedTuple):
    """A stored response's job as it stands, its request, and its outcome once there is one."""

    job: Job
    state: State
    request: bytes
    outcome: Outcome | None


class Stored:
    """Looks responses up for their owners; the job is the response, and its id the response's."""

    def __init__(self, queue: Queue, hub: Hub, bodies: Bodies) -> None:
        self._queue = queue
        self._hub = hub
        self._bodies = bodies

    async def find(self, response_id: str, owner: str) -> Kept:
        """The response with what it was asked and what came of it.

        Raises:
            NotFound: unknown, expired, not stored, or another owner's.
        """
        job, state, outcome = await self._look(response_id, owner)
        request = await (self._bodies.request(job) if job.body_blob else self._queue.request(job))
        return Kept(job, state, request, outcome and await self._bodies.whole(job.owner, job.id, outcome))

    async def continued(self, body: bytes, previous: str, owner: str) -> bytes:
        """The request with the conversation of the response `previous` before its own input.

        Raises:
            InvalidRequest: there is no such response to continue.
        """
        path = "previous_response_id"
        try:
            kept = await self.find(previous, owner)
        except NotFound as error:
            raise InvalidRequest(f"{path}: {error.message}", param=path, code="previous_response_not_found") from error
        if kept.state is not State.SUCCEEDED or kept.outcome is None:
            words = "has not finished" if not kept.state.final else f"ended as {kept.state}"
            raise InvalidRequest(f"{path}: {previous} {words} and cannot be continued.", param=path)
        return history.continued(body, kept.request, kept.outcome.body)

    async def cancel(self, response_id: str, owner: str) -> None:
        """Cancel; a finished response stays what it is. Raises NotFound, InvalidRequest when somebody waits for it."""
        kept = await self.find(response_id, owner)
        if not OPENAI_RESPONSES.read_head(kept.request).background:
            message = "Only a response created with `background: true` can be cancelled."
            raise InvalidRequest(message, param="response_id")
        if not kept.state.final:
            await self._hub.cancel(kept.job)

    async def delete(self, response_id: str, owner: str) -> None:
        """Forget the response, cancelling it before. Raises NotFound, Conflict when it goes on nevertheless."""
        job, state, _ = await self._look(response_id, owner)
        if not state.final:
            await self._hub.cancel(job)
        if not await self._queue.forget(job):
            raise Conflict(f"{response_id} is still running; ask again in a moment.", code="response_in_progress")

    async def stream(self, response_id: str, owner: str) -> Job:
        """The job whose event stream can be followed again. Raises NotFound, InvalidRequest when it has none."""
        job, _, _ = await self._look(response_id, owner)
        if not job.stream:
            raise InvalidRequest("stream: this response was not created with `stream: true`.", param="stream")
        return job

    async def _look(self, response_id: str, owner: str) -> tuple[Job, State, Outcome | None]:
        with contextlib.suppress(NotFound):
            snapshot = await self._queue.look(uuid_of(response_id))
            job = snapshot.job
            if owns(owner, job) and job.store and job.dialect == OPENAI_RESPONSES.name:
                return job, snapshot.state, snapshot.outcome
        raise NotFound(
            f"No response {response_id[:80]!r}: unknown, not stored, not yours, or expired"
            " (client.response_store_ttl says how long it is kept).",
            code="response_not_found",
        )
