"""The items of batches as workers end them, in Redis. Each write is one atomic step; a fence is a lease's.

hermod:batch-items:<id>:<n>  hash of a shard that is running: item index → result, its line under the owner's seal;
                           `lost`: Unix ms of when its input was first missed; `alone` and an index → how many
                           crashes there had been when that item was last begun with no other at its side, and
                           after how many of them it was

The batch's record and the set of its shards that are done are those of `shared/batch_records.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from shared.batches import Batch, Ending, Spent
from shared.errors import GatewayError
from shared.lanes import CLOCK
from shared.stores.redis import RedisStore, Script

log = logging.getLogger("hermod.worker")

_PLACE = "result of an item"
_pack = msgspec.msgpack.Encoder().encode
_unpack_result = msgspec.msgpack.Decoder(tuple[Ending, bytes]).decode
_NOTHING = Spent()
_SPENT = ", ".join(f"'{name}'" for name in Spent.__struct_fields__)

# The fence makes sure that only the worker that holds the shard's lease counts, and HSETNX that an item counts once.
_ITEMS = Script(
    """
local sums = {}

local function add(record, name, amount)
  sums[record] = sums[record] or {}
  sums[record][name] = (sums[record][name] or 0) + amount
end

local function settle()
  for record, sum in pairs(sums) do
    for name, amount in pairs(sum) do redis.call('HINCRBY', record, name, string.format('%.0f', amount)) end
  end
end

local function one(job, fence, id, shard, facts, results)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return 'lost' end
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if not state then return 'lost' end
  -- A batch API's results may be read again, also when a shard they are of has been written out.
  if redis.call('SISMEMBER', 'hermod:batch-done:' .. id, shard) == 1 then return state end
  local items, at = 'hermod:batch-items:' .. id .. ':' .. shard, 1
  for _, fact in ipairs(cmsgpack.unpack(facts)) do
    local index, ending, size, spent = unpack(fact)
    local result = string.sub(results, at, at + size - 1)
    at = at + size
    if redis.call('HSETNX', items, index, result) == 1 then
      add(record, ending, 1)
      for place, name in ipairs(SPENT) do
        if spent[place] > 0 then add(record, 'spent ' .. name, spent[place]) end
      end
    end
  end
  return state
end
""".replace("SPENT", f"{{{_SPENT}}}"),
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

_MISSED = Script(
    CLOCK
    + """
local function one(job, fence, id, shard)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return -1 end
  local items, now = 'hermod:batch-items:' .. id .. ':' .. shard, clock_ms()
  redis.call('HSETNX', items, 'lost', now)
  if redis.call('HGET', 'hermod:batch:' .. id, 'cancelling') then return now end
  return now - redis.call('HGET', items, 'lost')
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


class Result(msgspec.Struct, frozen=True):
    """What an item came to: how it ended, its line, what it has cost."""

    index: int
    ending: Ending
    line: bytes
    spent: Spent = Spent()


class ItemRecords:
    """What workers know of the items of a batch."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def finished(self, batch: Batch, shard: int) -> dict[int, tuple[Ending, bytes]]:
        """The items of a running shard that have ended: index → ending and result line, b"" for an unreadable one."""
        found = await self._store.call("HGETALL", f"hermod:batch-items:{batch.id}:{shard}")
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        results = {int(index): _unpack_result(result) for index, result in pairs if index.isdigit()}
        return {index: (ending, self._read(batch, index, line)) for index, (ending, line) in results.items()}

    def _read(self, batch: Batch, index: int, stored: bytes) -> bytes:
        try:
            return self._store.seal.open(batch.owner, stored, _PLACE, batch.id, index)
        except GatewayError as error:
            log.error("item %d of batch %s: %s", index, batch.id, error)  # noqa: TRY400 - says it all
            return b""

    async def state(self, job_id: str, fence: bytes, batch_id: str) -> str:
        """The batch's state, or `lost` when the fence no longer holds or there is no such batch any more."""
        state: bytes = await self._store.run(_STATE, job_id, fence, batch_id)
        return state.decode()

    async def begin_alone(
        self, job_id: str, fence: bytes, batch: Batch, shard: int, *, index: int, crashes: int
    ) -> int:
        """An item is begun with no other at its side, after so many crashes: with how many of them that has happened.

        0 when the fence no longer holds. Being begun again without a crash in between is not held against an item.
        """
        return int(await self._store.run(_ALONE, job_id, fence, batch.id, shard, index, crashes))

    async def missed_ms(self, job_id: str, fence: bytes, batch_id: str, shard: int) -> int:
        """For how long the shard's input is missed by now, for ever when the batch is to end; -1 as for `end_shard`."""
        return int(await self._store.run(_MISSED, job_id, fence, batch_id, shard))

    async def shard_is_done(self, batch_id: str, shard: int) -> bool:
        """Whether the shard's results are in the object store."""
        return bool(await self._store.call("SISMEMBER", f"hermod:batch-done:{batch_id}", shard))

    async def end_item(
        self,
        job_id: str,
        fence: bytes,
        batch: Batch,
        shard: int,
        *,
        index: int,
        ending: Ending,
        line: bytes,
        spent: Spent = _NOTHING,
    ) -> str:
        """As `end_items`, of one."""
        return await self.end_items(job_id, fence, batch, shard, [Result(index, ending, line, spent)])

    async def end_items(self, job_id: str, fence: bytes, batch: Batch, shard: int, found: Sequence[Result]) -> str:
        """Keep items' results and count each once; the batch's state, or `lost` when the fence no longer holds."""
        facts, results = [], []
        for one in found:
            stored = self._store.seal.close(batch.owner, one.line, _PLACE, batch.id, one.index)
            results.append(_pack((one.ending, stored)))
            facts.append((one.index, one.ending, len(results[-1]), msgspec.structs.astuple(one.spent)))
        claim = (job_id, fence, batch.id, shard)
        state: bytes = await self._store.run(_ITEMS, *claim, _pack(facts), b"".join(results))
        return state.decode()

    async def end_shard(self, job_id: str, fence: bytes, batch: Batch, shard: int) -> int:
        """The shard's results are in the object store: how many shards are left; -1 when the fence no longer holds."""
        return int(await self._store.run(_SHARD_DONE, job_id, fence, batch.id, shard, batch.shards))
