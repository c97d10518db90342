"""The results of a batch that still runs, read under the id of the file that will hold them all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from litestar.response.base import ASGIResponse

from api.content import Content
from shared.batch_records import BatchRecords
from shared.batches import JSONL, Batch, blob, output_name
from shared.errors import NotFound
from shared.files import File, no_such_file
from shared.ids import uuid_of
from shared.stores.blobs import BlobMissing, Blobs, OwnedBlobs


async def find(records: BatchRecords, blobs: Blobs, shown: str, owner: str) -> File:
    """The owner's results so far, as a file that grows. Raises NotFound, also once the batch has ended."""
    batch = await _batch(records, shown, owner)
    return File(
        id=uuid_of(shown),
        owner=owner,
        filename=output_name(batch.id, "output"),
        mime_type=JSONL,
        size=sum(size for _, size in await _parts(records, blobs, batch)),
        purpose="batch_output",
        created_ms=batch.created_ms,
    )


async def content(records: BatchRecords, blobs: Blobs, shown: str, owner: str, headers: dict[str, str]) -> ASGIResponse:
    """The owner's results so far, in the order of the shards that have ended. Raises NotFound, as `find`."""
    batch = await _batch(records, shown, owner)
    parts = await _parts(records, blobs, batch)
    length = sum(size for _, size in parts)
    return Content(b"", _chunks(blobs.of(owner), parts), length, media_type=JSONL, headers=headers)


async def _batch(records: BatchRecords, shown: str, owner: str) -> Batch:
    try:
        progress = await records.of_output(uuid_of(shown))
    except NotFound as error:
        raise no_such_file(shown) from error
    if progress.batch.owner != owner or progress.state.final:
        raise no_such_file(shown)
    return progress.batch


async def _parts(records: BatchRecords, blobs: Blobs, batch: Batch) -> list[tuple[str, int]]:
    """The blobs of the results so far, and their sizes."""
    own, keys = blobs.of(batch.owner), [blob(batch.id, "out", number) for number in await records.done_shards(batch.id)]

    async def size(key: str) -> int | None:
        try:
            return await own.size(key)
        except BlobMissing:  # a shard without a success has none
            return None

    sizes = await asyncio.gather(*map(size, keys))
    return [(key, found) for key, found in zip(keys, sizes, strict=True) if found is not None]


async def _chunks(blobs: OwnedBlobs, parts: list[tuple[str, int]]) -> AsyncGenerator[bytes, None]:
    for key, size in parts:
        async with contextlib.aclosing(blobs.read(key, 0, size)) as chunks:
            async for chunk in chunks:
                yield chunk
