"""Lets people and programs into `/admin` and `/console`, and nobody else.

`Authorization: Bearer <admin.token>`   a program; see `api/admin_auth.py`
a session's cookie                      somebody who signed in at `/console/login`; every change must come from a
                                        page of our own, with the token that this page was given
neither password nor token configured   whoever is on the gateway's machine; pages get a session by themselves
"""

from __future__ import annotations

import hmac
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.admin_auth import AdminDoor
from api.admin_secrets import Secrets
from api.admin_sessions import SESSION_S, Session, Sessions
from api.submit import AnyRequest, read_body
from shared.errors import NotAuthenticated, NotPermitted
from shared.settings import Settings
from shared.stores.redis import RedisStore

COOKIE = "hermod_session"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
MOST_FORM_MIB = 1
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
_SESSION, _FIELDS, _SET_COOKIE = "hermod_session", "hermod_form", "hermod_set_cookie"


class OperatorDoor:
    """Guards every route of the administration and the console."""

    def __init__(self, settings: Settings, store: RedisStore) -> None:
        admin = settings.governance.admin
        self.secrets = Secrets(admin)
        self.sessions = Sessions(store, self.secrets.epoch)
        self._bearer = AdminDoor(admin)
        self._has_token = bool(admin.token)
        self._public = urlsplit(settings.public_url or "")

    async def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Litestar's guard.

        Raises:
            NotAuthenticated: nobody is signed in, and the token is missing or another.
            NotPermitted: nothing is configured and the request is not from this machine, or a change does not come
                from a page of our own.
        """
        request = cast("AnyRequest", connection)  # there is no websocket
        if self._has_token and "authorization" in request.headers:
            self._bearer.guard(request, handler)
            return
        session = await self.sessions.find(cookie_of(request))
        if not self.secrets.is_set:
            self._bearer.guard(request, handler)
            if session is None and _is_program(request):
                return
            session = session or await self._begin(request)
        if session is None:
            raise NotAuthenticated(
                "Sign in at /console/login, or send `Authorization: Bearer …` with admin.token of the configuration "
                "(HERMOD_ADMIN_TOKEN).",
                code="admin_token_required" if self._has_token else "admin_login_required",
            )
        self.check_origin(request)
        if request.method not in _SAFE:
            await self._check_csrf(request, session)
        request.scope["state"][_SESSION] = session  # from here on pages hold its token

    def check_origin(self, request: AnyRequest) -> None:
        """Raises NotPermitted for what a page of another site sent: browsers name it."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is None and request.method in _SAFE:
            return
        ours = {f"http://{host}", f"https://{host}", f"{self._public.scheme}://{self._public.netloc}"}
        if origin not in ours or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise NotPermitted("The request does not come from a page of this gateway.", code="cross_site")

    async def sign_in(self, request: AnyRequest) -> Session:
        """A new session whose cookie is sent with the answer; the one before is over."""
        await self.sessions.end(cookie_of(request))
        return await self._begin(request)

    async def sign_out(self, request: AnyRequest) -> None:
        """The session is over, and its cookie is taken back with the answer."""
        await self.sessions.end(cookie_of(request))
        self._set_cookie(request, "", 0)

    async def _begin(self, request: AnyRequest) -> Session:
        session = await self.sessions.begin()
        self._set_cookie(request, session.id, SESSION_S)
        return session

    def _set_cookie(self, request: AnyRequest, value: str, age_s: int) -> None:
        https = "https" in {request.scope["scheme"], self._public.scheme}
        secure = "; Secure" if https else ""
        cookie = f"{COOKIE}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}"
        request.scope["state"][_SET_COOKIE] = cookie.encode()

    async def _check_csrf(self, request: AnyRequest, session: Session) -> None:
        sent = request.headers.get(CSRF_HEADER, "")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            fields = await read_form(request)
            sent = sent or fields.get(CSRF_FIELD, "")
        if not hmac.compare_digest(sent.encode(), session.csrf.encode()):
            raise NotPermitted(f"The page is out of date: load it anew ({CSRF_HEADER}).", code="csrf")


def cookie_of(request: AnyRequest) -> str:
    """The session id that the browser sent; empty for none.

    Browsers send the cookies of whatever else runs on this host too, at any port: http.cookies would stop at the first
    that it cannot read, as one that holds JSON.
    """
    return request.cookies.get(COOKIE, "")


def session_of(request: AnyRequest) -> Session | None:
    """Who is let in; None for a program with the token."""
    return request.scope["state"].get(_SESSION)


async def read_form(request: AnyRequest) -> dict[str, str]:
    """The fields of a form that was sent, each once. Raises TooLarge."""
    state: dict[str, Any] = request.scope["state"]
    if _FIELDS not in state:
        body = await read_body(request, MOST_FORM_MIB)
        state[_FIELDS] = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=100))
    fields: dict[str, str] = state[_FIELDS]
    return fields


def _is_program(request: AnyRequest) -> bool:
    """What no browser sends: it names itself in every request (Fetch Metadata)."""
    return "sec-fetch-site" not in request.headers and "origin" not in request.headers


_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # without one, browsers call the origin of a form "null"
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""They keep a browser from being turned against its user."""


def careful(app: ASGIApp) -> ASGIApp:
    """Middleware: HEADERS, and the session's cookie."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *HEADERS]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                if cookie := scope["state"].get(_SET_COOKIE):
                    headers.append((b"set-cookie", cookie))
                message["headers"] = headers
            await send(message)

        await app(scope, receive, told)

    return call
