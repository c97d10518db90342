"""Webhook endpoints and what was delivered to them; tried out, and delivered again."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.admin_door import read_form
from api.console.desk import Desk
from api.console.render import HOME, page, query, see_other
from api.submit import AnyRequest
from api.webhook_desk import WebhookDesk


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""
    hooks = WebhookDesk(desk.webhooks, desk.store, desk.settings)

    @get("/webhooks")
    async def list_webhooks(request: AnyRequest) -> ASGIApp:
        """All endpoints."""
        return page(request, "webhooks.html", rows=await hooks.all())

    @get("/webhooks/{name:str}")
    async def show_webhook(request: AnyRequest, name: str) -> ASGIApp:
        """One endpoint, and its deliveries in pages."""
        here, after = f"{HOME}/webhooks/{name}", request.query_params.get("after")
        found = await hooks.deliveries(name, {"after": after} if after else {})
        following = here + query(after=found["next"]) if found["has_more"] else ""
        return page(
            request,
            "webhook.html",
            hook=await hooks.show(name),
            rows=found["data"],
            next=following,
            first=here if after else "",
        )

    @post("/webhooks/{name:str}/test")
    async def try_webhook(name: str) -> ASGIApp:
        """Send an event that is about nothing."""
        await hooks.test(name)
        return see_other(f"{HOME}/webhooks/{name}")

    @post("/webhooks/{name:str}/redeliver")
    async def redeliver(request: AnyRequest, name: str) -> ASGIApp:
        """Deliver the same event again."""
        await hooks.redeliver((await read_form(request)).get("delivery", ""))
        return see_other(f"{HOME}/webhooks/{name}")

    return [list_webhooks, show_webhook, try_webhook, redeliver]
