"""Canonical events as Chat Completions chunks."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import UNSET

from shared import sse
from shared.chat import Citation, RedactedThinking, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.dialects.openai_chat.errors import stream_error
from shared.dialects.openai_chat.response import NO_ARGUMENTS, annotation, finish_reason, render_usage
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
from shared.wire.openai_chat import WrittenFunction, WrittenToolCall
from shared.wire.openai_chat_answer import WrittenAnnotation, WrittenChunk, WrittenDelta, WrittenDeltaChoice

_ENCODER = msgspec.json.Encoder()
_DONE = sse.write(b"[DONE]")


class ChunkRenderer:
    """Writes one stream: role, deltas, the annotations, the finish chunk, the usage chunk if asked for, `[DONE]`.

    The annotations of all texts go out together, as OpenAI's do: the SDKs add no second list to the first.
    A broken stream ends with an error frame and without `[DONE]`.
    """

    final = b""  # nobody can ask for a chat completion again

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._started = Started("", "", Usage())
        self._part: Text | Thinking | RedactedThinking | ToolCall | Refusal = Text("")
        self._calls = 0
        self._arguments_seen = False
        self._refusal_shown = False
        self._length = 0  # of the content so far, in characters
        self._part_starts_at = 0
        self._citations: list[Citation] = []  # of the open part
        self._annotations: list[WrittenAnnotation] = []

    def feed(self, event: Event) -> bytes:
        """SSE bytes for one event, possibly empty."""
        match event:
            case Started():
                self._started = event
                # Without content: an answer of calls alone must add up to a message whose content is null.
                return self._chunk(WrittenDelta(role="assistant"))
            case PartStarted():
                return self._open(event.part)
            case TextDelta():
                return self._chunk(self._text(event.text)) if event.text else b""
            case CitationDelta():
                self._citations.append(event.citation)
                return b""
            case ArgumentsDelta():
                self._arguments_seen = self._arguments_seen or bool(event.text.strip())
                return self._arguments(event.text) if event.text else b""
            case PartStopped():
                return self._close()
            case SignatureDelta():
                return b""  # no place in this format
            case Finished():
                return self._finish(event.stop_reason, event.usage)
            case Broken():
                return stream_error(event.error)
            case _:
                assert_never(event)

    def _open(self, part: Text | Thinking | RedactedThinking | ToolCall | Refusal) -> bytes:
        self._part = part
        self._part_starts_at = self._length
        self._refusal_shown = self._refusal_shown or isinstance(part, Refusal)
        if isinstance(part, ToolCall):
            self._arguments_seen = bool(part.arguments.strip())
            function = WrittenFunction(part.name, part.arguments)
            call = WrittenToolCall(index=self._calls, id=part.id, type="function", function=function)
            self._calls += 1
            return self._chunk(WrittenDelta(tool_calls=[call]))
        if isinstance(part, RedactedThinking) or not part.text:
            return b""
        return self._chunk(self._text(part.text))

    def _text(self, text: str) -> WrittenDelta:
        if isinstance(self._part, Thinking):
            return WrittenDelta(reasoning_content=text)
        if isinstance(self._part, Refusal):
            return WrittenDelta(refusal=text)
        self._length += len(text)
        return WrittenDelta(content=text)

    def _arguments(self, text: str) -> bytes:
        call = WrittenToolCall(index=self._calls - 1, function=WrittenFunction(arguments=text))
        return self._chunk(WrittenDelta(tool_calls=[call]))

    def _close(self) -> bytes:
        start, end = self._part_starts_at, self._length
        self._annotations += [annotation(citation, start, end) for citation in self._citations]
        self._citations.clear()
        bare = isinstance(self._part, ToolCall) and not self._arguments_seen
        return self._arguments(NO_ARGUMENTS) if bare else b""

    def _finish(self, reason: StopReason, usage: Usage) -> bytes:
        word = finish_reason(reason, refusal_shown=self._refusal_shown)
        said = self._length or self._calls or self._refusal_shown
        last = self._chunk(WrittenDelta(annotations=self._annotations)) if self._annotations else b""
        last += self._chunk(WrittenDelta() if said else WrittenDelta(content=""), word)
        if self._include_usage:
            last += self._write([], usage)
        return last + _DONE

    def _chunk(self, delta: WrittenDelta, reason: str | None = None) -> bytes:
        return self._write([WrittenDeltaChoice(delta, reason)], None)

    def _write(self, choices: list[WrittenDeltaChoice], usage: Usage | None) -> bytes:
        started = self._started
        chunk = WrittenChunk(
            id=started.id,
            created=started.created_s or 0,
            model=started.model,
            choices=choices,
            usage=(render_usage(usage) if usage else None) if self._include_usage else UNSET,
        )
        return sse.write(_ENCODER.encode(chunk))
