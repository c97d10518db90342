"""The messages of a Chat Completions request, to the canonical turns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw

from shared.chat import (
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from shared.dialects.openai_chat.errors import decode, invalid
from shared.wire import openai_chat as wire

WIRE = "openai_chat"

_MESSAGE = msgspec.json.Decoder(wire.Message)
_PART = msgspec.json.Decoder(wire.ContentPart)
_CALL = msgspec.json.Decoder(wire.ToolCall)
_ENCODER = msgspec.json.Encoder()


def parse_messages(raws: list[Raw]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """The leading system text, and the turns after it.

    Results of one round of tool calls stand in one user turn, as Anthropic and Gemini want them.

    Raises:
        InvalidRequest: naming the path of the field that cannot be read.
    """
    system: list[Text] = []
    turns: list[Message] = []
    results: list[ToolResult] = []
    for index, raw in enumerate(raws):
        path = f"messages[{index}]"
        message = decode(_MESSAGE, raw, path)
        if message.role == "tool":
            results.append(_tool_result(message, path))
            continue
        if results:
            turns.append(Message("user", tuple(results)))
            results = []
        if message.role in {"system", "developer"}:
            texts = tuple(_system_texts(message, path))
            if turns:
                turns.append(Message("system", texts, message.name))
            else:
                system.extend(texts)
        else:
            turns.append(_turn(message, raw, path))
    if results:
        turns.append(Message("user", tuple(results)))
    return tuple(system), tuple(turns)


def _turn(message: wire.Message, raw: Raw, path: str) -> Message:
    if message.role == "assistant":
        return Message("assistant", tuple(_assistant_parts(message, path)), message.name)
    if message.role == "function":
        return Message("user", (Foreign(wire=WIRE, kind="function", path=path, raw=raw),))
    return Message("user", tuple(_parts(message, path)), message.name)


def _system_texts(message: wire.Message, path: str) -> Iterator[Text]:
    for index, part in enumerate(_parts(message, path)):
        if not isinstance(part, Text):
            raise invalid(f"{path}.content[{index}]", "only text is possible here")
        yield part


def _tool_result(message: wire.Message, path: str) -> ToolResult:
    if not message.tool_call_id:
        raise invalid(f"{path}.tool_call_id", "missing required field")
    content: list[Text | Image | Document | Foreign] = []
    for index, part in enumerate(_parts(message, path)):
        if not isinstance(part, Text | Image | Document | Foreign):
            raise invalid(f"{path}.content[{index}]", "not possible in a tool message")
        content.append(part)
    return ToolResult(message.tool_call_id, tuple(content))


def _assistant_parts(message: wire.Message, path: str) -> Iterator[Part]:
    reasoning = message.reasoning_content or message.reasoning
    if isinstance(reasoning, str) and reasoning:
        yield Thinking(reasoning, WIRE)
    yield from _parts(message, path)
    if message.refusal:
        yield Refusal(message.refusal)
    if bytes(message.audio) != b"null":
        yield Foreign(wire=WIRE, kind="audio", path=f"{path}.audio", raw=message.audio)
    if bytes(message.function_call) != b"null":
        yield Foreign(wire=WIRE, kind="function_call", path=f"{path}.function_call", raw=message.function_call)
    for index, raw in enumerate(message.tool_calls or ()):
        yield _tool_call(raw, f"{path}.tool_calls[{index}]")


def _tool_call(raw: Raw, path: str) -> ToolCall | Foreign:
    call = decode(_CALL, raw, path)
    if call.type not in {None, "function"}:
        return Foreign(wire=WIRE, kind=call.type or "", path=path, raw=raw)
    if not call.id:
        raise invalid(f"{path}.id", "missing required field")
    if call.function is None or not call.function.name:
        raise invalid(f"{path}.function.name", "missing required field")
    arguments = call.function.arguments
    text = arguments if isinstance(arguments, str) else _ENCODER.encode(arguments or {}).decode()
    return ToolCall(call.id, call.function.name, text)


def _parts(message: wire.Message, path: str) -> Iterable[Part]:
    if message.content is None:
        return []
    if isinstance(message.content, str):
        return [Text(message.content)]
    return [_part(raw, f"{path}.content[{index}]") for index, raw in enumerate(message.content)]


def _part(raw: Raw, path: str) -> Part:
    """One part. What only this wire can say, `input_audio` and vendors' own parts, stays as it came."""
    kind = decode(_KIND, raw, path).type
    if kind not in _KNOWN_PARTS:
        return Foreign(wire=WIRE, kind=kind, path=path, raw=raw)
    part = decode(_PART, raw, path)
    match kind:
        case "text":
            return Text(_required(part.text, f"{path}.text"))
        case "image_url":
            return _image(part.image_url, f"{path}.image_url")
        case "file":
            return _document(part.file, f"{path}.file")
        case "refusal":
            return Refusal(_required(part.refusal, f"{path}.refusal"))
        case _:
            return Thinking(_thinking(part.thinking), WIRE)


class _Kind(msgspec.Struct):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_KNOWN_PARTS = frozenset({"text", "image_url", "file", "refusal", "thinking"})


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise invalid(path, "missing required field")
    return value


def _thinking(pieces: list[wire.ThinkingText] | str | None) -> str:
    return pieces if isinstance(pieces, str) else "".join(piece.text for piece in pieces or ())


def _image(image: wire.ImageUrl | str | None, path: str) -> Image:
    if image is None:
        raise invalid(path, "missing required field")
    if isinstance(image, str):  # Mistral's short form
        return Image(_source(image, path))
    return Image(_source(image.url, f"{path}.url"), image.detail)


def _document(file: wire.File | None, path: str) -> Document:
    if file is not None and file.file_id:
        return Document(FileRef(file.file_id), filename=file.filename)
    if file is None or not file.file_data:
        raise invalid(f"{path}.file_data", "missing required field")
    if not file.file_data.startswith(("data:", "http:", "https:")):
        return Document(Inline("application/pdf", file.file_data), filename=file.filename)
    return Document(_source(file.file_data, f"{path}.file_data"), filename=file.filename)


def _source(url: str, path: str) -> Inline | Url:
    """A data URL as inline bytes, anything else as a link.

    Raises:
        InvalidRequest: a data URL that is not base64.
    """
    if not url.startswith("data:"):
        return Url(url)
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in parameters:
        raise invalid(path, "a data URL must be base64")
    return Inline(media_type, data)
