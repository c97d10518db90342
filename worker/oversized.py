"""A request larger than the whole of a provider's limit: refused as one that came too early, and it always would be.

Groq answers 413, OpenAI 429 with the words "Limit 30000, Requested 41210"; Anthropic and others say no more than of
any 429, but their headers tell that nothing of the limit was used. Our own estimate alone refuses nothing: an image
has many bytes and few tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.errors import NO_CREDIT, ProviderError, RateLimited, Rejected
from worker.gates import tokens_of
from worker.limit_headers import untouched
from worker.retry import OVER_LIMIT

_WORDS = re.compile(r"\blimit:? (\d[\d,]*), (?:used:? [\d,]+, )?requested:? (\d[\d,]*)", re.IGNORECASE)


def oversized(error: ProviderError, headers: Mapping[str, str], body: bytes) -> Rejected | None:
    """A 413 that names the limit, for a 429 with these headers to a request with this body; None for any other."""
    if not isinstance(error, RateLimited) or error.code == NO_CREDIT:
        return None
    limit = _by_words(error.message) or _by_headers(error.provider, headers, body)
    if limit is None:
        return None
    message = (
        f"The request is larger than the provider's whole limit of {limit} tokens a minute for this key, and would be "
        f"refused at any time; make it or its max_tokens smaller. The provider said: {error.message}"
    )
    return Rejected(message, provider=error.provider, upstream_status=413, code=OVER_LIMIT, should_retry=False)


def _by_words(message: str) -> int | None:
    found = _WORDS.search(message)
    limit, requested = (int(number.replace(",", "")) for number in found.groups()) if found else (0, 0)
    return limit if requested > limit else None


def _by_headers(provider: str, headers: Mapping[str, str], body: bytes) -> int | None:
    sent, answered = tokens_of(body)
    costs = {"tokens": sent + answered, "input": sent, "output": answered}
    return next((limit for kind, limit in untouched(provider, headers) if costs.get(kind, 0) > limit), None)
