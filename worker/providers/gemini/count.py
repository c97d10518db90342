"""Counting tokens: the body of `countTokens`, which the Gemini API and Vertex shape differently, and its answer."""

from __future__ import annotations

import msgspec

from shared.wire import gemini as wire
from shared.wire import gemini_answer as answer

_BARE = frozenset({"vertex"})
"""Providers that take the request itself; the Gemini API would then count nothing but its contents."""

_COUNT = msgspec.json.Decoder(answer.TokenCount)


def asking(body: wire.Request, provider: str, model: str) -> wire.Request | wire.CountRequest:
    """What asks for the count of a request: https://ai.google.dev/api/tokens."""
    if provider in _BARE:
        return body
    fields = {name: getattr(body, name) for name in wire.Request.__struct_fields__}
    return wire.CountRequest(wire.CountedRequest(**fields, model=f"models/{model.removeprefix('models/')}"))


def tokens(body: bytes) -> int:
    """`totalTokens`. Raises msgspec.DecodeError."""
    return _COUNT.decode(body).total_tokens
