"""Virtual keys, teams and customers that are created at run time, in Redis.

hermod:governance:keys       hash: owner → virtual key, JSON; of the key itself only its SHA-256
hermod:governance:teams      hash: id → team, JSON
hermod:governance:customers  hash: id → customer, JSON
hermod:governance:closed     set once a virtual key has been created: from then on an unknown one is refused
hermod:governance            channel: `<kind> <owner or id>` of what has changed, told to every API and worker process

A virtual key is `sk-bf-` and 256 random bits, shown once. Bits nobody can guess need no slow hash and no salt, hence
SHA-256: what is read out of Redis opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from shared.errors import Conflict, NotFound
from shared.governance_settings import Customer, Team, VirtualKey
from shared.stores.redis import RedisStore, Script

CHANGES = "hermod:governance"
KEYS, TEAMS, CUSTOMERS = "keys", "teams", "customers"

T = TypeVar("T", VirtualKey, Team, Customer)

_SAVE = Script(
    """
-- `before` is the record that it takes the place of, empty for none.
local function one(kind, id, record, before)
  local key = 'hermod:governance:' .. kind
  if (redis.call('HGET', key, id) or '') ~= before then return 'another' end
  redis.call('HSET', key, id, record)
  if kind == 'keys' then redis.call('SET', 'hermod:governance:closed', '1') end
  redis.call('PUBLISH', 'hermod:governance', kind .. ' ' .. id)
  return 'saved'
end
"""
)

_FORGET = Script(
    """
local function one(kind, id)
  local found = redis.call('HDEL', 'hermod:governance:' .. kind, id)
  if found == 1 then redis.call('PUBLISH', 'hermod:governance', kind .. ' ' .. id) end
  return found
end
""",
    even_when_full=True,
)

_encode = msgspec.json.Encoder().encode


def new_value() -> str:
    """A virtual key nobody can guess."""
    return f"sk-bf-{secrets.token_urlsafe(32)}"


class Shelf(Generic[T]):
    """All records of one kind; StoreError may come out of every method."""

    def __init__(self, store: RedisStore, kind: str, of: type[T]) -> None:
        self._store = store
        self._kind = kind
        self._key = f"hermod:governance:{kind}"
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(of).decode

    async def all(self) -> dict[str, T]:
        """Every record, by owner or id."""
        found: Any = await self._store.call("HGETALL", self._key)
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): self._decode(record) for name, record in pairs}

    async def find(self, name: str) -> T | None:
        """One record, None when there is no such."""
        record = await self._store.call("HGET", self._key, name)
        return None if record is None else self._decode(record)

    async def add(self, name: str, record: T) -> None:
        """A new record. Raises Conflict when the name is taken."""
        if await self._store.run(_SAVE, self._kind, name, _encode(record), "") != b"saved":
            raise Conflict(f"id: {name!r} exists already; choose another, or change that one.", param="id")

    async def change(self, name: str, change: Callable[[T], T]) -> None:
        """Put what `change` makes of the record in its place: of the newest, so that two changes at once both hold.

        Raises NotFound when it has been deleted, and what `change` raises.
        """
        while (before := await self._store.call("HGET", self._key, name)) is not None:
            record = _encode(change(self._decode(before)))
            if await self._store.run(_SAVE, self._kind, name, record, before) == b"saved":
                return
        raise NotFound("It has been deleted meanwhile.")

    async def forget(self, name: str) -> bool:
        """Delete it; False when there was none."""
        return bool(await self._store.run(_FORGET, self._kind, name))


class GovernanceRecords:
    """The three kinds."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.keys = Shelf(store, KEYS, VirtualKey)
        self.teams = Shelf(store, TEAMS, Team)
        self.customers = Shelf(store, CUSTOMERS, Customer)

    async def delete_expired(self, now_ms: int) -> int:
        """Delete the keys that are to be once they have expired: how many. Raises StoreError."""
        gone = [
            owner
            for owner, key in (await self.keys.all()).items()
            if key.delete_after_expire and key.expires_ms is not None and key.expires_ms <= now_ms
        ]
        return sum([await self.keys.forget(owner) for owner in gone])

    async def closed(self) -> bool:
        """Whether a virtual key has ever been created. Raises StoreError."""
        return bool(await self._store.call("EXISTS", "hermod:governance:closed"))
