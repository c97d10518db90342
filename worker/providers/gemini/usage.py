"""Token counts, the canonical way."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.chat import Usage
from shared.wire import gemini_answer as answer
from worker.providers.counts import count

_TOLD = msgspec.json.Decoder(answer.UsageMetadata | None, strict=False)
"""Servers of others that speak Google's wire write `"7"` or `7.0` for 7."""


def told(raw: Raw) -> Usage | None:
    """What `usageMetadata` says; None for nothing, or nothing that can be read: the answer stands without."""
    try:
        found = _TOLD.decode(raw)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return None
    return counted(found) if found else None


def counted(found: answer.UsageMetadata) -> Usage:
    """Caches apart from the input, thoughts inside the output."""
    prompt, cached = count(found.prompt_token_count), count(found.cached_content_token_count)
    read = min(cached, prompt)
    thoughts = count(found.thoughts_token_count)
    return Usage(
        input_tokens=prompt - read + count(found.tool_use_prompt_token_count),
        output_tokens=count(found.candidates_token_count) + thoughts,
        cache_read_tokens=read,
        reasoning_tokens=thoughts,
    )
