"""Batches as workers run them: the start makes a job of each shard, the last shard to end has the batch finished.

    start_batch   its id is the batch's: validating → in_progress, one job for each shard and each group
    native_batch  a group of items runs at its provider's own batch API; then its shards' jobs are made
    shard         runs the items of one shard that have not ended; all ended: the lines go to the object store.
                  For a shard with items of groups it is made twice: at once for the rest of its items, without
                  that last step, and when all of these have ended
    finish_batch  results put together into files where the surface wants them, the batch's final state

Each can be done again, from the start or from anywhere within, and changes nothing by it: ids follow from the batch's,
an item counts once, and lines are written only when Redis holds the result of every item of the shard, so that they
are the same whoever writes them.

Shards stand in line under a name of their own: they neither count among the jobs their owner may have unfinished nor
hold up its other batches' starts, and take turns with other owners' shards by its weight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from shared.batch_records import BatchRecords
from shared.batches import (
    FINISH,
    NATIVE,
    SHARD,
    START,
    Batch,
    BatchState,
    Ending,
    Item,
    blob,
    final_state,
    items_of,
    named_after,
)
from shared.errors import GatewayError, NotFound, StoreError
from shared.files import Files
from shared.lanes import Lane
from shared.queue import JOB, Queue, Share
from shared.settings import Settings
from shared.stores.blobs import BlobMissing, Blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.exchange import Media, TryLater
from worker.executor import Executor
from worker.item_cache import ItemCache
from worker.item_records import ItemRecords, Result
from worker.items import Means, ShardRun
from worker.lease import Lease, LeaseLost
from worker.native_batches.records import REST
from worker.native_batches.task import NativeBatches
from worker.outlast import outlast
from worker.output_files import OutputFiles
from worker.results import assemble, in_place_of_unreadable, lost
from worker.shard_jobs import NativeJob, ShardJob, batch_id_of, job_of, pack, unpack_native, unpack_shard

log = logging.getLogger("hermod.worker")

STORE_AWAY_S = 2.0
"""When a batch's job is due again that could not reach a store."""
LOST_S, LOST_MS = 60.0, 3_600_000
"""The same for one whose items are not in the object store, and for how long they may be put back."""
NO_LIMIT = 1_000_000_000


class Batches:
    """What a worker does for batches."""

    def __init__(
        self,
        store: RedisStore,
        blobs: Blobs,
        executor: Executor,
        settings: Settings,
        *,
        attachments: Attachments,
        media: Media | None = None,
        leaving: asyncio.Event,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._queue = Queue(store)
        self._files = OutputFiles(blobs, Files(store))
        self._records = BatchRecords(store)
        self._items_ended = ItemRecords(store)
        cache = ItemCache(settings.cache, settings.providers)
        self._means = Means(executor, self._items_ended, settings.providers, leaving, cache)
        self._native = NativeBatches(store, blobs, executor, settings, attachments=attachments, media=media)
        self._at_once = settings.worker.batch_concurrency
        self._tasks: dict[str, Callable[[Lease], Awaitable[None]]] = {
            START: self._start_batch,
            NATIVE: self._run_native,
            SHARD: self._run_shard,
            FINISH: self._finish_batch,
        }

    async def close(self) -> None:
        """Close the connections to providers' batch APIs."""
        await self._native.close()

    async def advance(self, lease: Lease) -> None:
        """Do what the leased job is for, one of OPERATIONS.

        Raises:
            TryLater: a store is away, the worker is told to stop, or a provider's batch API is not done.
            NotFound: there is no such batch any more.
            GatewayError: it cannot be read, and has ended as failed, for its window has.
            LeaseLost: the job is someone else's.
        """
        try:
            await self._tasks[lease.job.operation](lease)
        except StoreError as error:
            raise TryLater(STORE_AWAY_S) from error
        except NotFound:
            raise
        except GatewayError as error:
            log.error("a batch cannot go on: %s", error, extra={"job_id": lease.id})  # noqa: TRY400 - says it all
            if not lease.late:
                raise TryLater(LOST_S) from error
            await self._records.finalize(batch_id_of(lease))
            await self._records.end(batch_id_of(lease), BatchState.FAILED)
            raise

    # --- start ----------------------------------------------------------------------------------------

    async def _start_batch(self, lease: Lease) -> None:
        await self._records.start(lease.id)
        progress = await self._records.look(lease.id)
        if progress.state.final:
            return
        batch = progress.batch
        if batch.surface == "openai":
            await self._records.announce(batch)
        known = await self._store.call("HMGET", JOB + lease.id, "weight", "cap")
        weight, cap = float(known[0] or 1), int(known[1] or 0)
        plan = await self._native.decide(batch)
        alone = [number for number in range(batch.shards) if plan.members(number) == (REST,)]
        mixed = [number for number in range(batch.shards) if number not in alone and REST in plan.members(number)]
        await self._submit_shards(batch, weight, cap, alone)
        await self._submit_shards(batch, weight, cap, mixed, rest=True)
        for number in range(len(plan.groups)):
            # In a line of its own: it is short, and must not stand behind thousands of shards.
            job = job_of(batch, NATIVE, named_after(batch.id, f"native {number}"), f"native:{batch.owner}", Lane.BATCH)
            share = Share(weight=weight, max_unfinished=NO_LIMIT)
            await self._queue.submit(job, pack(NativeJob(batch.id, number, weight, cap)), waiter="", share=share)

    async def _run_native(self, lease: Lease) -> None:
        native = unpack_native(lease.body)
        batch = (await self._records.look(native.batch_id)).batch
        release = partial(self._submit_shards, batch, native.weight, native.cap)
        await self._native.advance(lease, batch, native.number, release)

    async def _submit_shards(
        self, batch: Batch, weight: float, cap: int, numbers: Iterable[int], *, rest: bool = False
    ) -> None:
        """A job for each of the shards, with `weight` and `cap` of a ShardJob; one that has its job keeps it.

        Of an owner with a cap one shard runs at a time, for each keeps to it by itself.
        """
        what = "rest" if rest else "shard"
        share = Share(weight=weight, max_running=min(1, cap), max_unfinished=NO_LIMIT)
        submits = []
        for number in numbers:
            job = job_of(batch, SHARD, named_after(batch.id, f"{what} {number}"), f"batch:{batch.owner}", Lane.BATCH)
            body = pack(ShardJob(batch.id, number, cap, weight, rest))
            submits.append(self._queue.submit(job, body, waiter="", share=share))
        await asyncio.gather(*submits)

    # --- one shard ------------------------------------------------------------------------------------

    async def _run_shard(self, lease: Lease) -> None:
        shard = unpack_shard(lease.body)
        progress, is_done = await asyncio.gather(
            self._records.look(shard.batch_id), self._items_ended.shard_is_done(shard.batch_id, shard.number)
        )
        batch = progress.batch
        if shard.rest:
            await self._run_rest(lease, batch, shard)
            return
        if not is_done:
            await self._write_results(lease, batch, shard)
        left = await outlast(partial(self._items_ended.end_shard, lease.id, lease.fence, batch, shard.number))
        if left < 0:
            raise LeaseLost(lease.id)
        if left == 0:
            job = job_of(batch, FINISH, named_after(batch.id, "finish"), batch.owner, Lane.CHORES)
            share = Share(max_unfinished=NO_LIMIT)
            await outlast(partial(self._queue.submit, job, batch.id.encode(), waiter="", share=share))

    async def _run_rest(self, lease: Lease, batch: Batch, shard: ShardJob) -> None:
        items = await self._items(lease, batch, shard.number)
        await self._bring_to_end(lease, batch, shard, await self._native.rest(batch, items))
        release = partial(self._submit_shards, batch, shard.weight, shard.cap)
        await self._native.rest_is_done(lease, batch, shard.number, release)

    async def _write_results(self, lease: Lease, batch: Batch, shard: ShardJob) -> None:
        """Bring all items to an end and put their lines into the object store. Raises TryLater when some have not."""
        items = await self._items(lease, batch, shard.number)
        finished = await self._bring_to_end(lease, batch, shard, items)
        finished.update(in_place_of_unreadable(batch, items, finished))
        for kind, lines in zip(("out", "err"), assemble(finished), strict=True):
            if lines:
                await self._blobs.of(batch.owner).put(blob(batch.id, kind, shard.number), lines)

    async def _bring_to_end(
        self, lease: Lease, batch: Batch, shard: ShardJob, items: list[Item]
    ) -> dict[int, tuple[Ending, bytes]]:
        """Run the items that have not ended: all results of the shard. Raises TryLater when some still have not."""
        run = ShardRun(self._means, lease, batch, shard.number)
        finished, _ = await asyncio.gather(self._items_ended.finished(batch, shard.number), run.look())
        if left := [item for item in items if item.index not in finished]:
            at_once = min(self._at_once, shard.cap or self._at_once)
            later_s = await run.run(left, at_once)
            finished = await self._items_ended.finished(batch, shard.number)
            if any(item.index not in finished for item in items):
                raise TryLater(later_s)
        lease.give_up_slot()
        return finished

    async def _items(self, lease: Lease, batch: Batch, number: int) -> list[Item]:
        """The items of a shard; none when they are lost for good, and have ended as errors. Raises TryLater."""
        try:
            return items_of(await self._blobs.of(batch.owner).get(blob(batch.id, "in", number)))
        except StoreError:
            raise
        except (BlobMissing, GatewayError) as missing:
            log.error("items of a batch are lost: %s", missing, extra={"job_id": lease.id})  # noqa: TRY400 - says it all
            missed_ms = await self._items_ended.missed_ms(lease.id, lease.fence, batch.id, number)
            if 0 <= missed_ms < LOST_MS and not lease.late:
                raise TryLater(LOST_S) from missing
        await self._end_lost(lease, batch, number)
        return []

    async def _end_lost(self, lease: Lease, batch: Batch, number: int) -> None:
        """An error for each item of a shard whose input is lost, but those that ended before."""
        ends = [Result(index, *lost(batch, index)) for index in await self._records.indexes(batch, number)]
        end = partial(self._items_ended.end_items, lease.id, lease.fence, batch, number, ends)
        if await outlast(end) == "lost":
            raise LeaseLost(lease.id)

    # --- finish ---------------------------------------------------------------------------------------

    async def _finish_batch(self, lease: Lease) -> None:
        batch_id = lease.body.decode()
        await self._records.finalize(batch_id)
        progress = await self._records.look(batch_id)
        if progress.state.final:
            return
        batch, output, errors = progress.batch, "", ""
        if batch.surface == "openai":
            output, errors = await self._files.put_together(batch, await self._records.firsts(batch.id))
        state = final_state(progress.counts, cancelled=progress.cancelling_ms is not None)
        await self._records.end(batch_id, state, output_file=output, error_file=errors)
