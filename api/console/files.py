"""Files of all owners; deleted."""

from __future__ import annotations

import logging

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.console.desk import PAGE, Desk
from api.console.render import HOME, page, query, see_other
from api.file_store import FileStore
from api.submit import AnyRequest
from shared.files import EVERYONE

log = logging.getLogger("hermod.api")


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""
    store = FileStore(desk.stored_files, desk.gateway.bodies.blobs)

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

    @post("/files/{name:str}/delete")
    async def delete_file(name: str) -> ASGIApp:
        """Delete it, whoever owns it."""
        file = await store.find(name, EVERYONE)
        await store.delete(file)
        log.info("an operator deleted the file %s of %s", file.id, file.owner)
        return see_other(f"{HOME}/files")

    return [list_files, delete_file]
