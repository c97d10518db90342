"""Where a prompt is cached: a point after each thing that the client has marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from shared.wire import bedrock as wire

Points = Mapping[str, wire.CachePoint]
"""By the canonical path of what they follow."""

Entry = TypeVar("Entry", wire.Block, wire.Tool)


def with_points(entries: Iterable[tuple[str, Entry | None]], points: Points, kind: type[Entry]) -> list[Entry]:
    """The entries, each given with its path, and their points.

    The point of one that came to nothing follows the one before.
    """
    found: list[Entry] = []
    for path, entry in entries:
        if entry is not None:
            found.append(entry)
        if found and path in points:
            found.append(kind(cache_point=points[path]))
    return found
