"""Batches of all owners: how far they are, what they cost; cancelled, and run again where they failed."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console.desk import PAGE, Desk
from api.console.failures import Found, failures
from api.console.render import HOME, page, query, see_other
from api.submit import AnyRequest
from shared.batches import Progress
from shared.ids import now_ms, uuid_of

LIVE = "live"
"""The part of the page that is refreshed every second, without the list of what failed."""


class Course(msgspec.Struct, frozen=True):
    """How a batch goes.

    Attributes:
        rate: items a second, so far; 0 before the first has ended.
        left_ms: until all have ended at that rate; None when that cannot be said.
    """

    rate: float = 0.0
    left_ms: float | None = None


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""

    @get("/batches")
    async def list_batches(request: AnyRequest) -> ASGIApp:
        """The newest, in pages."""
        return page(request, "batches.html", **await _listed(desk, request.query_params.get("after", "")))

    @get("/batches/{name:str}")
    async def show_batch(request: AnyRequest, name: str) -> ASGIApp:
        """One batch, and what failed of it in pages."""
        progress = await desk.batch_records.look(uuid_of(name))
        live = request.headers.get("hx-target") == LIVE
        after = request.query_params.get("after", "")
        return page(request, "batch.html", **await _shown(desk, progress, after=after, live=live))

    @post("/batches/{name:str}/cancel")
    async def cancel_batch(name: str) -> ASGIApp:
        """Begin no more of it."""
        progress = await desk.batch_records.look(uuid_of(name))
        await desk.batch_records.cancel(progress.batch.id)
        return see_other(f"{HOME}/batches/{name}")

    @post("/batches/{name:str}/retry")
    async def retry_batch(name: str) -> ASGIApp:
        """A new batch of what did not succeed, its owner's too."""
        progress = await desk.batch_records.look(uuid_of(name))
        again = await desk.intake.retry_for_owner(progress)
        return see_other(f"{HOME}/batches/{again.batch.id}")

    return [list_batches, show_batch, cancel_batch, retry_batch]


async def _listed(desk: Desk, after: str) -> dict[str, Any]:
    """What the list shows: a page of batches older than the one called `after`."""
    rows = await desk.batch_records.newest(after=after, count=PAGE + 1)
    return {
        "rows": [(row, course(row, now_ms())) for row in rows[:PAGE]],
        "next": f"{HOME}/batches{query(after=rows[PAGE - 1].batch.id)}" if len(rows) > PAGE else "",
        "first": bool(after),
        "name_of": desk.namer(),
    }


async def _shown(desk: Desk, progress: Progress, *, after: str, live: bool) -> dict[str, Any]:
    """What the page of a batch shows; of what failed the page that begins at `after`, and none of it when `live`."""
    batch, done = progress.batch, await desk.batch_records.done_shards(progress.batch.id)
    here, failed = f"{HOME}/batches/{batch.id}", Found([], "")
    if not live and progress.counts.ended > progress.counts.succeeded:
        blobs, content = desk.gateway.bodies.blobs, desk.show_content
        failed = await failures(blobs, batch, done, after=after, count=PAGE, show_content=content)
    return {
        "progress": progress,
        "batch": batch,
        "course": course(progress, now_ms()),
        "done": len(done),
        "name": desk.namer()(batch.owner),
        "failed": failed.rows,
        "next": here + query(after=failed.next) if failed.next else "",
        "first": here if after else "",
    }


def course(progress: Progress, now: int) -> Course:
    """From what has ended since it was started."""
    ended, began = progress.counts.ended, progress.started_ms or progress.batch.created_ms
    taken_s = ((progress.ended_ms or now) - began) / 1000
    if not ended or taken_s <= 0:
        return Course()
    rate = ended / taken_s
    return Course(rate, None if progress.state.final else (progress.batch.total - ended) / rate * 1000)
