"""The items of a group as requests of a batch, written for the key that the batch is sent with."""

from __future__ import annotations

from shared.batches import Batch
from shared.errors import GatewayError
from worker.native_batches.means import Means
from worker.native_batches.offers import wire_of
from worker.native_batches.records import Group
from worker.routing import Target

PART_ITEMS = 10_000
PART_BYTES = 24 * 1024 * 1024
"""Most of what is sent as one batch, for a worker holds it in memory; a provider's own limit may be lower."""


class Requests:
    """A run of shards, one after the other, as far as they fit into one batch.

    Attributes:
        lines: one for each request.
        path: where a plain call would send them, below the base URL.
        until: the first shard that is not among them.
    """

    def __init__(self, means: Means, batch: Batch, group: Group, target: Target, mark: str, first: int) -> None:
        self.lines: list[bytes] = []
        self.path = ""
        self.until = first
        self._means = means
        self._batch = batch
        self._group = group
        self._target = target
        self._mark = mark
        self._wire = wire_of(target)
        self._most_bytes = min(PART_BYTES, self._wire.most_bytes)

    async def fill(self) -> Requests:
        """Take shards until no more fit: the first always does. Raises StoreError, BlobMissing."""
        size = 0
        while self.until < self._batch.shards:
            lines = await self._lines(self.until)
            size += sum(map(len, lines))
            if self.lines and (len(self.lines) + len(lines) > PART_ITEMS or size > self._most_bytes):
                break
            self.lines += lines
            self.until += 1
        return self

    async def repeat(self, until: int) -> Requests:
        """Take the shards before `until`, which were sent together before. Raises like `fill`."""
        while self.until < until:
            self.lines += await self._lines(self.until)
            self.until += 1
        return self

    async def _lines(self, shard: int) -> list[bytes]:
        """The requests of a shard, as many as fit into one batch; the shard runs the others."""
        lines, room = [], self._most_bytes
        for held in await self._means.chooser.held(self._batch, self._group, shard):
            try:
                call = await self._means.paper.write(held.begun, self._target.key.name)
            except GatewayError:
                continue  # the shard says what is wrong with it
            self.path = call.url.removeprefix(self._target.base_url)
            line = self._wire.line(f"{self._mark}-{held.item.index}", self.path, call.body)
            if len(line) <= room:
                lines.append(line)
                room -= len(line)
        return lines
