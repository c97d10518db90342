"""What a media type says."""

from __future__ import annotations

_TEXTS = frozenset(f"application/{kind}" for kind in ("csv", "json", "jsonl", "x-ndjson", "xml", "yaml"))


def is_text(media_type: str) -> bool:
    """Whether such bytes are text of some kind, which every provider takes as text."""
    return media_type.startswith("text/") or media_type in _TEXTS
