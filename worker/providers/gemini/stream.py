"""Gemini's stream, server-sent events that each hold a chunk, as canonical events. Nothing marks its end."""

from __future__ import annotations

import msgspec

from shared.chat import Usage
from shared.errors import Garbled
from shared.events import Event
from shared.sse import Frame
from shared.wire import gemini_answer as answer
from worker.providers.gemini.chunks import Chunks

_CHUNK = msgspec.json.Decoder(answer.Answer)


class Parser:
    """Parses one stream. `Finished` comes at the end of the bytes: what is used may be told after the finish reason."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._chunks = Chunks(provider)

    @property
    def usage(self) -> Usage:
        """What the last chunk told."""
        return self._chunks.usage

    def feed(self, frame: Frame) -> list[Event]:
        """Events of one frame; nothing after the end."""
        if self._chunks.over or not frame.data.strip():
            return []
        try:
            chunk = _CHUNK.decode(frame.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            message = f"{self._provider} sent an event that cannot be read."
            return self._chunks.broken(Garbled(message, provider=self._provider))
        return self._chunks.feed(chunk)

    def close(self) -> list[Event]:
        """`Finished`, or Broken when the answer is not complete."""
        return self._chunks.end(whole=False)
