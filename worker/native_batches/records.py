"""How far batches at providers' batch APIs are, in Redis. Each write is one atomic step.

hermod:batch-native:<id>   hash: `groups` that run at a batch API, a group and number → part of it, `ended` and a
                           group → 1; provider ids are nowhere else, and never shown
"""

from __future__ import annotations

import msgspec

from shared.batch_records import UNSTARTED_S
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


class Group(msgspec.Struct, frozen=True):
    """The items of a batch that go to a provider's own batch API together: those for one model of one provider."""

    provider: str
    model: str


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
    ended: bool = False


_packer = msgspec.msgpack.Encoder()
_unpack_groups = msgspec.msgpack.Decoder(tuple[Group, ...]).decode
_unpack_part = msgspec.msgpack.Decoder(Part).decode


class NativeRecords:
    """What workers know of groups and their parts; a fence is a lease's."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def decide(self, batch_id: str, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """Decide, once, what runs at providers' batch APIs: what was decided first."""
        key = f"hermod:batch-native:{batch_id}"
        await self._store.call("HSETNX", key, "groups", _packer.encode(groups))
        await self._store.call("EXPIRE", key, UNSTARTED_S)
        return await self.groups(batch_id) or groups

    async def groups(self, batch_id: str) -> tuple[Group, ...]:
        """What was decided; empty also when nothing was."""
        found = await self._store.call("HGET", f"hermod:batch-native:{batch_id}", "groups")
        return _unpack_groups(found) if found else ()

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

    async def end(self, job_id: str, fence: bytes, batch_id: str, group: int, groups: int) -> int:
        """A group has ended: how many of `groups` have not; -1 when the fence no longer holds."""
        if not await self._store.run(_NATIVE, job_id, fence, batch_id, f"ended {group}", b"1"):
            return -1
        fields = [f"ended {number}" for number in range(groups)]
        ended: list[bytes | None] = await self._store.call("HMGET", f"hermod:batch-native:{batch_id}", *fields)
        return ended.count(None)
