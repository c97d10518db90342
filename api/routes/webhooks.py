"""Webhook endpoints managed, below `/admin/webhooks` and under Bifrost's name for it."""

from __future__ import annotations

from litestar import Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import admin_views as views
from api.admin_door import OperatorDoor, careful
from api.answers import read
from api.routes.admin import read_json
from api.submit import AnyRequest
from api.webhook_desk import View, WebhookDesk
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.settings import Settings
from shared.stores.redis import RedisStore
from shared.webhook_book import WebhookBook

PATHS = ("/admin/webhooks", "/api/webhooks")


def routes(book: WebhookBook, store: RedisStore, settings: Settings, door: OperatorDoor) -> list[Router]:
    """The same under either path."""
    desk = WebhookDesk(book, store, settings)
    return [
        Router(path, guards=[door.guard], middleware=[careful], route_handlers=[*_endpoints(desk), *_deliveries(desk)])
        for path in PATHS
    ]


def _endpoints(desk: WebhookDesk) -> list[HTTPRouteHandler]:
    @post("/", status_code=201)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create an endpoint; its `secret` is shown in this answer only."""
        return _shown(await desk.create(await read_json(request)), status=201)

    @get("/")
    async def list_all() -> ASGIApp:
        """All endpoints."""
        return read(OPENAI_CHAT, views.listing(await desk.all()), {})

    @get("/{name:str}")
    async def show(name: str) -> ASGIApp:
        """One endpoint."""
        return _shown(await desk.show(name))

    @patch("/{name:str}")
    async def change(request: AnyRequest, name: str) -> ASGIApp:
        """Change what the body names of an endpoint."""
        return _shown(await desk.change(name, await read_json(request)))

    @put("/{name:str}")
    async def replace(request: AnyRequest, name: str) -> ASGIApp:
        """Bifrost's way of saying the same."""
        return _shown(await desk.change(name, await read_json(request)))

    @delete("/{name:str}", status_code=200)
    async def remove(name: str) -> ASGIApp:
        """Delete an endpoint."""
        return _shown(await desk.delete(name))

    @post("/{name:str}/rotate-secret", status_code=200)
    async def rotate(name: str) -> ASGIApp:
        """Give it a new secret, which is shown in this answer only."""
        return _shown(await desk.rotate(name))

    return [create, list_all, show, change, replace, remove, rotate]


def _deliveries(desk: WebhookDesk) -> list[HTTPRouteHandler]:
    @post("/{name:str}/test", status_code=202)
    async def test(name: str) -> ASGIApp:
        """Send an event that is about nothing; what became of it is asked for under the delivery's id."""
        return _shown(await desk.test(name), status=202)

    @get("/{name:str}/deliveries")
    async def list_deliveries(request: AnyRequest, name: str) -> ASGIApp:
        """What was and is to be delivered to an endpoint."""
        return _shown(await desk.deliveries(name, request.query_params))

    @get("/deliveries/{delivery:str}")
    async def show_delivery(delivery: str) -> ASGIApp:
        """One delivery."""
        return _shown(await desk.delivery(delivery))

    @post("/deliveries/{delivery:str}/redeliver", status_code=202)
    async def redeliver(delivery: str) -> ASGIApp:
        """Deliver the same event again."""
        return _shown(await desk.redeliver(delivery), status=202)

    return [test, list_deliveries, show_delivery, redeliver]


def _shown(view: View, status: int = 200) -> ASGIApp:
    return read(OPENAI_CHAT, views.one(view), {}, status=status)
