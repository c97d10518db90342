"""Cuts Bedrock's byte stream, `application/vnd.amazon.eventstream`, into frames."""

from __future__ import annotations

import struct

import msgspec
from botocore.eventstream import (  # type: ignore[import-untyped]
    EventStreamBuffer,
    EventStreamMessage,
    ParserError,
)

from shared.sse import Frame

ERROR = "error"
"""Event of a frame that is an error without a type of its own; its data says it as an error body does."""

_BROKEN = (ParserError, struct.error, UnicodeError, LookupError)
"""What botocore raises at bytes that are no message of the framing, or one with a wrong checksum."""

_ENCODER = msgspec.json.Encoder()


class Reader:
    """The frames of one stream: `event` is the type of the event or exception, `data` its JSON."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames completed by `chunk`.

        Raises:
            ValueError: a checksum is wrong, or a message is larger than 24 MiB.
        """
        self._buffer.add_data(chunk)
        try:
            return [_frame(message) for message in self._buffer]
        except _BROKEN as error:
            raise ValueError("what is no event stream of AWS's") from error

    def close(self) -> list[Frame]:
        """Nothing: half a message is none."""
        return []


def _frame(message: EventStreamMessage) -> Frame:
    named = {name: value for name, value in message.headers.items() if isinstance(value, str)}
    match named.get(":message-type"):
        case "exception":
            return Frame(named.get(":exception-type", ERROR), message.payload, b"")
        case "error":
            said = {"__type": named.get(":error-code", ""), "message": named.get(":error-message", "")}
            return Frame(ERROR, _ENCODER.encode(said), b"")
        case _:
            return Frame(named.get(":event-type", ""), message.payload, b"")
