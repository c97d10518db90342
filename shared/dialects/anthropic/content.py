"""Content blocks of an Anthropic request to canonical parts."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias, assert_never

import msgspec
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
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from shared.dialects.anthropic.reading import FIELDS, at, join, read
from shared.wire import anthropic as wire

_Block: TypeAlias = (
    wire.TextBlock
    | wire.ImageBlock
    | wire.DocumentBlock
    | wire.ThinkingBlock
    | wire.RedactedBlock
    | wire.ToolUseBlock
    | wire.ToolResultBlock
    | wire.SearchResultBlock
)

_DECODERS: dict[str, msgspec.json.Decoder[_Block]] = {
    "text": msgspec.json.Decoder(wire.TextBlock),
    "image": msgspec.json.Decoder(wire.ImageBlock),
    "document": msgspec.json.Decoder(wire.DocumentBlock),
    "thinking": msgspec.json.Decoder(wire.ThinkingBlock),
    "redacted_thinking": msgspec.json.Decoder(wire.RedactedBlock),
    "tool_use": msgspec.json.Decoder(wire.ToolUseBlock),
    "tool_result": msgspec.json.Decoder(wire.ToolResultBlock),
    "search_result": msgspec.json.Decoder(wire.SearchResultBlock),
}

_STRING = msgspec.json.Decoder(str)
_CACHE_CONTROL = msgspec.json.Decoder(wire.CacheControl)

_ECHOES = frozenset({"type", "caller", "toolset_name"})
"""Fields of the model's earlier output that a client sends back; they describe and ask for nothing."""

_EMPTY = frozenset({b"null", b"[]", b"{}", b"false"})


class Hints:
    """Fields beside the ones we translate, the first of each name: an adapter reports a lost name once.

    Attributes:
        cached: what has a `cache_control`, by its path, and for how long it asks.
    """

    def __init__(self) -> None:
        self._found: dict[str, Foreign] = {}
        self.cached: dict[str, str] = {}

    def note(self, fields: dict[str, Raw], known: Collection[str], path: str) -> None:
        """Remember what of the object at `path` is not among `known`."""
        for name, raw in fields.items():
            if name not in known and name not in _ECHOES and bytes(raw) not in _EMPTY:
                self._found.setdefault(name, Foreign(wire.WIRE, name, join(path, name), raw))
                if name == "cache_control":
                    self.cached[path] = read(_CACHE_CONTROL, raw, join(path, name)).ttl or "5m"

    def foreign(self) -> tuple[Foreign, ...]:
        """What was found, in order."""
        return tuple(self._found.values())


def placed(content: str | list[Raw], path: str, hints: Hints) -> list[tuple[Part, str]]:
    """The parts of the content at `path`, each with its own path.

    Empty text is left out: Anthropic refuses it, and a poll may have added it.
    """
    if isinstance(content, str):
        return [(Text(content), path)] if content else []
    paths = [f"{path}.{index}" for index in range(len(content))]
    found = ((_part(raw, own, hints), own) for raw, own in zip(content, paths, strict=True))
    return [(part, own) for part, own in found if part != Text("")]


def kind_of(fields: dict[str, Raw], path: str) -> str:
    """The `type` of the object at `path`.

    Raises:
        InvalidRequest: it has none.
    """
    if "type" not in fields:
        raise at(join(path, "type"), "Field required")
    return read(_STRING, fields["type"], join(path, "type"))


def _part(raw: Raw, path: str, hints: Hints) -> Part:
    fields = read(FIELDS, raw, path)
    kind = kind_of(fields, path)
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return Foreign(wire.WIRE, kind, path, raw)
    block = read(decoder, raw, path)
    hints.note(fields, block.__struct_fields__, path)
    match block:
        case wire.TextBlock(text):
            return Text(text)
        case wire.ImageBlock(source):
            return _image(source, path, raw, hints)
        case wire.DocumentBlock():
            return _document(block, path, raw, hints)
        case wire.ThinkingBlock(thinking, signature):
            origin, signature = _untag(signature)
            return Thinking(thinking, origin, signature or None)
        case wire.RedactedBlock(data):
            origin, data = _untag(data)
            return RedactedThinking(data, origin)
        case wire.ToolUseBlock(call_id, name, arguments):
            return ToolCall(call_id, name, bytes(arguments).decode())
        case wire.ToolResultBlock(call_id, content, is_error):
            return ToolResult(call_id, _result(content, join(path, "content"), hints), bool(is_error))
        case wire.SearchResultBlock():
            return _search_result(block, path, raw, hints)
        case _:
            assert_never(block)


def _image(source: wire.Source, path: str, raw: Raw, hints: Hints) -> Part:
    place = _source(source, path, hints)
    if place is None or isinstance(place, PlainText):
        return Foreign(wire.WIRE, "image", path, raw)
    return Image(place)


def _document(block: wire.DocumentBlock, path: str, raw: Raw, hints: Hints) -> Part:
    place = _source(block.source, path, hints)
    if place is None:
        return Foreign(wire.WIRE, "document", path, raw)
    citations = block.citations is not None and block.citations.enabled
    return Document(place, title=block.title, context=block.context, citations=citations)


def _search_result(block: wire.SearchResultBlock, path: str, raw: Raw, hints: Hints) -> Part:
    """A search result as the text it is, under its title and source; one that is to be cited is for Anthropic alone."""
    if block.citations is not None and block.citations.enabled:
        return Foreign(wire.WIRE, "search_result", path, raw)
    text = _joined(block.content, f"{path}.content", hints)
    if text is None:
        raise at(f"{path}.content", "A search result holds text only")
    return Text(f"{block.title}\n{block.source}\n\n{text}")


def _source(source: wire.Source, path: str, hints: Hints) -> Source | None:
    """None for a kind that only Anthropic has: document content with images, and whatever comes next."""
    match source:
        case wire.Source(type="base64", media_type=str(media_type), data=str(data)):
            return Inline(media_type, data)
        case wire.Source(type="url", url=str(url)):
            return Url(url)
        case wire.Source(type="file", file_id=str(file_id)):
            return FileRef(file_id)
        case wire.Source(type="text", data=str(text)) | wire.Source(type="content", content=str(text)):
            return PlainText(text)
        case wire.Source(type="content", content=list(blocks)):
            joined = _joined(blocks, f"{path}.source.content", hints)
            return None if joined is None else PlainText(joined)
        case wire.Source(type="base64" | "url" | "file" | "text"):
            raise at(f"{path}.source", f"A source of type {source.type} lacks a required field")
        case _:
            return None


def _joined(blocks: list[Raw], path: str, hints: Hints) -> str | None:
    """The blocks at `path` as one text; None when they are not all text."""
    found = [part for part, _ in placed(blocks, path, hints)]
    texts = [part.text for part in found if isinstance(part, Text)]
    return "\n\n".join(texts) if len(texts) == len(found) else None


def _result(content: str | list[Raw] | None, path: str, hints: Hints) -> tuple[Text | Image | Document | Foreign, ...]:
    if content is None:
        return ()
    found: list[Text | Image | Document | Foreign] = []
    for part, own in placed(content, path, hints):
        if not isinstance(part, Text | Image | Document | Foreign):
            raise at(own, "A tool result holds text, images and documents only")
        found.append(part)
    return tuple(found)


def _untag(signature: str) -> tuple[str, str]:
    """(origin, signature): who made it, and as they made it."""
    if not signature.startswith(wire.SIGNATURE_TAG):
        return wire.WIRE, signature
    origin, _, rest = signature.removeprefix(wire.SIGNATURE_TAG).partition(":")
    return origin, rest
