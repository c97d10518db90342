"""Arguments of tool calls for wires on which they are an object, and not text as OpenAI has them."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from worker.providers.losses import Losses

_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def as_object(arguments: str, path: str, losses: Losses) -> Raw:
    """The JSON text of the call at the canonical `path`, untouched; an empty one is an empty object.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    data = arguments.encode() if arguments.strip() else b"{}"
    try:
        _OBJECT.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise losses.invalid(path, "The arguments of a tool call must be a JSON object.") from error
    return Raw(data)
