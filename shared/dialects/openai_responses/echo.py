"""What a response object repeats of the request it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from shared.wire.openai_chat import NULL

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()

TRUE = Raw(b"true")

_DEFAULTS = {
    "background": Raw(b"false"),
    "instructions": NULL,
    "max_output_tokens": NULL,
    "max_tool_calls": NULL,
    "metadata": Raw(b"{}"),
    "parallel_tool_calls": TRUE,
    "previous_response_id": NULL,
    "prompt_cache_key": NULL,
    "prompt_cache_retention": NULL,
    "reasoning": Raw(b'{"effort":null,"summary":null}'),
    "safety_identifier": NULL,
    "service_tier": Raw(b'"auto"'),
    "store": TRUE,
    "temperature": Raw(b"1.0"),
    "text": Raw(b'{"format":{"type":"text"},"verbosity":"medium"}'),
    "tool_choice": Raw(b'"auto"'),
    "tools": Raw(b"[]"),
    "top_logprobs": Raw(b"0"),
    "top_p": Raw(b"1.0"),
    "truncation": Raw(b'"disabled"'),
    "user": NULL,
}
"""What OpenAI answers a request that says nothing about a field, as recorded."""

_FILLED_UP = ("reasoning", "text")
"""Objects of which a request may give a part."""


def echo(body: bytes) -> dict[str, Raw]:
    """The repeated fields of the request `body`, in the answer's order; all defaults when it is empty."""
    given = _given(_FIELDS.decode(body)) if body else {}
    fields = {name: given.get(name, default) for name, default in _DEFAULTS.items()}
    for name in _FILLED_UP:
        if name in given:
            fields[name] = _filled_up(given[name], _DEFAULTS[name])
    return fields


def _given(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    return {name: value for name, value in fields.items() if bytes(value) != b"null"}


def _filled_up(given: Raw, default: Raw) -> Raw:
    with contextlib.suppress(msgspec.ValidationError):  # no object: not for us to judge
        return Raw(_ENCODER.encode(_FIELDS.decode(default) | _given(_FIELDS.decode(given))))
    return given
