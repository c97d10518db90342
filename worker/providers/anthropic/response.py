"""Anthropic's answers in canonical form, read leniently: what is not needed may be missing or new."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct, structs

from shared.chat import (
    ChatResponse,
    Foreign,
    Part,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.errors import Garbled, Unreachable
from shared.wire import anthropic as wire
from shared.wire import anthropic_answer as answer
from worker.providers.anthropic import citations
from worker.providers.anthropic.errors import stream_error
from worker.providers.base import Model

STOP_REASONS: dict[str | None, StopReason] = {
    "end_turn": StopReason.END,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.CONTEXT_FULL,
    "tool_use": StopReason.TOOL_CALL,
    "refusal": StopReason.REFUSAL,
    "pause_turn": StopReason.PAUSE,
}
"""Reasons not listed here, known to later versions of the API, count as END."""

_BROKEN = "error"
"""The stop reason of an answer that failed midway."""


class Block(Struct):
    """Any output block, or its shell in a stream; which fields are set depends on `type`."""

    type: str | None = None
    text: str | None = None
    citations: Raw = Raw()
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()


class _Kind(Struct):
    type: str | None = None


class _Held(Struct):
    usage: Raw = Raw()


class _Refused(Struct):
    explanation: str | None = None


_ANSWER = msgspec.json.Decoder(answer.Answer)
_BLOCK = msgspec.json.Decoder(Block)
_KIND = msgspec.json.Decoder(_Kind)
_REFUSED = msgspec.json.Decoder(_Refused)
_HELD = msgspec.json.Decoder(_Held)
_USAGE = msgspec.json.Decoder(answer.Usage, strict=False)
_MODELS = msgspec.json.Decoder(answer.ModelList)
_MODEL = msgspec.json.Decoder(answer.ModelEntry)

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def parse(provider: str, body: bytes) -> ChatResponse:
    """A finished answer.

    Raises:
        Garbled: not a message.
        ProviderError: an error body under a good status.
    """
    try:
        if _KIND.decode(body).type == "error":
            raise stream_error(provider, body)
        message = _ANSWER.decode(body)
        if message.content is None:
            raise Garbled(f"{provider} sent an answer without content.", provider=provider)
        content = tuple(_part(raw, index) for index, raw in enumerate(message.content))
    except _UNREADABLE as error:
        raise Garbled(f"{provider} sent an answer that is not a message.", provider=provider) from error
    reason = stop_reason(provider, message.stop_reason)
    if reason is StopReason.REFUSAL and not any(isinstance(part, Text) and part.text for part in content):
        content += explanation(message.stop_details)
    return ChatResponse(
        id=message.id or "",
        model=message.model or "",
        content=content,
        stop_reason=reason,
        usage=canonical(counts(message.usage)),
        stop_sequence=message.stop_sequence,
    )


def stop_reason(provider: str, word: str | None) -> StopReason:
    """The reason behind `stop_reason`.

    Raises:
        Unreachable: the answer failed midway.
    """
    if word == _BROKEN:
        raise Unreachable(f"{provider} broke off its answer.", provider=provider)
    return STOP_REASONS.get(word, StopReason.END)


def explanation(stop_details: Raw) -> tuple[Refusal, ...]:
    """Why the model refused, as the words of an answer that has no other."""
    try:
        text = _REFUSED.decode(stop_details).explanation
    except _UNREADABLE:
        return ()
    return (Refusal(text),) if text else ()


def usage(body: bytes) -> Usage:
    """Only the usage of a finished answer, unknown when there is none; msgspec.DecodeError when it is not JSON."""
    try:
        return canonical(counts(_HELD.decode(body).usage))
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Usage(known=False)


def counts(raw: Raw) -> answer.Usage:
    """The `usage` object as far as it can be read, empty when it is absent."""
    try:
        return _USAGE.decode(raw)
    except _UNREADABLE:
        return answer.Usage()


def merge(earlier: answer.Usage, later: answer.Usage) -> answer.Usage:
    """Counts are cumulative: what `later` says replaces, what it leaves out stays."""
    said = {name: value for name, value in structs.asdict(later).items() if value is not None}
    return structs.replace(earlier, **said)


def canonical(found: answer.Usage) -> Usage:
    """Counts as the gateway keeps them; `known` needs at least one of the two totals."""
    creation = found.cache_creation or answer.CacheCreation()
    write_1h = creation.ephemeral_1h_input_tokens or 0
    write = found.cache_creation_input_tokens
    details = found.output_tokens_details or answer.OutputDetails()
    return Usage(
        input_tokens=found.input_tokens or 0,
        output_tokens=found.output_tokens or 0,
        cache_read_tokens=found.cache_read_input_tokens or 0,
        cache_write_tokens=write_1h + (creation.ephemeral_5m_input_tokens or 0) if write is None else write,
        cache_write_1h_tokens=write_1h,
        reasoning_tokens=details.thinking_tokens or 0,
        known=found.input_tokens is not None or found.output_tokens is not None,
    )


def block(raw: Raw) -> tuple[Block, Part | None]:
    """An output block with its canonical part; None for a kind that only Anthropic has."""
    found = Block(_KIND.decode(raw).type)
    if found.type not in {"text", "thinking", "redacted_thinking", "tool_use"}:
        return found, None
    found = _BLOCK.decode(raw)
    match found.type:
        case "text":
            return found, Text(found.text or "", citations.listed(found.citations))
        case "thinking":
            return found, Thinking(found.thinking or "", wire.WIRE, found.signature or None)
        case "redacted_thinking":
            return found, RedactedThinking(found.data or "", wire.WIRE)
        case _:
            arguments = bytes(found.input).decode() or "{}"
            return found, ToolCall(found.id or "", found.name or "", arguments)


def _part(raw: Raw, index: int) -> Part:
    found, part = block(raw)
    return part or Foreign(wire.WIRE, found.type or "", f"content.{index}", raw)


def models(body: bytes) -> list[Model]:
    """The model list; entries without an id are left out, an unreadable list is empty."""
    try:
        entries = _MODELS.decode(body).data
    except _UNREADABLE:
        return []
    return [model for raw in entries if (model := _model(raw)) is not None]


def next_page(body: bytes) -> str:
    """The query of the page of models after this one; empty for none."""
    try:
        found = _MODELS.decode(body)
    except _UNREADABLE:
        return ""
    return f"after_id={quote(found.last_id, safe='')}" if found.has_more and found.last_id else ""


def _model(raw: Raw) -> Model | None:
    try:
        bytes(raw).decode()  # what is not read is passed on, and one bad byte would spoil the whole list
        entry = _MODEL.decode(raw)
    except _UNREADABLE:
        return None
    return Model(entry.id, display_name=entry.display_name, created_s=_seconds(entry.created_at), raw=raw)


def _seconds(moment: str | None) -> int | None:
    try:
        return int(datetime.fromisoformat(moment).timestamp()) if moment else None
    except ValueError:
        return None
