"""Errors to HTTP responses, in the words of the surface that was asked."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from shared.dialects import DIALECTS
from shared.dialects.base import Dialect
from shared.errors import GatewayError, InvalidRequest, NotFound
from shared.ids import request_id
from shared.logs import where

log = logging.getLogger("hermod.api")


def dialect_of(path: str) -> Dialect:
    """The dialect errors on this path are told in: Anthropic's below `/anthropic`, else OpenAI's."""
    return DIALECTS["anthropic" if path.startswith("/anthropic") else "openai_chat"]


def error_response(request: Request[Any, Any, Any], error: GatewayError) -> Response[bytes]:
    """The surface's own error body with its status and headers."""
    dialect = dialect_of(request.url.path)
    rid = request_id()
    return Response(
        dialect.render_error(error, rid),
        status_code=dialect.error_status(error),
        headers={**error.headers(), dialect.request_id_header: rid},
        media_type="application/json",
    )


def on_gateway_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar exception handler for our own errors."""
    assert isinstance(error, GatewayError)  # noqa: S101 - registered for this class only
    return error_response(request, error)


def on_http_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar exception handler for its own: unknown routes and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    asked = f"{request.method} {request.url.path}"
    if error.status_code in {404, 405}:
        return error_response(request, NotFound(f"{asked} is not served by this gateway.", code="unknown_url"))
    return error_response(request, InvalidRequest(f"{asked}: {error.detail}"))


def on_defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar exception handler for everything else: a defect of ours. Its text may quote the request."""
    log.error("defect: %s", where(error))
    return error_response(request, GatewayError("The gateway failed to handle this request; it has been logged."))
