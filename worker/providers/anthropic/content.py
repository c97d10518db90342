"""Canonical parts as Anthropic's content blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import assert_never

from msgspec import Raw

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
from shared.wire import anthropic as wire
from worker.providers.arguments import as_object
from worker.providers.call_ids import spelled
from worker.providers.documents import text_of
from worker.providers.losses import Losses

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")

_IMAGE_TYPES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",  # no registered type, but common
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}


def blocks(parts: Iterable[Part], path: str, losses: Losses) -> list[wire.Block | Raw]:
    """The blocks for the parts at the canonical `path`, without those that say nothing.

    Raises:
        Unsupported: a part that this wire cannot express.
        InvalidRequest: a part that no Anthropic request could hold.
    """
    made = (_block(part, f"{path}.{index}", losses) for index, part in enumerate(parts))
    return [block for block in made if block is not None]


def _block(part: Part, path: str, losses: Losses) -> wire.Block | Raw | None:
    match part:
        case Text(text) | Refusal(text):
            # The API refuses text without a visible character; servers write it beside tool calls.
            return None if not text or text.isspace() else wire.TextBlock(text)
        case Image():
            return _image(part, path, losses)
        case Document():
            return _document(part, path, losses)
        case Thinking() | RedactedThinking():
            return _thinking(part, path, losses)
        case ToolCall(call_id, name, arguments):
            return wire.ToolUseBlock(spelled(call_id, _CALL_ID, "toolu_"), name, as_object(arguments, path, losses))
        case ToolResult():
            return _result(part, path, losses)
        case Foreign():
            if part.wire != wire.WIRE:
                raise losses.refuse_foreign(part)
            return part.raw
        case _:
            assert_never(part)


def _image(image: Image, path: str, losses: Losses) -> wire.ImageBlock:
    if image.detail not in {None, "auto"}:
        losses.drop(f"{path}.detail", "detail")
    match image.source:
        case Inline(media_type, data):
            known = _IMAGE_TYPES.get(media_type.lower())
            if known is None:
                raise losses.refuse(path, f"An image must be JPEG, PNG, GIF or WebP, not {media_type[:50]!r}.")
            return wire.ImageBlock(wire.Source("base64", media_type=known, data=data))
        case Url() | FileRef():
            return wire.ImageBlock(_reference(image.source))
        case _:
            assert_never(image.source)


def _document(document: Document, path: str, losses: Losses) -> wire.DocumentBlock:
    return wire.DocumentBlock(
        _source(document.source, path, losses),
        title=document.title or document.filename,
        context=document.context,
        citations=wire.Citations(enabled=True) if document.citations else None,
    )


def _source(place: Place, path: str, losses: Losses) -> wire.Source:
    match place:
        case Inline("application/pdf", data):
            return wire.Source("base64", media_type="application/pdf", data=data)
        case Inline(media_type):
            if not is_text(place.media_type):
                raise losses.refuse(path, f"A document must be a PDF or text, not {media_type[:50]!r}.")
            return wire.Source("text", media_type="text/plain", data=text_of(place, path, losses))
        case PlainText(text):
            return wire.Source("text", media_type="text/plain", data=text)
        case Url() | FileRef():
            return _reference(place)
        case _:
            assert_never(place)


def _reference(place: Url | FileRef) -> wire.Source:
    if isinstance(place, Url):
        return wire.Source("url", url=place.url)
    return wire.Source("file", file_id=place.file_id)


def _thinking(part: Thinking | RedactedThinking, path: str, losses: Losses) -> wire.Block | None:
    """None for thinking that Anthropic has not signed: it would refuse it."""
    if part.origin == wire.WIRE:
        if isinstance(part, RedactedThinking):
            return wire.RedactedBlock(part.data)
        if part.signature:
            return wire.ThinkingBlock(part.text, part.signature)
    losses.drop(path, "thinking")
    return None


def _result(result: ToolResult, path: str, losses: Losses) -> wire.ToolResultOut:
    content: str | list[wire.Block | Raw]
    match result.content:
        case ():
            content = ""
        case (Text(text),):
            content = text
        case parts:
            content = blocks(parts, f"{path}.content", losses) or ""
    return wire.ToolResultOut(spelled(result.call_id, _CALL_ID, "toolu_"), content, result.is_error)
