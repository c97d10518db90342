"""What every provider's error answer tells in the same way: its kind by status, when to try again, a safe text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from shared.errors import (
    NO_CREDIT,
    AuthFailed,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
)
from shared.redaction import redact

FIRST_SERVER_ERROR = 500

MAX_MESSAGE = 1_000
"""Characters of an upstream message that are passed on; the longest recorded one has 300."""
MAX_EXCERPT = 200
"""Characters of a body that is not JSON, enough for the sentence a proxy answers with."""

UNPAID = frozenset({NO_CREDIT, "billing_error", "billing_hard_limit_reached", "billing_not_active"})
"""What the vendors call an account that has nothing left to spend: OpenAI, Anthropic, OpenAI again."""
_PAYMENT_REQUIRED = 402

_KINDS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    _PAYMENT_REQUIRED: RateLimited,  # it is the gateway's account that is empty, not the caller's
    403: AuthFailed,
    408: TimedOut,
    429: RateLimited,
    503: Overloaded,
    504: TimedOut,
    529: Overloaded,
}


def kind_of(status: int) -> type[ProviderError]:
    """Which of our errors an answer with this status is."""
    return _KINDS.get(status, ServerError if status >= FIRST_SERVER_ERROR else Rejected)


def made(
    kind: type[ProviderError],
    provider: str,
    status: int,
    headers: Mapping[str, str],
    said: str | None,
    *,
    unpaid: bool = False,
    wait_s: float | None = None,
    **facts: Any,
) -> ProviderError:
    """An error of this kind with what every provider's has; `said` is safe.

    `unpaid`: the account has nothing left to spend. `wait_s`: when to try again, where the headers do not say it.
    """
    message = said or f"{provider} answered with status {status} and no message."
    if kind is AuthFailed:
        message = f"{provider} refused the gateway's credential: {message}"
    told_s = retry_after_s(headers)
    return kind(
        message,
        provider=provider,
        upstream_status=status,
        retry_after_s=wait_s if told_s is None else told_s,
        should_retry=False if unpaid else should_retry(headers),
        **facts | ({"code": NO_CREDIT} if unpaid else {}),
    )


def safe(message: str) -> str:
    """`message` without what looks like a credential, bounded."""
    return redact(message[: 2 * MAX_MESSAGE])[:MAX_MESSAGE]


def excerpt(body: bytes) -> str | None:
    """A short plain text as one line; nothing of a page, of JSON or of binary data."""
    text = " ".join(body[: 2 * MAX_MESSAGE].decode("utf-8", "replace").split())
    if not text or text.startswith(("<", "{", "[")) or not text.isprintable():
        return None
    return safe(text)[:MAX_EXCERPT]


def is_unpaid(status: int, *words: str | None) -> bool:
    """Whether the account has nothing left to spend: by the status, or by a word of `UNPAID` among type and code."""
    return status == _PAYMENT_REQUIRED or not UNPAID.isdisjoint(words)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """`x-should-retry`; None when it is absent."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", ""))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, else `retry-after` (RFC 9110, section 10.2.3); a date counts from the answer's own `date`."""
    told_ms, told = _number(headers.get("retry-after-ms", "")), headers.get("retry-after", "")
    if told_ms is not None:
        return told_ms / 1_000
    seconds = _number(told)
    return _seconds_between(headers.get("date", ""), told) if seconds is None else seconds


def _number(text: str) -> float | None:
    """Not below 0; None for what is no number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _seconds_between(start: str, end: str) -> float | None:
    try:
        return max((parsedate_to_datetime(end) - parsedate_to_datetime(start)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
