"""Anthropic's error answers as our errors, with credentials redacted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Raw, Struct

from shared.errors import AuthFailed, Overloaded, ProviderError, RateLimited, Rejected, TimedOut, Unreachable

_MAX_MESSAGE = 1000
"""Characters of an upstream message that are passed on; the longest recorded one has 300."""

_MAX_EXCERPT = 200
"""Characters of a body that is not JSON, enough for the sentence a proxy answers with."""

_MS_PER_S = 1000

_CREDENTIAL = re.compile(
    r"\b(?:bearer|basic)\s+[\w.~+/=*-]{6,}"
    r"|\b(?:sk|pk|rk|gsk|xai)-[\w*.-]{4,}"
    r"|\b(?:sk|gsk|hf)_\w{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"
    r"|(?<=api-key)[\"']?\s*[:=]\s*[^\s,;]+",
    re.IGNORECASE,
)

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

_KINDS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    403: AuthFailed,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}

_FIRST_SERVER_ERROR = 500


class _Detail(Struct):
    type: str | None = None
    message: str | None = None
    details: Raw = Raw()


class _Body(Struct):
    error: _Detail | str | None = None
    message: str | None = None
    detail: Raw = Raw()


_BODY = msgspec.json.Decoder(_Body)
_STRING = msgspec.json.Decoder(str)


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The answer as an error. `headers` are looked up in lower case."""
    said = _said(body)
    kind = _KINDS.get(status, Unreachable if status >= _FIRST_SERVER_ERROR else Rejected)
    message = said.message or f"{provider} answered with status {status} and no message."
    if kind is AuthFailed:
        message = f"{provider} refused the gateway's credential: {message}"
    return kind(
        message,
        provider=provider,
        upstream_status=status,
        upstream_type=said.type,
        details=said.details if bytes(said.details) not in {b"", b"null"} else None,
        retry_after_s=_retry_after_s(headers),
        should_retry=_should_retry(headers),
    )


def stream_error(provider: str, data: bytes) -> ProviderError:
    """The data of an `event: error` as the error its type stands for."""
    return error(provider, _STATUS_OF.get(_said(data).type or "", _FIRST_SERVER_ERROR), {}, data)


def redact(text: str) -> str:
    """`text` without what looks like a credential, bounded."""
    return _CREDENTIAL.sub("[redacted]", text[: 2 * _MAX_MESSAGE])[:_MAX_MESSAGE]


def _said(body: bytes) -> _Detail:
    """What the provider said, `message` redacted; proxies put their text under other names."""
    try:
        found = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Detail(message=_excerpt(body))
    if isinstance(found.error, _Detail):
        return _Detail(found.error.type, redact(found.error.message or ""), found.error.details)
    return _Detail(message=redact(found.error or found.message or _string(found.detail)))


def _string(raw: Raw) -> str:
    try:
        return _STRING.decode(raw) if bytes(raw) else ""
    except msgspec.DecodeError:
        return ""


def _excerpt(body: bytes) -> str | None:
    """A short plain text as one line; nothing of a page or of binary data."""
    text = " ".join(body[: 2 * _MAX_MESSAGE].decode("utf-8", "replace").split())
    if not text or text.startswith(("<", "{", "[")) or not text.isprintable():
        return None
    return redact(text)[:_MAX_EXCERPT]


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Milliseconds beat seconds; a date counts from the answer's own `date`."""
    try:
        if "retry-after-ms" in headers:
            return max(float(headers["retry-after-ms"]) / _MS_PER_S, 0.0)
        return max(float(headers["retry-after"]), 0.0) if "retry-after" in headers else None
    except ValueError:
        return _seconds_between(headers.get("date", ""), headers.get("retry-after", ""))


def _seconds_between(start: str, end: str) -> float | None:
    try:
        return max((parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
