"""Reads what a batch has come to: one line for each item, with an error in place of what is lost or unreadable."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator

import msgspec

from shared.batch_lines import gone
from shared.batches import Batch, Item, blob, items_of
from shared.errors import GatewayError, StoreError
from shared.stores.blobs import BlobMissing, Blobs

log = logging.getLogger("hermod.batches")


class _Line(msgspec.Struct):
    """Whose a line of results is."""

    custom_id: str


_decode = msgspec.json.Decoder(_Line).decode
_NAMELESS = msgspec.Raw(b"{}")


class BatchResults:
    """One reading of a batch whose shards have all ended; everything raises StoreError when the store is away."""

    def __init__(self, blobs: Blobs, batch: Batch, firsts: list[int]) -> None:
        """`firsts` are the indexes of the shards' first items."""
        self._blobs = blobs.of(batch.owner)
        self._batch = batch
        self._bounds = [*firsts, batch.total]
        self._read: Counter[int] = Counter()

    async def lines(self, kind: str, shard: int) -> AsyncGenerator[bytes, None]:
        """The `out` or `err` lines of a shard, up to what cannot be read."""
        async with contextlib.aclosing(self._whole(kind, shard)) as found:
            async for lines in found:
                self._read[shard] += lines.count(b"\n")
                yield lines

    async def missing(self, shard: int) -> bytes:
        """An error for each item of the shard that none of the `lines` was of, once both kinds were read."""
        count = self._bounds[shard + 1] - self._bounds[shard] - self._read[shard]
        if not count:
            return b""
        named: set[str] = set()
        for kind in ("out", "err"):
            async for lines in self._whole(kind, shard):
                named.update(_decode(line).custom_id for line in lines.splitlines())
        items = await self._unnamed(shard, count, named)
        log.error("batch %s: results of %d requests are lost or unreadable", self._batch.id, len(items))
        return b"".join(gone(self._batch, item)[1] for item in items)

    async def _unnamed(self, shard: int, count: int, named: set[str]) -> list[Item]:
        """The items whose names are not among these; so many without a name when it is not known which they are."""
        try:
            items = items_of(await self._blobs.get(blob(self._batch.id, "in", shard)))
        except StoreError:
            raise
        except (BlobMissing, GatewayError) as error:
            log.error("items of batch %s: %s", self._batch.id, error)  # noqa: TRY400 - says it all
            first = self._batch.total + self._bounds[shard]
            return [Item(first + number, "", _NAMELESS) for number in range(count)]
        return [item for item in items if item.custom_id not in named]

    async def _whole(self, kind: str, shard: int) -> AsyncGenerator[bytes, None]:
        rest = b""
        async with contextlib.aclosing(self._blobs.read(blob(self._batch.id, kind, shard))) as chunks:
            try:
                async for chunk in chunks:
                    lines, newline, begun = chunk.rpartition(b"\n")
                    if newline:
                        yield rest + lines + newline
                    rest = begun if newline else rest + chunk
            except BlobMissing:
                pass  # no item of the shard ended so
            except StoreError:
                raise
            except GatewayError as error:
                log.error("results of batch %s: %s", self._batch.id, error)  # noqa: TRY400 - says it all
