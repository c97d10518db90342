"""Jobs of all owners: listed, shown, cancelled, run again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console import rerun
from api.console.desk import PAGE, Desk
from api.console.render import HOME, page, query, see_other
from api.job_views import waiting_view
from api.submit import AnyRequest
from shared.batches import SHARD
from shared.errors import GatewayError, InvalidRequest
from shared.failures import Failure
from shared.ids import uuid_of
from shared.job_index import Standing
from shared.job_register import Place, Register, in_state
from shared.jobs import Job, Outcome, State
from shared.sse import noted
from shared.webhook_scripts import WEBHOOK

UNFINISHED = "unfinished"
OPERATIONS = ("chat", "embeddings", "count_tokens", "models", WEBHOOK, SHARD)
MOST_SHOWN = 20_000
"""Characters of a request or an answer on a page."""


class Wanted(msgspec.Struct, frozen=True):
    """Which jobs a listing shows; empty for any.

    Attributes:
        state: a State, or UNFINISHED.
        model: a part of its name.
        place: after which the page begins.
    """

    state: str = ""
    operation: str = ""
    owner: str = ""
    model: str = ""
    place: Place | None = None

    @property
    def register(self) -> Register:
        """Where they are looked for."""
        if self.state in {"", UNFINISHED}:
            return Register.UNFINISHED if self.state else Register.RECENT
        return in_state(State(self.state))

    def __call__(self, standing: Standing) -> bool:
        """Whether it is one of them."""
        job = standing.job
        return (
            self.state in {"", UNFINISHED, standing.state}
            and self.operation in {"", job.operation}
            and self.owner in {"", job.owner}
            and self.model.lower() in job.model.lower()
        )

    def path(self, place: Place | None = None) -> str:
        """The listing's address, from `place` on."""
        filters = msgspec.structs.asdict(self) | {"place": None}
        cursor = f"{place.score}_{place.job_id}" if place else None
        return f"{HOME}/jobs{query(**filters, after=cursor)}"


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""
    return [_list(desk), _show(desk), *_changes(desk)]


def _list(desk: Desk) -> HTTPRouteHandler:
    @get("/jobs")
    async def list_jobs(request: AnyRequest) -> ASGIApp:
        """One page of the listing; a job's id leads to the job."""
        asked = request.query_params
        if job_id := asked.get("id", "").strip():
            return see_other(f"{HOME}/jobs/{uuid_of(job_id)}")
        wanted = read_wanted(asked)
        found = await desk.register.page(wanted.register, after=wanted.place, count=PAGE, wanted=wanted)
        return page(
            request,
            "jobs.html",
            rows=found.rows,
            looked_at=found.looked_at,
            next=wanted.path(found.next) if found.next else "",
            first=wanted.path(),
            wanted=wanted,
            states=(UNFINISHED, *State),
            operations=OPERATIONS,
            name_of=desk.namer(),
            owners=desk.owners(),
            waiting=await _waiting(desk, found.rows),
        )

    return list_jobs


def _show(desk: Desk) -> HTTPRouteHandler:
    @get("/jobs/{job_id:str}")
    async def show_job(request: AnyRequest, job_id: str) -> ASGIApp:
        """One job."""
        standing = await desk.index.find(job_id)
        return page(
            request,
            "job.html",
            standing=standing,
            job=standing.job,
            outcome=standing.outcome,
            waiting=waiting_view(standing.waiting) if standing.waiting else None,
            name=desk.namer()(standing.job.owner),
            told=_teller(desk),
            not_again=await rerun.why_not(desk, standing),
            content=await _content(desk, standing) if desk.show_content else None,
        )

    return show_job


def _changes(desk: Desk) -> list[HTTPRouteHandler]:
    @post("/jobs/{job_id:str}/cancel")
    async def cancel_job(job_id: str) -> ASGIApp:
        """Cancel it; one that has ended stays what it is."""
        standing = await desk.index.find(job_id)
        if not standing.state.final:
            await desk.gateway.hub.cancel(standing.job)
        return see_other(f"{HOME}/jobs/{job_id}")

    @post("/jobs/{job_id:str}/retry")
    async def run_again(job_id: str) -> ASGIApp:
        """Submit its request once more, as a new job of its owner's."""
        return see_other(f"{HOME}/jobs/{await rerun.again(desk, await desk.index.find(job_id))}")

    return [cancel_job, run_again]


async def _waiting(desk: Desk, rows: list[Standing]) -> dict[str, dict[str, Any]]:
    """By id, why those that are queued wait; without those that have gone on since."""
    queued = [row.job.id for row in rows if row.state is State.QUEUED]
    standings = await asyncio.gather(*(_found(desk, each) for each in queued))
    return {each.job.id: waiting_view(each.waiting) for each in standings if each and each.waiting}


async def _found(desk: Desk, job_id: str) -> Standing | None:
    try:
        return await desk.index.find(job_id)
    except GatewayError:  # it has ended and is forgotten, or cannot be read: the rest of the page can be
        return None


def read_wanted(asked: Mapping[str, str]) -> Wanted:
    """The query of a listing. Raises InvalidRequest."""
    state = asked.get("state", "")
    if state not in {"", UNFINISHED, *State}:
        raise InvalidRequest(f"state: there is no {state[:40]!r}.", param="state")
    score, _, job_id = asked.get("after", "").partition("_")
    return Wanted(
        state=state,
        operation=asked.get("operation", ""),
        owner=asked.get("owner", ""),
        model=asked.get("model", "").strip(),
        place=Place(_number(score), job_id) if job_id else None,
    )


def _number(score: str) -> str:
    try:
        float(score)
    except ValueError as error:
        raise InvalidRequest("after: expected the link of an earlier page.", param="after") from error
    return score


def _teller(desk: Desk) -> Callable[[Failure], str]:
    """What a failure says of itself: a provider that rejects a request may quote it."""

    def told(failure: Failure) -> str:
        if failure.kind == "Rejected" and not desk.show_content:
            return "The provider's words may quote the request: admin.show_content shows them."
        return failure.message

    return told


async def _content(desk: Desk, standing: Standing) -> dict[str, str]:
    """Request and answer, as far as they are kept, for people."""
    job, outcome = standing.job, standing.outcome
    try:
        asked = await (desk.gateway.bodies.request(job) if job.body_blob else desk.gateway.queue.request(job))
    except GatewayError:
        asked = b""
    answered = await _answer(desk, job, outcome) if outcome else b""
    return {"Request": _shown(asked), "Answer": _shown(answered)}


async def _answer(desk: Desk, job: Job, outcome: Outcome) -> bytes:
    try:
        whole = (await desk.gateway.bodies.whole(job.owner, job.id, outcome)).body
        return whole or noted(b"".join([piece for _, piece in await desk.gateway.queue.events(job.owner, job.id)]))[1]
    except GatewayError:
        return b""


def _shown(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode(errors="replace")
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} characters more"
