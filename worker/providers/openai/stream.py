"""Streams of providers that speak Chat Completions: to canonical events, or watched while they are relayed."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.chat import Refusal, Text, Thinking, Usage
from shared.errors import Garbled, ProviderError, Unreachable
from shared.events import Broken, Event, Finished, Started
from shared.sse import Frame
from shared.wire.openai_chat import FunctionCall
from shared.wire.openai_chat import ToolCall as WireCall
from shared.wire.openai_chat_answer import AnswerBody, AnswerChoice, Says, TapChunk
from worker.providers.openai.citations import annotated, found_for, names_sources
from worker.providers.openai.errors import stream_error
from worker.providers.openai.response import BROKEN, arguments, pieces, seconds, stop_reason
from worker.providers.openai.serialiser import Serialiser
from worker.providers.openai.usage import told

_CHUNK = msgspec.json.Decoder(AnswerBody)
_TAPPED = msgspec.json.Decoder(TapChunk)

_SAYS = msgspec.json.Decoder(Says)
_EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})

_DONE = b"[DONE]"
_ERROR_EVENT = "error"


class Parser:
    """Chunks to canonical events, for one stream.

    `Finished` is held until the usage chunk or the end of the stream, since the usage comes after `finish_reason`.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._parts: Serialiser | None = None
        self._called = self._refused = self._over = False
        self._finish: str | int | None = None
        self.usage = Usage(known=False)
        self._sources = AnswerBody()  # the last chunk that named any
        self._annotated = False

    def feed(self, frame: Frame) -> list[Event]:
        """Events of one frame."""
        data = frame.data.strip()
        if self._over or not data:
            return []
        if data == _DONE:
            # A server that says it is done is believed even when it gave no reason.
            return self._end() if self._parts else self._broken("ended its stream without an answer.")
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if frame.event == _ERROR_EVENT:
                return self._break(stream_error(self._provider, Raw(data)))
            return self._broken("sent an event that cannot be read.")
        if error := _error(frame, chunk.error):
            return self._break(stream_error(self._provider, error))
        try:
            return self._chunk(chunk)
        except ProviderError as broken:
            return self._break(broken)

    def close(self) -> list[Event]:
        """Events owed at the end of the bytes: some servers send no `[DONE]` after their `finish_reason`."""
        if self._over:
            return []
        if self._parts and self._finish:
            return self._end()
        self._over = True
        return [Broken(Unreachable(f"{self._provider} ended its stream midway.", provider=self._provider))]

    def _chunk(self, chunk: AnswerBody) -> list[Event]:
        found = told(chunk.usage, chunk.x_groq)
        if found:
            self.usage = found
        if names_sources(chunk):
            self._sources = chunk
        if not chunk.choices:
            # Azure opens with an empty one about the prompt; the one with the usage closes.
            return self._end() if found and self._parts and self._finish else []
        events: list[Event] = []
        if self._parts is None:
            self._parts = Serialiser(self._provider, chunk.id or "")
            events.append(Started(chunk.id or "", chunk.model or "", self.usage, seconds(chunk.created)))
        for choice in chunk.choices:
            if not choice.index:  # a second choice was not asked for
                events += self._choice(choice, self._parts)
        return events

    def _choice(self, choice: AnswerChoice, parts: Serialiser) -> list[Event]:
        events: list[Event] = []
        delta = choice.delta or choice.message
        if delta:
            for piece in pieces(delta):
                self._refused = self._refused or isinstance(piece, Refusal)
                events += parts.text(_shell(piece), piece.text)
            if cited := annotated(delta.annotations):
                self._annotated = True
                events += parts.cite(cited)
            calls = delta.tool_calls or []
            if delta.function_call and not calls:  # llama.cpp's server says both
                calls = [WireCall(index=0, function=delta.function_call)]
            for call in calls:
                self._called = True
                function = call.function or FunctionCall()
                events += parts.call(call.index, call.id, function.name, arguments(function))
        if choice.finish_reason in BROKEN:
            raise Unreachable(f"{self._provider} broke off its answer.", provider=self._provider)
        self._finish = choice.finish_reason or self._finish
        return events

    def _end(self) -> list[Event]:
        self._over = True
        try:
            events = self._close(self._parts) if self._parts else []
        except Garbled as error:
            return [Broken(error)]
        reason = stop_reason(self._finish, called=self._called, refused=self._refused)
        return [*events, Finished(reason, self.usage)]

    def _close(self, parts: Serialiser) -> list[Event]:
        """Events of the end. The sources of a whole answer are its citations where nothing was annotated."""
        return ([] if self._annotated else parts.cite(found_for(self._sources))) + parts.end()

    def _broken(self, what: str) -> list[Event]:
        return self._break(Garbled(f"{self._provider} {what}", provider=self._provider))

    def _break(self, error: ProviderError) -> list[Event]:
        self._over = True
        return [Broken(error)]


def _error(frame: Frame, found: Raw) -> Raw | None:
    """The error a frame carries: under `error`, or all of it when the event says so (Groq does both)."""
    if bytes(found) != b"null":
        return found
    return Raw(frame.data) if frame.event == _ERROR_EVENT else None


def _says_something(data: bytes) -> bool:
    """Whether a chunk holds more than the role with which most servers begin."""
    try:
        choices = _SAYS.decode(data).choices or ()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    deltas = [choice.delta or {} for choice in choices]
    spoken = any(name != "role" and bytes(raw) not in _EMPTY for delta in deltas for name, raw in delta.items())
    return spoken or any(choice.finish_reason for choice in choices)


def _shell(piece: Text | Thinking | Refusal) -> Text | Thinking | Refusal:
    return Thinking("", piece.origin) if isinstance(piece, Thinking) else type(piece)("")


class Tap:
    """Watches a stream relayed as it came.

    `finished` is true from the `finish_reason` on, as `[DONE]` is optional; that alone ends an answer that has begun.
    """

    final = b""

    def __init__(self, provider: str, *, relay_usage: bool) -> None:
        self._provider = provider
        self._relay_usage = relay_usage
        self.usage = Usage(known=False)
        self.answering = self.finished = self._begun = False

    def feed(self, frame: Frame) -> bytes:
        """The frame's own bytes, or nothing for a usage chunk that only the gateway asked for.

        Raises:
            ProviderError: the frame is the provider's error.
        """
        data = frame.data.strip()
        if not data or data == _DONE:
            self.finished = self.finished or (data == _DONE and self._begun)
            # The clients' decoders stumble over an empty data line; a comment keeps their connection alive.
            return b"" if not data and b"\ndata:" in b"\n" + frame.raw else frame.raw
        try:
            chunk = _TAPPED.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk, self._begun = TapChunk(), True  # not for us to judge, but an error event of any shape is an error
        if error := _error(frame, chunk.error):
            raise stream_error(self._provider, error)
        self.answering = self.answering or _says_something(data)
        self._begun = self._begun or bool(chunk.choices)
        found = told(chunk.usage, chunk.x_groq)
        self.usage = found or self.usage
        self.finished = self.finished or any(choice.finish_reason for choice in chunk.choices or ())
        only_usage = found is not None and chunk.choices == []
        return b"" if only_usage and not self._relay_usage else frame.raw
