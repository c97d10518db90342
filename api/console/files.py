"""Files of all owners."""

from __future__ import annotations

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console.desk import PAGE, Desk
from api.console.render import HOME, page, query
from api.submit import AnyRequest
from shared.files import EVERYONE


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The page."""

    @get("/files")
    async def list_files(request: AnyRequest) -> ASGIApp:
        """The newest, in pages, of one purpose if asked."""
        after, purpose = request.query_params.get("after", ""), request.query_params.get("purpose", "")
        rows = await desk.stored_files.listed(EVERYONE, after=after, count=PAGE + 1, purpose=purpose) or []
        following = f"{HOME}/files{query(after=rows[PAGE - 1].id, purpose=purpose)}" if len(rows) > PAGE else ""
        return page(
            request,
            "files.html",
            rows=rows[:PAGE],
            next=following,
            first=f"{HOME}/files{query(purpose=purpose)}" if after else "",
            purpose=purpose,
            name_of=desk.namer(),
        )

    return [list_files]
