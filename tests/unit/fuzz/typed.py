"""Values of the vendors' own request types, read off the TypedDicts of their SDKs."""

from __future__ import annotations

import collections.abc
import os
import types
import typing
from functools import cache
from typing import Any

import typing_extensions as extensions
from hypothesis import strategies as st
from pydantic import BaseModel

Strategy = st.SearchStrategy[Any]

DEEPEST = 6
"""Objects within objects; below, only what is required."""
MOST_OPTIONAL = 4
MOST_ITEMS = 3

_NOT_JSON = (bytes, os.PathLike, typing.IO, BaseModel)
"""What the SDKs turn into JSON before they send it, and answers that are handed back."""

_SAID: dict[str, list[Any]] = {
    "arguments": ['{"city":"Oslo"}', "{}", "", "[1]", '{"a":', "null"],
    "bytes": [2],
    "custom_id": ["a", "b", "c_1"],
    "data": ["aGk=", "", "not base64!"],
    "file_data": ["data:application/pdf;base64,aGk=", "aGk=", "data:,x"],
    "input_schema": [{"type": "object"}],
    "media_type": ["text/plain", "application/pdf", "image/png"],
    "metadata": [{"漢": "x"}, {"a\r\nx-injected: 1": "x"}, {"a": {}}],
    "name": ["weather", "clock"],
    "previous_response_id": ["resp_known-job", "resp_6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"],
    "signature": ["hermod:openai_chat:x", "hermod:", "sig"],
    "url": ["https://example.org/a.png", "data:image/png;base64,aGk=", "data:;base64", "data:image/png,aGk="],
}
"""Values that mean something in fields of these names, where their types say less."""

_NEEDED = {("ResponseCreateParams", "InputTokenCountParams"): ("model", "input")}
"""Fields that are optional because a stored prompt may stand for them, by how the names of their types begin."""

_TEXTS = st.one_of(
    st.sampled_from(["Hi", "", "weather", " ", "é漢🙂", "\u0000", "line\nline\u2028", "\\", '"', "data:", "x" * 300]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
_NUMBERS = st.one_of(
    st.integers(0, 5_000),
    st.integers(0, 5),
    st.sampled_from([-1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30]),
)
_FRACTIONS = st.one_of(
    st.floats(0, 2),
    st.integers(0, 2),
    st.sampled_from([-1.0, 1e-300, 1e300, -0.0]),
)
_SCALARS: dict[Any, Strategy] = {
    str: _TEXTS,
    int: _NUMBERS,
    float: _FRACTIONS,
    bool: st.booleans(),
    type(None): st.none(),
}
_LEAVES = st.one_of(st.none(), st.booleans(), _NUMBERS, _FRACTIONS, _TEXTS)
ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)
"""Any small JSON value."""


@cache
def values(hint: Any, depth: int = 0) -> Strategy:
    """JSON values of the type `hint`, `depth` objects below the body."""
    hint, arguments = _bare(hint), extensions.get_args(_bare(hint))
    origin = extensions.get_origin(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint in {Any, object, dict}:
        return ANYTHING
    if extensions.is_typeddict(hint):
        return _objects(_Shape(hint), depth + 1)
    if origin in {typing.Union, types.UnionType}:
        return _one_of(arguments, depth)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is dict or origin is collections.abc.Mapping:
        return st.dictionaries(_TEXTS, values(arguments[1], depth + 1), max_size=2)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        return _lists(arguments[0], depth)
    raise TypeError(f"the SDK has a type that is not understood here: {hint!r}")


def _bare(hint: Any) -> Any:
    """Without `Required`, `Annotated` and names of type aliases."""
    while True:
        if isinstance(hint, extensions.TypeAliasType):
            hint = hint.__value__
        elif extensions.get_origin(hint) in {extensions.Required, extensions.NotRequired, extensions.Annotated}:
            hint = extensions.get_args(hint)[0]
        else:
            return hint


def _one_of(members: tuple[Any, ...], depth: int) -> Strategy:
    """The first member stands for the usual one (text, where there are many kinds of block) and comes most often."""
    sent = [member for member in map(_bare, members) if not _never_sent(member)]
    flat = [member for member in sent if depth < DEEPEST or member in _SCALARS]
    first, *others = [values(member, depth) for member in flat or sent]
    if not others:
        return first
    return st.one_of(first, st.one_of(others))


def _never_sent(hint: Any) -> bool:
    kind = extensions.get_origin(hint) or hint
    if kind is typing.Union:
        return all(_never_sent(_bare(member)) for member in extensions.get_args(hint))
    return isinstance(kind, type) and issubclass(kind, _NOT_JSON)


@st.composite
def _items(draw: st.DrawFn, hint: Any, depth: int) -> list[Any]:
    """Mostly not empty, for an empty list ends most requests early."""
    count = draw(st.sampled_from([1, 1, 1, 2, 2, MOST_ITEMS, 0]))
    return [draw(values(hint, depth)) for _ in range(count)]


def _lists(hint: Any, depth: int) -> Strategy:
    return st.just([]) if depth >= DEEPEST else _items(hint, depth)


class _Field(typing.NamedTuple):
    name: str
    hint: Any
    required: bool


class _Shape:
    """The fields of a TypedDict, as they are named on the wire."""

    def __init__(self, hint: Any) -> None:
        self._name = hint.__name__
        hints = extensions.get_type_hints(hint, include_extras=True)
        fields = [_Field(_alias(kind) or name, kind, _required(hint, name, kind)) for name, kind in hints.items()]
        self.required = [field for field in fields if field.required]
        self.optional = [field for field in fields if not field.required]

    def __repr__(self) -> str:
        return str(self._name)


def _required(hint: Any, name: str, kind: Any) -> bool:
    """`__required_keys__` does not see through annotations that are written as strings."""
    return (
        name in hint.__required_keys__
        or extensions.get_origin(kind) is extensions.Required
        or name in next((names for kinds, names in _NEEDED.items() if hint.__name__.startswith(kinds)), ())
    )


def _alias(hint: Any) -> str | None:
    """The SDKs' `PropertyInfo(alias=…)`, as for `schema_`."""
    if extensions.get_origin(hint) is extensions.Required:
        return _alias(extensions.get_args(hint)[0])
    return next((note.alias for note in getattr(hint, "__metadata__", ()) if getattr(note, "alias", None)), None)


@st.composite
def _objects(draw: st.DrawFn, shape: _Shape, depth: int) -> dict[str, Any]:
    chosen = list(shape.required)
    if shape.optional and depth < DEEPEST:
        more = st.integers(0, len(shape.optional) - 1)
        chosen += [shape.optional[at] for at in draw(st.lists(more, max_size=MOST_OPTIONAL, unique=True))]
    return {field.name: draw(_field(field.name, field.hint, depth)) for field in chosen}


@cache
def _field(name: str, hint: Any, depth: int) -> Strategy:
    usual = values(hint, depth)
    return st.one_of(st.sampled_from(_SAID[name]), usual) if name in _SAID else usual
