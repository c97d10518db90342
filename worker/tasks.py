"""The arq coroutines that advance jobs."""

from __future__ import annotations

import logging
from typing import Any

from shared.batches import OPERATIONS
from shared.bodies import Bodies
from shared.dialects import DIALECTS
from shared.errors import Expired, GatewayError, StoreError
from shared.jobs import Job, Outcome, State
from shared.webhook_scripts import WEBHOOK
from worker.exchange import StreamBroke, TryLater
from worker.executor import Executor
from worker.failpoints import reach
from worker.lease import Lease, LeaseLost
from worker.leases import MAX_CRASHES
from worker.shards import Batches

log = logging.getLogger("hermod.worker")

OBJECTS_AWAY_S = 2.0
"""When a job is due again whose body could not be fetched: longer than a lost packet, shorter than a patience."""


async def run_job(ctx: dict[str, Any], _job_id: str) -> None:
    """Run one attempt of the leased job in `ctx["lease"]`; end it, or give it back for another attempt."""
    lease: Lease = ctx["lease"]
    if lease.job.operation in OPERATIONS:
        await _advance_batch(lease, ctx["batches"])
        return
    if lease.job.operation == WEBHOOK:
        await ctx["webhooks"].deliver(lease)
        return
    bodies: Bodies = ctx["bodies"]
    try:
        ended = await _advance(lease, ctx["executor"], bodies)
    finally:
        if lease.hold:
            ctx["executor"].release(lease)
    if ended and not lease.job.store:
        await bodies.discard_request(lease.job)


async def _advance(lease: Lease, executor: Executor, bodies: Bodies) -> bool:
    """Whether the job has ended. Raises LeaseLost."""
    if lease.unreadable is not None:
        await _end_broken(lease, lease.unreadable)
        return True
    if lease.crashes >= MAX_CRASHES:
        message = f"The request took down {lease.crashes} workers and is not tried again."
        await _end_broken(lease, GatewayError(message, code="poison", should_retry=False))
        return True
    if lease.again and lease.job.stream and await lease.last_piece():
        await _end_broken(lease, GatewayError("The answer broke off: the worker that relayed it is gone. Ask again."))
        return True
    if lease.late:
        error = Expired("The job was not run in time: its deadline passed while it waited.", code="expired")
        await lease.finish(State.EXPIRED, failed(lease.job, error))
        return True
    try:
        await _fetch_body(lease, bodies)
        outcome = await executor.run(lease)
    except TryLater as later:
        await lease.defer(later.delay_s, later.why)
        return False
    except StreamBroke as broke:
        await _end_broken(lease, broke.error)
    except GatewayError as error:
        await lease.finish(State.FAILED, failed(lease.job, error))
    else:
        await _succeed(lease, outcome, bodies)
    return True


async def _advance_batch(lease: Lease, batches: Batches) -> None:
    """One step of a batch: neither its deadline nor dead workers end it, for its items must come to something."""
    try:
        await batches.advance(lease)
    except TryLater as later:
        await lease.defer(later.delay_s)
    except GatewayError as error:
        await lease.finish(State.FAILED, failed(lease.job, error))
    else:
        await lease.finish(State.SUCCEEDED, Outcome(status=200))


async def _fetch_body(lease: Lease, bodies: Bodies) -> None:
    if lease.job.body_blob:
        try:
            lease.body = await bodies.request(lease.job)
        except StoreError as error:
            raise TryLater(OBJECTS_AWAY_S) from error


async def _succeed(lease: Lease, outcome: Outcome, bodies: Bodies) -> None:
    outcome = await bodies.save_outcome(lease.job, lease.fence.decode(), outcome)
    reach("answered")
    try:
        await lease.finish(State.SUCCEEDED, outcome)
    except LeaseLost:
        await bodies.discard_outcome(lease.id, outcome)
        raise


async def _end_broken(lease: Lease, error: GatewayError) -> None:
    if begun := await lease.last_piece():
        number, last = begun
        await lease.append(number + 1, DIALECTS[lease.job.dialect].stream_error(error, lease.job, last))
    await lease.finish(State.FAILED, failed(lease.job, error))


def failed(job: Job, error: GatewayError) -> Outcome:
    """The error as the client will read it, headers included."""
    dialect = DIALECTS[job.dialect]
    log.info("job failed: %s", type(error).__name__, extra={"job_id": job.id})
    return Outcome(
        status=dialect.error_status(error), body=dialect.render_error(error, job.request_id), headers=error.headers()
    )
