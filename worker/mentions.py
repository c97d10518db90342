"""Where a request's body names files, and what stands there instead once their content is known. Pure.

    anthropic         a document's or image's `source`, in tool results too    a base64 or text source
    openai_chat       `file.file_id`                                           `file_data`, a data URL
    openai_responses  `file_id` of an input_file, in outputs of calls too      `file_data`, a data URL
                      `file_id` of an input_image, likewise                    `image_url`, a data URL

Ids of files elsewhere, as in containers and tools, are the provider's and travel untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from shared.errors import InvalidRequest
from shared.media import is_text

T = TypeVar("T")
Form: TypeAlias = Literal["base64", "text", "data_url"]
"""How content is written: the type of a source of Anthropic's, or as OpenAI has it."""
_Kind: TypeAlias = Literal["document", "image", "file_data", "image_url"]
_Keys: TypeAlias = tuple[str | int, ...]
_Look: TypeAlias = Callable[[dict[str, Any], _Keys], list["Mention"]]

NULL = Raw(b"null")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_STRING = msgspec.json.Decoder(str)
_FILE_ID = re.compile(rb'"file_id"')

_SOURCES = frozenset({"document", "image"})
_BESIDE = ("file_data", "file_url", "image_url")
_PDF = "application/pdf"
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TAKES = {
    "document": "a document must be a PDF or text",
    "image": "an image must be JPEG, PNG, GIF or WebP",
    "image_url": "this must be an image",
}


class Mention(msgspec.Struct):
    """A place in a body that names a file.

    Attributes:
        holder: the opened object that holds the id, and is to hold the content.
        kind: what it stands for: a block of Anthropic's, or the field of OpenAI's that takes the content.
        keys: the way to the id.
        shown: the id.
    """

    holder: dict[str, Any]
    kind: _Kind
    keys: _Keys
    shown: str

    @property
    def path(self) -> str:
        """The way to the id as the client's surface writes it."""
        if self.kind in _SOURCES:
            return ".".join(map(str, self.keys))
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys)[1:]

    def form(self, media_type: str) -> Form:
        """How a file of that type is written here. Raises InvalidRequest when it cannot be."""
        match self.kind:
            case "document" if is_text(media_type):
                return "text"
            case "document" if media_type == _PDF:
                return "base64"
            case "image" if media_type in _IMAGES:
                return "base64"
            case "image_url" if media_type.startswith("image/"):
                return "data_url"
            case "file_data":
                return "data_url"
            case kind:
                raise self.invalid(f"{_TAKES[kind]}, and the file {self.shown[:80]!r} is {media_type!r}.")

    def put(self, content: bytes, form: Form, media_type: str, filename: str) -> None:
        """Put the content, a JSON string in that form, in the place of the id.

        Raises:
            InvalidRequest: there is content beside the id.
        """
        if self.kind in _SOURCES:
            given = "text/plain" if form == "text" else media_type
            self.holder.clear()
            self.holder.update(type=form, media_type=given, data=Raw(content))
            return
        if beside := next((name for name in _BESIDE if _word(self.holder, name)), None):
            raise self.invalid(f"not possible together with {beside}; leave one out.")
        del self.holder["file_id"]
        self.holder[self.kind] = Raw(content)
        if self.kind == "file_data" and not _word(self.holder, "filename"):
            self.holder["filename"] = filename

    def invalid(self, why: str) -> InvalidRequest:
        """The error for a file that cannot be put here."""
        return InvalidRequest(f"{self.path}: {why}", param=self.path)


def mentions(body: bytes, dialect: str) -> tuple[dict[str, Any], list[Mention]]:
    """The body, opened as far as the places that name files, and those in their order.

    What cannot be read names none: who reads the body next says what is wrong with it.
    """
    if not _FILE_ID.search(body):
        return {}, []
    fields: dict[str, Any] = _read(_OBJECT, body) or {}
    name, look = _LISTS[dialect]
    return fields, _each(fields, name, (), look)


def _each(fields: dict[str, Any], name: str, keys: _Keys, look: _Look) -> list[Mention]:
    """Those in the objects of a list; what has none stays closed, so that it is written as it came."""
    items: list[Any] = _read(_LIST, fields.get(name, NULL)) or []
    found = []
    for index, raw in enumerate(items):
        if not _FILE_ID.search(raw):
            continue
        item = _read(_OBJECT, raw) or {}
        if inside := look(item, (*keys, name, index)):
            items[index] = item
            found += inside
    if found:
        fields[name] = items
    return found


def _inside(fields: dict[str, Any], name: str, keys: _Keys, look: _Look) -> list[Mention]:
    """Those in an object, likewise."""
    item: dict[str, Any] = _read(_OBJECT, fields.get(name, NULL)) or {}
    if found := look(item, (*keys, name)):
        fields[name] = item
    return found


def _named(holder: dict[str, Any], keys: _Keys, kind: _Kind) -> list[Mention]:
    shown = _word(holder, "file_id")
    return [Mention(holder, kind, (*keys, "file_id"), shown)] if shown else []


# --- Anthropic ---------------------------------------------------------------------------------------------


def _turn(turn: dict[str, Any], keys: _Keys) -> list[Mention]:
    return _each(turn, "content", keys, _block)


def _block(block: dict[str, Any], keys: _Keys) -> list[Mention]:
    if _word(block, "type") == "tool_result":
        return _each(block, "content", keys, _piece)
    return _piece(block, keys)


def _piece(block: dict[str, Any], keys: _Keys) -> list[Mention]:
    match _word(block, "type"):
        case "document" | "image" as kind:
            return _inside(block, "source", keys, partial(_source, kind=kind))
        case _:
            return []


def _source(source: dict[str, Any], keys: _Keys, *, kind: _Kind) -> list[Mention]:
    return _named(source, keys, kind) if _word(source, "type") == "file" else []


# --- OpenAI ------------------------------------------------------------------------------------------------


def _message(message: dict[str, Any], keys: _Keys) -> list[Mention]:
    return _each(message, "content", keys, _chat_part)


def _chat_part(part: dict[str, Any], keys: _Keys) -> list[Mention]:
    return _inside(part, "file", keys, partial(_named, kind="file_data")) if _word(part, "type") == "file" else []


def _item(item: dict[str, Any], keys: _Keys) -> list[Mention]:
    return _each(item, "content", keys, _input_part) + _each(item, "output", keys, _input_part)


def _input_part(part: dict[str, Any], keys: _Keys) -> list[Mention]:
    match _word(part, "type"):
        case "input_file":
            return _named(part, keys, "file_data")
        case "input_image":
            return _named(part, keys, "image_url")
        case _:
            return []


# --- JSON --------------------------------------------------------------------------------------------------


def _word(fields: dict[str, Any], name: str) -> str:
    return _read(_STRING, fields.get(name, NULL)) or ""


def _read(decoder: msgspec.json.Decoder[T], raw: bytes | Raw) -> T | None:
    """None for what is of another type, or malformed."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


_LISTS: dict[str, tuple[str, _Look]] = {
    "anthropic": ("messages", _turn),
    "openai_chat": ("messages", _message),
    "openai_responses": ("input", _item),
}
"""Which list of a dialect's body to look through, and how at its objects."""
