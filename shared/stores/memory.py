"""Blobs in memory: for unit tests, gone with the process."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator

from shared.stores.blobs import (
    BINARY,
    CHUNK_BYTES,
    BlobInfo,
    BlobMissing,
    OwnedBlobs,
    check_key,
    check_prefix,
    check_range,
)


class MemoryBlobs:
    """A dictionary with the manners of a store."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[bytes, float]] = {}

    def of(self, owner: str) -> OwnedBlobs:  # noqa: ARG002 - whose it is shows in sealed ones only
        """See Blobs."""
        return self

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:  # noqa: ARG002 - only S3 keeps it
        """See Blobs."""
        self._blobs[check_key(key)] = (bytes(data), time.time())

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str = BINARY) -> int:
        """See Blobs; here the memory is bounded by the blob itself."""
        check_key(key)
        data = b"".join([chunk async for chunk in chunks])
        await self.put(key, data, content_type=content_type)
        return len(data)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See Blobs."""
        check_range(start, length)
        return self._find(key)[start : None if length is None else start + length]

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs."""
        data = await self.get(key, start, length)
        for begin in range(0, len(data), CHUNK_BYTES):
            yield data[begin : begin + CHUNK_BYTES]

    async def size(self, key: str) -> int:
        """See Blobs."""
        return len(self._find(key))

    async def delete(self, key: str) -> None:
        """See Blobs."""
        self._blobs.pop(check_key(key), None)

    async def list(self, prefix: str) -> AsyncGenerator[BlobInfo, None]:
        """See Blobs."""
        check_prefix(prefix)
        for key, (data, modified_s) in list(self._blobs.items()):
            if key.startswith(prefix):
                yield BlobInfo(key, len(data), modified_s)

    async def forget_unfinished(self, before_s: float) -> int:  # noqa: ARG002 - the interface's
        """See Blobs; there is never any."""
        return 0

    async def ready(self) -> None:
        """Always."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _find(self, key: str) -> bytes:
        try:
            return self._blobs[check_key(key)][0]
        except KeyError:
            raise BlobMissing(key) from None
