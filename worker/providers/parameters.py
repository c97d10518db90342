"""Parameters of tools, for makers that demand what OpenAI lets callers omit."""

from __future__ import annotations

import msgspec
from msgspec import Raw

NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_OBJECT = Raw(b'"object"')
_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def with_type(parameters: Raw | None) -> Raw:
    """The JSON Schema untouched, but with a `type`; what is no object is the provider's to refuse."""
    if parameters is None:
        return NO_PARAMETERS
    try:
        fields = _FIELDS.decode(parameters)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return parameters
    return parameters if "type" in fields else Raw(_ENCODER.encode({"type": _OBJECT, **fields}))
