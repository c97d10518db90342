"""Numbers that providers tell, such as every JSON reader takes for themselves."""

from __future__ import annotations

MAX_EXACT = 2**53
"""The largest of them; no true count or time comes near it."""


def count(found: int | None) -> int:
    """From 0 to that; 0 for what was not told."""
    return min(max(found or 0, 0), MAX_EXACT)
