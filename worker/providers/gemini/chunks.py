"""Chunks of an answer as canonical events: the only state of this adapter.

Calls come whole, texts in pieces. A signature stands on the part it belongs to: that of a call goes into the call's
id; that of a text, which only counts where thoughts are shown, into the thinking before it. Gemini 3 sends it after a
streamed text, in an empty part; then an empty thinking of its own holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shared import ids
from shared.chat import Citation, Refusal, StopReason, Text, Thinking, ToolCall, Usage
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
from shared.wire import gemini_answer as answer
from shared.wire.gemini import WIRE
from worker.providers.call_ids import seal
from worker.providers.gemini.citations import cited
from worker.providers.gemini.errors import stream_error
from worker.providers.gemini.usage import told
from worker.providers.hints import safe

STOP_REASONS: dict[str | int | None, StopReason] = {
    "STOP": StopReason.END,
    "MAX_TOKENS": StopReason.LENGTH,
    "CONTINUATION": StopReason.PAUSE,
    "SAFETY": StopReason.REFUSAL,
    "RECITATION": StopReason.REFUSAL,
    "BLOCKLIST": StopReason.REFUSAL,
    "PROHIBITED_CONTENT": StopReason.REFUSAL,
    "SPII": StopReason.REFUSAL,
    "MODEL_ARMOR": StopReason.REFUSAL,
    "IMAGE_SAFETY": StopReason.REFUSAL,
    "IMAGE_PROHIBITED_CONTENT": StopReason.REFUSAL,
    "IMAGE_RECITATION": StopReason.REFUSAL,
}
"""https://ai.google.dev/api/generate-content#FinishReason. Reasons that are not listed here or below count as END."""

_FAILED = frozenset(
    {
        "LANGUAGE",
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
"""The finish reasons of answers that failed midway."""


class Chunks:
    """The events of one answer. `over`: nothing will follow; `usage`: as the chunks have told it."""

    def __init__(self, provider: str) -> None:
        self.over = False
        self._provider = provider
        self._id = ""
        self._started = False
        self.usage = Usage(known=False)
        self._candidate = answer.Candidate()  # the last with a finish reason
        self._block: answer.PromptFeedback | None = None
        self._open: Text | Thinking | None = None
        self._next = 0
        self._calls = 0
        self._thought = self._signed = self._wrote = False
        self._unclaimed: dict[Citation, None] = {}
        self._cited: set[Citation] = set()

    def feed(self, chunk: answer.Answer) -> list[Event]:
        """Events of one chunk."""
        try:
            return list(self._read(chunk))
        except ProviderError as error:
            return self.broken(error)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self.broken(Garbled(f"{self._provider} sent a chunk that cannot be read.", provider=self._provider))

    def end(self, *, whole: bool) -> list[Event]:
        """Events owed when no chunk follows; `whole`: the answer is known to be, whether or not it says so."""
        if self.over:
            return []
        if not self._started or not (whole or self._candidate.finish_reason or self._block):
            message = f"{self._provider} ended the stream before the answer was complete."
            return self.broken(Unreachable(message, provider=self._provider))
        self.over = True
        return [*self._stopped(), *self._refused(), Finished(self._reason(), self.usage)]

    def broken(self, error: ProviderError) -> list[Event]:
        """The end with an error."""
        self.over = True
        return [Broken(error)]

    def _read(self, chunk: answer.Answer) -> Iterator[Event]:
        if chunk.error != answer.NULL:
            raise stream_error(self._provider, chunk.error)
        self.usage = told(chunk.usage_metadata) or self.usage
        if not self._started:
            self._started, self._id = True, chunk.response_id or ""
            yield Started(self._id, chunk.model_version or "", self.usage, seconds(chunk.create_time))
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            self._block = chunk.prompt_feedback
        for candidate in chunk.candidates or ():
            if not candidate.index:  # a second one was not asked for
                yield from self._candidate_events(candidate)

    def _candidate_events(self, candidate: answer.Candidate) -> Iterator[Event]:
        self._unclaimed |= dict.fromkeys(page for page in cited(candidate) if page not in self._cited)
        for part in (candidate.content.parts if candidate.content else None) or ():
            yield from self._part(part)
        if candidate.finish_reason in _FAILED:
            why = safe(f"({candidate.finish_reason}). {candidate.finish_message or ''}").strip()
            raise Unreachable(f"{self._provider} broke off its answer {why}", provider=self._provider)
        if candidate.finish_reason:
            self._candidate = candidate

    def _part(self, part: answer.Part) -> Iterator[Event]:
        if part.function_call is not None:
            yield from self._call(part.function_call, part.thought_signature)
        elif part.text is not None and part.thought:
            self._thought = True
            yield from self._said(Thinking("", WIRE), part.text)
            yield from self._sign(part.thought_signature)
        elif part.text is not None:
            if part.thought_signature and self._thought:
                yield from self._sign_text(part)
            else:
                yield from self._said(Text(""), part.text)

    def _sign_text(self, part: answer.Part) -> Iterator[Event]:
        """A text that begins is signed before it, one that goes on is signed behind it."""
        ends = isinstance(self._open, Text)
        if ends:
            yield from self._said(Text(""), part.text or "")
        if not isinstance(self._open, Thinking):
            yield from self._begin(Thinking("", WIRE))
        yield from self._sign(part.thought_signature)
        if not ends:
            yield from self._said(Text(""), part.text or "")

    def _sign(self, signature: str | None) -> Iterator[Event]:
        if signature and not self._signed:
            self._signed = True
            yield SignatureDelta(self._next - 1, signature)

    def _said(self, shell: Text | Thinking, text: str) -> Iterator[Event]:
        if not text:
            return
        if type(self._open) is not type(shell):
            yield from self._begin(shell)
        self._wrote = self._wrote or isinstance(shell, Text)
        yield TextDelta(self._next - 1, text)

    def _begin(self, shell: Text | Thinking) -> Iterator[Event]:
        yield from self._stopped()
        self._open, self._signed = shell, False
        yield PartStarted(self._next, shell)
        self._next += 1

    def _call(self, call: answer.FunctionCall, signature: str | None) -> Iterator[Event]:
        if not call.name or call.will_continue:
            what = "a part of a tool call, which was not asked for" if call.will_continue else "a call without a name"
            raise Garbled(f"{self._provider} sent {what}.", provider=self._provider)
        yield from self._stopped()
        call_id = call.id or "call_" + ids.digest(self._id.encode(), str(self._calls).encode())[:24]
        yield PartStarted(self._next, ToolCall(seal(call_id, signature), call.name, ""))
        yield ArgumentsDelta(self._next, "{}" if call.args == answer.NULL else bytes(call.args).decode())
        yield PartStopped(self._next)
        self._next += 1
        self._calls += 1

    def _stopped(self) -> Iterator[Event]:
        """The end of the open part; the sources known by now are those of a text that ends."""
        if self._open is None:
            return
        if isinstance(self._open, Text):
            yield from (CitationDelta(self._next - 1, page) for page in self._unclaimed)
            self._cited |= self._unclaimed.keys()
            self._unclaimed.clear()
        self._open = None
        yield PartStopped(self._next - 1)

    def _refused(self) -> Iterator[Event]:
        """Why there is no answer, where nothing else was said."""
        why = self._why()
        if why and not self._wrote and self._reason() is StopReason.REFUSAL:
            yield from (PartStarted(self._next, Refusal("")), TextDelta(self._next, why), PartStopped(self._next))

    def _why(self) -> str:
        if self._block is not None:
            return self._block.block_reason_message or f"The prompt was blocked: {self._block.block_reason}."
        return self._candidate.finish_message or ""

    def _reason(self) -> StopReason:
        """A call ends with `STOP`, so content decides there."""
        if self._block is not None:
            return StopReason.REFUSAL
        reason = STOP_REASONS.get(self._candidate.finish_reason, StopReason.END)
        return StopReason.TOOL_CALL if reason is StopReason.END and self._calls else reason


def seconds(moment: str | None) -> int | None:
    """`createTime` in whole seconds; None for what is no time."""
    try:
        return int(datetime.fromisoformat(moment).timestamp()) if moment else None
    except (ValueError, OverflowError):
        return None
