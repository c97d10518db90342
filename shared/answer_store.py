"""The answers that the response cache keeps, in Redis.

    hermod:cached:<id>       an entry, see `shared/cached_answer.py`, under its owner's seal; expires by itself
    hermod:shelf:<shelf>     sorted set of the ids of one owner's answers under one cache key; score = Unix ms of expiry
    hermod:shelves:<key>     set of the shelves of all owners with that cache key
    hermod:answers           sorted set of all ids; score = Unix ms of expiry
    hermod:answers:sizes     hash of their sizes in bytes by id
    hermod:answers:bytes     the sum of these

Clients choose cache keys and times, and must not fill the memory: all answers together have a limit.
"""

from __future__ import annotations

import msgspec

from shared.cache import CachePlan, shelf
from shared.cached_answer import Entry, pack, unpack
from shared.errors import GatewayError
from shared.stores.redis import RedisStore, Script

CACHED = "hermod:cached:"

_KEEP = Script(
    """
local function longer(key, ttl)
  if redis.call('PTTL', key) < ttl * 1000 then redis.call('EXPIRE', key, ttl) end
end

local function forget(ids)
  for _, id in ipairs(ids) do
    redis.call('DECRBY', 'hermod:answers:bytes', redis.call('HGET', 'hermod:answers:sizes', id) or 0)
    redis.call('HDEL', 'hermod:answers:sizes', id)
    redis.call('ZREM', 'hermod:answers', id)
    redis.call('DEL', 'hermod:cached:' .. id)
  end
end

local function make_room(size, most, now)
  forget(redis.call('ZRANGEBYSCORE', 'hermod:answers', '-inf', now, 'LIMIT', 0, 100))
  while tonumber(redis.call('GET', 'hermod:answers:bytes') or 0) + size > most do
    local next = redis.call('ZRANGE', 'hermod:answers', 0, 0)
    if #next == 0 then break end
    forget(next)
  end
end

local function one(id, shelf, key, entry, ttl, most)
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  local list, shelves = 'hermod:shelf:' .. shelf, 'hermod:shelves:' .. key
  ttl = tonumber(ttl)
  forget({id})
  make_room(#entry, tonumber(most), now)
  redis.call('SET', 'hermod:cached:' .. id, entry, 'EX', ttl)
  redis.call('ZADD', 'hermod:answers', now + ttl * 1000, id)
  redis.call('HSET', 'hermod:answers:sizes', id, #entry)
  redis.call('INCRBY', 'hermod:answers:bytes', #entry)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now)
  redis.call('ZADD', list, now + ttl * 1000, id)
  redis.call('SADD', shelves, shelf)
  longer(list, ttl)
  longer(shelves, ttl)
  return 1
end
"""
)

_CLEAR = Script(
    """
local function one(shelf)
  local list = 'hermod:shelf:' .. shelf
  local cleared = 0
  for _, id in ipairs(redis.call('ZRANGE', list, 0, -1)) do
    cleared = cleared + redis.call('DEL', 'hermod:cached:' .. id)
  end
  redis.call('DEL', list)
  return cleared
end
""",
    even_when_full=True,
)


class AnswerStore:
    """Keeps entries and gets them back. Every method raises StoreError."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def get(self, owner: str | None, *ids: str) -> list[Entry | None]:
        """The owner's entries of these ids, at least one; None for what is not kept, or not readable (any more).

        An `owner` of "" is everybody; with None they are whoever's.
        """
        found = await self._store.call("MGET", *(CACHED + one for one in ids))
        return [self._read(owner, one, stored) for one, stored in zip(ids, found, strict=True)]

    async def keep(self, plan: CachePlan, entry: Entry, most_bytes: int) -> None:
        """Keep an answer for `plan.ttl_s` seconds; what expires next makes room when all are `most_bytes`."""
        stored = self._store.seal.close(entry.owner, pack(entry), *_place(plan.id))
        await self._store.run(_KEEP, plan.id, plan.shelf, plan.key, stored, plan.ttl_s, most_bytes)

    async def opened(self, plan: CachePlan, stored: bytes) -> bytes | None:
        """What is kept under the plan's id, packed as here; None, and forgotten, when that cannot be read any more."""
        try:
            return self._store.seal.open(plan.owner, stored, *_place(plan.id))
        except GatewayError:
            await self._store.call("DEL", CACHED + plan.id)
            return None

    def _read(self, owner: str | None, entry_id: str, stored: bytes | None) -> Entry | None:
        """None also for one that another version wrote, for what cannot be read is no answer."""
        try:
            return None if stored is None else unpack(self._store.seal.open(owner, stored, *_place(entry_id)))
        except (GatewayError, msgspec.MsgspecError):
            return None

    async def clear(self, entry_id: str, owner: str | None) -> bool:
        """Forget one answer, if it is the owner's or everybody's, or with None whoever's; False when there is none."""
        [entry] = await self.get(None, entry_id)
        if entry is None or (owner is not None and entry.owner not in {"", owner}):
            return False
        return bool(await self._store.call("DEL", CACHED + entry_id))

    async def clear_key(self, key: str, owner: str | None) -> int:
        """Forget all answers under a cache key, given as its digest: the owner's and everybody's, or whoever's."""
        if owner is None:
            shelves = [name.decode() for name in await self._store.call("SMEMBERS", f"hermod:shelves:{key}")]
        else:
            shelves = [shelf(owner, key), shelf("", key)]
        return sum([await self._store.run(_CLEAR, one) for one in shelves])


def _place(entry_id: str) -> tuple[str, str]:
    return "cached answer", entry_id
