"""ConverseStream as canonical events.

    messageStart ( [contentBlockStart] contentBlockDelta* contentBlockStop )* messageStop metadata

Only calls have a start. Blocks are numbered, and what belongs to another block than an open call waits until that is
over. A text stays open after its stop, for the sources of a text come as a block of their own behind it.
"""

from __future__ import annotations

import base64
from typing import TypeAlias

import msgspec

from shared.chat import Citation, RedactedThinking, StopReason, Text, Thinking, ToolCall, Usage
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
from shared.wire import bedrock_answer as answer
from shared.wire.bedrock import WIRE
from worker.providers.bedrock import response
from worker.providers.bedrock.errors import stream_error
from worker.providers.bedrock.frames import ERROR

_EVENT = msgspec.json.Decoder(answer.StreamEvent)
_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)
_BLOCK_EVENTS = frozenset({"contentBlockStart", "contentBlockDelta", "contentBlockStop"})
_EXCEPTION = "Exception"

_Shell: TypeAlias = Text | Thinking | RedactedThinking | ToolCall


class Parser:
    """Parses one stream. Blocks of kinds that only Bedrock has are left out, and the rest counted anew."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._started = False
        self._ended = False
        self._counted = False
        self._reason: StopReason | None = None
        self.usage = Usage(known=False)
        self._next = 0
        self._kind: type | None = None  # of the open part
        self._block: int | None = None  # the provider's number of its block; None once that was stopped
        self._sealed = ""  # what stands at the end of a thought: its signature, or all of it when it is redacted
        self._sources: list[Citation] = []  # of the text that is to come, or of the one before
        self._waiting: list[tuple[str, answer.StreamEvent]] = []

    def feed(self, frame: Frame) -> list[Event]:
        """Events of one frame; nothing after the end."""
        if self._ended:
            return []
        if frame.event == ERROR or frame.event.endswith(_EXCEPTION):
            kind = "" if frame.event == ERROR else frame.event
            return self._break(stream_error(self._provider, kind, frame.data))
        try:
            return self._read(frame.event, _EVENT.decode(frame.data))
        except _UNREADABLE:
            return self._break(Garbled(f"{self._provider} sent an event that cannot be read.", provider=self._provider))
        except ProviderError as broken:
            return self._break(broken)

    def close(self) -> list[Event]:
        """The end, when all but the usage came; else Broken unless the stream has come to its end."""
        if self._ended:
            return []
        if self._reason is not None:
            return self._finish(self._reason)
        message = f"{self._provider} ended the stream before the answer was complete."
        return self._break(Unreachable(message, provider=self._provider))

    def _break(self, error: ProviderError) -> list[Event]:
        self._ended = True
        return [Broken(error)]

    def _read(self, kind: str, event: answer.StreamEvent) -> list[Event]:
        if kind in _BLOCK_EVENTS and self._must_wait(event):
            self._waiting.append((kind, event))
            return []
        match kind:
            case "messageStart":
                return self._start()
            case "contentBlockStart":
                return self._open(event, event.start or answer.Start())
            case "contentBlockDelta":
                return self._delta(event, event.delta or answer.Delta())
            case "contentBlockStop":
                return self._stop(event)
            case "messageStop":
                self._reason = response.stop_reason(self._provider, event.stop_reason)
            case "metadata":
                self.usage, self._counted = response.counted(event.usage), True
            case _:
                return []
        return [] if self._reason is None or not self._counted else self._finish(self._reason)

    def _must_wait(self, event: answer.StreamEvent) -> bool:
        return self._kind is ToolCall and self._block not in {None, event.content_block_index}

    def _start(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started("", "", Usage(known=False))]

    def _open(self, event: answer.StreamEvent, start: answer.Start) -> list[Event]:
        owed = self._close_part()
        call = start.tool_use
        if call is None or response.runs_itself(call):
            return owed
        return owed + self._begin(event, ToolCall(call.tool_use_id or "", call.name or "", ""))

    def _begin(self, event: answer.StreamEvent, shell: _Shell) -> list[Event]:
        """A new part, after the end of the one before it."""
        owed = self._start() + self._close_part()
        self._kind, self._block = type(shell), event.content_block_index
        return [*owed, PartStarted(self._next, shell)] if self._kind is not RedactedThinking else owed

    def _into(self, event: answer.StreamEvent, shell: _Shell) -> list[Event]:
        """What opens a part of this kind for the event's block, unless it is open."""
        if self._kind is type(shell) and self._block == event.content_block_index:
            return []
        return self._begin(event, shell)

    def _delta(self, event: answer.StreamEvent, delta: answer.Delta) -> list[Event]:
        match delta:
            case answer.Delta(text=str(text)):
                return [*self._into(event, Text("")), *self._claim(), TextDelta(self._next, text)] if text else []
            case answer.Delta(reasoning_content=answer.Reasoning() as thought):
                return self._think(event, thought)
            case answer.Delta(tool_use=answer.CallDelta(input=str(text))):
                called = self._kind is ToolCall and self._block == event.content_block_index
                return [ArgumentsDelta(self._next, text)] if called and text else []
            case answer.Delta(citation=answer.Citation() as found):
                return self._cite(event, found)
            case _:
                return []

    def _think(self, event: answer.StreamEvent, thought: answer.Reasoning) -> list[Event]:
        if thought.redacted_content is not None:
            owed = self._into(event, RedactedThinking("", WIRE))
            self._sealed = _appended(self._sealed, thought.redacted_content)
            return owed
        owed = self._into(event, Thinking("", WIRE))
        self._sealed += thought.signature or ""
        return [*owed, TextDelta(self._next, thought.text)] if thought.text else owed

    def _cite(self, event: answer.StreamEvent, found: answer.Citation) -> list[Event]:
        """The source of the open text; of a text that may yet come in its block; else of the text before it."""
        cited = response.citation(found)
        if cited is None:
            return []
        self._sources.append(cited)
        return self._claim() if self._kind is Text and self._block == event.content_block_index else []

    def _claim(self) -> list[Event]:
        sources, self._sources = self._sources, []
        return [CitationDelta(self._next, cited) for cited in sources]

    def _stop(self, event: answer.StreamEvent) -> list[Event]:
        if self._block not in {None, event.content_block_index}:
            return []
        if self._sources:
            owed = [] if self._kind is Text else self._begin(event, Text(""))
            self._block = None
            return owed + self._claim()
        if self._kind is Text:
            self._block = None
            return []
        return self._close_part() + self._go_on()

    def _close_part(self) -> list[Event]:
        kind, sealed, at = self._kind, self._sealed, self._next
        self._kind, self._block, self._sealed = None, None, ""
        if kind is None:
            return []
        self._next += 1
        if kind is RedactedThinking:
            return [PartStarted(at, RedactedThinking(sealed, WIRE)), PartStopped(at)]
        return [*([SignatureDelta(at, sealed)] if sealed else []), PartStopped(at)]

    def _go_on(self) -> list[Event]:
        """What has waited for the end of a call."""
        waiting, self._waiting = self._waiting, []
        return [event for kind, held in waiting for event in self._read(kind, held)]

    def _finish(self, reason: StopReason) -> list[Event]:
        events = self._start() + self._close_part()
        while self._waiting:
            events += self._go_on() + self._close_part()
        self._ended = True
        return [*events, Finished(reason, self.usage)]


def _appended(sealed: str, piece: str) -> str:
    """Two pieces of base64 as one: each is padded for itself."""
    if not sealed:
        return piece
    return base64.b64encode(base64.b64decode(sealed) + base64.b64decode(piece)).decode()
