"""Errors on OpenAI's surface, whichever of its dialects: msgspec's become ours, ours become the vendor's body."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from shared.errors import (
    NO_CREDIT,
    BudgetExceeded,
    Conflict,
    GatewayError,
    InvalidRequest,
    LimitExceeded,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Overloaded,
    RateLimited,
    Rejected,
    StoreError,
    TimedOut,
    TooLarge,
)
from shared.json_bounds import TOO_DEEP
from shared.wire.openai_chat_answer import WrittenError, WrittenErrorBody

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_AT = re.compile(r" - at `\$\.?(.*)`$")

_INVALID = "invalid_request_error"
_SERVER = "server_error"
_OWN_WORD = re.compile(r"[a-z_]+")
"""How OpenAI and its kin write a type: `INVALID_ARGUMENT` and `ValidationException` are words of others."""
_TYPES: dict[type[GatewayError], tuple[str, str | None]] = {
    NotAuthenticated: (_INVALID, "invalid_api_key"),
    BudgetExceeded: (NO_CREDIT, NO_CREDIT),
    NotPermitted: ("permission_error", "permission_denied"),
    NotFound: (_INVALID, "not_found"),
    Conflict: (_INVALID, "conflict"),
    TooLarge: (_INVALID, "request_too_large"),
    LimitExceeded: ("rate_limit_error", "rate_limit_exceeded"),
    RateLimited: ("rate_limit_error", "rate_limit_exceeded"),
    Overloaded: (_SERVER, "overloaded"),
    TimedOut: (_SERVER, "timeout"),
    StoreError: (_SERVER, "service_unavailable"),
}
"""Type and code of the body where the error itself names none."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, at: str = "") -> T:
    """Decode a piece of the body that stood at the path `at`.

    Raises:
        InvalidRequest: naming the path of what is wrong; never quoting the body, which may hold a prompt.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        text = str(error)
        inner = found.group(1) if (found := _AT.search(text)) else ""
        detail = _AT.sub("", text)
        if missing := _MISSING.match(detail):
            inner = f"{inner}.{missing.group(1)}" if inner else missing.group(1)
            detail = "missing required field"
        elif detail.startswith("Invalid enum value"):
            detail = "not one of the known values"
        joint = "." if at and inner and not inner.startswith("[") else ""
        raise invalid(f"{at}{joint}{inner}", detail) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}", code="invalid_json") from error
    except RecursionError as error:
        raise InvalidRequest(TOO_DEEP, code="json_too_deep") from error


def invalid(path: str, detail: str) -> InvalidRequest:
    """The error for a wrong field at `path` (empty for the body itself)."""
    return InvalidRequest(f"{path or 'body'}: {detail}", param=path or None)


def error_status(error: GatewayError) -> int:
    """The error's own status, but 529 is Anthropic's alone: here overload is 503."""
    return 503 if isinstance(error, Overloaded) else error.status


def render_error(error: GatewayError) -> bytes:
    """`{"error": {message, type, param, code}}`; what the provider itself said of its 4xx is kept."""
    kind, code = _TYPES.get(type(error), (_SERVER if error.status >= 500 else _INVALID, None))  # noqa: PLR2004 - HTTP
    if error.code == NO_CREDIT:
        kind = NO_CREDIT
    elif isinstance(error, Rejected):
        said = error.upstream_type or ""
        kind = said if _OWN_WORD.fullmatch(said) else kind
        code = "model_not_found" if error.status == 404 else code  # noqa: PLR2004 - HTTP
    facts = WrittenError(message=error.message, type=kind, param=error.param, code=error.code or code)
    return _ENCODER.encode(WrittenErrorBody(error=facts))
