"""Errors as Anthropic's clients read them."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.errors import GatewayError, ProviderError, Unsupported
from shared.sse import write
from shared.wire import anthropic_answer as answer

_ENCODER = msgspec.json.Encoder()

_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""`error.type` by status, as https://docs.claude.com/en/api/errors lists them; other 5xx are `api_error`."""

_KEPT = (frozenset(_TYPES.values()) | {"api_error"}) - {"billing_error"}
"""What a provider may call its error here; whose bill is not paid there is the gateway, not the caller."""

_THREAD_UNSUPPORTED = "thread_unsupported_request"
"""The code upon which Anthropic's tool runner sends its history itself instead of relying on a server-side thread."""

_FIRST_SERVER_ERROR = 500


def error_status(error: GatewayError) -> int:
    """HTTP status: this surface uses 529 and 413 as they are."""
    return error.status


def render_error(error: GatewayError, request_id: str) -> bytes:
    """The error body; `request_id` is left out when empty."""
    detail = answer.ErrorDetail(_type(error), error.message, _details(error))
    return _ENCODER.encode(answer.ErrorBody(detail, request_id or None))


def stream_error(error: GatewayError, request_id: str) -> bytes:
    """SSE bytes that end a stream that has already begun."""
    return write(render_error(error, request_id), "error")


def _type(error: GatewayError) -> str:
    upstream = error.upstream_type if isinstance(error, ProviderError) and error.status < _FIRST_SERVER_ERROR else None
    # OpenAI says invalid_request_error beside a 404 too: there the status says more.
    if upstream in _KEPT and upstream != _TYPES[400]:
        return str(upstream)
    fallback = "api_error" if error.status >= _FIRST_SERVER_ERROR else _TYPES[400]
    return _TYPES.get(error.status, fallback)


def _details(error: GatewayError) -> Raw | dict[str, str] | None:
    if isinstance(error, ProviderError) and error.details is not None:
        return error.details
    if isinstance(error, Unsupported) and error.param == "thread":
        return {"error_code": _THREAD_UNSUPPORTED}
    return {"error_code": error.code} if error.code else None
