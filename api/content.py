"""Bytes of the object store as a response, sent as they are read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from shared.errors import StoreError

log = logging.getLogger("hermod.api")


class Content(ASGIResponse):
    """A response of `length` bytes: `first`, then those that `chunks`, which it closes, still yields.

    Litestar's own streaming response cancels the reading when the client leaves, again and again, so that a file or a
    connection being read is never given back; here the reading ends between two chunks.
    """

    __slots__ = ("_chunks",)

    def __init__(
        self,
        first: bytes,
        chunks: AsyncGenerator[bytes, None],
        length: int,
        *,
        status_code: int = 200,
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        exactly = {**headers, "content-type": media_type}  # given apart, Litestar would add a charset to text
        super().__init__(body=first, content_length=length, status_code=status_code, headers=exactly)
        self._chunks = chunks

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send everything, or what there is until the client leaves or the object store fails: the client sees that."""
        gone = asyncio.create_task(_left(receive))
        try:
            async with contextlib.aclosing(self._chunks) as chunks:
                await send({"type": "http.response.body", "body": self.body, "more_body": True})
                async for chunk in chunks:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except StoreError as error:
            log.warning("an answer was cut short: %s", error)
        finally:
            gone.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
