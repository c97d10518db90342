"""Where a request's body names files, and what stands there instead once their content is known. Pure.

    anthropic         a document's or image's `source`, in tool results too    a base64 or text source
    openai_chat       `file.file_id`                                           `file_data`, a data URL
    openai_responses  `file_id` of an input_file, in outputs of calls too      `file_data`, a data URL
                      `file_id` of an input_image, likewise                    `image_url`, a data URL

Ids of files elsewhere, as in containers and tools, are the provider's and travel untouched.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw

from shared.errors import InvalidRequest
from shared.media import is_text
from worker.places import SOURCES, Keys, Kind, Search, word, written

Form: TypeAlias = Literal["base64", "text", "data_url"]
"""How content is written: the type of a source of Anthropic's, or as OpenAI has it."""

_FIELDS: dict[Kind, str] = {"file": "file_data", "input_file": "file_data", "input_image": "image_url"}
"""Which field of OpenAI's takes the content."""
_BESIDE = ("file_data", "file_url", "image_url")
_PDF = "application/pdf"
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TAKES: dict[Kind, str] = {
    "document": "a document must be a PDF or text",
    "image": "an image must be JPEG, PNG, GIF or WebP",
    "input_image": "this must be an image",
}


class Mention(msgspec.Struct):
    """A place in a body that names a file.

    Attributes:
        holder: the opened object that holds the id, and is to hold the content.
        kind: what stands there.
        keys: the way to the id.
        shown: the id.
    """

    holder: dict[str, Any]
    kind: Kind
    keys: Keys
    shown: str

    @property
    def path(self) -> str:
        """The way to the id as the client's surface writes it."""
        return written(self.keys, self.kind)

    def form(self, media_type: str) -> Form:
        """How a file of that type is written here. Raises InvalidRequest when it cannot be."""
        match self.kind:
            case "document" if is_text(media_type):
                return "text"
            case "document" if media_type == _PDF:
                return "base64"
            case "image" if media_type in _IMAGES:
                return "base64"
            case "input_image" if media_type.startswith("image/"):
                return "data_url"
            case "file" | "input_file":
                return "data_url"
            case kind:
                raise self.invalid(f"{_TAKES[kind]}, and the file {self.shown[:80]!r} is {media_type!r}.")

    def put(self, content: bytes, form: Form, media_type: str, filename: str) -> None:
        """Put the content, a JSON string in that form, in the place of the id.

        Raises:
            InvalidRequest: there is content beside the id.
        """
        if self.kind in SOURCES:
            given = "text/plain" if form == "text" else media_type
            self.holder.clear()
            self.holder.update(type=form, media_type=given, data=Raw(content))
            return
        if beside := next((name for name in _BESIDE if word(self.holder, name)), None):
            raise self.invalid(f"not possible together with {beside}; leave one out.")
        del self.holder["file_id"]
        field = _FIELDS[self.kind]
        self.holder[field] = Raw(content)
        if field == "file_data" and not word(self.holder, "filename"):
            self.holder["filename"] = filename

    def invalid(self, why: str) -> InvalidRequest:
        """The error for a file that cannot be put here."""
        return InvalidRequest(f"{self.path}: {why}", param=self.path)


def mentions(body: bytes, dialect: str) -> tuple[dict[str, Any], list[Mention]]:
    """The body, opened as far as the places that name files, and those in their order; see Search."""
    return _SEARCH.run(body, dialect)


def _mention(holder: dict[str, Any], keys: Keys, kind: Kind) -> Mention | None:
    if kind in SOURCES and word(holder, "type") != "file":
        return None
    shown = word(holder, "file_id") if kind in SOURCES or kind in _FIELDS else ""
    return Mention(holder, kind, (*keys, "file_id"), shown) if shown else None


_SEARCH = Search(re.compile(rb'"file_id"'), _mention)
