"""Batches at a provider's own batch API, as workers run them.

`native_batch` is a job for each group of items; it holds no slot while it waits. Of a shard that has items of groups
the others run at once, as one job, and once nobody has more to do in it, the shard runs as any other: it finds items
ended that have a result, runs what is left, and writes the results out.

From RESERVE_MS before the window's end, or when the batch is cancelled or its owner's key revoked, a group's job
cancels what still runs at the provider, keeps what has a result and leaves the rest to the shards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeAlias

from shared.batches import Batch, Item
from shared.errors import GatewayError, StoreError
from shared.prices import Prices
from shared.settings import Settings
from shared.stores.blobs import BlobMissing, Blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.exchange import Media
from worker.executor import Executor
from worker.item_records import ItemRecords
from worker.lease import Lease, LeaseLost
from worker.native_batches.choice import Chooser
from worker.native_batches.group import GroupRun
from worker.native_batches.means import Means
from worker.native_batches.paper import Paper
from worker.native_batches.records import REST, NativeRecords, Plan
from worker.outlast import outlast
from worker.routing import Router
from worker.signing import Signer
from worker.transport import Transport

MOST_CRASHES = 12
"""Workers that a group's job may take down: more than it meets by chance on the many short looks of a day."""

Release: TypeAlias = Callable[[Iterable[int]], Awaitable[None]]
"""Lets shards run; doing so again changes nothing."""

log = logging.getLogger("hermod.worker")

MAX_RESULTS_BYTES = 8 << 30
"""Largest results read, line by line: a bound to what a broken provider can send."""


class NativeBatches:
    """What a worker does for batches at providers' batch APIs."""

    def __init__(
        self,
        store: RedisStore,
        blobs: Blobs,
        executor: Executor,
        settings: Settings,
        *,
        attachments: Attachments,
        media: Media | None,
    ) -> None:
        self._store = store
        self._executor = executor
        self._noted = NativeRecords(store)
        self._router = Router(settings)
        self._chooser = Chooser(blobs, self._router)
        self._paper = Paper(self._router, attachments, media, Prices(settings.prices))
        self._transport: Transport | None = None
        self._signer = Signer()

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.close()

    async def decide(self, batch: Batch) -> Plan:
        """What of the batch runs at batch APIs, decided once."""
        return await self._noted.decide(batch.id, await self._chooser.plan(batch))

    async def rest(self, batch: Batch, items: list[Item]) -> list[Item]:
        """Those of the items that run at no batch API."""
        return self._chooser.rest(batch, await self._noted.plan(batch.id), items)

    async def advance(self, lease: Lease, batch: Batch, number: int, release: Release) -> None:
        """Do what can be done for a group now, releasing shards in which nobody has more to do.

        Raises:
            TryLater: it has not ended.
            LeaseLost: the job is someone else's.
            StoreError: a store is away.
        """
        plan = await self._noted.plan(batch.id)
        if not plan.groups:  # it was away for so long that nothing is known any more
            await release(range(batch.shards))
            return
        done = partial(self._done, lease, batch, plan, number, release)
        if lease.crashes >= MOST_CRASHES:
            log.error("a native batch is given up: it took down workers", extra={"job_id": lease.id})
            await done(range(batch.shards))
            return
        try:
            await GroupRun(self._means(), lease, batch, plan.groups[number], number, done).advance()
        except StoreError:
            raise
        except (BlobMissing, GatewayError) as error:
            # What is lost or unreadable, or no longer configured, is the shards' to tell.
            log.warning("a native batch is given up: %s", error, extra={"job_id": lease.id})
            await done(range(batch.shards))

    async def rest_is_done(self, lease: Lease, batch: Batch, shard: int, release: Release) -> None:
        """The items of a shard that run at no batch API have ended. Raises LeaseLost, StoreError."""
        await self._done(lease, batch, await self._noted.plan(batch.id), REST, release, (shard,))

    async def _done(
        self, lease: Lease, batch: Batch, plan: Plan, who: int, release: Release, shards: Iterable[int]
    ) -> None:
        own = [shard for shard in shards if who in plan.members(shard)]
        done = partial(self._noted.done, lease.id, lease.fence, batch.id, plan, who)
        states = await asyncio.gather(*(outlast(partial(done, shard)) for shard in own))
        if any(state < 0 for state in states):
            raise LeaseLost(lease.id)
        await release([shard for shard, state in zip(own, states, strict=True) if state])

    def _means(self) -> Means:
        """Opens the way to the batch APIs when it is first needed: most workers never need it."""
        if self._transport is None:
            networks = {name: provider.network for name, provider in self._router.providers.items()}
            self._transport = Transport(networks=networks, max_bytes=MAX_RESULTS_BYTES)
        records = ItemRecords(self._store)
        return Means(
            records,
            self._noted,
            self._router,
            self._chooser,
            self._paper,
            self._transport,
            self._signer,
            self._executor,
        )
