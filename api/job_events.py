"""A job as it happens, as server-sent events: what it went through, what it waits for, its answer, its end.

Events with an id make up a list that only grows, so that a client that comes back with `Last-Event-ID` misses none
and sees none twice:

    queued · running · attempt … attempt · (the answer's own events, or `answer` with the whole body) · succeeded

The last may also be `failed`, `cancelled` or `expired`. `waiting` tells a queued job's place whenever it changes; it
has no id, for only the newest matters.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import msgspec

from api.job_views import attempt_view, job_object, waiting_view
from api.submit import Gateway
from api.times import rfc3339
from shared.errors import GatewayError, InvalidRequest, StoreError
from shared.job_index import JobIndex, Standing
from shared.jobs import Job, Notice, Outcome, State
from shared.sse import COMMENT, FrameReader, write

LOOK_AGAIN_S = 1.0
"""How often a job is looked at for changes that nobody announces: claims, attempts, its place in line."""

_encode = msgspec.json.Encoder().encode


class Cursor(NamedTuple):
    """What a client has seen: the job's entries up to that number, and of its answer up to that frame of that piece."""

    entry: int = 0
    piece: int = 0
    frame: int = 0

    def __str__(self) -> str:
        return f"{self.entry}-{self.piece}-{self.frame}"


def read_cursor(last_event_id: str | None) -> Cursor:
    """The header `Last-Event-ID`; raises InvalidRequest for what is no id of these events."""
    if not last_event_id:
        return Cursor()
    numbers = last_event_id.split("-")
    if len(numbers) != len(Cursor()) or not all(text.isascii() and text.isdigit() for text in numbers):
        raise InvalidRequest("Last-Event-ID: expected the id of an event of this job.", param="Last-Event-ID")
    return Cursor(*(int(text[:9]) for text in numbers))


def seen_whole(standing: Standing, cursor: Cursor) -> bool:
    """Whether the job has ended and the client been told so."""
    return standing.state.final and cursor.entry >= _last(standing)


async def job_events(gateway: Gateway, index: JobIndex, standing: Standing, cursor: Cursor) -> AsyncIterator[bytes]:
    """SSE bytes until the job has ended. The job goes on when the client leaves."""
    job, told = standing.job, _Told(cursor)
    with gateway.hub.waiting(job.id, job.owner) as waiter:
        waiter.miss()
        pieces = gateway.hub.follow(waiter, max(0, cursor.piece - 1))
        coming = asyncio.ensure_future(anext(pieces))
        try:
            while True:
                for event in told.changes(standing):
                    yield event
                if not (await asyncio.wait({coming}, timeout=LOOK_AGAIN_S))[0]:
                    with contextlib.suppress(StoreError):  # the outage is not the client's affair: the job goes on
                        standing = await index.stand(job.id, job.owner)
                    continue
                piece = coming.result()
                if isinstance(piece, Notice):
                    break
                yield COMMENT if piece is None else told.answer(piece)
                coming = asyncio.ensure_future(anext(pieces))
            standing = await _stand(index, job)
            for event in told.changes(standing):
                yield event
            outcome = piece.outcome and await gateway.bodies.whole(job.owner, job.id, piece.outcome)
            for event in told.end(standing, outcome):
                yield event
        except GatewayError as error:
            yield write(_encode({"message": error.message, "code": error.code}), "error")
        finally:
            coming.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, GatewayError):
                await coming
            await pieces.aclose()


async def _stand(index: JobIndex, job: Job) -> Standing:
    """How the job stands, once Redis is there to say it. Raises NotFound."""
    while True:
        try:
            return await index.stand(job.id, job.owner)
        except StoreError:
            await asyncio.sleep(LOOK_AGAIN_S)


class _Told:
    """What this client has been told."""

    def __init__(self, cursor: Cursor) -> None:
        self._at = cursor
        self._resumed = cursor
        self._piece = max(0, cursor.piece - 1)
        self._place: dict[str, Any] | None = None

    def changes(self, standing: Standing) -> Iterator[bytes]:
        """Entries of the list that are new, and the place in line when it is."""
        for number, kind, facts in _entries(standing):
            if number > self._at.entry:
                self._at = self._at._replace(entry=number)
                yield self._event(kind, _encode(facts))
        place = waiting_view(standing.waiting) if standing.waiting else None
        if place and place != self._place:
            yield write(_encode(place), "waiting")
        self._place = place

    def answer(self, piece: bytes) -> bytes:
        """A piece of the answer's stream, its frames with our ids, those seen before the client came back left out."""
        self._piece += 1
        told = b""
        for number, frame in enumerate(FrameReader().feed(piece), 1):
            if (self._piece, number) > (self._resumed.piece, self._resumed.frame) and frame.data:
                self._at = self._at._replace(piece=self._piece, frame=number)
                told += f"id: {self._at}\n".encode() + frame.raw
        return told

    def end(self, standing: Standing, outcome: Outcome | None) -> Iterator[bytes]:
        """The answer of a job that was not streamed, and the job's last state."""
        if standing.state is State.SUCCEEDED and not standing.job.stream and not self._at.piece and outcome:
            self._at = self._at._replace(piece=1, frame=1)
            yield self._event("answer", msgspec.json.format(outcome.body, indent=-1))
        if not seen_whole(standing, self._at):
            self._at = self._at._replace(entry=_last(standing))
            yield self._event(standing.state.value, job_object(standing))

    def _event(self, kind: str, data: bytes) -> bytes:
        return f"id: {self._at}\n".encode() + write(data, kind)


def _entries(standing: Standing) -> list[tuple[int, str, dict[str, Any]]]:
    """What the job went through so far, numbered, without its end.

    The number of an attempt follows from the attempt's own: of many that only had to wait some are not kept.
    """
    entries: list[tuple[int, str, dict[str, Any]]] = [(1, "queued", {"at": rfc3339(standing.job.created_ms)})]
    if standing.started_ms is not None:
        entries.append((2, "running", {"at": rfc3339(standing.started_ms)}))
    return entries + [(2 + attempt.number, "attempt", attempt_view(attempt)) for attempt in standing.attempts]


def _last(standing: Standing) -> int:
    """The number of the entry that tells the end of a job that has ended."""
    return _entries(standing)[-1][0] + 1
