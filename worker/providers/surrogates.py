r"""Halves of surrogate pairs in a provider's JSON, as `"\ud83d"`: nobody can read them.

Servers that cut a text into pieces by UTF-16 units, as those in JavaScript do, cut an emoji in two: its halves come in
two events of a stream, and half of it ends an answer that was cut off. RFC 8259, section 8.2, calls what readers do
with it unpredictable; ours refuse the whole event.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from shared.sse import Frame

_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_HALF = re.compile(
    rb"(?P<whole>\\[^u]|" + _HIGH + _LOW + rb")"  # or any other escape: what follows `\\` is no escape of its own
    rb"|(?P<last>" + _HIGH + rb')(?=")'
    rb'|(?<=")(?P<first>' + _LOW + rb")"
    rb"|" + _HIGH + rb"|" + _LOW
)
_UNKNOWN = rb"\ufffd"
"""U+FFFD, the character that stands for one that could not be read."""


def whole(data: bytes) -> bytes:
    """The JSON of an answer, each half of a pair replaced by U+FFFD."""
    if not _suspect(data):
        return data
    return _HALF.sub(lambda found: found[0] if found["whole"] else _UNKNOWN, data)


class Halves:
    """Makes the events of one stream whole: half of a pair that ends a text waits for the one that begins another.

    One for which none comes is left out.
    """

    def __init__(self) -> None:
        self._held = b""

    def whole(self, frame: Frame) -> Frame:
        """The event, its `data` mended."""
        return replace(frame, data=_HALF.sub(self._mended, frame.data)) if _suspect(frame.data) else frame

    def _mended(self, found: re.Match[bytes]) -> bytes:
        if found["whole"]:
            return found[0]
        if found["last"]:
            self._held = found[0]
            return b""
        held, self._held = self._held, b""
        return held + found[0] if held and found["first"] else _UNKNOWN


def _suspect(data: bytes) -> bool:
    return b"\\ud" in data or b"\\uD" in data
