"""Puts the fragments of a stream in order: one part at a time, as canonical events demand.

Chat Completions numbers its tool calls and may mix their fragments; canonical events allow one open part. So parts
stand in a queue whose head is open. What belongs to the head goes out at once, the rest waits in the queue:

    fragments   call 0 ──── call 1 ── call 0 ────────── call 1
    events      start 0, δ ────────── δ, stop 0, start 1, δ, δ …
                                      └ the arguments of call 0 are whole JSON: nothing can follow

A text is over when something follows it; a call when its arguments are whole JSON and something follows, or at the end.
A citation belongs to the text that is last in the queue, else to the next; where none follows it is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from shared.chat import Citation, Refusal, Text, Thinking, ToolCall
from shared.errors import Garbled
from shared.events import ArgumentsDelta, CitationDelta, Event, PartStarted, PartStopped, TextDelta
from worker.providers.openai.response import call_id

_ANYTHING = msgspec.json.Decoder(msgspec.Raw)


class _Queued:
    """A part and those of its fragments that have not gone out."""

    def __init__(self, shell: Text | Thinking | Refusal | None) -> None:
        self.shell = shell
        self.id = ""
        self.name = ""
        self.index = -1
        """Event index once it is open."""
        self.waiting = ""
        self.sent = ""
        """Arguments that have gone out; texts are not kept."""
        self.citations: list[Citation] = []
        self.cited: set[Citation] = set()
        self.closed = False

    def cite(self, citations: Iterable[Citation]) -> None:
        """Queue what has not been cited before: some servers say in every chunk what they said in the last."""
        for citation in citations:
            if citation not in self.cited:
                self.cited.add(citation)
                self.citations.append(citation)

    @property
    def is_whole(self) -> bool:
        if self.shell is not None:
            return True
        try:
            _ANYTHING.decode((self.sent + self.waiting).encode())
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        return True


class Serialiser:
    """The queue of one stream.

    Raises (from every method):
        Garbled: a call without a name, or fragments for a call that was already whole.
    """

    def __init__(self, provider: str, answer_id: str) -> None:
        self._provider = provider
        self._answer_id = answer_id
        self._queue: deque[_Queued] = deque()
        self._calls: dict[int, _Queued] = {}
        self._unclaimed: list[Citation] = []
        self._made = 0
        self._next_index = 0

    def text(self, shell: Text | Thinking | Refusal, text: str) -> list[Event]:
        """Events of a fragment of text, reasoning or refusal; `shell` is an empty part of its kind."""
        last = self._queue[-1] if self._queue else None
        if last is None or type(last.shell) is not type(shell):
            last = _Queued(shell)
            self._queue.append(last)
        if isinstance(shell, Text):
            last.cite(self._unclaimed)
            self._unclaimed.clear()
        last.waiting += text
        return list(self._drain())

    def cite(self, citations: Iterable[Citation]) -> list[Event]:
        """Events of citations."""
        last = self._queue[-1] if self._queue else None
        if last is None or not isinstance(last.shell, Text):
            self._unclaimed += citations
            return []
        last.cite(citations)
        return list(self._drain())

    def call(self, number: int | None, wanted_id: str | None, name: str | None, arguments: str) -> list[Event]:
        """Events of a fragment of the tool call that the wire numbers `number`."""
        call = self._call(number, wanted_id, name)
        call.name = call.name or name or ""
        if call.closed:
            if arguments.strip():
                raise Garbled(f"{self._provider} went on with a finished tool call.", provider=self._provider)
            return []
        call.waiting += arguments
        return list(self._drain())

    def end(self) -> list[Event]:
        """Events that close everything."""
        return list(self._drain(last=True))

    def _call(self, number: int | None, wanted_id: str | None, name: str | None) -> _Queued:
        """The call meant by a fragment.

        Gemini gives every call the number 0 and Mistral gave none, so a name with another id, or with no number and
        no id, is another call.
        """
        key = number if number is not None else max(self._calls, default=0)
        known = self._calls.get(key)
        another = name and (wanted_id != known.id if wanted_id else number is None) if known else True
        if known and not another:
            return known
        if number is None:
            key = len(self._calls)
        call = _Queued(None)
        call.id = wanted_id or call_id(self._answer_id, self._made)
        self._made += 1
        self._calls[key] = call
        self._queue.append(call)
        return call

    def _drain(self, *, last: bool = False) -> Iterator[Event]:
        """Send what the head holds; close it and go on with the next one when nothing more can belong to it."""
        while self._queue:
            head = self._queue[0]
            if head.index < 0:
                if head.shell is None and not head.name and not last:
                    return  # some servers send the name later than the id
                yield self._open(head)
            if head.waiting:
                yield self._delta(head)
            yield from (CitationDelta(head.index, citation) for citation in head.citations)
            head.citations.clear()
            if not last and (len(self._queue) == 1 or not head.is_whole):
                return
            head.closed = True
            self._queue.popleft()
            yield PartStopped(head.index)

    def _open(self, part: _Queued) -> Event:
        if part.shell is None and not part.name:
            raise Garbled(f"{self._provider} sent a tool call without a name.", provider=self._provider)
        part.index = self._next_index
        self._next_index += 1
        return PartStarted(part.index, part.shell or ToolCall(part.id, part.name, ""))

    def _delta(self, part: _Queued) -> Event:
        text, part.waiting = part.waiting, ""
        if part.shell is not None:
            return TextDelta(part.index, text)
        part.sent += text
        return ArgumentsDelta(part.index, text)
