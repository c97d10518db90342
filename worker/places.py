"""The images and documents of a request's body, in the places where its dialect has them. Pure.

    anthropic         `source` of a document or image, in tool results too
    openai_chat       `file` of a part; `image_url` of a part, or the part itself where that is a mere string
    openai_responses  an input_file or input_image, in outputs of calls too

A body is opened only as far as it holds what is looked for; all else stays closed, and is written as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")
Kind: TypeAlias = Literal["document", "image", "file", "image_url", "short_image_url", "input_file", "input_image"]
Keys: TypeAlias = tuple[str | int, ...]
Pick: TypeAlias = Callable[[dict[str, Any], Keys, Kind], T | None]
"""Of the opened object in a place, the way to it, and what stands there: what is looked for, or None."""
_Look: TypeAlias = Callable[[dict[str, Any], Keys], list[T]]

NULL = Raw(b"null")
SOURCES = frozenset({"document", "image"})
"""Kinds of Anthropic's, whose paths are written with dots alone."""
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_STRING = msgspec.json.Decoder(str)


class Search(Generic[T]):
    """Looks for what `pick` makes of places; `sign` is in the bytes of each that holds something."""

    def __init__(self, sign: re.Pattern[bytes], pick: Pick[T]) -> None:
        self._sign = sign
        self._pick = pick
        self._lists: dict[str, tuple[str, _Look[T]]] = {
            "anthropic": ("messages", self._turn),
            "openai_chat": ("messages", self._message),
            "openai_responses": ("input", self._item),
        }

    def run(self, body: bytes, dialect: str) -> tuple[dict[str, Any], list[T]]:
        """The body, opened as far as there was something, and what was found, in its order.

        In what cannot be read nothing is found: who reads the body next says what is wrong with it.
        """
        if not self._sign.search(body):
            return {}, []
        fields: dict[str, Any] = read(_OBJECT, body) or {}
        name, look = self._lists[dialect]
        return fields, self._each(fields, name, (), look)

    def _each(self, fields: dict[str, Any], name: str, keys: Keys, look: _Look[T]) -> list[T]:
        """What is in the objects of a list."""
        items: list[Any] = read(_LIST, fields.get(name, NULL)) or []
        found = []
        for index, raw in enumerate(items):
            if not self._sign.search(raw):
                continue
            item = read(_OBJECT, raw) or {}
            if inside := look(item, (*keys, name, index)):
                items[index] = item
                found += inside
        if found:
            fields[name] = items
        return found

    def _inside(self, fields: dict[str, Any], name: str, keys: Keys, kind: Kind) -> list[T]:
        """What an object holds."""
        item: dict[str, Any] = read(_OBJECT, fields.get(name, NULL)) or {}
        if found := self._here(item, (*keys, name), kind):
            fields[name] = item
        return found

    def _here(self, holder: dict[str, Any], keys: Keys, kind: Kind) -> list[T]:
        found = self._pick(holder, keys, kind)
        return [] if found is None else [found]

    # --- Anthropic ------------------------------------------------------------------------------------

    def _turn(self, turn: dict[str, Any], keys: Keys) -> list[T]:
        return self._each(turn, "content", keys, self._block)

    def _block(self, block: dict[str, Any], keys: Keys) -> list[T]:
        if word(block, "type") == "tool_result":
            return self._each(block, "content", keys, self._piece)
        return self._piece(block, keys)

    def _piece(self, block: dict[str, Any], keys: Keys) -> list[T]:
        match word(block, "type"):
            case "document" | "image" as kind:
                return self._inside(block, "source", keys, kind)
            case _:
                return []

    # --- OpenAI ---------------------------------------------------------------------------------------

    def _message(self, message: dict[str, Any], keys: Keys) -> list[T]:
        return self._each(message, "content", keys, self._part)

    def _part(self, part: dict[str, Any], keys: Keys) -> list[T]:
        match word(part, "type"):
            case "file":
                return self._inside(part, "file", keys, "file")
            case "image_url" if word(part, "image_url"):
                return self._here(part, keys, "short_image_url")
            case "image_url":
                return self._inside(part, "image_url", keys, "image_url")
            case _:
                return []

    def _item(self, item: dict[str, Any], keys: Keys) -> list[T]:
        return self._each(item, "content", keys, self._input) + self._each(item, "output", keys, self._input)

    def _input(self, part: dict[str, Any], keys: Keys) -> list[T]:
        match word(part, "type"):
            case "input_file" | "input_image" as kind:
                return self._here(part, keys, kind)
            case _:
                return []


def written(keys: Keys, kind: Kind) -> str:
    """A way as the client's surface writes it."""
    if kind in SOURCES:
        return ".".join(map(str, keys))
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)[1:]


def word(fields: dict[str, Any], name: str) -> str:
    """A field that is a string; empty for none."""
    return read(_STRING, fields.get(name, NULL)) or ""


def read(decoder: msgspec.json.Decoder[T], raw: bytes | Raw) -> T | None:
    """None for what is of another type, or malformed."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
