"""Canonical parts as Converse's content blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import assert_never

from shared.chat import (
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    Part,
    PlainText,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from shared.chat import Source as Place
from shared.media import is_text
from shared.wire import bedrock as wire
from worker.providers.arguments import as_object
from worker.providers.bedrock.caching import Points, with_points
from worker.providers.call_ids import spelled
from worker.providers.documents import text_of
from worker.providers.losses import Losses

_CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_S3 = "s3://"
_EXTENSION = re.compile(r"\.([A-Za-z]{2,4})$")

_IMAGES = {"jpeg": "jpeg", "jpg": "jpeg", "png": "png", "gif": "gif", "webp": "webp"}
"""Formats by the second half of a media type, and by extension."""
_DOCUMENTS = {
    "application/pdf": "pdf",
    "application/csv": "csv",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
}
"""Formats by media type; all other text is `txt`."""
_FORMATS = frozenset({*_DOCUMENTS.values(), "txt"})

_NAMELESS = "document"
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\s\-()\[\]]+")
_MAX_NAME = 190
"""Characters of a document's name; the API takes 200, and a number may follow."""
_NO_CONTENT = wire.Block(text="(no content)")
"""The API refuses blank text, and a result with nothing in it."""


class Content:
    """Writes the parts of one request, in which no two documents may have one name."""

    def __init__(self, losses: Losses, cache_points: Points) -> None:
        self._losses = losses
        self._cache_points = cache_points
        self._names: set[str] = set()

    def blocks(self, parts: Iterable[Part], path: str) -> list[wire.Block]:
        """The blocks for the parts at the canonical `path`, without those that say nothing.

        Raises:
            Unsupported: a part that this wire cannot express.
            InvalidRequest: a part that no Converse request could hold.
        """
        paths = ((f"{path}.{index}", part) for index, part in enumerate(parts))
        return with_points(((own, self._block(part, own)) for own, part in paths), self._cache_points, wire.Block)

    def _block(self, part: Part, path: str) -> wire.Block | None:
        match part:
            case Text(text) | Refusal(text):
                return None if not text or text.isspace() else wire.Block(text=text)
            case Image():
                return wire.Block(image=self._image(part, path))
            case Document():
                return wire.Block(document=self._document(part, path))
            case Thinking() | RedactedThinking():
                return self._thinking(part, path)
            case ToolCall(call_id, name, arguments):
                own = spelled(call_id, _CALL_ID, "tooluse_")
                return wire.Block(tool_use=wire.ToolUse(own, name, as_object(arguments, path, self._losses)))
            case ToolResult():
                return wire.Block(tool_result=self._result(part, path))
            case Foreign():
                raise self._losses.refuse_foreign(part)
            case _:
                assert_never(part)

    def _image(self, image: Image, path: str) -> wire.Image:
        if image.detail not in {None, "auto"}:
            self._losses.drop(f"{path}.detail", "detail")
        match image.source:
            case Inline(media_type, data):
                kind, source = media_type.lower().removeprefix("image/"), wire.Source(bytes=data)
            case Url() | FileRef():
                kind, source = self._stored(image.source, path)
            case _:
                assert_never(image.source)
        if kind not in _IMAGES:
            raise self._losses.refuse(path, f"An image must be JPEG, PNG, GIF or WebP, not {kind[:50]!r}.")
        return wire.Image(_IMAGES[kind], source)

    def _document(self, document: Document, path: str) -> wire.Document:
        if document.citations:
            raise self._losses.refuse(path, "Citations of documents are not possible here.")
        kind, source = self._source(document.source, path)
        name = self._name(document.title or document.filename or _NAMELESS)
        return wire.Document(kind, name, source, document.context)

    def _source(self, place: Place, path: str) -> tuple[str, wire.Source]:
        """Format and place."""
        match place:
            case Inline(media_type, data) if media_type in _DOCUMENTS:
                return _DOCUMENTS[media_type], wire.Source(bytes=data)
            case Inline(media_type):
                if not is_text(place.media_type):
                    raise self._losses.refuse(path, f"A document cannot be {media_type[:50]!r} here.")
                return "txt", wire.Source(text=text_of(place, path, self._losses))
            case PlainText(text):
                return "txt", wire.Source(text=text)
            case Url() | FileRef():
                kind, source = self._stored(place, path)
                if kind not in _FORMATS:
                    raise self._losses.refuse(path, "The address of a document must end in what it is, as .pdf.")
                return kind, source
            case _:
                assert_never(place)

    def _stored(self, place: Url | FileRef, path: str) -> tuple[str, wire.Source]:
        """The extension of an object in S3, the one place that Bedrock itself reads from, and the place."""
        if isinstance(place, FileRef) or not place.url.startswith(_S3):
            raise self._losses.refuse(path, "Give the content itself, or the address of an object in S3 (s3://…).")
        found = _EXTENSION.search(place.url)
        return found[1].lower() if found else "", wire.Source(s3_location=wire.S3Location(place.url))

    def _name(self, wanted: str) -> str:
        """A name as the API takes them: without the extension, which the format says, and in use once."""
        plain = " ".join(_NOT_IN_A_NAME.sub("-", _EXTENSION.sub("", wanted)).split())[:_MAX_NAME].strip() or _NAMELESS
        name, number = plain, 1
        while name in self._names:
            number += 1
            name = f"{plain} {number}"
        self._names.add(name)
        return name

    def _thinking(self, part: Thinking | RedactedThinking, path: str) -> wire.Block | None:
        """None for thinking that no model on Bedrock has signed: it would be refused."""
        if part.origin == wire.WIRE:
            if isinstance(part, RedactedThinking):
                return wire.Block(reasoning_content=wire.Reasoning(redacted_content=part.data))
            if part.signature:
                signed = wire.ReasoningText(part.text, part.signature)
                return wire.Block(reasoning_content=wire.Reasoning(reasoning_text=signed))
        self._losses.drop(path, "thinking")
        return None

    def _result(self, result: ToolResult, path: str) -> wire.ToolResult:
        content = self.blocks(result.content, f"{path}.content") or [_NO_CONTENT]
        own = spelled(result.call_id, _CALL_ID, "tooluse_")
        return wire.ToolResult(own, content, "error" if result.is_error else None)
