"""The sweep: heals what records and queue disagree on, and deletes blobs that no record speaks of any more.

Every step of a job is one atomic script, so nothing of this should ever be needed; it is for the rest: a failover that
lost the last writes, a key that an operator deleted, a defect of ours. Each minute one worker walks a slice of the
records and of arq's queue and goes on there the next minute (`hermod:sweep`: a hash of the two cursors). Lining a job
up twice is harmless: a claim skips what is not queued.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from arq.cron import cron

from shared import files, uploads
from shared.batch_records import RECORD as BATCH
from shared.batches import PREFIX as BATCHES
from shared.bodies import Bodies
from shared.errors import StoreError
from shared.governance_records import GovernanceRecords
from shared.ids import now_ms
from shared.jobs import State
from shared.lanes import QUEUE
from shared.queue import JOB, arq_record
from shared.stores.blobs import Blobs
from shared.stores.redis import RedisStore
from worker.budget_scripts import MOST_WORKERS, RECLAIM
from worker.sweep_scripts import HEAL, RECOUNT

log = logging.getLogger("hermod.sweep")

CURSORS = "hermod:sweep"
SLICE_STEPS = 20
STEP_KEYS = 1000
"""A minute's slice is 20,000 keys, a thousand (about 0.3 ms of the server) at a time."""
RECOUNT_MOST = 10_000
"""Jobs above which the counters are not compared: it must be done in one step, about 1 µs a job."""
BLOB_AGE_S = 3600.0
"""Younger blobs may belong to a job that is just being submitted."""
BATCH_AGE_S = 86_400.0
"""The same for a batch, whose upload may take hours, and for any write that has not ended."""
_BLOBS_AT_ONCE = 100


async def sweep(ctx: dict[str, Any]) -> None:
    """Heal one slice; says what was wrong, and nothing when nothing was."""
    try:
        healed = await heal(ctx["store"])
    except StoreError as error:
        log.warning("%s", error)
    else:
        if healed:
            log.warning("healed: %s", ", ".join(f"{number} {what}" for what, number in healed.items()))


async def sweep_blobs(ctx: dict[str, Any]) -> None:
    """Delete the blobs of jobs, batches, files and uploads that are gone, and what dead processes left of others."""
    try:
        deleted = await forget_blobs(ctx["store"], ctx["bodies"], time.time() - BLOB_AGE_S)
        before_s = time.time() - BATCH_AGE_S
        deleted += await forget_orphans(ctx["store"], ctx["bodies"].blobs, BATCHES, BATCH, before_s)
        deleted += await ctx["bodies"].blobs.forget_unfinished(before_s)
        for kind in (files, uploads):
            before_s = time.time() - BLOB_AGE_S
            deleted += await forget_orphans(ctx["store"], ctx["bodies"].blobs, kind.PREFIX, kind.RECORD, before_s)
    except StoreError as error:
        log.warning("%s", error)
    else:
        if deleted:
            log.info("%d blobs deleted that nobody speaks of", deleted)


async def sweep_budgets(ctx: dict[str, Any]) -> None:
    """Charge what dead workers had reserved, and delete the virtual keys that are to be once they have expired."""
    try:
        lost = int(await ctx["store"].run(RECLAIM, MOST_WORKERS))
        deleted = await GovernanceRecords(ctx["store"]).delete_expired(now_ms())
    except StoreError as error:
        log.warning("%s", error)
    else:
        if lost or deleted:
            log.info("%d calls of dead workers charged by estimate, %d expired virtual keys deleted", lost, deleted)


CRON_JOBS = (
    cron(sweep, name="sweep"),
    cron(sweep_budgets, name="sweep_budgets"),
    cron(sweep_blobs, name="sweep_blobs", minute=set(range(0, 60, 10))),
)
"""arq runs each on one of all workers: every minute, and every ten, for listing a bucket has its price."""


async def heal(store: RedisStore) -> Counter[str]:
    """Heal one slice of the records and of arq's queue, then the counters: how often what was put right.

    Raises:
        StoreError: Redis is away; the next run goes on where this one stopped.
    """
    healed: Counter[str] = Counter()
    for walk in (_records(store), _members(store)):
        async for ids in walk:
            now = now_ms()
            verdicts = await asyncio.gather(*(store.run(HEAL, each, arq_record(each.decode(), now)) for each in ids))
            healed.update(verdict.decode() for verdict in verdicts if verdict)
    wrong, freed = await store.run(RECOUNT, RECOUNT_MOST)
    healed.update({"counters corrected": wrong, "owners let in": freed})
    return +healed


async def forget_blobs(store: RedisStore, bodies: Bodies, before_s: float) -> int:
    """Delete blobs last written before `before_s` (Unix seconds) that nobody will read: how many.

    An outcome is kept as long as its record, and so is a stored request; any other until its job has ended.
    Raises StoreError.
    """
    gone: list[str] = []
    batch: list[tuple[str, str, bool]] = []

    async def look() -> None:
        records = await asyncio.gather(*(store.call("HMGET", JOB + job_id, "state", "store") for _, job_id, _ in batch))
        for (key, _, is_request), (state, kept) in zip(batch, records, strict=True):
            if state is None or (is_request and kept != b"1" and State(state.decode()).final):
                gone.append(key)
        batch.clear()

    async for row in bodies.written_before(before_s):
        batch.append(row)
        if len(batch) == _BLOBS_AT_ONCE:
            await look()
    await look()
    for key in gone:
        await bodies.blobs.delete(key)
    return len(gone)


async def forget_orphans(store: RedisStore, blobs: Blobs, prefix: str, record: str, before_s: float) -> int:
    """Delete blobs `<prefix><id>/…` last written before `before_s` (Unix seconds) without a record `<record><id>`.

    Returns how many. Each is deleted as soon as it was looked for: who died between blob and record may have an heir
    that writes both again. Raises StoreError.
    """
    deleted = 0
    old: list[str] = []

    async def look() -> int:
        known = await asyncio.gather(*(store.call("EXISTS", record + key.split("/", 2)[1]) for key in old))
        gone = [key for key, is_known in zip(old, known, strict=True) if not is_known]
        old.clear()
        for key in gone:
            await blobs.delete(key)
        return len(gone)

    async for info in blobs.list(prefix):
        if info.modified_s < before_s:
            old.append(info.key)
        if len(old) == _BLOBS_AT_ONCE:
            deleted += await look()
    return deleted + await look()


async def _records(store: RedisStore) -> AsyncIterator[list[bytes]]:
    async for keys in _slice(store, "records", "SCAN", after=("MATCH", f"{JOB}*")):
        yield [key.removeprefix(JOB.encode()) for key in keys]


async def _members(store: RedisStore) -> AsyncIterator[list[bytes]]:
    async for members_and_scores in _slice(store, "queue", "ZSCAN", QUEUE):
        yield members_and_scores[::2]


async def _slice(
    store: RedisStore, name: str, *command: str, after: tuple[str, ...] = ()
) -> AsyncIterator[list[bytes]]:
    """The next steps of a walk whose cursor is kept under `name`; ends early where the walk does."""
    cursor = await store.call("HGET", CURSORS, name) or b"0"
    for _ in range(SLICE_STEPS):
        cursor, found = await store.call(*command, cursor, *after, "COUNT", STEP_KEYS)
        yield found
        await store.call("HSET", CURSORS, name, cursor)
        if cursor == b"0":
            return
