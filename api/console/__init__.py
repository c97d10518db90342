"""The console: the web page for operators, at `/console`."""

from __future__ import annotations

from litestar import Router

from api.admin_door import careful
from api.console import batches, files, jobs, keys, overview, playground, providers, signin, webhooks
from api.console.assets import static_file
from api.console.desk import Desk
from api.console.errors import ERROR_HANDLERS, on_unknown
from api.console.render import HOME

__all__ = ["HOME", "on_unknown", "routes"]


def routes(desk: Desk) -> list[Router]:
    """What anyone is shown, and what needs signing in."""
    pages = (overview, jobs, batches, files, providers, keys, webhooks, playground)
    open_to_all = Router(
        "/console",
        route_handlers=[static_file, *signin.routes(desk.door)],
        middleware=[careful],
        exception_handlers=ERROR_HANDLERS,
    )
    guarded = Router(
        "/console",
        guards=[desk.door.guard],
        route_handlers=[*(handler for page in pages for handler in page.routes(desk)), signin.sign_out(desk.door)],
        middleware=[careful],
        exception_handlers=ERROR_HANDLERS,
    )
    return [open_to_all, guarded]
