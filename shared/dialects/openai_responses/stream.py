"""Canonical stream events as the events of a streamed response.

    response.created  response.in_progress
    ( response.output_item.added  <what is in it>  response.output_item.done )*
    response.completed | response.incomplete                                         carries the whole answer
                                              │
    at any point instead of the rest: response.failed

An item is done when the next begins or the answer ends: only then is it known whether a message goes on, and whether
the answer was cut short in it.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import Raw

from shared import sse
from shared.chat import Citation, RedactedThinking, Refusal, Text, Thinking, ToolCall
from shared.dialects.openai_responses.echo import echo
from shared.dialects.openai_responses.output import (
    COMPLETED,
    INCOMPLETE,
    NO_ARGUMENTS,
    Shown,
    content_part,
    item,
    item_id,
    joins,
    opened,
)
from shared.dialects.openai_responses.response import begin, encode, end, incomplete, served
from shared.dialects.openai_responses.states import failed
from shared.errors import GatewayError
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
from shared.jobs import Job
from shared.wire import openai_responses_answer as wire

_ENCODER = msgspec.json.Encoder()
_NUMBERED = msgspec.json.Decoder(wire.Numbered)


class _Family(msgspec.Struct, frozen=True):
    """How the events inside an item are called.

    Attributes:
        said: prefix of the events that bring the text.
        whole: field of the last of them that holds all of it.
        around: prefix of the two events around them; empty for none.
        index: field that tells which content of the item it is; empty when there is but one.
        more: fields that all events of the text have.
    """

    said: str
    whole: str
    around: str = ""
    index: str = ""
    more: dict[str, Any] = {}


_CONTENT = "response.content_part"
_SUMMARY = "response.reasoning_summary_part"
_FAMILIES: dict[type[Shown], _Family] = {
    Text: _Family("response.output_text", "text", _CONTENT, "content_index", {"logprobs": []}),
    Refusal: _Family("response.refusal", "refusal", _CONTENT, "content_index"),
    Thinking: _Family("response.reasoning_summary_text", "text", _SUMMARY, "summary_index"),
    ToolCall: _Family("response.function_call_arguments", "arguments"),
}


class Renderer:
    """Writes one stream. What it gathers on the way is the answer as `response.render` writes it, byte for byte.

    Attributes:
        final: the response object of the last event.
    """

    def __init__(self, job: Job, body: bytes) -> None:
        self.final = b""
        self._job = job
        self._echo = echo(body)
        self._begun = begin(job, job.model)
        self._created_s: int | None = None
        self._next = 0
        self._items: list[wire.OutputItem] = []
        self._parts: list[Shown] = []
        self._part: Shown = Text("")
        self._place: dict[str, Any] = {}
        self._text: list[str] = []
        self._citations: list[Citation] = []
        self._signature: str | None = None
        self._refused = False

    def feed(self, event: Event) -> bytes:
        """SSE bytes for one event, possibly empty."""
        match event:
            case Started():
                return self._start(event)
            case PartStarted():
                return self._open(event.part)
            case TextDelta() | ArgumentsDelta():
                return self._add(event.text) if event.text else b""
            case CitationDelta():
                self._citations.append(event.citation)  # how long the text is that it covers is known at its end
                return b""
            case SignatureDelta():
                self._signature = event.signature
                return b""
            case PartStopped():
                return self._close()
            case Finished():
                return self._finish(event)
            case Broken():
                return _failing(event.error, self._begun, self._echo, self._next)
            case _:
                assert_never(event)

    def _start(self, event: Started) -> bytes:
        self._begun.model = event.model
        self._created_s = event.created_s
        begun = Raw(encode(self._begun, self._echo))
        return self._write(wire.ResponseEvent("response.created", begun)) + self._write(
            wire.ResponseEvent("response.in_progress", begun)
        )

    def _open(self, part: Shown) -> bytes:
        out = b""
        if not joins(self._parts, part):
            out = self._end_item(COMPLETED)
            at = len(self._items)
            out += self._write(wire.ItemEvent("response.output_item.added", at, opened(self._job.id, at, part)))
        self._part, self._text, self._citations, self._signature = part, [], [], None
        self._place = self._where(part)
        self._refused = self._refused or isinstance(part, Refusal)
        return out + self._around("added", part) if isinstance(part, Text | Refusal) else out

    def _add(self, text: str) -> bytes:
        summary_begins = isinstance(self._part, Thinking) and not self._text
        before = self._around("added", self._part) if summary_begins else b""
        self._text.append(text)
        return before + self._say("delta", delta=text)

    def _close(self) -> bytes:
        out = b""
        text = "".join(self._text)
        if isinstance(self._part, ToolCall) and not text.strip():
            text = NO_ARGUMENTS
            out = self._say("delta", delta=text)
        part = self._whole(text)
        out += self._annotate(part)
        # An item of reasoning may hold nothing but its seal.
        if not isinstance(part, RedactedThinking) and (text or not isinstance(part, Thinking)):
            out += self._say("done", **{_FAMILIES[type(part)].whole: text}) + self._around("done", part)
        self._parts.append(part)
        return out

    def _whole(self, text: str) -> Shown:
        part = self._part
        match part:
            case Text():
                return Text(text, tuple(self._citations))
            case Refusal():
                return Refusal(text)
            case Thinking():
                return Thinking(text, part.origin, self._signature)
            case ToolCall():
                return ToolCall(part.id, part.name, text)
            case RedactedThinking():
                return part
            case _:
                assert_never(part)

    def _end_item(self, status: str) -> bytes:
        if not self._parts:
            return b""
        at = len(self._items)
        self._items.append(item(self._job.id, at, self._parts, status))
        self._parts = []
        return self._write(wire.ItemEvent("response.output_item.done", at, self._items[at]))

    def _finish(self, event: Finished) -> bytes:
        reason = incomplete(event.stop_reason, refused=self._refused)
        out = self._end_item(INCOMPLETE if reason else COMPLETED)
        response = end(self._begun, self._items, reason, event.usage, self._created_s)
        self.final = encode(response, served(self._echo))
        return out + self._write(wire.ResponseEvent(f"response.{response.status}", Raw(self.final)))

    # --- one event ------------------------------------------------------------------------------------

    def _where(self, part: Shown) -> dict[str, Any]:
        """The fields by which the events of `part` tell where it stands."""
        at = len(self._items)
        place: dict[str, Any] = {"item_id": item_id(self._job.id, at, part), "output_index": at}
        family = _FAMILIES.get(type(part))
        return {**place, family.index: len(self._parts)} if family and family.index else place

    def _say(self, what: str, **facts: Any) -> bytes:
        family = _FAMILIES[type(self._part)]
        kind = f"{family.said}.{what}"
        return self._write(wire.PieceEvent(type=kind, **self._place, **facts, **family.more))

    def _around(self, what: str, part: Shown) -> bytes:
        content = content_part(part)
        if content is None:
            return b""
        kind = f"{_FAMILIES[type(part)].around}.{what}"
        return self._write(wire.PieceEvent(type=kind, **self._place, part=content))

    def _annotate(self, part: Shown) -> bytes:
        content = content_part(part)
        found = content.annotations if isinstance(content, wire.OutputText) else []
        kind = "response.output_text.annotation.added"
        events = [
            wire.PieceEvent(type=kind, **self._place, annotation=annotation, annotation_index=at)
            for at, annotation in enumerate(found)
        ]
        return b"".join(map(self._write, events))

    def _write(self, event: wire.StreamEvent) -> bytes:
        event.sequence_number = self._next
        self._next += 1
        return _frame(event)


def stream_error(error: GatewayError, job: Job, last: bytes) -> bytes:
    """SSE bytes that end a stream that has begun; `last` are the last whole frames sent of it, possibly none."""
    sent = map(_number, reversed(sse.FrameReader().feed(last)))
    number = next((number for number in sent if number is not None), -1)
    return _failing(error, begin(job, job.model), echo(b""), number + 1)


class After:
    """Leaves out of a stream what a client that resumes has seen: the events up to the number `sequence`."""

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self._passed = False

    def __call__(self, piece: bytes) -> bytes:
        """The frames of `piece` (whole ones) that come after; once one has, all that follow, unread."""
        if self._passed:
            return piece
        frames = sse.FrameReader().feed(piece)
        for at, frame in enumerate(frames):
            number = _number(frame)
            if number is not None and number > self._sequence:
                self._passed = True
                return b"".join(later.raw for later in frames[at:])
        return b""


def _failing(error: GatewayError, begun: wire.Response, echoed: dict[str, Raw], number: int) -> bytes:
    out = b""
    if number == 0:  # the SDKs' helpers read no stream that does not begin so
        out = _frame(wire.ResponseEvent("response.created", Raw(encode(begun, echoed))))
        number = 1
    return out + _frame(wire.ResponseEvent("response.failed", Raw(failed(begun, error, echoed)), number))


def _number(frame: sse.Frame) -> int | None:
    """The event's number; None for a comment and for what is no event of this format."""
    try:
        return _NUMBERED.decode(frame.data).sequence_number
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _frame(event: wire.StreamEvent) -> bytes:
    return sse.write(_ENCODER.encode(event), event.type)
