"""A provider's stream on its way to the job's event stream: frame by frame, relayed as it came or translated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar

import msgspec

from shared.chat import ChatResponse, Usage
from shared.dialects.base import StreamRenderer
from shared.errors import Garbled, Unreachable
from shared.events import Broken, Event, Started
from shared.sse import Frame, note
from worker.lease import Lease
from worker.providers.base import StreamParser, StreamTap
from worker.providers.surrogates import Halves

HIGH_WATER = 1024 * 1024
"""Bytes waiting for Redis above which the provider is not read on."""
HEAD_S = 2.0
"""How long the head of a stream waits for the answer: a model that thinks for a minute should be heard of at once."""


class Relay(Protocol):
    """One stream's way from provider frames to client bytes. Both methods raise ProviderError."""

    @property
    def usage(self) -> Usage | None:
        """What the provider has reported so far; None for nothing."""
        ...

    @property
    def answering(self) -> bool:
        """Whether the answer itself has begun, and not only its stream."""
        ...

    @property
    def final(self) -> bytes:
        """After the end: the whole answer, in a dialect whose clients may read it later; else empty."""
        ...

    def feed(self, frame: Frame) -> bytes:
        """Bytes for the client, possibly none."""
        ...

    def close(self) -> bytes:
        """Bytes owed at the end of the provider's stream."""
        ...


class SameWire:
    """Relays frames as they came; the tap watches for usage, errors and the proper end."""

    def __init__(self, tap: StreamTap, provider: str) -> None:
        self._tap = tap
        self._provider = provider

    @property
    def usage(self) -> Usage | None:
        """What the tap saw."""
        return self._tap.usage if self._tap.usage.known else None

    @property
    def answering(self) -> bool:
        """What the tap saw."""
        return self._tap.answering

    @property
    def final(self) -> bytes:
        """What the tap kept."""
        return self._tap.final

    def feed(self, frame: Frame) -> bytes:
        """The frame's own bytes; Garbled for what is no event, as when a proxy answers with a page."""
        if not (frame.data or frame.event or frame.raw.startswith(b":")):
            raise Garbled("The provider did not send an event stream.", provider=self._provider)
        try:
            return self._tap.feed(frame)
        except msgspec.MsgspecError as cause:
            raise Garbled("The provider sent an event that is not JSON.", provider=self._provider) from cause

    def close(self) -> bytes:
        """Nothing is owed; a stream that was cut is an error."""
        if not self._tap.finished:
            raise Unreachable("The provider's stream ended before the answer was complete.", provider=self._provider)
        return b""


Nameable = TypeVar("Nameable", ChatResponse, Started)


class Told(msgspec.Struct, frozen=True):
    """What the client is told where the provider's wire has no such field."""

    id: str
    model: str
    created_s: int

    def complete(self, answer: Nameable) -> Nameable:
        """The answer, or its beginning, with what it lacks."""
        created_s = self.created_s if answer.created_s is None else answer.created_s
        return msgspec.structs.replace(
            answer, id=answer.id or self.id, model=answer.model or self.model, created_s=created_s
        )


class Translated:
    """Provider frames to canonical events to the client's dialect."""

    def __init__(self, parser: StreamParser, renderer: StreamRenderer, provider: str, told: Told) -> None:
        self._parser = parser
        self._renderer = renderer
        self._provider = provider
        self._told = told
        self._halves = Halves()
        self.answering = False

    @property
    def usage(self) -> Usage | None:
        """What the parser has read of it."""
        used = self._parser.usage
        return used if used.known else None

    @property
    def final(self) -> bytes:
        """What the renderer kept."""
        return self._renderer.final

    def feed(self, frame: Frame) -> bytes:
        """The frame's events in the client's dialect."""
        try:
            return self._render(self._parser.feed(self._halves.whole(frame)))
        except msgspec.MsgspecError as cause:
            raise Garbled("The provider sent an event that cannot be read.", provider=self._provider) from cause

    def close(self) -> bytes:
        """The events the parser still held."""
        return self._render(self._parser.close())

    def _render(self, events: Iterable[Event]) -> bytes:
        out = b""
        for event in events:
            if isinstance(event, Broken):
                raise event.error
            if isinstance(event, Started):
                event = self._told.complete(event)  # noqa: PLW2901
            else:
                self.answering = True
            out += self._renderer.feed(event)
        return out


class Pieces:
    """Writes a job's event stream.

    While one piece is on its way to Redis the next gathers, so that a fast provider costs few writes and a slow
    one no delay. What only opens the stream is held back for HEAD_S: when the provider fails right after it, which
    they do, the attempt can still be repeated in silence.

    Attributes:
        first_at: when something was first handed over, in seconds of `time.perf_counter`.
    """

    def __init__(self, lease: Lease, served: Mapping[str, str] = MappingProxyType({})) -> None:
        """`served`: the headers with which the stream is to be answered."""
        self._lease = lease
        self._served = served
        self._seq = 0
        self._gathered = bytearray()
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.first_at: float | None = None

    @property
    def written(self) -> bool:
        """Whether anything was handed over; from then on the attempt cannot be repeated in silence."""
        return self.first_at is not None

    async def write(self, data: bytes, *, opening: bool = False) -> None:
        """Hand over `data`; waits only above HIGH_WATER. Raises LeaseLost, StoreError of an earlier piece too.

        `opening`: it is of the stream's head.
        """
        if not data:
            return
        self._gathered += data
        if opening and not self.written and len(self._gathered) <= HIGH_WATER:
            self._timer = self._timer or asyncio.get_running_loop().call_later(HEAD_S, self._go)
            return
        if self._sender is not None and (self._sender.done() or len(self._gathered) > HIGH_WATER):
            await self._sender
            self._sender = None
        if self._gathered:
            self._go()

    def _go(self) -> None:
        """Send what was gathered, unless that is being done."""
        self._stop_timer()
        self._begin()
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())

    def _begin(self) -> None:
        if self.first_at is None:
            self.first_at = time.perf_counter()
            self._gathered[:0] = note(self._served) if self._served else b""

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def abandon(self) -> None:
        """Send nothing more: the job was cancelled, is someone else's, or its attempt failed unseen."""
        self._stop_timer()
        if self._sender is not None:
            self._sender.cancel()

    async def close(self) -> None:
        """Wait until everything handed over is in Redis."""
        self._stop_timer()
        if self._sender is not None:
            await self._sender
        if self._gathered:
            self._begin()
        await self._send()

    async def _send(self) -> None:
        while self._gathered:
            piece, self._gathered = bytes(self._gathered), bytearray()
            self._seq += 1
            await self._lease.append(self._seq, piece)
