"""The first page: what waits, who waits, what runs, and what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console.charts import bars
from api.console.desk import Desk
from api.console.render import HOME, page, span
from api.submit import AnyRequest
from shared.gate_records import Gate, known_gates
from shared.ids import now_ms
from shared.job_register import Register
from shared.lanes import Lane
from shared.queue_gauges import Counted, count
from shared.tenants import Tenant, busiest

MINUTES = 60
SHOWN_OWNERS = 20
CHART_WIDTH, CHART_HEIGHT = 600, 80
LATE_S = {Lane.INTERACTIVE: 15, Lane.CHORES: 60, Lane.ASYNC: 600, Lane.BATCH: 3600}
"""How long the oldest job of a lane may have waited before it is worth a word."""
STUCK_S = 60
"""The same when so few of the lane are begun that those due would take longer than that: all slots are in use."""
RECENTLY = 5
"""Minutes in which failures are counted for an alert."""
MANY_FAILURES = 10
SHUT_MS = 5000
"""A pause that is shorter is everyday business."""
MANY_FAILS = 10
"""Calls of one model that failed in a row, however short the pauses between them."""


class Alert(msgspec.Struct, frozen=True):
    """Something that wants a person; `serious` when requests fail or wait because of it."""

    text: str
    serious: bool
    link: str = ""


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The page."""

    @get("/")
    async def overview(request: AnyRequest) -> ASGIApp:
        """The overview."""
        now = now_ms()
        counted, (owners, tenants), gates, sizes, accepted, failed = await asyncio.gather(
            count(desk.store),
            busiest(desk.store, SHOWN_OWNERS),
            known_gates(desk.store),
            desk.register.sizes(),
            desk.register.by_minute(Register.RECENT, now, MINUTES),
            desk.register.by_minute(Register.FAILURES, now, MINUTES),
        )
        due = int(sum(counted.depth.values()))
        return page(
            request,
            "overview.html",
            counted=counted,
            lanes=list(Lane),
            due=due,
            in_hand=max(0, sizes[Register.UNFINISHED] - due),
            accepted=bars(accepted, CHART_WIDTH, CHART_HEIGHT),
            failed=bars(failed, CHART_WIDTH, CHART_HEIGHT),
            accepted_hour=sum(accepted),
            failed_hour=sum(failed),
            tenants=tenants,
            owners=owners,
            name_of=desk.namer(),
            alerts=list(_alerts(counted, tenants, gates, sum(failed[-RECENTLY:]), desk.namer())),
        )

    return [overview]


def _alerts(
    counted: Counted, tenants: list[Tenant], gates: list[Gate], failures: int, name_of: Callable[[str], str]
) -> Iterator[Alert]:
    if not counted.workers:
        yield Alert("No worker is alive: jobs are accepted and wait. Start one with `hermod worker`.", serious=True)
    for lane in Lane:
        waited_s = counted.oldest.get(lane, 0)
        if waited_s > LATE_S[lane] or (waited_s > STUCK_S and lane is not Lane.BATCH and _stands_still(counted, lane)):
            text = f"The oldest {lane} job has waited {span(waited_s * 1000)}: more workers or slots would help."
            yield Alert(text, serious=lane is Lane.INTERACTIVE, link=f"{HOME}/jobs?state=queued")
    if failures >= MANY_FAILURES:
        text = f"{failures:,} jobs failed in the last {RECENTLY} minutes."
        yield Alert(text, serious=True, link=f"{HOME}/jobs?state=failed")
    for gate in gates:
        if alert := alert_of(gate):
            yield alert
    for tenant in tenants:
        if tenant.at_cap:
            text = f"{name_of(tenant.owner)} is at its cap of running jobs; {tenant.due:,} of its jobs wait for it."
            yield Alert(text, serious=False)


def alert_of(gate: Gate) -> Alert | None:
    """What is wrong with one key's way to one model, beyond everyday business."""
    about, serious = f"key {gate.key}, model {gate.model}", gate.why in {"key_set_aside", "key_spent"}
    if gate.shut_ms > SHUT_MS or serious:
        text = f"{gate.provider}: {gate.trouble.replace('_', ' ')}, {about}, for {span(gate.shut_ms)}."
    elif gate.fails >= MANY_FAILS:
        text = f"{gate.provider}: {gate.fails:,} calls in a row failed, {about}."
    else:
        return None
    return Alert(text, serious=serious, link=f"{HOME}/providers")


def _stands_still(counted: Counted, lane: Lane) -> bool:
    return counted.depth.get(lane, 0) > counted.rate.get(lane, 0) * LATE_S[lane]
