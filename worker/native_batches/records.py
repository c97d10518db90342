"""How far batches at providers' batch APIs are, in Redis. Each write is one atomic step.

hermod:batch-native:<id>   hash: the `plan`, a group and number → part of the group, `done` and a shard → who has no
                           more to do in it; provider ids are nowhere else, and never shown
"""

from __future__ import annotations

import msgspec

from shared.batch_scripts import UNSTARTED_S
from shared.stores.redis import RedisStore, Script

_NATIVE = Script(
    """
local function one(job, fence, id, field, value)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return 0 end
  return redis.call('HSET', 'hermod:batch-native:' .. id, field, value) + 1
end
""",
    even_when_full=True,
)

_DONE = Script(
    """
local function one(job, fence, id, shard, who, many)
  if redis.call('GET', 'arq:in-progress:' .. job) ~= fence then return -1 end
  local key, field = 'hermod:batch-native:' .. id, 'done ' .. shard
  local held = redis.call('HGET', key, field) or ' '
  if not string.find(held, ' ' .. who .. ' ', 1, true) then
    held = held .. who .. ' '
    redis.call('HSET', key, field, held)
  end
  local _, count = string.gsub(held, '%S+', '')
  return count >= tonumber(many) and 1 or 0
end
""",
    even_when_full=True,
)

REST = -1
"""In place of a group's number: the items that are in none."""


class Group(msgspec.Struct, frozen=True):
    """The items of a batch that go to a provider's own batch API together: those for one model of one provider."""

    provider: str
    model: str


class Plan(msgspec.Struct, frozen=True):
    """What of a batch runs where.

    Attributes:
        groups: what goes to batch APIs.
        shards: for each shard the numbers of the groups that have items in it, and REST when there are others.
    """

    groups: tuple[Group, ...] = ()
    shards: tuple[tuple[int, ...], ...] = ()

    def members(self, shard: int) -> tuple[int, ...]:
        """Who has items in the shard."""
        return self.shards[shard] if self.groups else (REST,)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What of a group is one batch at the provider; times in Unix milliseconds, 0 for what has not happened.

    Attributes:
        first, until: the shards its items are in, `until` not among them.
        key: name of the provider key it is sent with.
        total: its items.
        intended_ms: when it was first about to be sent; it may be at the provider from then on.
        sent_ms: when it was last about to be sent.
        provider_id: the provider's own id, never shown; empty until its acceptance was heard of.
        closed_ms: since when its end is not waited for any longer.
        locked_out_ms: since when the provider has refused every key with which it was asked for.
        again_ms: when it is sent again, for the provider had no room for it; 0 once it is.
        refusals: how often the provider had no room.
        ended: nothing more comes of it.
    """

    first: int
    until: int
    key: str
    total: int
    intended_ms: int
    sent_ms: int
    provider_id: str = ""
    closed_ms: int = 0
    locked_out_ms: int = 0
    again_ms: int = 0
    refusals: int = 0
    ended: bool = False


_packer = msgspec.msgpack.Encoder()
_unpack_plan = msgspec.msgpack.Decoder(Plan).decode
_unpack_part = msgspec.msgpack.Decoder(Part).decode


class NativeRecords:
    """What workers know of groups and their parts; a fence is a lease's."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def decide(self, batch_id: str, plan: Plan) -> Plan:
        """Decide, once, what runs at providers' batch APIs: what was decided first."""
        key = f"hermod:batch-native:{batch_id}"
        await self._store.call("HSETNX", key, "plan", _packer.encode(plan))
        await self._store.call("EXPIRE", key, UNSTARTED_S)
        return await self.plan(batch_id)

    async def plan(self, batch_id: str) -> Plan:
        """What was decided; that all runs directly also when nothing was."""
        found = await self._store.call("HGET", f"hermod:batch-native:{batch_id}", "plan")
        return _unpack_plan(found) if found else Plan()

    async def parts(self, batch_id: str, group: int) -> list[Part]:
        """The parts of a group that were sent, or were about to be, in their order."""
        parts: list[Part] = []
        while found := await self._store.call("HGET", f"hermod:batch-native:{batch_id}", f"{group} {len(parts)}"):
            parts.append(_unpack_part(found))
        return parts

    async def note(self, job_id: str, fence: bytes, batch_id: str, group: int, number: int, part: Part) -> bool:
        """Note how far a part is; False when the fence no longer holds."""
        field = f"{group} {number}"
        return bool(await self._store.run(_NATIVE, job_id, fence, batch_id, field, _packer.encode(part)))

    async def done(self, job_id: str, fence: bytes, batch_id: str, plan: Plan, who: int, shard: int) -> int:
        """A group, or REST, has no more to do in a shard: 1 when nobody has, -1 when the fence no longer holds."""
        many = len(plan.members(shard))
        return int(await self._store.run(_DONE, job_id, fence, batch_id, shard, who, many))
