"""The tap for a Responses stream that is relayed as it came, but for the response objects in it."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from shared import sse
from shared.chat import Usage
from shared.sse import Frame
from shared.wire.openai_chat import NULL
from worker.providers.openai.responses_answer import failure, opened, relabel, usage

_ENDS = frozenset({"response.completed", "response.incomplete"})
_OPENING = frozenset({"", "response.created", "response.queued", "response.in_progress"})
_CARRIERS = _ENDS | (_OPENING - {""}) | {"response.failed"}
"""Events that hold the response object."""
_ERROR = "error"


class _Kind(Struct):
    type: str | None = None
    error: Raw = NULL


_ENCODER = msgspec.json.Encoder()
_KIND = msgspec.json.Decoder(_Kind)


class Tap:
    """Watches one relayed stream. Opens only the events that hold the response object; deltas pass unread.

    Every event is relayed under the provider's own `sequence_number`, so that the client's numbers have no gap.
    """

    def __init__(self, provider: str, labels: dict[str, Raw]) -> None:
        self._provider = provider
        self._labels = labels
        self.usage = Usage(known=False)
        self.answering = self.finished = False
        self.final = b""

    def feed(self, frame: Frame) -> bytes:
        """The frame's own bytes, a response object in it relabelled; nothing for an empty `data:` line.

        Raises:
            ProviderError: the frame is an error event, or its response has failed.
            msgspec.DecodeError: the frame should hold a response object and does not.
        """
        if not frame.data:
            # The clients' decoders stumble over an empty data line; a comment keeps their connection alive.
            return b"" if b"\ndata:" in b"\n" + frame.raw else frame.raw
        kind = frame.event or _kind(frame.data)
        if kind == _ERROR:
            raise failure(self._provider, _error(frame.data))
        self.answering = self.answering or kind not in _OPENING
        return self._carried(frame, kind) if kind in _CARRIERS else frame.raw

    def _carried(self, frame: Frame, kind: str) -> bytes:
        event = opened(frame.data)
        response = relabel(self._provider, event.get("response", NULL), self._labels)
        if kind in _ENDS:
            self.finished, self.final, self.usage = True, response, usage(response)
        event["response"] = Raw(response)
        return sse.write(_ENCODER.encode(event), frame.event)


def _kind(data: bytes) -> str:
    """The type of an event without an `event:` line; one that says nothing but an error is an error event."""
    try:
        found = _KIND.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # not for us to judge; `[DONE]` is one
    return _ERROR if bytes(found.error) != b"null" else found.type or ""


def _error(data: bytes) -> Raw:
    """What an error event says: under `error`, or beside its type."""
    try:
        fields = opened(data)
    except msgspec.DecodeError:
        return Raw(data)
    if bytes(fields.get("error", NULL)) != b"null":
        return fields["error"]
    fields.pop("type", None)
    return Raw(_ENCODER.encode(fields))
