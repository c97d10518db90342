"""The messages of a Chat Completions request, to the canonical turns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw

from shared.chat import (
    Document,
    FileRef,
    Foreign,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from shared.dialects.openai_errors import decode, invalid
from shared.dialects.openai_sources import file_source, source
from shared.wire import openai_chat as wire

WIRE = "openai_chat"

_MESSAGE = msgspec.json.Decoder(wire.Message)
_PART = msgspec.json.Decoder(wire.ContentPart)
_CALL = msgspec.json.Decoder(wire.ToolCall)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()

_EMPTY = frozenset({b"null", b"[]", b"{}", b"false", b'""'})

_Placed: TypeAlias = tuple[Part, str]
"""A part, and where it stood in the body."""


class Hints:
    """Fields beside the ones we translate, the first of each name: an adapter reports a lost name once."""

    def __init__(self) -> None:
        self._found: dict[str, Foreign] = {}

    def note(self, raw: Raw, known: Collection[str], path: str, kind: str = "") -> None:
        """Remember what the object at `path` has beside `known`, as `kind` or each field under its own name.

        An `echo` came with an earlier answer and asks for nothing; a `function_field` is a framework's own.
        """
        for name, value in decode(_FIELDS, raw, path).items():
            if name not in known and bytes(value) not in _EMPTY:
                self._found.setdefault(kind or name, Foreign(WIRE, kind or name, f"{path}.{name}", value))

    def foreign(self) -> tuple[Foreign, ...]:
        """What was found, in order."""
        return tuple(self._found.values())


class Conversation:
    """The messages of one request, read.

    Results of one round of tool calls stand in one user turn, as Anthropic and Gemini want them.

    Attributes:
        system: the leading system text.
        turns: what comes after it.
        paths: canonical path of a turn or part to where it stood in the body.
    """

    def __init__(self, raws: list[Raw], hints: Hints) -> None:
        """Read them all.

        Raises:
            InvalidRequest: naming the path of the field that cannot be read.
        """
        self.system: tuple[Text, ...] = ()
        self.turns: list[Message] = []
        self.paths: dict[str, str] = {}
        self._hints = hints
        results: list[_Placed] = []
        for index, raw in enumerate(raws):
            path = f"messages[{index}]"
            message = decode(_MESSAGE, raw, path)
            hints.note(raw, message.__struct_fields__, path, "echo" if message.role == "assistant" else "")
            if message.role == "tool":
                results.append(self._tool_result(message, path, f"messages.{len(self.turns)}.content.{len(results)}"))
                continue
            self._add_results(results)
            results = []
            self._read(message, raw, path)
        self._add_results(results)

    def _read(self, message: wire.Message, raw: Raw, path: str) -> None:
        match message.role:
            case "system" | "developer" if not self.turns:
                self.system += tuple(part for part, _ in self._system_texts(message, path))
            case "system" | "developer":
                self._add("system", list(self._system_texts(message, path)), path, message.name)
            case "assistant":
                self._add("assistant", list(self._assistant(message, path)), path, message.name)
            case "function":
                self._add("user", [(Foreign(wire=WIRE, kind="function", path=path, raw=raw), path)], path, None)
            case _:
                self._add("user", list(self._parts(message, path)), path, message.name)

    def _add_results(self, results: list[_Placed]) -> None:
        if results:
            self._add("user", results, results[0][1], None)

    def _add(
        self, role: Literal["user", "assistant", "system"], content: list[_Placed], path: str, name: str | None
    ) -> None:
        place = f"messages.{len(self.turns)}"
        self.paths[place] = path
        self.paths.update((f"{place}.content.{index}", own) for index, (_, own) in enumerate(content))
        self.turns.append(Message(role, tuple(part for part, _ in content), name))

    def _system_texts(self, message: wire.Message, path: str) -> Iterator[tuple[Text, str]]:
        for part, own in self._parts(message, path):
            if not isinstance(part, Text):
                raise invalid(own, "only text is possible here")
            yield part, own

    def _tool_result(self, message: wire.Message, path: str, place: str) -> _Placed:
        if not message.tool_call_id:
            raise invalid(f"{path}.tool_call_id", "missing required field")
        content: list[Text | Image | Document | Foreign] = []
        for part, own in self._parts(message, path):
            if not isinstance(part, Text | Image | Document | Foreign):
                raise invalid(own, "not possible in a tool message")
            self.paths[f"{place}.content.{len(content)}"] = own
            content.append(part)
        return ToolResult(message.tool_call_id, tuple(content)), path

    def _assistant(self, message: wire.Message, path: str) -> Iterator[_Placed]:
        for name in ("reasoning_content", "reasoning"):
            reasoning = getattr(message, name)
            if isinstance(reasoning, str) and reasoning:
                yield Thinking(reasoning, WIRE), f"{path}.{name}"
                break
        yield from self._parts(message, path)
        if message.refusal:
            yield Refusal(message.refusal), f"{path}.refusal"
        for name in ("audio", "function_call"):
            raw, own = getattr(message, name), f"{path}.{name}"
            if bytes(raw) != b"null":
                yield Foreign(wire=WIRE, kind=name, path=own, raw=raw), own
        for index, raw in enumerate(message.tool_calls or ()):
            own = f"{path}.tool_calls[{index}]"
            yield self._tool_call(raw, own), own

    def _tool_call(self, raw: Raw, path: str) -> ToolCall | Foreign:
        call = decode(_CALL, raw, path)
        if call.type not in {None, "function"}:
            return Foreign(wire=WIRE, kind=call.type or "", path=path, raw=raw)
        self._hints.note(raw, call.__struct_fields__, path, "echo")
        if not call.id:
            raise invalid(f"{path}.id", "missing required field")
        if call.function is None or not call.function.name:
            raise invalid(f"{path}.function.name", "missing required field")
        arguments = call.function.arguments
        text = arguments if isinstance(arguments, str) else _ENCODER.encode(arguments or {}).decode()
        return ToolCall(call.id, call.function.name, text)

    def _parts(self, message: wire.Message, path: str) -> Iterator[_Placed]:
        if isinstance(message.content, str):
            yield Text(message.content), f"{path}.content"
            return
        for index, raw in enumerate(message.content or ()):
            own = f"{path}.content[{index}]"
            yield self._part(raw, own), own

    def _part(self, raw: Raw, path: str) -> Part:
        """One part. What only this wire can say, `input_audio` and vendors' own parts, stays as it came."""
        kind = decode(_KIND, raw, path).type
        if kind not in _KNOWN_PARTS:
            return Foreign(wire=WIRE, kind=kind, path=path, raw=raw)
        part = decode(_PART, raw, path)
        self._hints.note(raw, part.__struct_fields__, path)
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
        return Image(source(image, path))
    return Image(source(image.url, f"{path}.url"), image.detail)


def _document(file: wire.File | None, path: str) -> Document:
    if file is not None and file.file_id:
        return Document(FileRef(file.file_id), filename=file.filename)
    if file is None or not file.file_data:
        raise invalid(f"{path}.file_data", "missing required field")
    return Document(file_source(file.file_data, f"{path}.file_data"), filename=file.filename)
