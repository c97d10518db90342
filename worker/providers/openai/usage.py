"""Token counts, the canonical way."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.chat import Usage
from shared.wire.openai_chat_answer import AnswerUsage, GroqExtras
from worker.providers.counts import count

_TOLD = msgspec.json.Decoder(AnswerUsage | None, strict=False)
_GROQ = msgspec.json.Decoder(GroqExtras | None, strict=False)
"""Some servers write `"7"` or `7.0` for 7."""


def told(usage: Raw, groq: Raw) -> Usage | None:
    """What `usage`, or else `x_groq`, says; None for nothing that can be read: the answer stands without it."""
    try:
        found = _TOLD.decode(usage)
        if found is None and (extras := _GROQ.decode(groq)):
            found = extras.usage
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return None
    return counted(found) if found else None


def counted(found: AnswerUsage) -> Usage:
    """Token counts the canonical way: caches apart from the input, reasoning inside the output.

    A `total_tokens` beyond prompt and completion holds reasoning that the server left out of the completion (xAI,
    Gemini); a cached count beyond the prompt (Azure's Grok) is cut to it.
    """
    prompt, completion = count(found.prompt_tokens), count(found.completion_tokens)
    details, answer = found.prompt_tokens_details, found.completion_tokens_details
    cached = (details.cached_tokens if details else None) or found.num_cached_tokens or found.prompt_cache_hit_tokens
    read = min(count(cached), prompt)
    written = min(count(details.cache_write_tokens if details else None), prompt - read)
    return Usage(
        input_tokens=prompt - read - written,
        output_tokens=max(completion, count(found.total_tokens) - prompt),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count(answer.reasoning_tokens if answer else None),
    )
