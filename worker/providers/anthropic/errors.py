"""Anthropic's error answers as our errors, with credentials redacted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct, UnsetType

from shared.errors import ProviderError, RateLimited
from worker.providers.hints import FIRST_SERVER_ERROR, excerpt, is_unpaid, kind_of, made, safe

_STATUS_OF: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error inside a stream would have had as its status; the stream's own was 200."""

_OUT_OF_CREDIT = "credit balance is too low"
"""Part of the message of a 400 that is about the account and not about the request."""


class _Detail(Struct):
    type: str | None = None
    message: str | None = None
    details: Raw = Raw()


class _Body(Struct):
    type: str | None = None
    content: Raw | UnsetType = msgspec.UNSET
    error: _Detail | str | None = None
    message: str | None = None
    detail: Raw = Raw()


_ERROR = b'"error"'

_BODY = msgspec.json.Decoder(_Body)
_ANYTHING = msgspec.json.Decoder()
_STRING = msgspec.json.Decoder(str)


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The answer as an error. `headers` are looked up in lower case."""
    said = _said(body)
    unpaid = is_unpaid(status, said.type) or _OUT_OF_CREDIT in (said.message or "")
    kind = RateLimited if unpaid else kind_of(status)
    details = _details(said.details)
    return made(kind, provider, status, headers, said.message, unpaid=unpaid, upstream_type=said.type, details=details)


def stream_error(provider: str, data: bytes) -> ProviderError:
    """The data of an `event: error` as the error its type stands for."""
    return error(provider, _STATUS_OF.get(_said(data).type or "", FIRST_SERVER_ERROR), {}, data)


def under_200(provider: str, body: bytes) -> ProviderError | None:
    """The error body that some servers answer under status 200; None for what holds an answer."""
    if _ERROR not in body:
        return None
    try:
        found = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    is_answer = found.content is not msgspec.UNSET or found.type not in {None, "error"}
    return None if is_answer or found.error is None else stream_error(provider, body)


def _said(body: bytes) -> _Detail:
    """What the provider said, `message` redacted; proxies put their text under other names."""
    try:
        found = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Detail(message=excerpt(body))
    if isinstance(found.error, _Detail):
        return _Detail(found.error.type, safe(found.error.message or ""), found.error.details)
    return _Detail(message=safe(found.error or found.message or _string(found.detail)))


def _details(raw: Raw) -> Raw | None:
    """The provider's details when they can be passed on: a JSON object of text that is text."""
    try:
        return raw if bytes(raw) and isinstance(_ANYTHING.decode(raw), dict) else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _string(raw: Raw) -> str:
    try:
        return _STRING.decode(raw) if bytes(raw) else ""
    except (msgspec.DecodeError, UnicodeError):
        return ""
