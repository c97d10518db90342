"""One thing wrong with a JSON value, or with its bytes.

A value is what `msgspec.json` writes: a `Raw` in it stands for JSON that no Python value has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

Path = tuple[str | int, ...]


class Body(bytes):
    """Bytes of which a failure shows the beginning; the rest is repetition."""

    def __repr__(self) -> str:
        shown = bytes(self[:_SHOWN])
        return repr(shown) if len(self) <= _SHOWN else f"{shown!r}, cut here from {len(self)} bytes"


_SHOWN = 3_000

_NESTINGS = st.one_of(st.integers(2, 60), st.integers(300, 1_100), st.sampled_from([5_000, 100_000]))
_LONG = 200_000
_MANY = 3_000
_MOST_BYTES = 1_000_000


def _nested(depth: int) -> Raw:
    return Raw(b"[" * depth + b"]" * depth)


def _nested_objects(depth: int) -> Raw:
    return Raw(b'{"type":"text","content":' * depth + b"1" + b"}" * depth)


_OTHER_TYPES: list[Any] = [None, True, False, 0, -1, 1.5, "", "no_such_word", [], {}, [None], ["x"], [[]], {"type": 1}]
_WRITTEN: list[Any] = [
    Raw(text)
    for text in (
        b"1e400",
        b"-1e400",
        b"1e308",
        b"1" * 400,
        b"1" * 5_000,
        b"1.0",
        b"-0",
        b"18446744073709551616",
        rb'"\ud800"',
        rb'"\udc00 after"',
        rb'"\ud83d\ude00"',
        rb'"\u0000"',
        rb'"a\u000d\u000ax-injected: 1"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b' { "type" : "text" , "text" : "" } ',
        b'{"type":"text","text":"one","text":2}',
        b"NaN",
        b"tru",
    )
]
_ODD_WORDS: list[Any] = [
    " - at `$.messages[0].role`",
    "Object missing required field `x`",
    "a\r\nx-injected: 1",
    "漢字",
    "../..",
    "hermod:",
    "data:",
    "x" * _LONG,
    "`" * _LONG,
]
_UNKNOWN_TAGS = [{"type": "no_such_type"}, {"type": "no_such_type", "text": "x"}, {"type": ""}, {"type": "text"}]
ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(_OTHER_TYPES),
    st.sampled_from(_WRITTEN),
    st.sampled_from(_ODD_WORDS),
    st.sampled_from(_UNKNOWN_TAGS),
    st.builds(_nested, _NESTINGS),
    st.builds(_nested_objects, _NESTINGS),
)
"""What may stand where something else is expected."""

_NAMES = st.sampled_from(
    ["unknown", "", "漢", "a.b", "$[0]", "`", "a\r\nb", "type", "fallbacks", "provider", "thread", "x" * 1_000]
)


def _repeated(values: list[Any]) -> Raw:
    """Many times, but no more than what is read in a moment; already written, for nobody is to look into it."""
    length = len(msgspec.json.encode(values))
    return Raw(msgspec.json.encode(values * min(_MANY, _MOST_BYTES // length)))


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to every value within `value`, itself included."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def at(value: Any, path: Path) -> Any:
    """What stands at `path`."""
    for step in path:
        value = value[step]
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """`value` with `new` at `path`; neither is changed."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def without(value: Any, path: Path) -> Any:
    """`value` without what stands at `path`; nothing remains of it when that is all."""
    if not path:
        return {}
    copy = at(value, path[:-1]).copy()
    del copy[path[-1]]
    return put(value, path[:-1], copy)


def twice(fields: dict[str, Any], name: str, new: Any) -> Raw:
    """The object with `name` a second time."""
    body = msgspec.json.encode(fields)
    more = msgspec.json.encode(name) + b":" + msgspec.json.encode(new) + b"}"
    return Raw(body[:-1] + (b"," if fields else b"") + more)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one thing wrong somewhere."""
    everywhere = list(places(value))
    path = draw(st.sampled_from(everywhere))
    found = at(value, path)
    kinds = ["replaced", "replaced", "removed", "wrapped", "taken"]
    kinds += ["grown", "doubled"] * isinstance(found, dict) + ["repeated"] * isinstance(found, list)
    match draw(st.sampled_from(kinds)):
        case "replaced":
            return put(value, path, draw(ODD))
        case "removed":
            return without(value, path)
        case "taken":
            return put(value, path, at(value, draw(st.sampled_from(everywhere))))
        case "wrapped":
            return put(value, path, [found])
        case "grown":
            return put(value, path, {**found, draw(_NAMES): draw(ODD)})
        case "doubled":
            return put(value, path, twice(found, draw(st.sampled_from([*found, "type"])), draw(ODD)))
        case _:
            return put(value, path, _repeated(found))


@st.composite
def written(draw: st.DrawFn, value: Any) -> Body:
    """`value` as JSON: half of the time as it is, else with one thing wrong, seldom two, or with its bytes hurt."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 1, 2]))):
        value = draw(mutated(value))
    body = msgspec.json.encode(value)
    if draw(st.sampled_from([False, False, False, True])):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            body = msgspec.json.format(body, indent=1)
    return Body(draw(hurt(body)) if draw(st.integers(0, 7)) == 7 else body)


@st.composite
def hurt(draw: st.DrawFn, body: bytes) -> bytes:
    """`body` cut off, with one byte changed, or with bytes put in that are not UTF-8 or not JSON."""
    place = draw(st.integers(0, len(body)))
    match draw(st.sampled_from(["cut", "changed", "put in", "put before", "put after"])):
        case "cut":
            return body[:place]
        case "changed":
            return body[:place] + bytes([draw(st.integers(0, 255))]) + body[place + 1 :]
        case "put in":
            return body[:place] + draw(_BYTES) + body[place:]
        case "put before":
            return draw(_BYTES) + body
        case _:
            return body + draw(_BYTES)


_BYTES = st.sampled_from(
    [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xef\xbb\xbf", b"\x00", b" \r\n\t", b"{}", b",", b'"', b"\\"]
)
