"""Operations: `/live`, `/ready` and `/health`, each told apart in `shared/health.py`, and `/metrics`."""

from __future__ import annotations

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from api.admin_auth import AdminDoor
from shared.health import Health, Said
from shared.metrics import CONTENT_TYPE
from shared.queue_gauges import Scrape


def routes(health: Health, scrape: Scrape, door: AdminDoor) -> list[HTTPRouteHandler]:
    """The handlers: health is open to anyone, for it tells nothing about callers; metrics are the administration's.

    Whoever is to read those without its token asks on the process's own port, see `shared/probe.py`.
    """

    @get("/live")
    async def live() -> Response[dict[str, object]]:
        """Whether the process turns."""
        return _answer(await health.live())

    @get("/ready")
    async def ready() -> Response[dict[str, object]]:
        """Whether it takes new requests."""
        return _answer(await health.ready())

    @get("/health")
    async def everything() -> Response[dict[str, object]]:
        """Whether it and all it needs are well."""
        return _answer(await health.health())

    @get("/metrics", guards=[door.guard])
    async def metrics() -> Response[bytes]:
        """What Prometheus reads."""
        return Response(await scrape.text(), headers={"content-type": CONTENT_TYPE})

    return [live, ready, everything, metrics]


def _answer(said: Said) -> Response[dict[str, object]]:
    status, body = said
    return Response(body, status_code=status)
