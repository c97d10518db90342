"""The shards of a new batch on their way into the object store: written while the rest still arrives, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from api.batching import Source
from api.file_store import discard
from shared.batches import Item, blob, plan
from shared.ids import job_id
from shared.stores.blobs import Blobs, gather


class Cutter:
    """`plan`, fed piece by piece."""

    def __init__(self) -> None:
        self._open: list[Item] = []

    def feed(self, items: list[Item]) -> list[bytes]:
        """The shards that are full; what is in the last one may grow on."""
        if not items:
            return []
        self._open += items
        *full, last = plan(self._open)
        self._open = self._open[-(last.count(b"\n") + 1) :]
        return full

    def close(self) -> list[bytes]:
        """The last shards."""
        return list(plan(self._open))


class Shards:
    """Writes the shards of one batch, in bounded memory: a chunk and a shard or two.

    Attributes:
        batch_id: the batch's UUID.
        items: how many have been taken.
        firsts: the index of the first item of each shard that they make so far.
    """

    def __init__(self, blobs: Blobs, owner: str, turn: asyncio.Lock) -> None:
        """`turn` is held while a chunk is worked on: batches share it, for each thread at work slows all requests."""
        self.batch_id = job_id()
        self.items = 0
        self.firsts: list[int] = []
        self._next = 0
        self._blobs = blobs
        self._own = blobs.of(owner)
        self._turn = turn
        self._cutter = Cutter()

    @property
    def count(self) -> int:
        """How many shards they make so far."""
        return len(self.firsts)

    async def take(self, chunks: AsyncIterator[bytes], source: Source) -> bytes:
        """All items that `source` finds in the chunks; the chunks' SHA-256.

        The work is done in a thread, a chunk at a time: a slow client holds none, and whoever else has a request waits
        for a part of a chunk at most. Meanwhile nothing is read, so that the client waits too.
        """
        sha = hashlib.sha256()
        async for chunk in gather(chunks):
            async with self._turn:
                shards = await asyncio.to_thread(self._cut, chunk, source, sha)
            await self._write(shards)
        await self.add(await asyncio.to_thread(source.close))
        return sha.digest()

    async def add(self, items: list[Item]) -> None:
        """Some more items."""
        self.items += len(items)
        await self._write(self._cutter.feed(items))

    async def close(self) -> None:
        """There are no more items."""
        await self._write(self._cutter.close())

    async def discard(self) -> None:
        """Delete what was written; what cannot be deleted now is left to the sweep."""
        await asyncio.gather(*(discard(self._blobs, self._key(number)) for number in range(self.count)))

    def _cut(self, chunk: bytes, source: Source, sha: hashlib._Hash) -> list[bytes]:
        sha.update(chunk)
        items = source.feed(chunk)
        self.items += len(items)
        return self._cutter.feed(items)

    async def _write(self, shards: list[bytes]) -> None:
        first = self.count
        for shard in shards:
            self.firsts.append(self._next)
            self._next += shard.count(b"\n") + 1
        puts = (self._own.put(self._key(number), shard) for number, shard in enumerate(shards, first))
        for written in await asyncio.gather(*puts, return_exceptions=True):
            if isinstance(written, BaseException):
                raise written

    def _key(self, number: int) -> str:
        return blob(self.batch_id, "in", number)
