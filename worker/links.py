"""Where a request's body gives an image or document by URL, and what stands there once it was fetched. Pure.

    anthropic         `source.url` of a document or image, in tool results too    a base64 or text source
    openai_chat       `image_url.url`, or `image_url` itself; `file.file_data`    a data URL
    openai_responses  `image_url` of an input_image, in outputs of calls too      a data URL
                      `file_url` of an input_file, likewise                       `file_data`, a data URL

URLs elsewhere, as in texts and tools, are the model's to read.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import msgspec

from shared.chat import Document, Image, Inline, PlainText, Url
from worker.places import SOURCES, Keys, Kind, Search, word, written

_FIELDS: dict[Kind, str] = {
    "document": "url",
    "image": "url",
    "file": "file_data",
    "image_url": "url",
    "short_image_url": "image_url",
    "input_file": "file_url",
    "input_image": "image_url",
}
_IMAGES = frozenset({"image", "image_url", "short_image_url", "input_image"})
_INNER = frozenset({"document", "image", "file", "image_url"})
"""Kinds that are an object within their block or part."""


class Link(msgspec.Struct):
    """A place in a body that holds a URL.

    Attributes:
        holder: the opened object that holds it.
        kind: what stands there.
        keys: the way to its block or part.
        part: what it says, in the canonical form.
    """

    holder: dict[str, Any]
    kind: Kind
    keys: Keys
    part: Image | Document

    @property
    def path(self) -> str:
        """The way to its block or part as the client's surface writes it."""
        return written(self.keys, self.kind)

    def put(self, source: Inline | PlainText) -> None:
        """Put what the URL leads to in its place."""
        if self.kind in SOURCES:
            self.holder.clear()
            self.holder.update(_as_source(source))
            return
        del self.holder[_FIELDS[self.kind]]
        field = "file_data" if self.kind == "input_file" else _FIELDS[self.kind]
        self.holder[field] = _as_data_url(source)


def links(body: bytes, dialect: str) -> tuple[dict[str, Any], list[Link]]:
    """The body, opened as far as the places that hold URLs, and those in their order; see Search."""
    return _SEARCH.run(body, dialect)


def _link(holder: dict[str, Any], keys: Keys, kind: Kind) -> Link | None:
    if kind in SOURCES and word(holder, "type") != "url":
        return None
    url = Url(word(holder, _FIELDS[kind]))
    if not is_web(url):
        return None
    return Link(holder, kind, keys[:-1] if kind in _INNER else keys, Image(url) if kind in _IMAGES else Document(url))


def is_web(url: Url) -> bool:
    """Whether it could be fetched from the web; others are names of something at a provider."""
    return url.url[:8].lower().startswith(("http://", "https://"))


def _as_source(source: Inline | PlainText) -> dict[str, str]:
    if isinstance(source, PlainText):
        return {"type": "text", "media_type": "text/plain", "data": source.text}
    return {"type": "base64", "media_type": source.media_type, "data": source.data}


def _as_data_url(source: Inline | PlainText) -> str:
    if isinstance(source, PlainText):
        return f"data:text/plain;base64,{base64.b64encode(source.text.encode()).decode()}"
    return f"data:{source.media_type};base64,{source.data}"


_SEARCH = Search(re.compile(rb"https?:"), _link)
