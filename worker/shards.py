"""Batches as workers run them: the start makes a job of each shard, the last shard to end has the batch finished.

    start_batch   its id is the batch's: validating → in_progress, one job for each shard, or first for each group
    native_batch  a group of items runs at its provider's own batch API; all have ended: one job for each shard
    shard         runs the items of one shard that have not ended; all ended: the lines go to the object store
    finish_batch  results put together into files where the surface wants them, the batch's final state

Each can be done again, from the start or from anywhere within, and changes nothing by it: ids follow from the batch's,
an item counts once, and lines are written only when Redis holds the result of every item of the shard, so that they
are the same whoever writes them.

Shards stand in line under a name of their own: they neither count among the jobs their owner may have unfinished nor
hold up its other batches' starts, and take turns with other owners' shards by its weight.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec

from shared.batch_records import BatchRecords, named_after
from shared.batches import Batch, Item, blob, final_state, items_of
from shared.errors import StoreError
from shared.files import File, Files
from shared.files import blob as file_blob
from shared.ids import named, now_ms, request_id
from shared.jobs import Job
from shared.lanes import Lane
from shared.queue import JOB, Queue, Share
from shared.settings import Settings
from shared.stores.blobs import BlobMissing, Blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.executor import Executor, TryLater
from worker.items import Means, ShardRun, outlast
from worker.lease import Lease, LeaseLost
from worker.native_batches.task import NativeBatches
from worker.pauses import Pauses
from worker.results import assemble

log = logging.getLogger("hermod.worker")

START, NATIVE, SHARD, FINISH = "start_batch", "native_batch", "shard", "finish_batch"
OPERATIONS = frozenset({START, NATIVE, SHARD, FINISH})

STORE_AWAY_S = 2.0
"""When a batch's job is due again that could not reach a store."""
LOST_S = 60.0
"""The same for one whose items are not in the object store; until the window ends they may be put back."""
KEPT_S = 600
"""How long the job of a shard is remembered once it has ended."""
OUTPUT_KEPT_MS = 30 * 86_400_000
"""How long the files of results are kept: as long as OpenAI keeps the files that batches are made of."""
NO_LIMIT = 1_000_000_000


class ShardJob(msgspec.Struct, frozen=True, array_like=True):
    """The body of a shard's job.

    Attributes:
        batch_id: UUID.
        number: of the shard, from 0.
        at_once: the most items its owner may have running; 0 for no limit of its own.
    """

    batch_id: str
    number: int
    at_once: int


class NativeJob(msgspec.Struct, frozen=True, array_like=True):
    """The body of the job of a group.

    Attributes:
        batch_id: UUID.
        number: of the group, from 0.
        weight, cap: the owner's, for the shards.
    """

    batch_id: str
    number: int
    weight: float
    cap: int


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(ShardJob).decode
_unpack_native = msgspec.msgpack.Decoder(NativeJob).decode


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
        leaving: asyncio.Event,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._queue = Queue(store)
        self._files = Files(store)
        self._records = BatchRecords(store)
        self._means = Means(executor, self._records, settings.providers, Pauses(), leaving)
        self._native = NativeBatches(store, blobs, settings, attachments)
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
            LeaseLost: the job is someone else's.
        """
        try:
            await self._tasks[lease.job.operation](lease)
        except StoreError as error:
            raise TryLater(STORE_AWAY_S) from error

    # --- start ----------------------------------------------------------------------------------------

    async def _start_batch(self, lease: Lease) -> None:
        await self._records.start(lease.id)
        progress = await self._records.look(lease.id)
        if progress.state.final:
            return
        batch = progress.batch
        if batch.surface == "openai":
            await self._records.announce(batch)
        weight, cap = await self._store.call("HMGET", JOB + lease.id, "weight", "cap")
        groups = await self._native.decide(batch)
        if not groups:
            await self._submit_shards(batch, float(weight or 1), int(cap or 0))
        for number in range(len(groups)):
            native = NativeJob(batch.id, number, float(weight or 1), int(cap or 0))
            # In a line of its own: it is short, and must not stand behind thousands of shards.
            job = _job(batch, NATIVE, named_after(batch.id, f"native {number}"), f"native:{batch.owner}", Lane.BATCH)
            share = Share(weight=native.weight, max_unfinished=NO_LIMIT)
            await self._queue.submit(job, _pack(native), waiter="", share=share)

    async def _run_native(self, lease: Lease) -> None:
        native = _unpack_native(lease.body)
        batch = (await self._records.look(native.batch_id)).batch
        if await self._native.advance(lease, batch, native.number):
            await self._submit_shards(batch, native.weight, native.cap)

    async def _submit_shards(self, batch: Batch, weight: float, cap: int) -> None:
        share = Share(weight=weight, max_running=min(1, cap), max_unfinished=NO_LIMIT)
        numbers = range(batch.shards)
        await asyncio.gather(*(self._submit_shard(batch, ShardJob(batch.id, n, cap), share) for n in numbers))

    async def _submit_shard(self, batch: Batch, shard: ShardJob, share: Share) -> None:
        job = _job(batch, SHARD, named_after(batch.id, f"shard {shard.number}"), f"batch:{batch.owner}", Lane.BATCH)
        await self._queue.submit(job, _pack(shard), waiter="", share=share)

    # --- one shard ------------------------------------------------------------------------------------

    async def _run_shard(self, lease: Lease) -> None:
        shard = _unpack(lease.body)
        batch = (await self._records.look(shard.batch_id)).batch
        if not await self._records.shard_is_done(batch.id, shard.number):
            await self._write_results(lease, batch, shard)
        left = await outlast(partial(self._records.end_shard, lease.id, lease.fence, batch, shard.number))
        if left < 0:
            raise LeaseLost(lease.id)
        if left == 0:
            # Not in the batch lane, which may be full for hours.
            job = _job(batch, FINISH, named_after(batch.id, "finish"), batch.owner, Lane.ASYNC)
            share = Share(max_unfinished=NO_LIMIT)
            await outlast(partial(self._queue.submit, job, batch.id.encode(), waiter="", share=share))

    async def _write_results(self, lease: Lease, batch: Batch, shard: ShardJob) -> None:
        """Bring all items to an end and put their lines into the object store. Raises TryLater when some have not."""
        items = await self._items(lease, batch, shard.number)
        finished = await self._records.finished(batch.id, shard.number)
        if left := [item for item in items if item.index not in finished]:
            at_once = min(self._at_once, shard.at_once or self._at_once)
            await ShardRun(self._means, lease, batch, shard.number).run(left, at_once)
            finished = await self._records.finished(batch.id, shard.number)
        if len(finished) < len(items):
            raise TryLater(0)
        for kind, lines in zip(("out", "err"), assemble(finished), strict=True):
            if lines:
                await self._blobs.put(blob(batch.id, kind, shard.number), lines)

    async def _items(self, lease: Lease, batch: Batch, number: int) -> list[Item]:
        try:
            return items_of(await self._blobs.get(blob(batch.id, "in", number)))
        except BlobMissing as missing:
            log.error("items of a batch are lost: %s", missing, extra={"job_id": lease.id})  # noqa: TRY400 - says it all
            if lease.late:
                return []
            raise TryLater(LOST_S) from missing

    # --- finish ---------------------------------------------------------------------------------------

    async def _finish_batch(self, lease: Lease) -> None:
        batch_id = lease.body.decode()
        await self._records.finalize(batch_id)
        progress = await self._records.look(batch_id)
        if progress.state.final:
            return
        batch, output, errors = progress.batch, "", ""
        if batch.surface == "openai":
            output = await self._put_together(batch, "out", "output")
            errors = await self._put_together(batch, "err", "errors")
        state = final_state(progress.counts, cancelled=progress.cancelling_ms is not None)
        await self._records.end(batch_id, state, output_file=output, error_file=errors)

    async def _put_together(self, batch: Batch, kind: str, name: str) -> str:
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


def _job(batch: Batch, operation: str, job_id: str, owner: str, lane: Lane) -> Job:
    now = now_ms()
    return Job(
        id=job_id,
        owner=owner,
        dialect=batch.dialect,
        operation=operation,
        model="",
        request_id=request_id(),
        created_ms=now,
        ttl_s=KEPT_S,
        deadline_ms=batch.expires_ms,
        lane=lane,
    )
