"""The files that the results of a batch come to, on the surface that has them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from shared.batch_records import named_after
from shared.batches import Batch, blob
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.ids import named, now_ms
from shared.stores.blobs import BlobMissing, Blobs

OUTPUT_KEPT_MS = 30 * 86_400_000
"""How long the files of results are kept: as long as OpenAI keeps the files that batches are made of."""


class OutputFiles:
    """Makes files of what the shards of batches have come to."""

    def __init__(self, blobs: Blobs, files: Files) -> None:
        self._blobs = blobs
        self._files = files

    async def put_together(self, batch: Batch, kind: str, name: str) -> str:
        """The id of the file with all lines of a kind; empty when there are none."""
        file_id = named_after(batch.id, name)
        size = await self._blobs.put_stream(file_blob(file_id), self._lines(batch, kind))
        if not size:
            await self._blobs.delete(file_blob(file_id))
            return ""
        now = now_ms()
        await self._files.add(
            File(
                id=file_id,
                owner=batch.owner,
                filename=f"{named('batch_', batch.id)}_{name}.jsonl",
                mime_type="application/jsonl",
                size=size,
                purpose="batch_output",
                created_ms=now,
                expires_ms=now + (batch.output_expires_s * 1000 or OUTPUT_KEPT_MS),
            )
        )
        return file_id

    async def _lines(self, batch: Batch, kind: str) -> AsyncIterator[bytes]:
        for number in range(batch.shards):
            async with contextlib.aclosing(self._blobs.read(blob(batch.id, kind, number))) as chunks:
                with contextlib.suppress(BlobMissing):
                    async for chunk in chunks:
                        yield chunk
