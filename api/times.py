"""Times as the gateway's own surfaces write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""Of the years 1 and 9999, which RFC 3339 ends at: a budget's window may end later."""


def rfc3339(unix_ms: int) -> str:
    """RFC 3339, in UTC to the millisecond; what it cannot write is the first or last that it can."""
    moment = _EPOCH + timedelta(milliseconds=min(max(unix_ms, _FIRST_MS), _LAST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
