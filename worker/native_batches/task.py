"""Batches at a provider's own batch API, as workers run them.

`native_batch` is a job for each group of items, done before the batch's shards run: these find the items ended that
have a result, and run the others. The job holds no slot while it waits. From RESERVE_MS before the window's end, or
when the batch is cancelled, it cancels what still runs at the provider, keeps what has a result and leaves the rest to
the shards.
"""

from __future__ import annotations

import logging
from functools import partial

from shared.batch_records import BatchRecords
from shared.batches import Batch
from shared.errors import InvalidRequest
from shared.settings import Settings
from shared.stores.blobs import BlobMissing, Blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.items import outlast
from worker.lease import Lease, LeaseLost
from worker.native_batches.choice import Chooser
from worker.native_batches.group import GroupRun, Means
from worker.native_batches.paper import Paper
from worker.native_batches.records import Group, NativeRecords
from worker.routing import Router
from worker.transport import Transport

log = logging.getLogger("hermod.worker")

MAX_RESULTS_BYTES = 8 << 30
"""Largest results read, line by line: a bound to what a broken provider can send."""


class NativeBatches:
    """What a worker does for batches at providers' batch APIs."""

    def __init__(self, store: RedisStore, blobs: Blobs, settings: Settings, attachments: Attachments) -> None:
        self._store = store
        self._noted = NativeRecords(store)
        self._router = Router(settings)
        self._chooser = Chooser(blobs, self._router)
        self._paper = Paper(self._router, attachments)
        self._transport: Transport | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()

    async def decide(self, batch: Batch) -> tuple[Group, ...]:
        """The groups of the batch that go to a batch API, decided once; empty when all of it is run directly."""
        return await self._noted.decide(batch.id, await self._chooser.groups(batch))

    async def advance(self, lease: Lease, batch: Batch, number: int) -> bool:
        """Do what can be done for a group now; whether it and all others of its batch have ended.

        Raises:
            TryLater: it has not ended.
            LeaseLost: the job is someone else's.
            StoreError: a store is away.
        """
        groups = await self._noted.groups(batch.id)
        if not groups:  # it was away for so long that nothing is known any more
            return True
        try:
            await GroupRun(self._means(), lease, batch, groups[number], number).advance()
        except (BlobMissing, InvalidRequest) as error:
            # What is lost, or no longer configured, is the shards' to tell.
            log.warning("a native batch is given up: %s", error, extra={"job_id": lease.id})
        left = await outlast(partial(self._noted.end, lease.id, lease.fence, batch.id, number, len(groups)))
        if left < 0:
            raise LeaseLost(lease.id)
        return left == 0

    def _means(self) -> Means:
        """Opens the way to the batch APIs when it is first needed: most workers never need it."""
        if self._transport is None:
            self._transport = Transport(max_bytes=MAX_RESULTS_BYTES)
        records = BatchRecords(self._store)
        return Means(records, self._noted, self._router, self._chooser, self._paper, self._transport)
