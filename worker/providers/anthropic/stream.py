"""Anthropic's stream as canonical events, and the tap for a stream that is relayed as it came."""

from __future__ import annotations

import msgspec

from shared.chat import Part, RedactedThinking, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.errors import Garbled, ProviderError, Unreachable
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
from shared.sse import Frame
from shared.wire import anthropic as wire
from shared.wire import anthropic_answer as answer
from worker.providers.anthropic.citations import citation
from worker.providers.anthropic.errors import stream_error
from worker.providers.anthropic.response import Block, block, canonical, counts, explanation, merge, stop_reason

_EVENT = msgspec.json.Decoder(answer.StreamEvent)
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
_UNNUMBERED = -1
_NO_INPUT = frozenset({b"", b"{}", b"null"})
_OPENING = frozenset({None, "message_start", "ping"})
"""Events before the first of the answer."""
_DELTA_OF: dict[str, type] = {
    "text_delta": Text,
    "thinking_delta": Thinking,
    "signature_delta": Thinking,
    "input_json_delta": ToolCall,
}
"""The part that each delta adds to; in another it would break the promise of `shared/events.py`."""


class Parser:
    """Parses one stream.

    Blocks of kinds that only Anthropic has are left out, and the rest counted anew. A block that is still open when the
    next one begins is closed first.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._usage = answer.Usage()
        self._stop_reason: str | None = None
        self._stop_details = msgspec.Raw()
        self._stop_sequence: str | None = None
        self._wrote = False  # whether any text came
        self._started = False
        self._ended = False
        self._next = 0
        self._theirs: int | None = None  # the provider's index of the open block
        self._ours: int | None = None  # ours, None while a left-out block is open
        self._open_kind: type = object

    @property
    def usage(self) -> Usage:
        """What the beginning told, and the last event that counts."""
        return canonical(self._usage)

    def feed(self, frame: Frame) -> list[Event]:
        """Events of one frame; nothing after the end."""
        if self._ended or not frame.data or frame.data == b"[DONE]":
            return []
        try:
            event = _EVENT.decode(frame.data)
            return self._read(event.type or frame.event, event, frame)
        except _UNREADABLE:
            return self._break(Garbled(f"{self._provider} sent an event that cannot be read.", provider=self._provider))
        except ProviderError as broken:
            return self._break(broken)

    def close(self) -> list[Event]:
        """Broken unless the stream has come to its end."""
        if self._ended:
            return []
        message = f"{self._provider} ended the stream before the answer was complete."
        return self._break(Unreachable(message, provider=self._provider))

    def _read(self, kind: str, event: answer.StreamEvent, frame: Frame) -> list[Event]:
        match kind:
            case "message_start":
                return self._start(event.message or answer.Answer())
            case "content_block_start":
                return self._open(event)
            case "content_block_delta":
                return self._delta(event, event.delta or answer.Delta())
            case "content_block_stop":
                return self._stop()
            case "message_delta":
                return self._note(event)
            case "message_stop":
                return self._finish()
            case "error":
                return self._break(stream_error(self._provider, frame.data))
            case _:
                return []

    def _break(self, error: ProviderError) -> list[Event]:
        self._ended = True
        return [Broken(error)]

    def _start(self, shell: answer.Answer) -> list[Event]:
        self._usage = merge(self._usage, counts(shell.usage))
        if self._started:
            return []
        self._started = True
        return [Started(shell.id or "", shell.model or "", self.usage)]

    def _open(self, event: answer.StreamEvent) -> list[Event]:
        shell, part = block(event.content_block)
        owed = self._stop()
        self._theirs = _UNNUMBERED if event.index is None else event.index
        if not isinstance(part, Text | Thinking | RedactedThinking | ToolCall):
            return owed
        return owed + self._begin(part) + self._held(shell, part)

    def _begin(self, part: Text | Thinking | RedactedThinking | ToolCall) -> list[Event]:
        self._ours, self._next = self._next, self._next + 1
        self._open_kind = type(part)
        begun = [] if self._started else self._start(answer.Answer())
        return [*begun, PartStarted(self._ours, _shell(part))]

    def _held(self, shell: Block, part: Part) -> list[Event]:
        """What a shell holds that is not empty: calls made by code execution come whole (seen in recorded streams)."""
        index = self._ours or 0
        events: list[Event] = []
        text = shell.thinking if shell.type == "thinking" else shell.text
        if text and shell.type in {"text", "thinking"}:
            self._wrote = self._wrote or shell.type == "text"
            events.append(TextDelta(index, text))
        if isinstance(part, Text):
            events += [CitationDelta(index, cited) for cited in part.citations]
        if shell.type == "thinking" and shell.signature:
            events.append(SignatureDelta(index, shell.signature))
        if shell.type == "tool_use" and bytes(shell.input) not in _NO_INPUT:
            events.append(ArgumentsDelta(index, bytes(shell.input).decode()))
        return events

    def _delta(self, event: answer.StreamEvent, delta: answer.Delta) -> list[Event]:
        owed: list[Event] = []
        if self._theirs is None or event.index not in {None, self._theirs}:
            owed = self._resume(event, delta)
        if self._ours is None:
            return owed
        if delta.type in _DELTA_OF and _DELTA_OF[delta.type] is not self._open_kind:
            raise msgspec.DecodeError(f"a {delta.type} in a part of another kind")
        self._wrote = self._wrote or bool(delta.type == "text_delta" and delta.text)
        if self._open_kind is Text and isinstance(delta.citation, msgspec.Raw):
            cited = citation(delta.citation)
            return owed if cited is None else [*owed, CitationDelta(self._ours, cited)]
        return owed + _said(self._ours, delta)

    def _resume(self, event: answer.StreamEvent, delta: answer.Delta) -> list[Event]:
        """A delta of a block that is not open: text begins a new part, half a tool call cannot be continued."""
        if delta.type == "input_json_delta":
            raise msgspec.DecodeError("arguments of a block that is not open")
        if delta.type not in {"text_delta", "thinking_delta"}:
            return []
        owed = self._stop()
        self._theirs = _UNNUMBERED if event.index is None else event.index
        return owed + self._begin(Text("") if delta.type == "text_delta" else Thinking("", wire.WIRE))

    def _stop(self) -> list[Event]:
        index, self._ours, self._theirs = self._ours, None, None
        return [] if index is None else [PartStopped(index)]

    def _note(self, event: answer.StreamEvent) -> list[Event]:
        self._usage = merge(self._usage, counts(event.usage))
        if event.delta is not None:
            self._stop_reason = event.delta.stop_reason or self._stop_reason
            self._stop_sequence = event.delta.stop_sequence or self._stop_sequence
            if isinstance(event.delta.stop_details, msgspec.Raw):
                self._stop_details = event.delta.stop_details
        return []

    def _finish(self) -> list[Event]:
        reason = stop_reason(self._provider, self._stop_reason)
        events = [] if self._started else self._start(answer.Answer())
        events += self._stop()
        if reason is StopReason.REFUSAL and not self._wrote:
            for refusal in explanation(self._stop_details):
                events += [PartStarted(self._next, Refusal("")), TextDelta(self._next, refusal.text)]
                events.append(PartStopped(self._next))
        self._ended = True
        return [*events, Finished(reason, self.usage, self._stop_sequence)]


def _shell(
    part: Text | Thinking | RedactedThinking | ToolCall,
) -> Text | Thinking | RedactedThinking | ToolCall | Refusal:
    match part:
        case Text():
            return Text("")
        case Thinking():
            return Thinking("", part.origin)
        case ToolCall():
            return ToolCall(part.id, part.name, "")
        case _:
            return part


def _said(index: int, delta: answer.Delta) -> list[Event]:
    """Events of a delta; empty pieces and kinds that only Anthropic has say nothing."""
    match delta:
        case answer.Delta(type="text_delta", text=str(text)) | answer.Delta(type="thinking_delta", thinking=str(text)):
            return [TextDelta(index, text)] if text else []
        case answer.Delta(type="signature_delta", signature=str(signature)):
            return [SignatureDelta(index, signature)]
        case answer.Delta(type="input_json_delta", partial_json=str(text)):
            return [ArgumentsDelta(index, text)] if text else []
        case _:
            return []


def _kind(data: bytes) -> str | None:
    try:
        return _EVENT.decode(data).type
    except _UNREADABLE:
        return None


class Tap:
    """Watches one relayed stream. Reads only the events that carry usage or an end; deltas pass unread."""

    final = b""

    def __init__(self, provider: str) -> None:
        self.usage = Usage(known=False)
        self.answering = self.finished = False
        self._provider = provider
        self._counts = answer.Usage()

    def feed(self, frame: Frame) -> bytes:
        """The frame's own bytes; with its `event:` line, without which the vendor's SDKs pass over it in silence.

        Raises:
            ProviderError: the frame is an error event.
        """
        kind = frame.event or _kind(frame.data)
        match kind:
            case "message_start" | "message_delta":
                self._count(frame.data)
            case "message_stop":
                self.finished = True
            case "error":
                raise stream_error(self._provider, frame.data)
            case _:
                pass
        self.answering = self.answering or kind not in _OPENING
        return frame.raw if frame.event or not kind else b"event: %b\n%b" % (kind.encode(), frame.raw)

    def _count(self, data: bytes) -> None:
        try:
            event = _EVENT.decode(data)
        except _UNREADABLE:
            return
        for raw in (event.usage, event.message.usage if event.message else msgspec.Raw()):
            self._counts = merge(self._counts, counts(raw))
        self.usage = canonical(self._counts)
