"""Error answers of OpenAI-compatible servers as our errors, with credentials redacted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Raw

from shared.errors import AuthFailed, Overloaded, ProviderError, RateLimited, Rejected, TimedOut, Unreachable
from shared.wire.openai_chat import NULL
from shared.wire.openai_chat_answer import ErrorFacts

_MAX_MESSAGE = 1_000
"""Characters of an upstream message that are passed on; the longest recorded one has 300."""

_MAX_EXCERPT = 200
"""Characters of a body that is not JSON, enough for the sentence a proxy answers with."""

_CREDENTIAL = re.compile(
    r"\b(?:bearer|basic)\s+[\w.~+/=*-]{6,}"
    r"|\b(?:sk|pk|rk|gsk|xai|csk|pplx|tgp|fw|key)[-_][\w*.-]{4,}"
    r"|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"
    r"|(?<=key provided: )[^\s,;]+"
    r"|(?<=api key: )[^\s,;]+"
    r"|(?<=api-key)[\"']?\s*[:=]\s*[^\s,;]+",
    re.IGNORECASE,
)

_KINDS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    403: AuthFailed,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}
_PAYMENT_REQUIRED = 402
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_LAST_ERROR = 599

_WORDS: tuple[tuple[str, int], ...] = (
    ("rate_limit", 429),
    ("resource_exhausted", 429),
    ("insufficient_quota", 429),
    ("overloaded", 503),
    ("slow_down", 503),
    ("unavailable", 503),
    ("timeout", 504),
    ("deadline_exceeded", 504),
    ("invalid_api_key", 401),
    ("authentication", 401),
    ("permission", 403),
    ("not_found", 404),
    ("invalid", 400),
    ("content_filter", 400),
    ("context_length", 400),
)
"""Words in the type or code of an error inside a stream, and the status it would have had; the stream's own was 200."""

_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_FACTS = msgspec.json.Decoder(ErrorFacts)
_STRING = msgspec.json.Decoder(str)


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """An answer with status ≥ 400 as an error. `headers` are looked up in lower case."""
    return _made(provider, status, headers, _said(body))


def stream_error(provider: str, raw: Raw) -> ProviderError:
    """The `error` of a frame, or the data of an `error` event, as the error its facts stand for."""
    facts = _facts(raw)
    return _made(provider, _status(facts), {}, facts)


def _made(provider: str, status: int, headers: Mapping[str, str], facts: ErrorFacts) -> ProviderError:
    kind = _KINDS.get(status, Unreachable if status >= _FIRST_SERVER_ERROR else Rejected)
    message = facts.message or f"{provider} answered with status {status} and no message."
    if kind is AuthFailed:
        message = f"{provider} refused the gateway's credential: {message}"
    code = None if facts.code is None else str(facts.code)
    unpaid = status == _PAYMENT_REQUIRED or code in _NO_CREDIT or facts.type in _NO_CREDIT
    return kind(
        message,
        provider=provider,
        upstream_status=status,
        upstream_type=facts.type,
        param=facts.param,
        code=code,
        retry_after_s=_retry_after_s(headers),
        should_retry=False if unpaid else {"true": True, "false": False}.get(headers.get("x-should-retry", "")),
    )


def _said(body: bytes) -> ErrorFacts:
    """What the provider said, wherever it put it.

    OpenAI's `{"error": {…}}`, Gemini's list of one of these, Ollama's `{"error": "…"}`, FastAPI's `{"detail": …}`,
    and the bare `{"message": …}` of older vLLM and Mistral.
    """
    try:
        items = _LIST.decode(body) if body.lstrip().startswith(b"[") else []
        fields = _FIELDS.decode(items[0] if items else body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorFacts(message=_excerpt(body))
    for name in ("error", "detail"):
        if bytes(fields.get(name, NULL)) != b"null":
            return _facts(fields[name])
    return _facts(Raw(body)) if "message" in fields else ErrorFacts()


def _facts(raw: Raw) -> ErrorFacts:
    """The facts of an error object or text; what is of another shape stays unsaid, for it may quote the prompt."""
    try:
        if bytes(raw).startswith(b'"'):
            return ErrorFacts(message=redact(_STRING.decode(raw)))
        facts = _FACTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorFacts()
    facts.message = redact(facts.message) if facts.message else None
    facts.type = facts.type or facts.status
    return facts


def redact(text: str) -> str:
    """`text` without what looks like a credential, bounded."""
    return _CREDENTIAL.sub("[redacted]", text[: 2 * _MAX_MESSAGE])[:_MAX_MESSAGE]


def _excerpt(body: bytes) -> str | None:
    """A short plain text as one line; nothing of a page or of binary data."""
    text = " ".join(body[: 2 * _MAX_MESSAGE].decode("utf-8", "replace").split())
    if not text or text.startswith(("<", "{", "[")) or not text.isprintable():
        return None
    return redact(text)[:_MAX_EXCERPT]


def _status(facts: ErrorFacts) -> int:
    for number in (facts.status_code, facts.code):
        if str(number).isdigit() and _FIRST_ERROR <= int(number or 0) <= _LAST_ERROR:
            return int(number or 0)
    said = f"{facts.code} {facts.type}".lower()
    return next((status for word, status in _WORDS if word in said), _FIRST_SERVER_ERROR)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Milliseconds beat seconds; a date counts from the answer's own `date`."""
    try:
        if "retry-after-ms" in headers:
            return max(float(headers["retry-after-ms"]) / 1_000, 0.0)
        return max(float(headers["retry-after"]), 0.0) if "retry-after" in headers else None
    except ValueError:
        return _seconds_between(headers.get("date", ""), headers.get("retry-after", ""))


def _seconds_between(start: str, end: str) -> float | None:
    try:
        return max((parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
