"""The results of a batch that still runs, read under the id of the file that will hold them all."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from litestar.response.base import ASGIResponse

from api.content import Content
from shared.batch_records import BatchRecords
from shared.batches import blob
from shared.errors import NotFound
from shared.files import no_such_file
from shared.ids import uuid_of
from shared.stores.blobs import BlobMissing, Blobs, OwnedBlobs


async def content(records: BatchRecords, blobs: Blobs, shown: str, owner: str, headers: dict[str, str]) -> ASGIResponse:
    """The owner's results so far, in the order of the shards that have ended. Raises NotFound."""
    try:
        batch = (await records.of_output(uuid_of(shown))).batch
    except NotFound as error:
        raise no_such_file(shown) from error
    if batch.owner != owner:
        raise no_such_file(shown)
    parts, own = [], blobs.of(owner)
    for number in await records.done_shards(batch.id):
        key = blob(batch.id, "out", number)
        with contextlib.suppress(BlobMissing):  # a shard without a success has none
            parts.append((key, await own.size(key)))
    length = sum(size for _, size in parts)
    return Content(b"", _chunks(own, parts), length, media_type="application/jsonl", headers=headers)


async def _chunks(blobs: OwnedBlobs, parts: list[tuple[str, int]]) -> AsyncGenerator[bytes, None]:
    for key, size in parts:
        async with contextlib.aclosing(blobs.read(key, 0, size)) as chunks:
            async for chunk in chunks:
                yield chunk
