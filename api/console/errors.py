"""Errors as pages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException

from api.admin_door import HEADERS, session_of
from api.console.render import HOME, html
from shared.errors import GatewayError, InvalidRequest, NotAuthenticated, NotFound
from shared.logs import where

log = logging.getLogger("hermod.api")

AnyRequest = Request[Any, Any, Any]
_NOT_FOUND = 404


def _on_gateway_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    assert isinstance(error, GatewayError)  # noqa: S101 - registered for this class only
    if isinstance(error, NotAuthenticated) and request.headers.get("authorization") is None:
        return _to_sign_in(request)
    return _page(request, error)


def _on_http_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    if error.status_code == _NOT_FOUND:
        return _page(request, NotFound("There is no such page."))
    return _page(request, InvalidRequest(error.detail))


def on_unknown(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The whole application's handler for what is below the console and has no route, hence no middleware either."""
    response = _on_http_error(request, error)
    response.headers.update({name.decode(): value.decode() for name, value in HEADERS})
    return response


def _on_defect(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("defect: %s", where(error))
    return _page(request, GatewayError("The gateway failed to make this page; it has been logged."))


def _to_sign_in(request: AnyRequest) -> Response[bytes]:
    """Where they came from is kept, unless it was a change; htmx is told in its own header."""
    path = f"{HOME}/login"
    if request.method == "GET" and "hx-request" not in request.headers:
        path += f"?next={quote(request.url.path)}"
    if "hx-request" in request.headers:
        return Response(b"", status_code=401, headers={"hx-redirect": path}, media_type="text/html")
    return Response(b"", status_code=303, headers={"location": path}, media_type="text/html")


def _page(request: AnyRequest, error: GatewayError) -> Response[bytes]:
    framed = session_of(request) is not None
    body = html(request, "error.html", message=error.message, status=error.status, framed=framed)
    return Response(body, status_code=error.status, headers=error.headers(), media_type="text/html")


ERROR_HANDLERS: dict[int | type[Exception], Callable[[AnyRequest, Any], Response[Any]]] = {
    GatewayError: _on_gateway_error,
    HTTPException: _on_http_error,
    Exception: _on_defect,
}
