"""A client's body for a server that refuses fields it does not know, and ids of tool calls that it would not give.

OpenAI's SDK sends an answer back with all the fields it came with, empty ones too; and a conversation that began at
another provider, before a fallback say, has that one's ids.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from worker.providers.base import Row
from worker.providers.call_ids import of_length

_ENCODER = msgspec.json.Encoder()
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_STRING = msgspec.json.Decoder(str)

_NOTHING = frozenset({b"null", b"[]", b'""'})
_ANSWERS = frozenset({"annotations", "audio", "function_call", "name", "reasoning", "reasoning_content", "refusal"})
"""Fields of messages as OpenAI's and others' answers have them."""


def fit(fields: dict[str, Raw], row: Row) -> None:
    """Write what the server knows by another name, or needs not be told, its way; what is left it refuses by name.

    Messages that cannot be read stay as they came, for it to refuse.
    """
    limit = fields.pop("max_completion_tokens", None)
    if limit is not None:
        fields.setdefault(row.max_tokens_field, limit)
    if not row.stream_usage:
        fields.pop("stream_options", None)
    try:
        messages = [_message(message, row) for message in _OBJECTS.decode(fields["messages"])]
    except (KeyError, msgspec.DecodeError, UnicodeError, RecursionError):
        return
    fields["messages"] = _encoded(messages)


def _message(message: dict[str, Raw], row: Row) -> dict[str, Raw]:
    """Without the fields of others' answers that say nothing."""
    kept = {name: raw for name, raw in message.items() if name not in _ANSWERS or bytes(raw) not in _NOTHING}
    if "tool_call_id" in kept:
        kept["tool_call_id"] = _short(kept["tool_call_id"], row)
    if bytes(kept.get("tool_calls", Raw())).startswith(b"["):
        kept["tool_calls"] = _encoded([_call(call, row) for call in _OBJECTS.decode(kept["tool_calls"])])
    return kept


def _call(call: dict[str, Raw], row: Row) -> dict[str, Raw]:
    return call | {"id": _short(call["id"], row)} if "id" in call else call


def _short(call_id: Raw, row: Row) -> Raw:
    return _encoded(of_length(_STRING.decode(call_id), row.call_id_chars))


def _encoded(value: object) -> Raw:
    return Raw(_ENCODER.encode(value))
