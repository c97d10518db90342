"""The jobs of the caller: `/v1/jobs`."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from api.answers import done, read, streamed
from api.headers import wishes
from api.job_events import job_events, read_cursor, seen_whole
from api.job_views import job_object, listing, read_page
from api.submit import AnyRequest, Gateway
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.job_index import JobIndex, Standing


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
        """One job: state, times, attempts with their reasons, and what it waits for; with `Prefer: wait`, its end."""
        headers = dict(request.headers)
        owner, wait_s = gateway.door.caller(headers).owner, wishes(headers, gateway.settings.client).wait_s
        standing = await index.stand(job_id, owner)
        if wait_s and not standing.state.final:
            with gateway.hub.waiting(job_id, standing.job.owner) as waiter:
                waiter.miss()
                await gateway.hub.outcome(waiter, wait_s)
            standing = await index.stand(job_id, owner)
        return _shown(standing)

    @get("/v1/jobs/{job_id:str}/events")
    async def follow_job(request: AnyRequest, job_id: str) -> ASGIApp:
        """The job as it happens, and its answer; resumable by `Last-Event-ID`, with nothing (204) after its end."""
        standing = await index.stand(job_id, _owner(gateway, request))
        cursor = read_cursor(request.headers.get("last-event-id"))
        if seen_whole(standing, cursor):
            return done(OPENAI_CHAT, standing.job)
        return streamed(OPENAI_CHAT, standing.job, job_events(gateway, index, standing, cursor))

    @post("/v1/jobs/{job_id:str}/cancel", status_code=200)
    async def cancel_job(request: AnyRequest, job_id: str) -> ASGIApp:
        """Cancel; a finished job stays what it is. The answer is the job."""
        standing = await index.stand(job_id, _owner(gateway, request))
        if not standing.state.final:
            await gateway.hub.cancel(standing.job)
            standing = await index.stand(job_id, standing.job.owner)
        return _shown(standing)

    return [list_jobs, show_job, follow_job, cancel_job]


def _owner(gateway: Gateway, request: AnyRequest) -> str:
    return gateway.door.caller(dict(request.headers)).owner


def _shown(standing: Standing) -> ASGIResponse:
    return read(OPENAI_CHAT, job_object(standing), {"x-bf-job-id": standing.job.id})
