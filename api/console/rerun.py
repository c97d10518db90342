"""Running a job again: the same request as a new job of the same owner's, where the request is still there."""

from __future__ import annotations

from msgspec.structs import replace

from api.console.desk import OPERATOR, Desk
from api.submit import ASYNC_DEADLINE_S
from shared.errors import Conflict, GatewayError
from shared.ids import job_id, now_ms, request_id
from shared.job_index import Standing
from shared.jobs import Job
from shared.lanes import Lane
from shared.queue import DEFAULT_SHARE, Share
from shared.queue_scripts import KEPT_BODY_BYTES
from shared.traces import current

LEAST_TTL_S = 3600
RUNNABLE = frozenset({"chat", "embeddings", "count_tokens"})
"""Operations that callers ask for with a body."""


async def why_not(desk: Desk, standing: Standing) -> str:
    """Why the job cannot be run again; empty when it can."""
    job = standing.job
    if job.operation not in RUNNABLE:
        return "It is the gateway's own: batches are run again, and webhooks delivered again, on their own pages."
    if not standing.state.final:
        return "It has not ended."
    if job.body_blob and not job.store:
        return "Its request was large and is not kept after the end of a job."
    if not job.body_blob and not await desk.register.keeps_request(job.id):
        return (
            "Its request is no longer kept: requests stay with stored answers, and up to "
            f"{KEPT_BODY_BYTES // 1024} KiB with async jobs that did not succeed, for as long as the outcome."
        )
    return ""


async def again(desk: Desk, standing: Standing) -> str:
    """The id of the new job. Raises GatewayError."""
    if reason := await why_not(desk, standing):
        raise Conflict(reason)
    old, share = standing.job, await _share(desk, standing.job.owner)
    body = await (desk.gateway.bodies.request(old) if old.body_blob else desk.gateway.queue.request(old))
    now = now_ms()
    job = await desk.gateway.bodies.save_request(
        replace(
            old,
            id=job_id(),
            headers=desk.gateway.queue.headers(old),
            request_id=request_id(),
            created_ms=now,
            deadline_ms=now + ASYNC_DEADLINE_S * 1000,
            ttl_s=max(old.ttl_s, LEAST_TTL_S),
            lane=Lane.ASYNC,
            body_blob=False,
            trace=current(),
        ),
        body,
    )
    return await submit(desk, job, body, share)


async def submit(desk: Desk, job: Job, body: bytes, share: Share) -> str:
    """Put a job into the queue that nobody waits for. Raises GatewayError."""
    try:
        submission = await desk.gateway.queue.submit(job, body, waiter="", detached=True, share=share)
    except GatewayError:
        await desk.gateway.bodies.discard_request(job)
        raise
    return submission.job_id


async def _share(desk: Desk, owner: str) -> Share:
    """What the owner may have now. Raises NotPermitted when its key is gone."""
    grant = await desk.keyring.of_owner(owner) if owner != OPERATOR else None
    return grant.share if grant else DEFAULT_SHARE
