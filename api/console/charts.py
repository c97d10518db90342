"""Small charts as numbers: what the templates draw as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec


class Bar(msgspec.Struct, frozen=True):
    """One column: its place and size in a box of `width` by `height`, and its value."""

    x: float
    y: float
    height: float
    value: int


class Dot(msgspec.Struct, frozen=True):
    """One call: its place, and whether it failed."""

    x: float
    y: float
    failed: bool


def bars(values: Sequence[int], width: float, height: float) -> list[Bar]:
    """Columns side by side, the highest as high as the box."""
    most, step = max(values, default=0) or 1, width / max(1, len(values))
    return [
        Bar(round(index * step, 1), round(height - height * value / most, 1), round(height * value / most, 1), value)
        for index, value in enumerate(values)
    ]


def dots(points: Sequence[tuple[int, int, bool]], width: float, height: float) -> list[Dot]:
    """(Unix ms, latency in ms, failed) over time, the latency on a logarithmic scale from 10 ms to 10 min."""
    if not points:
        return []
    first, last = min(at for at, _, _ in points), max(at for at, _, _ in points)
    across = max(1, last - first)
    return [
        Dot(round((at - first) / across * width, 1), round(height - height * _scaled(ms), 1), failed)
        for at, ms, failed in points
    ]


def levels(height: float) -> list[tuple[float, str]]:
    """Where on the scale of `dots` some lengths of time stand, and what they are called."""
    return [(round(height - height * _scaled(ms), 1), name) for ms, name in _LEVELS]


def percentile(values: Sequence[int], share: float) -> int | None:
    """The value that `share` of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


_LEAST_MS, _MOST_MS = 10, 600_000
_LEVELS = ((10, "10 ms"), (100, "100 ms"), (1000, "1 s"), (10_000, "10 s"), (60_000, "1 min"), (600_000, "10 min"))


def _scaled(ms: int) -> float:
    held = min(_MOST_MS, max(_LEAST_MS, ms))
    return math.log(held / _LEAST_MS) / math.log(_MOST_MS / _LEAST_MS)
