"""What the pages load besides themselves: one style sheet, our script and htmx, all from here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from litestar import get
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from shared.errors import NotFound

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FILES = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in sorted(Path(__file__).with_name("static").iterdir())
    if path.suffix in _TYPES
}
VERSION = hashlib.sha256(b"".join(body for body, _ in _FILES.values())).hexdigest()[:12]
"""Stands in their URLs: another release is another URL."""


@get("/static/{name:str}")
async def static_file(name: str) -> ASGIApp:
    """One of them."""
    if name not in _FILES:
        raise NotFound("There is no such file.")
    body, media_type = _FILES[name]
    return ASGIResponse(body=body, media_type=media_type, headers={"cache-control": "max-age=31536000, immutable"})
