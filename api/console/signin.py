"""Signing in and out."""

from __future__ import annotations

import logging

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.admin_door import OperatorDoor, cookie_of, read_form
from api.console.render import HOME, page, see_other
from api.submit import AnyRequest

log = logging.getLogger("hermod.api")


def routes(door: OperatorDoor) -> list[HTTPRouteHandler]:
    """What is open to all."""

    def asked(request: AnyRequest, *, wrong: bool, goal: str) -> ASGIApp:
        return page(request, "login.html", wrong=wrong, next=goal, secret=door.secrets.asked_for)

    @get("/login")
    async def form(request: AnyRequest) -> ASGIApp:
        """Where the password, or without one the token, is asked for."""
        if not door.secrets.is_set or await door.sessions.find(cookie_of(request)):
            return see_other(HOME)
        return asked(request, wrong=False, goal=_inside(request.query_params.get("next", "")))

    @post("/login")
    async def sign_in(request: AnyRequest) -> ASGIApp:
        """Try a password."""
        door.check_origin(request)
        fields = await read_form(request)
        goal, peer = _inside(fields.get("next", "")), request.client.host if request.client else ""
        await door.sessions.count_try(peer)
        if not await door.secrets.is_right(fields.get("password", "")):
            log.warning("a wrong password at the console's door, from %s", peer)
            return asked(request, wrong=True, goal=goal)
        await door.sessions.forgive(peer)
        await door.sign_in(request)
        return see_other(goal)

    return [form, sign_in]


def sign_out(door: OperatorDoor) -> HTTPRouteHandler:
    """The end of a session."""

    @post("/logout")
    async def sign_out_now(request: AnyRequest) -> ASGIApp:
        """Sign out."""
        await door.sign_out(request)
        return see_other(f"{HOME}/login")

    return sign_out_now


def _inside(path: str) -> str:
    """A page of the console; its start for anything else: an address elsewhere would be an open redirect."""
    return path if path.startswith(f"{HOME}/") and path.isascii() and "\\" not in path and "//" not in path else HOME
