"""Decode a client's JSON; what cannot be read becomes an InvalidRequest that names the place."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from shared.errors import InvalidRequest
from shared.json_bounds import TOO_DEEP

T = TypeVar("T")

FIELDS = msgspec.json.Decoder(dict[str, Raw])
"""An object by field name, the values untouched."""

_MAX_MESSAGE = 300
"""Characters of an error message: it may quote a value of the client's."""

_AT = re.compile(r" - at `(?:key in )?\$(.*)`$")
_MISSING = re.compile(r"^Object missing required field `(.*)`")
_INDEX = re.compile(r"\[(\d+)\]")
_BYTE = re.compile(r" \(byte (\d+)\)$")


def read(decoder: msgspec.json.Decoder[T], data: bytes | Raw, path: str = "") -> T:
    """Decode `data`, which stands at `path` in the body (empty for the body itself).

    Raises:
        InvalidRequest: naming the field, or line and column where the JSON ends to be JSON.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), path) from error
    except msgspec.DecodeError as error:
        raise _malformed(str(error), bytes(data), path) from error
    except RecursionError as error:
        raise at(path, TOO_DEEP) from error


def check_text(body: bytes) -> None:
    """Refuse a body that is not UTF-8 also where it is not decoded now, so that no later step can stumble over it."""
    try:
        body.isascii() or body.decode()
    except UnicodeDecodeError as error:
        raise at("", f"The request body is not valid UTF-8: byte {error.start}.") from error


def at(path: str, what: str) -> InvalidRequest:
    """The error for the field at `path`, worded as Anthropic does: `messages.0.content: Field required`."""
    message = f"{path}: {what}" if path else what
    return InvalidRequest(message[:_MAX_MESSAGE], param=path or None)


def join(path: str, name: str) -> str:
    """`name` below `path`."""
    return f"{path}.{name}" if path and name else path or name


def _wrong(text: str, path: str) -> InvalidRequest:
    found = _AT.search(text)
    if found:
        text = text[: found.start()]
        inner = _INDEX.sub(r".\1", found.group(1)).replace("[...]", "").strip(".")
        path = join(path, inner)
    missing = _MISSING.match(text)
    if missing:
        return at(join(path, missing.group(1)), "Field required")
    if not path:
        return at("", f"The request body must be a JSON object: {text.replace('`', '')}.")
    return at(path, text.replace("`", ""))


def _malformed(text: str, data: bytes, path: str) -> InvalidRequest:
    found = _BYTE.search(text)
    position = int(found.group(1)) if found else len(data)
    before = data[:position]
    line = before.count(b"\n") + 1
    column = position - (before.rfind(b"\n") + 1) + 1
    reason = (
        _BYTE.sub("", text).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends early")
    )
    return at(path, f"The request body is not valid JSON: {reason} at line {line}, column {column}.")
