"""The gateway's own fields in bodies of OpenAI's surface, whichever of its dialects."""

from __future__ import annotations

import contextlib

import msgspec
from msgspec import Raw

_STRINGS = msgspec.json.Decoder(list[str])


def own_fallbacks(raw: Raw) -> tuple[str, ...]:
    """The gateway's list of `provider/model` strings; empty for any other value, which is a vendor's own."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return tuple(_STRINGS.decode(raw))
    return ()


def is_own(name: str, raw: Raw) -> bool:
    """A top-level field that the gateway has already acted upon: an object as `provider` is OpenRouter's instead."""
    match name:
        case "model":
            return True
        case "provider":
            return bytes(raw).startswith(b'"')
        case "fallbacks":
            return bytes(raw) == b"[]" or bool(own_fallbacks(raw))
        case _:
            return False
