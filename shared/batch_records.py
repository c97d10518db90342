"""Batches in Redis: created, counted, cancelled, finished, listed. Each write is one atomic step.

hermod:batch:<id>          hash: spec state, the counts by ending, and Unix ms started finalizing ended cancelling;
                           output error: the files of the results; hooks: who is to hear of the
                           end; `spent` and a name → see Spent; firsts: index of each shard's first item
hermod:batch-done:<id>     set: numbers of the shards whose results are in the object store
hermod:batches:<owner>:<surface>  sorted set of the owner's batches; score = Unix ms of creation. One that was deleted
                           or has expired stays for a while, so that a listing can go on after it
hermod:batches             the same of all owners', for operators; one that was deleted is not there
hermod:batches-open        set: batches that were started and have not ended, which metrics count
hermod:batch-output:<id>   which running batch the file of that id will hold the results of
hermod:batch-same:<d>, hermod:batch-idem:<d>  see `shared/repeats.py`

What workers note of the items that run is in `worker/item_records.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from shared.batch_scripts import CANCEL, CREATE, END, FORGET, LISTED, MOVE, START
from shared.batch_values import BatchValues, unpack_batch
from shared.batches import MOST_GROUPS, Batch, BatchState, Counts, Ending, Progress, Spent, named_after
from shared.errors import NotFound
from shared.repeats import ANEW, CONFLICT, Asked, conflict
from shared.stores.redis import RedisStore

RECORD = "hermod:batch:"
OUTPUT = "hermod:batch-output:"

ANNOUNCED_S = 2 * 86_400
"""How long the file of a running batch's results is found: beyond every window."""
LOOKED_AT = 500
_LOOKED_AT_ONCE = 100
"""Batches looked at for one page of all owners'."""

_packer = msgspec.msgpack.Encoder()
_unpack_firsts = msgspec.msgpack.Decoder(list[int]).decode
_ENDINGS = tuple(ending.value for ending in Ending)
_TIMES = ("started", "finalizing", "ended", "cancelling")
_SPENT = Spent.__struct_fields__
_FIELDS = ("spec", "state", *_ENDINGS, *_TIMES, "output", "error", *(f"spent {name}" for name in _SPENT))


def no_such_batch() -> NotFound:
    """One message, whether a batch is unknown, expired, another's or of another surface."""
    return NotFound("No such batch: unknown, expired, or not yours.", code="batch_not_found")


class BatchRecords:
    """What both sides of the queue know of batches."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._values = BatchValues(store.seal)

    async def create(self, batch: Batch, firsts: list[int], *, asked: Asked = ANEW, hooks: bytes = b"") -> str:
        """Write the record; the batch is `validating`, and forgotten unless it is started.

        `firsts` are the indexes of its shards' first items, `hooks` is as for `Queue.submit`. Returns the id of the
        batch that the request became: another's when it joined one.

        Raises:
            Conflict: the idempotency key was used for another request within 24 hours.
        """
        packed = self._values.spec(batch), _packer.encode(firsts)
        became: bytes = await self._store.run(CREATE, batch.id, *packed, _owned(batch), batch.created_ms, hooks, *asked)
        if became == CONFLICT:
            raise conflict("batch")
        return became.decode()

    async def start(self, batch_id: str) -> bool:
        """From `validating` to `in_progress`; False when there is no such batch (any more)."""
        return bool(await self._store.run(START, batch_id))

    async def announce(self, batch: Batch) -> None:
        """Let the file of its results be found, by the id it will have, while the batch still runs."""
        await self._store.call("SET", OUTPUT + named_after(batch.id, "output"), batch.id, "EX", ANNOUNCED_S)

    async def of_output(self, file_id: str) -> Progress:
        """The batch whose results will be in the file. Raises NotFound."""
        batch_id = await self._store.call("GET", OUTPUT + file_id)
        if batch_id is None:
            raise no_such_batch()
        return await self.look(batch_id.decode())

    async def look(self, batch_id: str) -> Progress:
        """The batch as it stands. Raises NotFound, GatewayError when what is sealed of it cannot be read."""
        return _progress(await self._store.call("HMGET", RECORD + batch_id, *_FIELDS), self._values.opened)

    async def firsts(self, batch_id: str) -> list[int]:
        """Indexes of the shards' first items. Raises NotFound."""
        found = await self._store.call("HGET", RECORD + batch_id, "firsts")
        if found is None:
            raise no_such_batch()
        return _unpack_firsts(found)

    async def indexes(self, batch: Batch, shard: int) -> range:
        """Of the items of a shard. Raises NotFound."""
        bounds = [*await self.firsts(batch.id), batch.total]
        return range(bounds[shard], bounds[shard + 1])

    async def owned(
        self, owner: str, surface: str, *, after: str = "", before: str = "", count: int
    ) -> list[Progress] | None:
        """The owner's newest batches of a surface, older than the batch `after` or newer than `before`, newest first.

        With `before`, the `count` that stand just before it. The batch that these name may have been deleted since it
        was listed; the answer is None when it is unknown.
        """
        key = f"hermod:batches:{owner}:{surface}"
        names = [raw.decode() for raw in await self._store.call("ZREVRANGE", key, 0, LISTED - 1)]
        if cursor := after or before:
            if cursor not in names:
                return None
            place = names.index(cursor)
            names = names[place + 1 :] if after else names[:place][::-1]
        found = await self._first(names, count)
        return found[::-1] if before else found

    async def newest(self, *, after: str = "", count: int) -> list[Progress]:
        """The newest batches of all owners and surfaces, older than the batch `after`, newest first.

        From the newest again when it is unknown.
        """
        rank = await self._store.call("ZREVRANK", "hermod:batches", after) if after else None
        first = 0 if rank is None else rank + 1
        names = await self._store.call("ZREVRANGE", "hermod:batches", first, first + LOOKED_AT - 1)
        return await self._first([raw.decode() for raw in names], count)

    async def _first(self, names: list[str], count: int) -> list[Progress]:
        found: list[Progress] = []
        while names and len(found) < count:
            step = max(_LOOKED_AT_ONCE, count - len(found))  # a page of deleted ones costs no round trip for each few
            looked, names = names[:step], names[step:]
            rows = await asyncio.gather(*(self._store.call("HMGET", RECORD + name, *_FIELDS) for name in looked))
            told = [fields for fields in rows if fields[0] is not None]  # others were deleted or have expired
            found += [_progress(fields, self._values.listed) for fields in told[: count - len(found)]]
        return found

    async def cancel(self, batch_id: str) -> None:
        """Ask for the end: items that have not begun are not run. An ended batch stays what it is. Raises NotFound."""
        progress = await self.look(batch_id)
        if not progress.state.final:
            await self._store.run(CANCEL, batch_id, " ".join(_jobs(progress.batch)))

    async def forget(self, batch: Batch) -> None:
        """Delete the record of an ended batch; the sweep deletes its blobs."""
        await self._store.run(FORGET, batch.id)

    async def done_shards(self, batch_id: str) -> list[int]:
        """Numbers of the shards whose results are in the object store, ascending."""
        return sorted(int(number) for number in await self._store.call("SMEMBERS", f"hermod:batch-done:{batch_id}"))

    async def finalize(self, batch_id: str) -> None:
        """All items have ended; the results are being put together."""
        await self._store.run(MOVE, batch_id, "in_progress", "cancelling", "finalizing")

    async def end(self, batch_id: str, state: BatchState, *, output_file: str = "", error_file: str = "") -> None:
        """The results can be read."""
        await self._store.run(END, batch_id, state.value, output_file, error_file)


def _jobs(batch: Batch) -> list[str]:
    """Ids of the jobs that may be waiting, if they were made: see `worker/shards.py`."""
    shards = [named_after(batch.id, f"{what} {number}") for what in ("shard", "rest") for number in range(batch.shards)]
    return [*(named_after(batch.id, f"native {number}") for number in range(MOST_GROUPS)), *shards]


def _owned(batch: Batch) -> str:
    return f"hermod:batches:{batch.owner}:{batch.surface}"


def _progress(fields: list[Any], read: Callable[[Batch], Batch]) -> Progress:
    row = dict(zip(_FIELDS, fields, strict=True))
    if row["spec"] is None:
        raise no_such_batch()
    times = {f"{name}_ms": int(row[name]) if row[name] else None for name in _TIMES}
    return Progress(
        batch=read(unpack_batch(row["spec"])),
        state=BatchState(row["state"].decode()),
        counts=Counts(*(int(row[ending] or 0) for ending in _ENDINGS)),
        output_file=(row["output"] or b"").decode(),
        error_file=(row["error"] or b"").decode(),
        spent=Spent(*(int(row[f"spent {name}"] or 0) for name in _SPENT)),
        **times,
    )
