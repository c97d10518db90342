"""Takes credentials out of text that people will read: log lines, and what providers say in their errors."""

from __future__ import annotations

import re

MASK = "[redacted]"

_CREDENTIAL = re.compile(
    r"""(?ix)
    (?P<head> \b(?:x-api-key|api-key|x-goog-api-key|authorization)['"]?\s*[:=]\s*['"]?(?:(?:bearer|basic)\s+)?
            | key\ provided:\s | api\ key:\s )
    [^\s'",;]{4,}
    | \b(?:bearer|basic)\s+[\w.~+/=*-]{6,}
    | \b(?:sk|pk|rk|gsk|xai|csk|pplx|tgp|fw|hf|key)[-_][\w*.-]{4,}
    | \b(?:AKIA|ASIA)[0-9A-Z]{12,}
    | \bAIza[\w-]{20,}
    | \beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?
    | (?<=://)[^\s/@]+(?=@)
    """
)
"""The vendors' key prefixes, tokens behind the words that announce them, JWTs, and user:password of URLs."""


def redact(text: str) -> str:
    """`text` with everything that looks like a credential replaced."""
    return _CREDENTIAL.sub(lambda match: (match["head"] or "") + MASK, text)
