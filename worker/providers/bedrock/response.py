"""Converse's answers in canonical form, read leniently: what is not needed may be missing or new.

Neither an answer nor a stream has an id, or says which model made it: both are empty.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from shared.chat import (
    ChatResponse,
    Citation,
    Foreign,
    Part,
    RedactedThinking,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.errors import Garbled, Unreachable
from shared.wire import bedrock_answer as answer
from shared.wire.bedrock import WIRE

STOP_REASONS: dict[str | None, StopReason] = {
    "end_turn": StopReason.END,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "max_tokens": StopReason.LENGTH,
    "model_context_window_exceeded": StopReason.CONTEXT_FULL,
    "tool_use": StopReason.TOOL_CALL,
    "guardrail_intervened": StopReason.REFUSAL,
    "content_filtered": StopReason.REFUSAL,
}
"""Reasons not listed here, known to later versions of the API, count as END."""

_BROKEN = frozenset({"malformed_model_output", "malformed_tool_use"})
"""The stop reasons of answers that failed midway."""
_HOUR = "1h"


class _Held(msgspec.Struct):
    usage: Raw = Raw()


_ANSWER = msgspec.json.Decoder(answer.Answer)
_HELD = msgspec.json.Decoder(_Held)
_BLOCK = msgspec.json.Decoder(answer.Block)
_USAGE = msgspec.json.Decoder(answer.Usage, strict=False)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def parse(provider: str, body: bytes) -> ChatResponse:
    """A finished answer.

    Raises:
        Garbled: not one of Converse.
        Unreachable: it failed midway.
    """
    try:
        found = _ANSWER.decode(body)
        if found.output is None or found.output.message is None or found.output.message.content is None:
            raise Garbled(f"{provider} sent an answer without content.", provider=provider)
        content = _content(found.output.message.content)
    except _UNREADABLE as error:
        raise Garbled(f"{provider} sent an answer that is not one of Converse.", provider=provider) from error
    reason = stop_reason(provider, found.stop_reason)
    return ChatResponse(id="", model="", content=content, stop_reason=reason, usage=counted(found.usage))


def stop_reason(provider: str, word: str | None) -> StopReason:
    """The reason behind `stopReason`.

    Raises:
        Unreachable: the answer failed midway.
    """
    if word in _BROKEN:
        raise Unreachable(f"{provider} broke off its answer.", provider=provider)
    return STOP_REASONS.get(word, StopReason.END)


def usage(body: bytes) -> Usage:
    """Only the usage of a finished answer, unknown when there is none; msgspec.DecodeError when it is not JSON."""
    try:
        return counted(_HELD.decode(body).usage)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Usage(known=False)


def counted(raw: Raw) -> Usage:
    """The token counts, unknown where there are none that can be read."""
    try:
        found = _USAGE.decode(raw)
    except _UNREADABLE:
        return Usage(known=False)
    details = found.cache_details or []
    return Usage(
        input_tokens=found.input_tokens or 0,
        output_tokens=found.output_tokens or 0,
        cache_read_tokens=found.cache_read_input_tokens or 0,
        cache_write_tokens=found.cache_write_input_tokens or 0,
        cache_write_1h_tokens=sum(detail.input_tokens or 0 for detail in details if detail.ttl == _HOUR),
        known=found.input_tokens is not None or found.output_tokens is not None,
    )


def citation(found: answer.Citation) -> Citation | None:
    """A page that a text rests on; None for a place in one of the caller's own documents."""
    web = found.location.web if found.location else None
    if web is None or not web.url:
        return None
    return Citation(web.url, found.title, _joined(found.source_content))


def runs_itself(call: answer.ToolUse) -> bool:
    """Whether the call is one that Bedrock makes and answers itself: nobody else must."""
    return call.type is not None


def _content(raws: list[Raw]) -> tuple[Part, ...]:
    content: list[Part] = []
    for index, raw in enumerate(raws):
        block = _BLOCK.decode(raw)
        cited = block.citations_content
        if cited is not None and not _joined(cited.content) and content and isinstance(content[-1], Text):
            content[-1] = Text(content[-1].text, content[-1].citations + _citations(cited))
        else:
            content.append(_part(block) or Foreign(WIRE, _kind(raw), f"output.message.content.{index}", raw))
    return tuple(content)


def _part(block: answer.Block) -> Part | None:
    """None for a kind that only Bedrock has."""
    match block:
        case answer.Block(text=str(text)):
            return Text(text)
        case answer.Block(tool_use=answer.ToolUse() as call) if not runs_itself(call):
            return ToolCall(call.tool_use_id or "", call.name or "", bytes(call.input).decode() or "{}")
        case answer.Block(reasoning_content=answer.Reasoning(redacted_content=str(data))):
            return RedactedThinking(data, WIRE)
        case answer.Block(reasoning_content=answer.Reasoning(reasoning_text=answer.ReasoningText(text, signature))):
            return Thinking(text or "", WIRE, signature or None)
        case answer.Block(citations_content=answer.Cited() as cited):
            return Text(_joined(cited.content), _citations(cited))
        case _:
            return None


def _citations(cited: answer.Cited) -> tuple[Citation, ...]:
    found = (citation(each) for each in cited.citations or ())
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _joined(words: Iterable[answer.Words] | None) -> str:
    return "".join(piece.text or "" for piece in words or ())


def _kind(raw: Raw) -> str:
    return next(iter(_FIELDS.decode(raw)), "")
