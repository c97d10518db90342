"""Administration: `/admin/…`. Everything below it is guarded; what is not served is a 404 to those let in."""

from __future__ import annotations

import logging

from litestar import Router, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import admin_views as views
from api.admin_desk import KeyDesk, Meters, SharedDesk, View, customer_desk, team_desk
from api.admin_door import OperatorDoor, careful
from api.answers import read
from api.submit import AnyRequest, whole_json
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest
from shared.governance_keyring import Keyring
from shared.governance_records import GovernanceRecords
from shared.governance_settings import Customer, Team
from shared.settings import Settings
from shared.stores.redis import RedisStore

log = logging.getLogger("hermod.api")

MOST_MIB = 1
"""Largest body: a key with 100 providers of 100 models each is a tenth of it."""


def routes(settings: Settings, keyring: Keyring, store: RedisStore, door: OperatorDoor) -> Router:
    """All of the administration."""
    if not door.secrets.is_set:
        log.info("no admin.password_hash, no admin.token: the administration is open on this machine only")
    records, meters = GovernanceRecords(store), Meters(store)
    keys = KeyDesk(keyring, records, meters, settings)
    return Router(
        "/admin",
        guards=[door.guard],
        middleware=[careful],
        route_handlers=[
            *_keys(keys),
            *_shared("/teams", team_desk(keyring, records, meters)),
            *_shared("/customers", customer_desk(keyring, records, meters)),
        ],
    )


def _keys(desk: KeyDesk) -> list[HTTPRouteHandler]:
    @post("/virtual-keys", status_code=201)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create a key; its `value` is shown in this answer only."""
        return _shown(await desk.create(await read_json(request)), status=201)

    @get("/virtual-keys")
    async def list_keys() -> ASGIApp:
        """All keys with what they have used."""
        return read(OPENAI_CHAT, views.listing(await desk.all()), {})

    @get("/virtual-keys/{name:str}")
    async def show(name: str) -> ASGIApp:
        """One key."""
        return _shown(await desk.show(name))

    @patch("/virtual-keys/{name:str}")
    async def change(request: AnyRequest, name: str) -> ASGIApp:
        """Change what the body names of a key."""
        return _shown(await desk.change(name, await read_json(request)))

    @post("/virtual-keys/{name:str}/revoke", status_code=200)
    async def revoke(name: str) -> ASGIApp:
        """Refuse a key from now on, its queued jobs too."""
        return _shown(await desk.revoke(name))

    @delete("/virtual-keys/{name:str}", status_code=200)
    async def remove(name: str) -> ASGIApp:
        """Delete a key."""
        return _shown(await desk.delete(name))

    return [create, list_keys, show, change, revoke, remove]


def _shared(path: str, desk: SharedDesk[Team] | SharedDesk[Customer]) -> list[HTTPRouteHandler]:
    @post(path, status_code=201)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create one."""
        return _shown(await desk.create(await read_json(request)), status=201)

    @get(path)
    async def list_all() -> ASGIApp:
        """All of them with what they have spent."""
        return read(OPENAI_CHAT, views.listing(await desk.all()), {})

    @get(path + "/{name:str}")
    async def show(name: str) -> ASGIApp:
        """One."""
        return _shown(await desk.show(name))

    @patch(path + "/{name:str}")
    async def change(request: AnyRequest, name: str) -> ASGIApp:
        """Change what the body names."""
        return _shown(await desk.change(name, await read_json(request)))

    @delete(path + "/{name:str}", status_code=200)
    async def remove(name: str) -> ASGIApp:
        """Delete one."""
        return _shown(await desk.delete(name))

    return [create, list_all, show, change, remove]


async def read_json(request: AnyRequest) -> bytes:
    """The body. Raises InvalidRequest for what a page of another site could send without being asked."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequest("content-type: expected application/json.", param="content-type")
    return await whole_json(request, MOST_MIB)


def _shown(view: View, status: int = 200) -> ASGIApp:
    return read(OPENAI_CHAT, views.one(view), {}, status=status)
