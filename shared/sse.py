"""Server-sent events: cut a byte stream into frames and write frames (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Frame(msgspec.Struct, frozen=True):
    """One event as it was on the wire.

    Attributes:
        event: the `event:` field, empty when absent.
        data: the `data:` lines joined by a line feed; empty for a comment-only frame.
        raw: the frame's own bytes with its blank line, to relay without rebuilding.
    """

    event: str
    data: bytes
    raw: bytes


class FrameReader:
    """Cuts chunks of any size into frames; accepts LF, CRLF and CR line ends.

    `max_bytes` bounds one unfinished frame; beyond it `feed` raises ValueError, so that a provider that never
    sends a blank line cannot fill the memory.
    """

    def __init__(self, max_bytes: int = 16 * 1024 * 1024) -> None:
        self._buffer = b""
        self._max_bytes = max_bytes

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames completed by `chunk`."""
        self._buffer += chunk
        if b"\r" in self._buffer:
            # A CR at the very end may be half of a CRLF: leave it for the next chunk.
            held = b"\r" if self._buffer.endswith(b"\r") else b""
            body = self._buffer[: len(self._buffer) - len(held)]
            self._buffer = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        *complete, self._buffer = self._buffer.split(b"\n\n")
        if len(self._buffer) > self._max_bytes:
            raise ValueError(f"an event of more than {self._max_bytes} bytes")
        return [frame for block in complete if (frame := _frame(block))]

    def close(self) -> list[Frame]:
        """Return the last frame when the stream ended without its blank line."""
        block, self._buffer = self._buffer.replace(b"\r", b"\n").strip(b"\n"), b""
        frame = _frame(block)
        return [frame] if frame else []


def _frame(block: bytes) -> Frame | None:
    event, data = b"", []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
    if not block.strip(b"\n"):
        return None
    return Frame(event=event.decode("utf-8", "replace"), data=b"\n".join(data), raw=block + b"\n\n")


_NOTE = b": served "
_ENCODER = msgspec.json.Encoder()
_HEADERS = msgspec.json.Decoder(dict[str, str])
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


def write(data: bytes, event: str = "") -> bytes:
    """One frame. `data` is JSON; line ends in it, which a client may have written between its tokens, become spaces."""
    if b"\n" in data or b"\r" in data:
        data = data.translate(_LINE_ENDS)
    if event:
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def note(headers: Mapping[str, str]) -> bytes:
    """A comment that tells the API process what headers the stream behind it is answered with."""
    return _NOTE + _ENCODER.encode(headers) + b"\n\n"


def noted(piece: bytes) -> tuple[dict[str, str], bytes]:
    """The headers noted at the beginning of the first piece of a stream, none for most, and the rest of it."""
    if not piece.startswith(_NOTE):
        return {}, piece
    line, _, rest = piece.partition(b"\n\n")
    try:
        return _HEADERS.decode(line.removeprefix(_NOTE)), rest
    except msgspec.MsgspecError:  # a provider's own comment
        return {}, piece


COMMENT = b": keep-alive\n\n"
"""Ignored by every decoder of both SDKs, before the first event too; keeps load balancers from cutting."""
