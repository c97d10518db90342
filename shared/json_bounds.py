"""How deep JSON may be nested, how many lists and objects it may hold, and how long a number may be. Pure.

Nothing is decoded here: brackets are counted outside of strings. Most requests have fewer brackets than the limit has
levels, and no run of digits that long; the strings of others are taken out, a slice at a time. No reader behind the
gateway, of ours or of a provider, is then led to the end of its stack, or into the arithmetic of numbers without end.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate

from shared.errors import InvalidRequest

MOST_DEPTH = 128
"""Levels: what serde_json reads before it refuses; Protocol Buffers' JSON, which Google's APIs speak, ends at 100, and
.NET's at 64. The deepest that the vendors define are the schemas of tools, some 10 levels with what surrounds them."""
MOST_NESTS = 1_000_000
"""Lists and objects: with the shortest of messages as many as 32 MB hold; bounds the time to count them to 0.1 s."""
MOST_DIGITS = 1100
"""In a row: the exact value of the smallest double has 1074 behind its point."""

TOO_DEEP = f"The request's JSON is nested more than {MOST_DEPTH} levels deep; make it flatter."
"""What is told of it, here or by who decodes it."""
SLICE = 1 << 20
"""Bytes looked at in one step: others get their turn between two, where this runs in a thread."""
_STRIDE = MOST_DIGITS // 2
_EDGE = re.compile(rb"[\\0-9]*+[^\\0-9]?")
_TOO_LONG = re.compile(rb"[0-9]{%d}" % (MOST_DIGITS + 1))
_TWO_DIGITS = re.compile(rb"(?=[0-9][0-9])")
_NO_BRACKET = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
"""255 is -1 to an array of signed bytes."""


def check_json(body: bytes) -> None:
    """Raise InvalidRequest for JSON that is nested too deeply, or has too much of it, or a number that is too long.

    What is no JSON may pass: who reads it says so, and where.
    """
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH:
        _check_nests(body)
    if _may_be_long(body) and any(map(_TOO_LONG.search, _outside(body))):
        message = f"The request's JSON holds a number of more than {MOST_DIGITS} digits in a row; write it shorter."
        raise InvalidRequest(message, code="number_too_long")


def _check_nests(body: bytes) -> None:
    depth = nests = 0
    for brackets in _outside(body, _NO_BRACKET):
        nests += brackets.count(b"[") + brackets.count(b"{")
        if nests > MOST_NESTS:
            message = f"The request's JSON holds more than {MOST_NESTS} lists and objects; send it in parts."
            raise InvalidRequest(message, code="json_too_large")
        depths = list(accumulate(array("b", brackets.translate(_STEPS)), initial=depth))
        if max(depths) > MOST_DEPTH:
            raise InvalidRequest(TOO_DEEP, code="json_too_deep")
        depth = depths[-1]


def _may_be_long(body: bytes) -> bool:
    """Two digits so far apart that all between them may be digits too, and half of it is."""
    if len(body) <= MOST_DIGITS:
        return False
    candidates = (found.start() * _STRIDE for found in _TWO_DIGITS.finditer(body[::_STRIDE]))
    return any(body[at : at + _STRIDE].isdigit() for at in candidates)


def _outside(body: bytes, without: bytes = b"") -> Iterator[bytes]:
    """What stands outside of strings, slice by slice and `without` some bytes. No slice ends in a number or escape."""
    start, inside = 0, False
    while start < len(body):
        edge = _EDGE.match(body, start + SLICE)
        end = edge.end() if edge else len(body)
        text = body[start:end]
        if b"\\" in text:
            text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = text.translate(None, without).split(b'"')
        yield b" ".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0
        start = end
