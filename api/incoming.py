"""A request's body as it arrives: bytes as they are, never more than the limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request

from shared.errors import Encoded, TooLarge


async def incoming(request: Request[Any, Any, Any], limit: int, over: TooLarge) -> AsyncGenerator[bytes, None]:
    """The body in chunks.

    Nothing is decompressed: a kilobyte that becomes a gigabyte is refused with everything else that is encoded. No SDK
    compresses what it sends.

    Raises:
        Encoded: it has a Content-Encoding.
        TooLarge: `over`, before more than `limit` bytes have been taken.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise Encoded(f"Content-Encoding: {encoding[:40]!r} is not read here; send the body as it is.")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:18]) > limit:  # a number of thousands of digits Python would not read
        raise over
    left = limit
    async for chunk in request.stream():
        left -= len(chunk)
        if left < 0:
            raise over
        yield chunk
