"""The files that the results of a batch come to, on the surface that has them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator

import msgspec

from shared.batch_records import named_after
from shared.batches import Batch, Ending, blob, items_of
from shared.errors import GatewayError, StoreError
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.ids import named, now_ms
from shared.stores.blobs import BlobMissing, Blobs
from worker.results import in_place_of_unreadable, unnamed

log = logging.getLogger("hermod.worker")

OUTPUT_KEPT_MS = 30 * 86_400_000
"""How long the files of results are kept: as long as OpenAI keeps the files that batches are made of."""


class _Line(msgspec.Struct):
    """Whose a line of results is."""

    custom_id: str


_decode = msgspec.json.Decoder(_Line).decode


class OutputFiles:
    """Makes files of what the shards of batches have come to."""

    def __init__(self, blobs: Blobs, files: Files) -> None:
        self._blobs = blobs
        self._files = files

    async def put_together(self, batch: Batch) -> tuple[str, str]:
        """The ids of the files with the lines of the succeeded items and of the others; empty where there are none.

        What cannot be read of a shard's lines is an error among the others, and holds up nothing.
        """
        broken: set[int] = set()
        output = await self._file(batch, "output", self._succeeded(batch, broken))
        return output, await self._file(batch, "errors", self._others(batch, broken))

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
                filename=f"{named('batch_', batch.id)}_{name}.jsonl",
                mime_type="application/jsonl",
                size=size,
                purpose="batch_output",
                created_ms=now,
                expires_ms=now + (batch.output_expires_s * 1000 or OUTPUT_KEPT_MS),
            )
        )
        return file_id

    async def _succeeded(self, batch: Batch, broken: set[int]) -> AsyncIterator[bytes]:
        for number in range(batch.shards):
            async for lines in self._lines(batch, "out", number, broken):
                yield lines

    async def _others(self, batch: Batch, broken: set[int]) -> AsyncIterator[bytes]:
        for number in range(batch.shards):
            async for lines in self._lines(batch, "err", number, broken):
                yield lines
            if number in broken:
                yield await self._unread(batch, number)

    async def _lines(self, batch: Batch, kind: str, number: int, broken: set[int]) -> AsyncIterator[bytes]:
        """Whole lines of a shard, up to what cannot be read: its number is then put among the `broken`."""
        rest = b""
        async with contextlib.aclosing(self._blobs.of(batch.owner).read(blob(batch.id, kind, number))) as chunks:
            try:
                async for chunk in chunks:
                    lines, newline, begun = chunk.rpartition(b"\n")
                    if newline:
                        yield rest + lines + newline
                    rest = begun if newline else rest + chunk
            except BlobMissing:
                pass
            except StoreError:
                raise
            except GatewayError as error:
                log.error("results of batch %s: %s", batch.id, error)  # noqa: TRY400 - says it all
                broken.add(number)

    async def _unread(self, batch: Batch, number: int) -> bytes:
        """An error for each item of the shard of which there is no line that can be read."""
        named: set[str] = set()
        for kind in ("out", "err"):
            async for lines in self._lines(batch, kind, number, set()):
                named.update(_decode(line).custom_id for line in lines.splitlines())
        try:
            items = items_of(await self._blobs.of(batch.owner).get(blob(batch.id, "in", number)))
        except StoreError:
            raise
        except (BlobMissing, GatewayError) as error:
            log.error("items of batch %s: %s", batch.id, error)  # noqa: TRY400 - says it all
            return unnamed(batch, number)
        unread = {item.index: (Ending.ERRORED, b"") for item in items if item.custom_id not in named}
        return b"".join(line for _, (_, line) in in_place_of_unreadable(batch, items, unread))
