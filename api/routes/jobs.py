"""The jobs of the caller: `/v1/jobs`."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from api.answers import read
from api.job_views import job_object, listing, read_page
from api.submit import AnyRequest, Gateway
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.job_index import JobIndex, Standing

CANCEL_WAIT_S = 3.0
"""How long the answer to a cancel waits for the worker to let go of a running job: usually some milliseconds."""


def routes(gateway: Gateway, index: JobIndex) -> list[HTTPRouteHandler]:
    """The surface's handlers. Every job of the caller can be shown and cancelled; the asynchronous ones are listed."""

    @get("/v1/jobs")
    async def list_jobs(request: AnyRequest) -> ASGIApp:
        """The caller's asynchronous jobs, newest first, in pages, of one status if asked."""
        owner, page = _owner(gateway, request), read_page(request.query_params)
        standings = await index.owned(owner, after=page.after, state=page.state, count=page.limit + 1)
        return read(OPENAI_CHAT, listing(standings, page.limit), {})

    @get("/v1/jobs/{job_id:str}")
    async def show_job(request: AnyRequest, job_id: str) -> ASGIApp:
        """One job: state, times, attempts with their reasons, and what it waits for."""
        return _shown(await index.stand(job_id, _owner(gateway, request)))

    @post("/v1/jobs/{job_id:str}/cancel", status_code=200)
    async def cancel_job(request: AnyRequest, job_id: str) -> ASGIApp:
        """Cancel; a finished job stays what it is. The answer is the job."""
        standing = await index.stand(job_id, _owner(gateway, request))
        if not standing.state.final:
            await _cancel(gateway, standing)
            standing = await index.stand(job_id, standing.job.owner)
        return _shown(standing)

    return [list_jobs, show_job, cancel_job]


async def _cancel(gateway: Gateway, standing: Standing) -> None:
    """Wait for the end as its other waiters do; they are told before a cancel is acknowledged."""
    job = standing.job
    with gateway.hub.waiting(job.id) as waiter:
        snapshot = await gateway.queue.look(job.id, gateway.hub.channel)
        if not snapshot.state.final:
            await gateway.queue.cancel(job)
            await gateway.hub.outcome(waiter, CANCEL_WAIT_S)


def _owner(gateway: Gateway, request: AnyRequest) -> str:
    return gateway.door.caller(dict(request.headers)).owner


def _shown(standing: Standing) -> ASGIResponse:
    return read(OPENAI_CHAT, job_object(standing), {"x-bf-job-id": standing.job.id})
