"""Headers of calls that are alike on several wires."""

from __future__ import annotations

from collections.abc import Mapping

from worker.providers.base import Row

_ANTHROPICS = "anthropic-"


def json_headers(row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
    """The client's own that may pass, without Anthropic's; the content type and the key."""
    passed = {name: value for name, value in client.items() if not name.startswith(_ANTHROPICS)}
    return {**passed, "content-type": "application/json", **credential(row, key)}


def credential(row: Row, key: str) -> dict[str, str]:
    """The header that carries the key; none without one: local servers need none, and some calls are signed."""
    if not key:
        return {}
    return {"authorization": f"Bearer {key}"} if row.auth == "bearer" else {row.auth: key}
