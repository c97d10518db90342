"""Times as the gateway's own surfaces write them."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(unix_ms: int) -> str:
    """RFC 3339, in UTC to the millisecond."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03}Z"
