"""Canonical parts as Gemini's parts."""

from __future__ import annotations

import mimetypes
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
from shared.media import is_text
from shared.wire import gemini as wire
from worker.providers.arguments import as_object
from worker.providers.call_ids import unseal
from worker.providers.documents import text_of
from worker.providers.losses import Losses

_UNSIGNED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""What stands for the signature of a call that another maker's model made, base64 of a word that Google documents
for this: https://ai.google.dev/gemini-api/docs/thought-signatures, frequently asked questions."""

_FILE_API = "https://generativelanguage.googleapis.com/"
_YOUTUBE = re.compile(r"https://(?:(?:www\.|m\.)?youtube\.com|youtu\.be)/")
_VIDEO = "video/mp4"
"""Of what is on YouTube: Vertex wants a type (https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/video-understanding)."""
_PDF = "application/pdf"
_SAME = {"image/jpg": "image/jpeg"}
"""No registered type, but common."""


def asked(part: Part, path: str, losses: Losses) -> list[wire.Part]:
    """A part of a user's turn; none for empty text, which the API refuses.

    Raises:
        Unsupported: this wire cannot express it.
        InvalidRequest: no Gemini request could hold it.
    """
    match part:
        case Text(text) | Refusal(text):
            return [wire.Part(text=text)] if text else []
        case Image():
            return [_image(part, path, losses)]
        case Document():
            return [_document(part, path, losses)]
        case Foreign():
            raise losses.refuse_foreign(part)
        case Thinking() | RedactedThinking() | ToolCall() | ToolResult():
            raise losses.refuse(path, "not possible in a user message.")
        case _:
            assert_never(part)


def said(placed: Iterable[tuple[Part, str]], losses: Losses, *, signed: bool) -> list[wire.Part]:
    """The parts of a model's turn, each with its canonical path.

    Signatures come back where they were: those of calls in their ids, that of a text in the thinking before it, or in
    an empty one behind it. With `signed` the first call must have one: the model refuses it without.

    Raises:
        Unsupported: a part that no model's turn can hold.
        InvalidRequest: arguments that are no object.
    """
    made: list[wire.Part] = []
    signature: str | None = None
    called = False
    for part, path in placed:
        match part:
            case Text(text) | Refusal(text):
                if text:
                    made.append(wire.Part(text=text, thought_signature=signature))
                    signature = None
            case Thinking(text, wire.WIRE, sealed):
                made += [wire.Part(text=text, thought=True)] if text else []
                signature = sealed or signature
            case Thinking() | RedactedThinking():
                losses.drop(path, "thinking")
            case ToolCall():
                made.append(_call(part, path, signature or (_UNSIGNED if signed and not called else None), losses))
                signature, called = None, True
            case Foreign():
                raise losses.refuse_foreign(part)
            case Image() | Document() | ToolResult():
                raise losses.refuse(path, "not possible in an assistant message.")
            case _:
                assert_never(part)
    return made if signature is None else [*made, wire.Part(text="", thought_signature=signature)]


def _call(call: ToolCall, path: str, signature: str | None, losses: Losses) -> wire.Part:
    """The call with its own signature, else the given one."""
    call_id, own = unseal(call.id)
    function = wire.FunctionCall(call_id, call.name, as_object(call.arguments, path, losses))
    return wire.Part(function_call=function, thought_signature=own or signature)


def result(
    answered: ToolResult, path: str, names: dict[str, str], losses: Losses, *, latest: bool
) -> tuple[wire.FunctionResponse, list[wire.Part]]:
    """A tool's result, and the parts that it cannot hold: before Gemini 3 all but text, which follow under a label."""
    if answered.call_id not in names:
        raise losses.invalid(path, "No tool call before has the id that this result is for.")
    texts, files = [], []
    for index, part in enumerate(answered.content):
        for made in asked(part, f"{path}.content.{index}", losses):
            if isinstance(made.text, str):
                texts.append(made.text)
            else:
                files.append(made)
    call_id, name = unseal(answered.call_id)[0], names[answered.call_id]
    response = wire.FunctionResponse(call_id, name, {"error" if answered.is_error else "output": "\n\n".join(texts)})
    held = [wire.FunctionResponsePart(made.inline_data) for made in files if latest and made.inline_data]
    response.parts = held or None
    moved = [made for made in files if not (latest and made.inline_data)]
    return response, [wire.Part(text=f"From the result of tool call {call_id}:"), *moved] if moved else []


def _image(image: Image, path: str, losses: Losses) -> wire.Part:
    if image.detail not in {None, "auto"}:
        losses.drop(f"{path}.detail", "detail")
    match image.source:
        case Inline(media_type, data):
            return _inline(media_type, data)
        case Url(url):
            return _at(url, "image/*")
        case FileRef():
            raise losses.refuse(path, "an image cannot be given by file id here.")
        case _:
            assert_never(image.source)


def _document(document: Document, path: str, losses: Losses) -> wire.Part:
    if document.citations:
        raise losses.refuse(path, "citations are not possible here.")
    if document.context:
        losses.drop(f"{path}.context", "context")
    if document.title or document.filename:
        losses.drop(f"{path}.{'title' if document.title else 'filename'}", "title")
    match document.source:
        case PlainText(text):
            return wire.Part(text=text)
        case Inline(media_type, data) if media_type == _PDF:
            return _inline(media_type, data)
        case Inline() if is_text(document.source.media_type):
            return wire.Part(text=text_of(document.source, path, losses))
        case Inline():
            raise losses.refuse(path, "an inline document must be a PDF or text here.")
        case Url(url):
            return _at(url, _PDF)
        case FileRef():
            raise losses.refuse(path, "a document cannot be given by file id here.")
        case _:
            assert_never(document.source)


def _inline(media_type: str, data: str) -> wire.Part:
    kind = media_type.lower()
    return wire.Part(inline_data=wire.Blob(_SAME.get(kind, kind), data))


def _at(url: str, otherwise: str) -> wire.Part:
    """A file that Google itself fetches; its type by its name, but for its own file API, which knows it."""
    if url.startswith(_FILE_API):
        return wire.Part(file_data=wire.FileData(url))
    kind = _VIDEO if _YOUTUBE.match(url) else mimetypes.guess_type(url)[0] or otherwise
    return wire.Part(file_data=wire.FileData(url, kind))
