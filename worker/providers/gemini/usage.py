"""Token counts, the canonical way."""

from __future__ import annotations

from shared.chat import Usage
from shared.wire import gemini_answer as answer

_MAX_EXACT = 2**53
"""The largest number that every JSON reader takes for itself; no true count comes near it."""


def counted(found: answer.UsageMetadata | None) -> Usage:
    """Caches apart from the input, thoughts inside the output; unknown when nothing is told."""
    if found is None:
        return Usage(known=False)
    prompt, cached = _count(found.prompt_token_count), _count(found.cached_content_token_count)
    read = min(cached, prompt)
    thoughts = _count(found.thoughts_token_count)
    return Usage(
        input_tokens=prompt - read + _count(found.tool_use_prompt_token_count),
        output_tokens=_count(found.candidates_token_count) + thoughts,
        cache_read_tokens=read,
        reasoning_tokens=thoughts,
    )


def _count(found: int | None) -> int:
    return min(max(found or 0, 0), _MAX_EXACT)
