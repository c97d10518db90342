"""Canonical events as Anthropic's server-sent events: `event:` and `data:` lines, for its SDKs drop unnamed events."""

from __future__ import annotations

from typing import assert_never

import msgspec

from shared.chat import RedactedThinking, Refusal, StopReason, Text, Thinking, ToolCall
from shared.dialects.anthropic.errors import stream_error
from shared.dialects.anthropic.response import STOP_REASONS, cited, stop_details, tag, usage
from shared.events import (
    ArgumentsDelta,
    Broken,
    CitationDelta,
    Event,
    Finished,
    PartStarted,
    PartStopped,
    SignatureDelta,
    Started,
    TextDelta,
)
from shared.sse import write
from shared.wire import anthropic as wire
from shared.wire import anthropic_answer as answer

_ENCODER = msgspec.json.Encoder()
_EMPTY_INPUT = msgspec.Raw(b"{}")


class Renderer:
    """Renders one stream. Holds which part is open, and whether it was a refusal."""

    final = b""  # nobody can ask for a message again

    def __init__(self) -> None:
        self._thinking: Thinking | None = None
        self._signed = False
        self._refusal: str | None = None
        self._refusing = False

    def feed(self, event: Event) -> bytes:
        """SSE bytes for one event, possibly empty."""
        match event:
            case Started():
                return _start(event)
            case PartStarted(index, part):
                return self._open(index, part)
            case TextDelta(index, text):
                return self._text(index, text)
            case CitationDelta(index, citation):
                return _delta(index, answer.CitationsDelta(cited(citation)))
            case SignatureDelta(index, signature):
                return self._sign(index, signature)
            case ArgumentsDelta(index, text):
                return _delta(index, answer.Delta(type="input_json_delta", partial_json=text))
            case PartStopped(index):
                return self._close(index)
            case Finished():
                return self._finish(event)
            case Broken(error):
                return stream_error(error, "")
            case _:
                assert_never(event)

    def _open(self, index: int, part: Text | Thinking | RedactedThinking | ToolCall | Refusal) -> bytes:
        self._thinking = part if isinstance(part, Thinking) else None
        self._signed = False
        self._refusing = isinstance(part, Refusal)
        if self._refusing:
            self._refusal = self._refusal or ""
        return _write(answer.BlockStart(index, _shell(part)))

    def _text(self, index: int, text: str) -> bytes:
        if self._thinking is not None:
            return _delta(index, answer.Delta(type="thinking_delta", thinking=text))
        if self._refusing:
            self._refusal = (self._refusal or "") + text
        return _delta(index, answer.Delta(type="text_delta", text=text))

    def _sign(self, index: int, signature: str) -> bytes:
        self._signed = True
        origin = self._thinking.origin if self._thinking is not None else wire.WIRE
        return _delta(index, answer.Delta(type="signature_delta", signature=tag(signature, origin)))

    def _close(self, index: int) -> bytes:
        owed = b""
        if self._thinking is not None and not self._signed and self._thinking.origin != wire.WIRE:
            owed = self._sign(index, "")
        self._thinking = None
        return owed + _write(answer.BlockStop(index))

    def _finish(self, event: Finished) -> bytes:
        reason = event.stop_reason if self._refusal is None else StopReason.REFUSAL
        delta = answer.StopDelta(STOP_REASONS[reason], event.stop_sequence, stop_details(reason, self._refusal))
        return _write(answer.MessageDelta(delta, usage(event.usage))) + _write(answer.MessageStop())


def _start(event: Started) -> bytes:
    shell = answer.AnswerOut(id=event.id, model=event.model, content=[], stop_reason=None, usage=usage(event.usage))
    return _write(answer.MessageStart(shell))


def _shell(part: Text | Thinking | RedactedThinking | ToolCall | Refusal) -> wire.Block:
    match part:
        case Text() | Refusal():
            return wire.TextBlock("")
        case Thinking():
            return wire.ThinkingBlock("")
        case RedactedThinking(data, origin):
            return wire.RedactedBlock(tag(data, origin))
        case ToolCall(call_id, name):
            return wire.ToolUseBlock(call_id, name, _EMPTY_INPUT)
        case _:
            assert_never(part)


def _delta(index: int, delta: answer.Delta | answer.CitationsDelta) -> bytes:
    return _write(answer.BlockDelta(index, delta))


def _write(event: msgspec.Struct) -> bytes:
    return write(_ENCODER.encode(event), str(event.__struct_config__.tag))
