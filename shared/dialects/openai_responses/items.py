"""The input items of a Responses request, to the canonical turns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Raw

from shared.chat import (
    Document,
    FileRef,
    Foreign,
    Image,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from shared.dialects.openai_errors import decode, invalid
from shared.dialects.openai_sources import file_source, source
from shared.wire import openai_responses as wire

_ITEM = msgspec.json.Decoder(wire.Item)
_MESSAGE = msgspec.json.Decoder(wire.Message)
_CALL = msgspec.json.Decoder(wire.FunctionCall)
_OUTPUT = msgspec.json.Decoder(wire.FunctionCallOutput)
_REASONING = msgspec.json.Decoder(wire.ReasoningItem)
_PART = msgspec.json.Decoder(wire.ContentPart)
_TEXT = msgspec.json.Decoder(wire.TextPart)
_REFUSAL = msgspec.json.Decoder(wire.RefusalPart)
_IMAGE = msgspec.json.Decoder(wire.ImagePart)
_FILE = msgspec.json.Decoder(wire.FilePart)

_FIELDS = msgspec.json.Decoder(dict[str, Raw])

_Side: TypeAlias = Literal["user", "assistant"]
_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_Placed: TypeAlias = tuple[Part, str]
"""A part, and where it stood in the body."""

_ROLES = get_args(wire.Role)

_ECHOES = frozenset({"annotations", "id", "logprobs", "phase", "status", "type"})
"""Fields of the model's earlier output that a client sends back; they describe and ask for nothing."""
_CALL_ECHOES = _ECHOES | {"async", "caller", "name", "namespace"}
"""The same of calls and their outputs; where they matter, the tool or another item is one that is refused."""
_EMPTY = frozenset({b"null", b"[]", b"{}", b"false"})
_SAYS_NOTHING = {
    "allowed_callers": frozenset({b'["direct"]'}),
    "detail": frozenset({b'"auto"'}),
    "reasoning.context": frozenset({b'"auto"'}),
    "reasoning.mode": frozenset({b'"standard"'}),
    "service_tier": frozenset({b'"auto"'}),
    "top_logprobs": frozenset({b"0"}),
    "truncation": frozenset({b'"disabled"'}),
}
"""Values that ask for what every provider does anyway, compared without their white space."""


def kind_of(item: wire.Item, path: str) -> str:
    """Which kind of item stands at `path`; one without a type is a message.

    Raises:
        InvalidRequest: it is a reference to an item that is not there, or a message without a known role.
    """
    if item.type == "item_reference" or (item.type is None and item.role is None and item.id):
        raise invalid(path, "references to stored items are not resolved; send the item itself")
    kind = item.type or "message"
    if kind == "message" and item.role not in _ROLES:
        why = "missing required field" if item.role is None else f"not one of {', '.join(_ROLES)}"
        raise invalid(f"{path}.role", why)
    return kind


class Hints:
    """What of a request has no canonical meaning, the first of each kind: an adapter reports a lost name once."""

    def __init__(self) -> None:
        self._found: dict[str, Foreign] = {}

    def keep(self, kind: str, path: str, raw: Raw) -> None:
        """Remember what stands at `path`, unless it says nothing."""
        value = b"".join(bytes(raw).split())
        if value not in _EMPTY and value not in _SAYS_NOTHING.get(kind, ()):
            self._found.setdefault(kind, Foreign(wire=wire.WIRE, kind=kind, path=path, raw=raw))

    def note(self, raw: Raw, known: Collection[str], path: str, prefix: str = "") -> None:
        """Remember what the object at `path` has beside `known`; `prefix` sets the kinds of its fields apart."""
        for name, value in decode(_FIELDS, raw, path).items():
            if name not in known:
                self.keep(prefix + name, f"{path}.{name}", value)

    def foreign(self) -> tuple[Foreign, ...]:
        """What was found, in order."""
        return tuple(self._found.values())


class Conversation:
    """The input of one request, read: items become turns.

    Calls stand in one turn with the message and the reasoning before them, the outputs of all of them in the next.

    Attributes:
        system: the leading system text.
        turns: what comes after it.
        paths: canonical path of a turn or part to where it stood in the body.
    """

    def __init__(self, given: str | list[Raw], hints: Hints) -> None:
        """Read it all.

        Raises:
            InvalidRequest: naming the path of the field that cannot be read.
        """
        self.system: tuple[Text, ...] = ()
        self.turns: list[Message] = []
        self.paths: dict[str, str] = {}
        self._hints = hints
        self._role: _Side = "user"
        self._open: list[_Placed] = []
        self._thoughts: list[_Placed] = []
        if isinstance(given, str):
            self._add("user", [(Text(given), "input")], "input")
            return
        for index, raw in enumerate(given):
            self._read(raw, f"input[{index}]")
        self._close()

    def _read(self, raw: Raw, path: str) -> None:
        kind = kind_of(decode(_ITEM, raw, path), path)
        match kind:
            case "message":
                message = self._decode(_MESSAGE, raw, path)
                self._read_message(message.role, self._parts(message.content, f"{path}.content"), path)
            case "reasoning":
                self._turn_to("assistant")
                self._thoughts += [(part, path) for part in _thoughts(self._decode(_REASONING, raw, path))]
            case "function_call":
                self._turn_to("assistant")
                self._answer([(_call(self._decode(_CALL, raw, path, _CALL_ECHOES), path), path)])
            case "function_call_output":
                self._turn_to("user")
                self._open.append((self._result(self._decode(_OUTPUT, raw, path, _CALL_ECHOES), path), path))
            case _:
                self._close()
                self._add("user", [(Foreign(wire=wire.WIRE, kind=kind, path=path, raw=raw), path)], path)

    def _read_message(self, role: wire.Role, parts: list[_Placed], path: str) -> None:
        if role == "assistant":
            self._turn_to("assistant")
            if not any(isinstance(part, ToolCall) for part, _ in self._open):  # whose outputs must follow at once
                self._end()
            self._answer(parts)
            return
        self._close()
        if role == "user":
            self._add("user", parts, path)
            return
        texts = _texts(parts)
        if self.turns:
            self._add("system", parts, path)
        else:
            self.system += texts

    # --- turns --------------------------------------------------------------------------------------

    def _turn_to(self, role: _Side) -> None:
        if self._role != role:
            self._close()
            self._role = role

    def _answer(self, parts: list[_Placed]) -> None:
        """Add to the open turn of the assistant, the reasoning that led to it before."""
        self._open += self._thoughts
        self._open += parts
        self._thoughts.clear()

    def _close(self) -> None:
        self._answer([])
        self._end()

    def _end(self) -> None:
        if self._open:
            self._add(self._role, self._open, self._open[0][1].partition(".")[0])
            self._open.clear()

    def _add(self, role: _Side | Literal["system"], content: list[_Placed], path: str) -> None:
        place = f"messages.{len(self.turns)}"
        self.paths[place] = path
        for index, (part, own) in enumerate(content):
            self.paths[f"{place}.content.{index}"] = own
            if isinstance(part, ToolResult):
                inner = enumerate(part.content)
                self.paths.update((f"{place}.content.{index}.content.{at}", f"{own}.output[{at}]") for at, _ in inner)
        self.turns.append(Message(role, tuple(part for part, _ in content)))

    # --- items and parts ----------------------------------------------------------------------------

    def _decode(
        self, decoder: msgspec.json.Decoder[_Struct], raw: Raw, path: str, echoes: frozenset[str] = _ECHOES
    ) -> _Struct:
        """The object at `path`; what it has beside the declared fields and `echoes` is remembered."""
        found = decode(decoder, raw, path)
        self._hints.note(raw, echoes.union(found.__struct_fields__), path)
        return found

    def _result(self, result: wire.FunctionCallOutput, path: str) -> ToolResult:
        content: list[Text | Image | Document | Foreign] = []
        for part, own in self._parts(result.output, f"{path}.output"):
            if not isinstance(part, Text | Image | Document | Foreign):
                raise invalid(own, "not possible in the output of a function")
            content.append(part)
        return ToolResult(present(result.call_id, f"{path}.call_id"), tuple(content))

    def _parts(self, content: str | list[Raw], path: str) -> list[_Placed]:
        if isinstance(content, str):
            return [(Text(content), path)]
        return [(self._part(raw, f"{path}[{index}]"), f"{path}[{index}]") for index, raw in enumerate(content)]

    def _part(self, raw: Raw, path: str) -> Part:
        """One part. What only this wire can say stays as it came."""
        kind = decode(_PART, raw, path).type
        match kind:
            case "input_text" | "output_text":
                return Text(self._decode(_TEXT, raw, path).text)
            case "refusal":
                return Refusal(self._decode(_REFUSAL, raw, path).refusal)
            case "input_image":
                return _image(self._decode(_IMAGE, raw, path), path)
            case "input_file":
                return _document(self._decode(_FILE, raw, path), path)
            case _:
                return Foreign(wire=wire.WIRE, kind=kind, path=path, raw=raw)


def present(value: str | None, path: str) -> str:
    """`value`, which stands at `path`, unless it is absent or empty: then InvalidRequest is raised."""
    if not value:
        raise invalid(path, "missing required field" if value is None else "must not be empty")
    return value


def _texts(parts: list[_Placed]) -> tuple[Text, ...]:
    for part, own in parts:
        if not isinstance(part, Text):
            raise invalid(own, "only text is possible here")
    return tuple(part for part, _ in parts if isinstance(part, Text))


def _call(call: wire.FunctionCall, path: str) -> ToolCall:
    return ToolCall(present(call.call_id, f"{path}.call_id"), present(call.name, f"{path}.name"), call.arguments)


def _thoughts(item: wire.ReasoningItem) -> Iterator[Part]:
    """The reasoning and who can read it; nothing when it was only the id of what another server keeps."""
    text = "\n\n".join(piece.text for piece in item.summary or ())
    text = text or "".join(piece.text for piece in item.content or ())
    sealed = item.encrypted_content or ""
    if sealed.startswith(wire.REDACTED_TAG):
        origin, _, data = sealed.removeprefix(wire.REDACTED_TAG).partition(":")
        yield RedactedThinking(data, origin)
    elif sealed.startswith(wire.SIGNATURE_TAG):
        origin, _, signature = sealed.removeprefix(wire.SIGNATURE_TAG).partition(":")
        yield Thinking(text, origin, signature or None)
    elif text or sealed:
        yield Thinking(text, wire.WIRE, sealed or None)


def _image(image: wire.ImagePart, path: str) -> Image:
    if image.file_id:
        return Image(FileRef(image.file_id), image.detail)
    place = f"{path}.image_url"
    return Image(source(present(image.image_url, place), place), image.detail)


def _document(file: wire.FilePart, path: str) -> Document:
    if file.file_id:
        return Document(FileRef(file.file_id), filename=file.filename)
    if file.file_url:
        return Document(Url(file.file_url), filename=file.filename)
    place = f"{path}.file_data"
    return Document(file_source(present(file.file_data, place), place), filename=file.filename)
