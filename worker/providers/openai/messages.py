"""Canonical turns as Chat Completions messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from shared.chat import (
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    Message,
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
from shared.wire.openai_chat import (
    ContentPart,
    File,
    ImageUrl,
    WrittenFunction,
    WrittenRequestMessage,
    WrittenToolCall,
)
from worker.providers.base import Row
from worker.providers.call_ids import of_length
from worker.providers.documents import text_of
from worker.providers.losses import Losses

WIRE = "openai_chat"

_PDF = "application/pdf"
_DEFAULT_FILENAME = "document.pdf"
"""OpenAI refuses `file_data` without a name."""
_ERROR_PREFIX = "Error: "
"""How a failed tool's result is told apart: the wire has no flag for it."""


def render_messages(
    messages: Sequence[Message], system: Sequence[Text], system_role: str, row: Row, losses: Losses
) -> list[WrittenRequestMessage]:
    """All messages, the system text first.

    Raises:
        Unsupported: naming the part that cannot be expressed.
    """
    made = []
    if system:
        made.append(WrittenRequestMessage(system_role, "\n\n".join(part.text for part in system)))
    for index, message in enumerate(messages):
        path = f"messages.{index}.content"
        match message.role:
            case "system":
                made.append(WrittenRequestMessage(system_role, _joined(message.content, path, losses), message.name))
            case "user":
                made.extend(_user(message, path, row, losses))
            case "assistant":
                made.append(_assistant(message, path, row, losses))
            case _:
                assert_never(message.role)
    return made


def _joined(content: Sequence[Part], path: str, losses: Losses) -> str:
    texts = []
    for index, part in enumerate(content):
        if not isinstance(part, Text):
            raise losses.refuse(f"{path}.{index}", "only text is possible in a system message.")
        texts.append(part.text)
    return "\n\n".join(texts)


def _user(message: Message, path: str, row: Row, losses: Losses) -> Iterator[WrittenRequestMessage]:
    """Tool results must follow the assistant's calls at once, so they come before the turn's other parts.

    A tool message holds text only; images and documents of a result move to the user message, under a label.
    """
    parts: list[ContentPart] = []
    results = 0
    for index, part in enumerate(message.content):
        at = f"{path}.{index}"
        if isinstance(part, ToolResult):
            results += 1
            text, moved = _result(part, at, losses)
            call_id = of_length(part.call_id, row.call_id_chars)
            yield WrittenRequestMessage("tool", text, tool_call_id=call_id)
            if moved:
                parts += [_text(f"From the result of tool call {call_id}:"), *moved]
        else:
            parts.append(_content(part, at, losses))
    if parts or not results:
        yield WrittenRequestMessage("user", _simplest(parts), message.name)


def _result(result: ToolResult, path: str, losses: Losses) -> tuple[str, list[ContentPart]]:
    """The text of a tool message, and the parts that it cannot hold."""
    texts, moved = [], []
    for index, part in enumerate(result.content):
        made = _content(part, f"{path}.content.{index}", losses)
        if made.text is None:
            moved.append(made)
        else:
            texts.append(made.text)
    return (_ERROR_PREFIX if result.is_error else "") + "\n\n".join(texts), moved


def _assistant(message: Message, path: str, row: Row, losses: Losses) -> WrittenRequestMessage:
    texts, refusals, reasoning, calls = [], [], [], []
    for index, part in enumerate(message.content):
        match part:
            case Text():
                texts.append(part.text)
            case Refusal():
                refusals.append(part.text)
            case ToolCall():
                function = WrittenFunction(part.name, part.arguments)
                call_id = of_length(part.id, row.call_id_chars)
                calls.append(WrittenToolCall(id=call_id, type="function", function=function))
            case Thinking() if part.origin == WIRE and row.reasoning_field:
                reasoning.append(part.text)
            case Thinking() | RedactedThinking():
                losses.drop(f"{path}.{index}", "thinking")  # opaque to anyone but the model that wrote it
            case Foreign():
                raise losses.refuse_foreign(part)
            case _:
                raise losses.refuse(f"{path}.{index}", "not possible in an assistant message.")
    made = WrittenRequestMessage(
        "assistant",
        "".join(texts) if texts or not (calls or refusals) else None,
        message.name,
        refusal="".join(refusals) or None,
        tool_calls=calls or None,
    )
    if reasoning:
        setattr(made, row.reasoning_field or "", "".join(reasoning))
    return made


def _content(part: Part, path: str, losses: Losses) -> ContentPart:
    match part:
        case Text():
            return _text(part.text)
        case Image():
            return _image(part, path, losses)
        case Document():
            return _document(part, path, losses)
        case Foreign():
            raise losses.refuse_foreign(part)
        case Thinking() | RedactedThinking() | ToolCall() | ToolResult() | Refusal():
            raise losses.refuse(path, "not possible in a user message.")
        case _:
            assert_never(part)


def _text(text: str) -> ContentPart:
    return ContentPart(type="text", text=text)


def _simplest(parts: list[ContentPart]) -> str | list[ContentPart]:
    """A string where one will do: many compatible servers read nothing else."""
    if not parts:
        return ""
    return parts[0].text if len(parts) == 1 and parts[0].text is not None else parts


def _image(image: Image, path: str, losses: Losses) -> ContentPart:
    match image.source:
        case Inline(media_type, data):
            url = f"data:{media_type};base64,{data}"
        case Url(url):
            pass
        case FileRef():
            raise losses.refuse(path, "an image cannot be given by file id here.")
        case _:
            assert_never(image.source)
    return ContentPart(type="image_url", image_url=ImageUrl(url, image.detail))


def _document(document: Document, path: str, losses: Losses) -> ContentPart:
    if document.citations:
        raise losses.refuse(path, "citations are not possible here.")
    if document.context:
        losses.drop(f"{path}.context", "context")
    match document.source:
        case PlainText(text):
            return _as_text(document, text, path, losses)
        case FileRef(file_id):
            return ContentPart(type="file", file=File(file_id=file_id))
        case Inline(media_type, data) if media_type == _PDF:
            name = document.filename or document.title or _DEFAULT_FILENAME
            return ContentPart(type="file", file=File(file_data=f"data:{_PDF};base64,{data}", filename=name))
        case Inline() if is_text(document.source.media_type):
            return _as_text(document, text_of(document.source, path, losses), path, losses)
        case Inline():
            raise losses.refuse(path, "an inline document must be a PDF or text here.")
        case Url():
            raise losses.refuse(path, "a document cannot be given by URL here.")
        case _:
            assert_never(document.source)


def _as_text(document: Document, text: str, path: str, losses: Losses) -> ContentPart:
    """The document's text as text, which has no place for a name."""
    if document.title or document.filename:
        losses.drop(f"{path}.{'title' if document.title else 'filename'}", "title")
    return _text(text)
