"""A canonical answer as an Anthropic message, and the bodies of the async path."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw

from shared.chat import (
    ChatResponse,
    Citation,
    Document,
    Foreign,
    Image,
    Part,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from shared.wire import anthropic as wire
from shared.wire import anthropic_answer as answer

STOP_REASONS: dict[StopReason, str] = {
    StopReason.END: "end_turn",
    StopReason.STOP_SEQUENCE: "stop_sequence",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT_FULL: "model_context_window_exceeded",
    StopReason.TOOL_CALL: "tool_use",
    StopReason.REFUSAL: "refusal",
    StopReason.PAUSE: "pause_turn",
}


class _Held(msgspec.Struct):
    content: list[Raw] | msgspec.UnsetType | None = msgspec.UNSET


_ENCODER = msgspec.json.Encoder()
_HELD = msgspec.json.Decoder(_Held)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_EMPTY_TEXT = Raw(b'[{"type":"text","text":""}]')


def render(response: ChatResponse) -> bytes:
    """The body of a plain 200."""
    refusal = next((part.text for part in response.content if isinstance(part, Refusal)), None)
    stop_reason = response.stop_reason if refusal is None else StopReason.REFUSAL
    message = answer.AnswerOut(
        id=response.id,
        model=response.model,
        content=[block for part in response.content if (block := _block(part)) is not None],
        stop_reason=STOP_REASONS[stop_reason],
        stop_sequence=response.stop_sequence,
        stop_details=stop_details(stop_reason, refusal),
        usage=usage(response.usage),
    )
    return _ENCODER.encode(message)


def usage(counts: Usage) -> answer.Usage:
    """Complete, zeros included: the SDKs add the figures up without looking whether they are there."""
    return answer.Usage(
        input_tokens=counts.input_tokens,
        cache_creation_input_tokens=counts.cache_write_tokens,
        cache_read_input_tokens=counts.cache_read_tokens,
        cache_creation=answer.CacheCreation(
            ephemeral_5m_input_tokens=max(counts.cache_write_tokens - counts.cache_write_1h_tokens, 0),
            ephemeral_1h_input_tokens=counts.cache_write_1h_tokens,
        ),
        output_tokens=counts.output_tokens,
        output_tokens_details=answer.OutputDetails(counts.reasoning_tokens) if counts.reasoning_tokens else None,
    )


def stop_details(stop_reason: StopReason, refusal: str | None) -> answer.StopDetails | None:
    """Set for a refusal only; `refusal` is the model's own explanation."""
    return answer.StopDetails(explanation=refusal) if stop_reason is StopReason.REFUSAL else None


def tag(signature: str, origin: str) -> str:
    """The signature as a client gets it: marked unless it is Anthropic's, so that it finds back to its maker."""
    return signature if origin == wire.WIRE else f"{wire.SIGNATURE_TAG}{origin}:{signature}"


def cited(citation: Citation) -> answer.WebCitation:
    """A source as Anthropic's own web search would tell it."""
    return answer.WebCitation(citation.url, citation.title, citation.cited_text)


def _block(part: Part) -> wire.Block | answer.CitedTextBlock | Raw | None:
    """None for what an answer on this wire cannot hold."""
    match part:
        case Text(text, citations) if citations:
            return answer.CitedTextBlock(text, [cited(citation) for citation in citations])
        case Text(text) | Refusal(text):
            return wire.TextBlock(text) if text else None
        case Thinking(text, origin, signature):
            return wire.ThinkingBlock(text, tag(signature or "", origin))
        case RedactedThinking(data, origin):
            return wire.RedactedBlock(tag(data, origin))
        case ToolCall(call_id, name, arguments):
            return wire.ToolUseBlock(call_id, name, _input(arguments))
        case Foreign():
            return part.raw if part.wire == wire.WIRE else None
        case Image() | Document() | ToolResult():
            return None
        case _:
            assert_never(part)


def _input(arguments: str) -> Raw:
    """The arguments as an object; text that is none goes under `_raw`: a model's slip must not lose its answer."""
    data = arguments.encode() or b"{}"
    try:
        _FIELDS.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Raw(_ENCODER.encode({"_raw": arguments}))
    return Raw(data)


def placeholder(job_id: str, model: str) -> bytes:
    """The answer to an accepted or unfinished job: a message without content."""
    return _ENCODER.encode(
        answer.AnswerOut(
            id=job_id,
            model=model,
            content=[],
            stop_reason=None,
            usage=answer.Usage(input_tokens=0, output_tokens=0),
        )
    )


def fill_empty(body: bytes) -> bytes:
    """A finished answer without content gets one empty text block, or polling loops never end; else `body` itself."""
    try:
        if _HELD.decode(body).content not in ([], None):
            return body
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body
    fields["content"] = _EMPTY_TEXT
    return _ENCODER.encode(fields)
