"""Batches in Redis: created, counted, cancelled, finished, listed. Each write is one atomic step.

hermod:batch:<id>          hash: spec state, the counts by ending, and Unix ms started finalizing ended cancelling;
                           output error: the files of the results
hermod:batch-done:<id>     set: numbers of the shards whose results are in the object store
hermod:batch-items:<id>:<n>  hash of a shard that is running: item index → result, what a killed worker had done;
                           `alone` and an index → how many crashes there had been when that item was last begun
                           with no other at its side, and after how many of them it was
hermod:batches:<owner>:<surface>  sorted set of the owner's batches; score = Unix ms of creation
hermod:batch-output:<id>   which running batch the file of that id will hold the results of
hermod:batch-same:<d>, hermod:batch-idem:<d>  which batch an identical or same-keyed request became
"""

from __future__ import annotations

import asyncio
import uuid
from functools import lru_cache
from typing import Any

import msgspec

from shared.batches import Batch, BatchState, Counts, Ending, Progress
from shared.errors import Conflict, NotFound
from shared.ids import digest
from shared.lanes import CLOCK
from shared.queue import IDEMPOTENCY_S, SAME_REQUEST_S
from shared.stores.redis import RedisStore, Script

RECORD = "hermod:batch:"
OUTPUT = "hermod:batch-output:"

KEPT_S = 29 * 86_400
"""How long an ended batch and its results are kept: as long as Anthropic keeps its own."""
UNSTARTED_S = 2 * 86_400
"""How long the record of a batch is kept that nobody has started: twice its window, for of a batch that was promised
and came to nothing because no worker ran the client must still hear. (One that was never promised is kept as long.)"""
ANNOUNCED_S = 2 * 86_400
"""How long the file of a running batch's results is found: beyond every window."""
LISTED = 10_000
"""Newest batches of an owner that its listing reaches."""

_uuid = lru_cache(maxsize=256)(uuid.UUID)
_packer = msgspec.msgpack.Encoder()
_unpack_result = msgspec.msgpack.Decoder(tuple[Ending, bytes]).decode
_unpack_batch = msgspec.msgpack.Decoder(Batch).decode
_ENDINGS = tuple(ending.value for ending in Ending)
_TIMES = ("started", "finalizing", "ended", "cancelling")
_FIELDS = ("spec", "state", *_ENDINGS, *_TIMES, "output", "error")

# As with a job, a request that already became a batch joins it, unless that was cancelled.
_CREATE = Script(
    """
local function is_alive(id)
  local state, cancelled = unpack(redis.call('HMGET', 'hermod:batch:' .. id, 'state', 'cancelling'))
  return state and not cancelled
end

local function earlier(what, look, name)
  local held = name ~= '' and redis.call('GET', 'hermod:batch-idem:' .. name)
  if held then
    local id, held_what = string.match(held, '^(%S+) (%S+)$')
    if held_what ~= what then return 'conflict' end
    return is_alive(id) and id
  end
  local id = name == '' and look == '1' and redis.call('GET', 'hermod:batch-same:' .. what)
  return id and is_alive(id) and id
end

local function one(id, spec, owned, created, what, look, name)
  local record = 'hermod:batch:' .. id
  if redis.call('EXISTS', record) == 1 then return id end
  local other = earlier(what, look, name)
  if other then return other end
  if name ~= '' then redis.call('SET', 'hermod:batch-idem:' .. name, id .. ' ' .. what, 'EX', IDEMPOTENCY_S) end
  if what ~= '' then redis.call('SET', 'hermod:batch-same:' .. what, id, 'EX', SAME_REQUEST_S) end
  redis.call('HSET', record, 'spec', spec, 'state', 'validating')
  redis.call('EXPIRE', record, UNSTARTED_S)
  redis.call('ZADD', owned, created, id)
  redis.call('ZREMRANGEBYRANK', owned, 0, -LISTED - 1)
  return id
end
""".replace("UNSTARTED_S", str(UNSTARTED_S))
    .replace("-LISTED", f"-{LISTED}")
    .replace("IDEMPOTENCY_S", str(IDEMPOTENCY_S))
    .replace("SAME_REQUEST_S", str(SAME_REQUEST_S))
)

_START = Script(
    CLOCK
    + """
local function one(id)
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if not state then return nil end
  if redis.call('HEXISTS', record, 'ended') == 0 then redis.call('PERSIST', record) end
  if state == 'validating' then redis.call('HSET', record, 'state', 'in_progress', 'started', clock_ms()) end
  return 1
end
"""
)

# The fence makes sure that only the worker that holds the shard's lease counts, and HSETNX that an item counts once.
_ITEM = Script(
    """
local function one(job, fence, id, shard, index, ending, result)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return 'lost' end
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if not state then return 'lost' end
  if redis.call('HSETNX', 'hermod:batch-items:' .. id .. ':' .. shard, index, result) == 1 then
    redis.call('HINCRBY', record, ending, 1)
  end
  return state
end
""",
    even_when_full=True,
)

_STATE = Script(
    """
local function one(job, fence, id)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return 'lost' end
  return redis.call('HGET', 'hermod:batch:' .. id, 'state') or 'lost'
end
""",
    even_when_full=True,
)

_ALONE = Script(
    """
local function one(job, fence, id, shard, index, crashes)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return 0 end
  local items, field = 'hermod:batch-items:' .. id .. ':' .. shard, 'alone ' .. index
  local last, times = string.match(redis.call('HGET', items, field) or '', '^(%d+) (%d+)$')
  if last == crashes then return tonumber(times) end
  redis.call('HSET', items, field, crashes .. ' ' .. (times or 0) + 1)
  return (times or 0) + 1
end
""",
    even_when_full=True,
)

_SHARD_DONE = Script(
    """
local function one(job, fence, id, shard, shards)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return -1 end
  redis.call('SADD', 'hermod:batch-done:' .. id, shard)
  redis.call('DEL', 'hermod:batch-items:' .. id .. ':' .. shard)
  return tonumber(shards) - redis.call('SCARD', 'hermod:batch-done:' .. id)
end
""",
    even_when_full=True,
)

_MOVE = Script(
    CLOCK
    + """
local function one(id, first, second, to)
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if state == first or state == second then redis.call('HSET', record, 'state', to, to, clock_ms()) end
  return 1
end
""",
    even_when_full=True,
)

_END = Script(
    CLOCK
    + """
local function one(id, state, output, errors)
  local record = 'hermod:batch:' .. id
  if redis.call('HGET', record, 'state') ~= 'finalizing' then return 0 end
  redis.call('HSET', record, 'state', state, 'ended', clock_ms(), 'output', output, 'error', errors)
  redis.call('EXPIRE', record, KEPT_S)
  redis.call('EXPIRE', 'hermod:batch-done:' .. id, KEPT_S)
  return 1
end
""".replace("KEPT_S", str(KEPT_S)),
    even_when_full=True,
)

_FORGET = Script(
    """
local function one(id, owned)
  redis.call('DEL', 'hermod:batch:' .. id, 'hermod:batch-done:' .. id)
  redis.call('ZREM', owned, id)
  return 1
end
""",
    even_when_full=True,
)


def named_after(batch_id: str, what: str) -> str:
    """The UUID of something that a batch has one of, the same whenever it is made again: `output`, `shard 3`."""
    return str(uuid.uuid5(_uuid(batch_id), what))


def no_such_batch() -> NotFound:
    """One message, whether a batch is unknown, expired, another's or of another surface."""
    return NotFound("No such batch: unknown, expired, or not yours.", code="batch_not_found")


class BatchRecords:
    """What both sides of the queue know of batches."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def create(
        self, batch: Batch, *, what: str = "", look_for_same: bool = False, idempotency_key: str = ""
    ) -> str:
        """Write the record; the batch is `validating`, and forgotten unless it is started.

        `what` is a digest of the owner and all that was asked; `look_for_same` and `idempotency_key` are as for
        `Queue.submit`. Returns the id of the batch that the request became: another's when it joined an earlier one.

        Raises:
            Conflict: the idempotency key was used for another request within 24 hours.
        """
        name = digest(batch.owner.encode(), idempotency_key.encode()) if idempotency_key else ""
        became: bytes = await self._store.run(
            _CREATE,
            batch.id,
            _packer.encode(batch),
            _owned(batch),
            batch.created_ms,
            what,
            int(look_for_same),
            name,
        )
        if became == b"conflict":
            raise Conflict(
                "Idempotency-Key: this key was used for another batch in the last 24 hours; use a new key.",
                param="Idempotency-Key",
                code="idempotency_conflict",
                should_retry=False,
            )
        return became.decode()

    async def start(self, batch_id: str) -> bool:
        """From `validating` to `in_progress`; False when there is no such batch (any more)."""
        return bool(await self._store.run(_START, batch_id))

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
        """The batch as it stands. Raises NotFound."""
        return _progress(await self._store.call("HMGET", RECORD + batch_id, *_FIELDS))

    async def owned(self, owner: str, surface: str, *, after: str = "", before: str = "", count: int) -> list[Progress]:
        """The owner's newest batches of a surface, older than the batch `after` or newer than `before`, newest first.

        With `before`, the `count` that stand just before it. A cursor that is unknown yields nothing.
        """
        key = f"hermod:batches:{owner}:{surface}"
        ids = await self._store.call("ZREVRANGE", key, 0, LISTED - 1)
        names = [raw.decode() for raw in ids]
        if cursor := after or before:
            place = names.index(cursor) if cursor in names else len(names) if after else 0
            names = names[place + 1 :][:count] if after else names[:place][-count:]
        rows = await asyncio.gather(*(self._store.call("HMGET", RECORD + name, *_FIELDS) for name in names[:count]))
        return [_progress(fields) for fields in rows if fields[0] is not None]

    async def cancel(self, batch_id: str) -> None:
        """Ask for the end: items that have not begun are not run. An ended batch stays what it is."""
        await self._store.run(_MOVE, batch_id, "validating", "in_progress", "cancelling")

    async def forget(self, batch: Batch) -> None:
        """Delete the record of an ended batch; the sweep deletes its blobs."""
        await self._store.run(_FORGET, batch.id, _owned(batch))

    # --- the worker's half; a fence is a lease's, see `worker/lease.py` ---------------------------------

    async def finished(self, batch_id: str, shard: int) -> dict[int, tuple[Ending, bytes]]:
        """The items of a running shard that have ended: index → ending and result line."""
        found = await self._store.call("HGETALL", f"hermod:batch-items:{batch_id}:{shard}")
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {int(index): _unpack_result(result) for index, result in pairs if index.isdigit()}

    async def state(self, job_id: str, fence: bytes, batch_id: str) -> str:
        """The batch's state, or `lost` when the fence no longer holds or there is no such batch any more."""
        state: bytes = await self._store.run(_STATE, job_id, fence, batch_id)
        return state.decode()

    async def begin_alone(
        self, job_id: str, fence: bytes, batch_id: str, shard: int, *, index: int, crashes: int
    ) -> int:
        """An item is begun with no other at its side, after so many crashes: with how many of them that has happened.

        0 when the fence no longer holds. Being begun again without a crash in between is not held against an item.
        """
        return int(await self._store.run(_ALONE, job_id, fence, batch_id, shard, index, crashes))

    async def shard_is_done(self, batch_id: str, shard: int) -> bool:
        """Whether the shard's results are in the object store."""
        return bool(await self._store.call("SISMEMBER", f"hermod:batch-done:{batch_id}", shard))

    async def done_shards(self, batch_id: str) -> list[int]:
        """Numbers of the shards whose results are in the object store, ascending."""
        return sorted(int(number) for number in await self._store.call("SMEMBERS", f"hermod:batch-done:{batch_id}"))

    async def end_item(
        self, job_id: str, fence: bytes, batch_id: str, shard: int, *, index: int, ending: Ending, line: bytes
    ) -> str:
        """Keep an item's result and count it, once; the batch's state, or `lost` when the fence no longer holds."""
        result = _packer.encode((ending.value, line))
        state: bytes = await self._store.run(_ITEM, job_id, fence, batch_id, shard, index, ending.value, result)
        return state.decode()

    async def end_shard(self, job_id: str, fence: bytes, batch: Batch, shard: int) -> int:
        """The shard's results are in the object store: how many shards are left; -1 when the fence no longer holds."""
        return int(await self._store.run(_SHARD_DONE, job_id, fence, batch.id, shard, batch.shards))

    async def finalize(self, batch_id: str) -> None:
        """All items have ended; the results are being put together."""
        await self._store.run(_MOVE, batch_id, "in_progress", "cancelling", "finalizing")

    async def end(self, batch_id: str, state: BatchState, *, output_file: str = "", error_file: str = "") -> None:
        """The results can be read."""
        await self._store.run(_END, batch_id, state.value, output_file, error_file)


def _owned(batch: Batch) -> str:
    return f"hermod:batches:{batch.owner}:{batch.surface}"


def _progress(fields: list[Any]) -> Progress:
    row = dict(zip(_FIELDS, fields, strict=True))
    if row["spec"] is None:
        raise no_such_batch()
    times = {f"{name}_ms": int(row[name]) if row[name] else None for name in _TIMES}
    return Progress(
        batch=_unpack_batch(row["spec"]),
        state=BatchState(row["state"].decode()),
        counts=Counts(*(int(row[ending] or 0) for ending in _ENDINGS)),
        output_file=(row["output"] or b"").decode(),
        error_file=(row["error"] or b"").decode(),
        **times,
    )
