"""Keeps what a provider's batch API has answered, each result as its item's end."""

from __future__ import annotations

import asyncio
from functools import partial

from shared.batch_lines import answered
from shared.batches import Batch, Spent
from shared.errors import ProviderError
from shared.jobs import Outcome
from worker.lease import Lease, LeaseLost
from worker.native_batches.choice import Held
from worker.native_batches.client import Client
from worker.native_batches.means import Means
from worker.native_batches.paper import failed
from worker.native_batches.records import Group, Part
from worker.native_batches.wires import Line, Seen
from worker.outlast import outlast

KEPT_AT_ONCE = 64


class Keeper:
    """One lease's; every method raises LeaseLost, StoreError and BlobMissing."""

    def __init__(self, means: Means, lease: Lease, batch: Batch, group: Group) -> None:
        self._means = means
        self._lease = lease
        self._batch = batch
        self._group = group

    async def refuse(self, part: Part, error: ProviderError) -> None:
        """All items of the part come to this."""
        for held in await self._held(part):
            await self._keep(held, failed(held.begun, error), Spent())

    async def fetch(self, client: Client, mark: str, part: Part, seen: Seen) -> None:
        """Keep every result of what was sent under `mark`; a second time changes nothing. Raises ProviderError."""
        waiting = {f"{mark}-{held.item.index}": held for held in await self._held(part)}
        together: list[tuple[Held, Line]] = []
        try:
            async for line in client.lines(seen):
                if line.status and (held := waiting.pop(line.custom_id, None)):
                    together.append((held, line))
                if len(together) == KEPT_AT_ONCE:
                    kept, together = together, []
                    await asyncio.gather(*(self._read(part.key, *each) for each in kept))
        except ProviderError:
            await asyncio.gather(*(self._read(part.key, *each) for each in together))
            raise
        await asyncio.gather(*(self._read(part.key, *each) for each in together))

    async def _read(self, key: str, held: Held, line: Line) -> None:
        await self._keep(held, *await self._means.paper.read(held.begun, key, line.status, line.body))

    async def _keep(self, held: Held, outcome: Outcome, spent: Spent) -> None:
        request_id = held.begun.job.request_id
        ending, line = answered(self._batch, held.item, held.uuid, request_id, outcome)
        claim = (self._lease.id, self._lease.fence, self._batch, held.shard)
        end = self._means.records.end_item
        kept = partial(end, *claim, index=held.item.index, ending=ending, line=line, spent=spent)
        if await outlast(kept) == "lost":
            raise LeaseLost(self._lease.id)

    async def _held(self, part: Part) -> list[Held]:
        shards = range(part.first, part.until)
        return [held for shard in shards for held in await self._means.chooser.held(self._batch, self._group, shard)]
