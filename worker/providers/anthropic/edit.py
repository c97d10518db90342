"""A client's Anthropic body made ready for Anthropic: edited, not rebuilt, so that unknown fields travel untouched."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from shared.errors import InvalidRequest
from shared.wire import anthropic as wire
from worker.providers.call_ids import without_seals


class _Block(Struct):
    type: str | None = None
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class _Cited(Struct):
    citations: list[Raw]


class _Citation(Struct):
    encrypted_index: str | None = None


_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_TURNS = msgspec.json.Decoder(list[dict[str, Raw]])
_BLOCKS = msgspec.json.Decoder(list[Raw])
_BLOCK = msgspec.json.Decoder(_Block)
_CITED = msgspec.json.Decoder(_Cited)
_CITATION = msgspec.json.Decoder(_Citation)
_STRINGS = msgspec.json.Decoder(list[str])

_EMPTY = re.compile(rb'"(?:text|encrypted_index)"\s*:\s*""')
_TAGGED = b'"' + wire.SIGNATURE_TAG.encode()


def edit(body: bytes, model: str) -> bytes:
    """`body` for `model`, without the gateway's own fields and without what Anthropic would refuse.

    That is empty text, which a poll may have added, thinking that another provider signed, and the citations of an
    answer that another provider gave. The messages are opened only when the body holds bytes that look like one.

    Raises:
        InvalidRequest: the body is not JSON in a place that was not looked at before.
    """
    return _ENCODER.encode(edited(body, model))


def edited(body: bytes, model: str) -> dict[str, Raw]:
    """As `edit`, not yet put together again."""
    try:
        return _edited(body, model)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest("The request body is not valid JSON.") from error


def _edited(body: bytes, model: str) -> dict[str, Raw]:
    fields = _FIELDS.decode(without_seals(body))
    fields["model"] = Raw(_ENCODER.encode(model))
    fields.pop("provider", None)
    if "fallbacks" in fields and _is_strings(fields["fallbacks"]):
        del fields["fallbacks"]
    if "messages" in fields and (_TAGGED in body or _EMPTY.search(body)):
        fields["messages"] = _without_refused(fields["messages"])
    return fields


def _is_strings(raw: Raw) -> bool:
    """A list of strings is the gateway's; Anthropic's own `fallbacks` is a list of objects, or a word."""
    try:
        _STRINGS.decode(raw)
    except msgspec.ValidationError:
        return False
    return True


def _without_refused(messages: Raw) -> Raw:
    """The messages without refused blocks, and without turns that have nothing else; unchanged if none would remain."""
    turns = [kept for turn in _TURNS.decode(messages) if (kept := _turn(turn)) is not None]
    return Raw(_ENCODER.encode(turns)) if turns else messages


def _turn(turn: dict[str, Raw]) -> dict[str, Raw] | None:
    content = bytes(turn.get("content", b""))
    if not content.startswith(b"["):
        return turn
    blocks = _BLOCKS.decode(content)
    kept = [_well_cited(block) for block in blocks if not _refused(block)]
    if kept == blocks:
        return turn
    return {**turn, "content": Raw(_ENCODER.encode(kept))} if kept else None


def _refused(raw: Raw) -> bool:
    try:
        block = _BLOCK.decode(raw)
    except msgspec.ValidationError:
        return False
    match block.type:
        case "text":
            return block.text == ""
        case "thinking":
            return (block.signature or "").startswith(wire.SIGNATURE_TAG)
        case "redacted_thinking":
            return (block.data or "").startswith(wire.SIGNATURE_TAG)
        case _:
            return False


def _well_cited(raw: Raw) -> Raw:
    """The block without citations that lead into no search of Anthropic's; those have an empty index."""
    try:
        given = _CITED.decode(raw).citations
        kept = [citation for citation in given if _CITATION.decode(citation).encrypted_index != ""]
    except msgspec.ValidationError:
        return raw
    if len(kept) == len(given):
        return raw
    fields = _FIELDS.decode(raw)
    del fields["citations"]
    return Raw(_ENCODER.encode(fields | ({"citations": Raw(_ENCODER.encode(kept))} if kept else {})))
