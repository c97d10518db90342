"""Providers as workers see them: what is wrong, how close the limits are, how long calls take."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console.charts import Dot, dots, levels, percentile
from api.console.desk import Desk
from api.console.render import page
from api.submit import AnyRequest
from shared.gate_records import Gate, fitness, known_gates
from shared.job_index import Standing
from shared.job_register import Register
from shared.jobs import Attempt
from shared.webhook_scripts import WEBHOOK

SAMPLED = 300
"""Jobs of each register whose attempts are drawn."""
CHART_WIDTH, CHART_HEIGHT = 320, 96


class Card(msgspec.Struct, frozen=True):
    """A provider.

    Attributes:
        kind: the provider whose wire a custom one speaks; empty for others.
        calls: attempts of the sample.
        failed: of them, those that failed.
        p50_ms, p95_ms: of those that succeeded; None of none.
        since_ms, until_ms: Unix ms of the first and the last dot; None without dots.
        gates: what workers know of its keys; none when nothing is wrong or limited.
    """

    name: str
    kind: str
    calls: int
    failed: int
    p50_ms: int | None
    p95_ms: int | None
    dots: list[Dot]
    since_ms: int | None
    until_ms: int | None
    gates: list[Gate]


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The page."""

    @get("/providers")
    async def providers(request: AnyRequest) -> ASGIApp:
        """All that are configured, and others that were called lately."""
        gates, fit, *found = await asyncio.gather(
            known_gates(desk.store),
            fitness(desk.store),
            _attempts(desk, Register.RECENT),
            _attempts(desk, Register.FAILURES),
            _attempts(desk, Register.UNFINISHED),  # those of a sick provider are tried again for long
        )
        jobs = {standing.job.id: standing for standings in found for standing in standings}
        cards = _cards(desk, gates, (attempt for standing in jobs.values() for attempt in standing.attempts))
        return page(
            request,
            "providers.html",
            cards=cards,
            levels=levels(CHART_HEIGHT),
            sampled=len(jobs),
            fitness=sorted((name.split("|"), *facts) for name, facts in fit.items()),
        )

    return [providers]


async def _attempts(desk: Desk, register: Register) -> list[Standing]:
    found = await desk.register.page(register, after=None, count=SAMPLED, wanted=_has_called)
    return found.rows


def _has_called(standing: Standing) -> bool:
    return bool(standing.attempts) and standing.job.operation != WEBHOOK


def _cards(desk: Desk, gates: list[Gate], attempts: Iterable[Attempt]) -> list[Card]:
    made: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        made[attempt.target.partition("/")[0]].append(attempt)
    names = sorted({*desk.settings.providers, *made, *(gate.provider for gate in gates)})
    cards = [_card(desk, name, made[name], [gate for gate in gates if gate.provider == name]) for name in names]
    return sorted(cards, key=lambda card: not (card.calls or card.gates))


def _card(desk: Desk, name: str, attempts: list[Attempt], gates: list[Gate]) -> Card:
    settings = desk.settings.providers.get(name)
    took = [each.ended_ms - each.started_ms for each in attempts if each.failure is None]
    points = [(each.ended_ms, each.ended_ms - each.started_ms, each.failure is not None) for each in attempts]
    return Card(
        name=name,
        kind=(settings.base_provider_type or "") if settings else "",
        calls=len(attempts),
        failed=len(attempts) - len(took),
        p50_ms=percentile(took, 0.5),
        p95_ms=percentile(took, 0.95),
        dots=dots(points, CHART_WIDTH, CHART_HEIGHT),
        since_ms=min((at for at, _, _ in points), default=None),
        until_ms=max((at for at, _, _ in points), default=None),
        gates=gates,
    )
