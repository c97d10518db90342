"""A job as it happens: the events of `/v1/jobs/{id}/events`, each once, however often the connection breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from deploy.client.gateway import Away, Gateway
from deploy.client.pace import Pace
from shared.jobs import State
from shared.sse import Frame, FrameReader

JOBS = "/v1/jobs"
LARGEST_EVENT = 256 * 1024 * 1024
"""Bytes: the event `answer` holds a whole answer, and the gateway that it comes from is to be trusted."""

_ID = re.compile(rb"^id: ?(.*)$", re.MULTILINE)
_LAST = frozenset(state.value for state in State if state.final)


class Event(msgspec.Struct, frozen=True, rename={"kind": "event"}):
    """One event.

    Attributes:
        id: where to go on from; empty for what only its newest matters of: the place in line.
        kind: its `event:` field; empty in the stream of a chat completion.
        data: decoded; None for what is no JSON, such as `[DONE]`.
    """

    id: str
    kind: str
    data: Any


def job_events(gateway: Gateway, path: str) -> Iterator[Event]:
    """The events of the job at `path` until it has ended. Raises Refused, or Away after a long outage."""
    pace, seen = Pace(), ""
    while True:
        try:
            with gateway.streamed(f"{path}/events", {"last-event-id": seen} if seen else {}) as chunks:
                for event in _events(chunks, pace):
                    seen = event.id or seen
                    yield event
                    if event.kind in _LAST:
                        return
            raise Away("the gateway ended the stream before the job had ended.")
        except Away as trouble:
            pace.outlast(trouble)


def _events(chunks: Iterator[bytes], pace: Pace) -> Iterator[Event]:
    """The events in `chunks`. Raises Away when the gateway says that it cannot go on."""
    reader = FrameReader(LARGEST_EVENT)
    for chunk in chunks:
        for frame in reader.feed(chunk):
            event = _event(frame)
            if event.kind == "error" and not event.id:  # the answer's own events have ids
                raise Away(event.data["message"])
            pace.answered()
            if frame.data:
                yield event


def _event(frame: Frame) -> Event:
    named = _ID.search(frame.raw)
    try:
        data = msgspec.json.decode(frame.data)
    except msgspec.DecodeError:
        data = None
    return Event(named[1].decode() if named else "", frame.event, data)
