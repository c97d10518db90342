"""The files that the results of a batch come to, on the surface that has them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.batch_results import BatchResults
from shared.batches import JSONL, Batch, named_after, output_name
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.ids import now_ms
from shared.stores.blobs import Blobs

OUTPUT_KEPT_MS = 30 * 86_400_000
"""How long the files of results are kept: as long as OpenAI keeps the files that batches are made of."""


class OutputFiles:
    """Makes files of what the shards of batches have come to."""

    def __init__(self, blobs: Blobs, files: Files) -> None:
        self._blobs = blobs
        self._files = files

    async def put_together(self, batch: Batch, firsts: list[int]) -> tuple[str, str]:
        """The ids of the files with the lines of the succeeded items and of the others; empty where there are none.

        `firsts` are the indexes of the shards' first items. What is lost of a shard's lines is an error among the
        others, and holds up nothing.
        """
        results, shards = BatchResults(self._blobs, batch, firsts), range(batch.shards)
        output = await self._file(batch, "output", _succeeded(results, shards))
        return output, await self._file(batch, "errors", _others(results, shards))

    async def _file(self, batch: Batch, name: str, lines: AsyncIterator[bytes]) -> str:
        file_id = named_after(batch.id, name)
        size = await self._blobs.of(batch.owner).put_stream(file_blob(file_id), lines)
        if not size:
            await self._blobs.delete(file_blob(file_id))
            return ""
        now = now_ms()
        await self._files.add(
            File(
                id=file_id,
                owner=batch.owner,
                filename=output_name(batch.id, name),
                mime_type=JSONL,
                size=size,
                purpose="batch_output",
                created_ms=now,
                expires_ms=now + (batch.output_expires_s * 1000 or OUTPUT_KEPT_MS),
            )
        )
        return file_id


async def _succeeded(results: BatchResults, shards: range) -> AsyncIterator[bytes]:
    for number in shards:
        async for lines in results.lines("out", number):
            yield lines


async def _others(results: BatchResults, shards: range) -> AsyncIterator[bytes]:
    for number in shards:
        async for lines in results.lines("err", number):
            yield lines
        yield await results.missing(number)
