"""One run of a leased job, watched: its log lines say of which job they are, and it is a span of the job's trace."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from shared import traces
from shared.ids import now_ms
from shared.jobs import State
from shared.logs import about
from shared.traces import Kind
from worker.lease import Lease

log = logging.getLogger("hermod.worker")


async def watched_run(lease: Lease, run: Callable[[], Awaitable[None]]) -> None:
    """`run` the job in the current task; what another arq client enqueued has no trace."""
    if not hasattr(lease, "job"):
        about(lease.id)
        await run()
        return
    job = lease.job
    about(lease.id, job.trace)
    log.debug("claimed: %s in lane %s", job.operation, job.lane)
    if traces.active():
        await _traced(lease, run)
    else:
        await run()
    log.debug("ended: %s", lease.state or "given back")


async def _traced(lease: Lease, run: Callable[[], Awaitable[None]]) -> None:
    job = lease.job
    with traces.span(f"job {job.operation}", Kind.CONSUMER, job.trace) as span:
        span.note(
            {
                "hermod.job.id": job.id,
                "hermod.job.lane": job.lane,
                "hermod.job.age_ms": now_ms() - job.created_ms,
                "hermod.job.crashes": lease.crashes,  # above 0: it was taken over from a worker that is gone
            }
        )
        try:
            await run()
        finally:
            span.note({"hermod.job.state": lease.state or State.QUEUED})
