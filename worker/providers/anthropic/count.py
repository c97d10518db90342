"""Counting tokens: the request without what the endpoint refuses, and the number in its answer."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from worker.providers.base import Rendered

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()

_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "cache_control", "output_config"}
)
"""https://docs.anthropic.com/en/api/messages-count-tokens, request body."""


class _Count(msgspec.Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


def only_counted(rendered: Rendered) -> Rendered:
    """The fields that `count_tokens` takes; the others change no count."""
    fields = _FIELDS.decode(rendered.body)
    kept = {name: raw for name, raw in fields.items() if name in _COUNTED}
    return Rendered(_ENCODER.encode(kept), rendered.dropped)


def tokens(body: bytes) -> int:
    """`input_tokens`. Raises msgspec.DecodeError."""
    return _COUNT.decode(body).input_tokens
