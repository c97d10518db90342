"""Endpoints in Redis: those created at run time, and which have asked to be told no more.

hermod:webhooks        hash: name → endpoint, JSON, its secrets among it, under a seal
hermod:webhooks-gone   hash: name → Unix ms at which the endpoint, one of config.json or not, answered 410
hermod:webhooks        channel too: something has changed, told to every API process
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from shared.errors import Conflict, GatewayError, NotFound
from shared.job_values import pack
from shared.lanes import LUA
from shared.stores.redis import RedisStore, Script
from shared.webhook_scripts import TELL
from shared.webhook_settings import WebhookSettings

log = logging.getLogger("hermod.webhooks")

CHANGES = "hermod:webhooks"
_KEY, _GONE = "hermod:webhooks", "hermod:webhooks-gone"

_SAVE = Script(
    """
-- `before` is the record that it takes the place of, empty for none.
local function one(name, record, before)
  if (redis.call('HGET', 'hermod:webhooks', name) or '') ~= before then return 0 end
  redis.call('HSET', 'hermod:webhooks', name, record)
  redis.call('PUBLISH', 'hermod:webhooks', name)
  return 1
end
"""
)
_FORGET = Script(
    """
local function one(name)
  redis.call('HDEL', 'hermod:webhooks-gone', name)
  redis.call('PUBLISH', 'hermod:webhooks', name)
  return redis.call('HDEL', 'hermod:webhooks', name)
end
""",
    even_when_full=True,
)
_MARK = Script(
    """
local function one(name, at)
  if at == '' then redis.call('HDEL', 'hermod:webhooks-gone', name)
  else redis.call('HSET', 'hermod:webhooks-gone', name, at) end
  return redis.call('PUBLISH', 'hermod:webhooks', name)
end
""",
    even_when_full=True,
)
_TELL = Script(
    LUA
    + TELL
    + """
local function one(hook, body)
  deliver(cmsgpack.unpack(hook), body)
  return 1
end
"""
)

_PLACE = "webhook endpoint"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(WebhookSettings).decode


class WebhookRecords:
    """What is known of endpoints at run time. Every method may raise StoreError."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def all(self) -> dict[str, WebhookSettings]:
        """Those created at run time, by name; those that cannot be read are told of in the log."""
        found = {}
        for name, record in await self._hash(_KEY):
            try:
                found[name.decode()] = self._read(name.decode(), record)
            except GatewayError as error:
                log.error("webhook %s is told nothing: %s", name.decode(), error)  # noqa: TRY400 - says it all
        return found

    async def find(self, name: str) -> WebhookSettings | None:
        """One of them, None when there is no such. Raises GatewayError for one that cannot be read."""
        record = await self._store.call("HGET", _KEY, name)
        return None if record is None else self._read(name, record)

    async def add(self, endpoint: WebhookSettings) -> None:
        """A new one. Raises Conflict when the name is taken."""
        if not await self._store.run(_SAVE, endpoint.name, self._sealed(endpoint), ""):
            raise name_taken(endpoint.name)

    async def change(self, name: str, change: Callable[[WebhookSettings], WebhookSettings]) -> None:
        """Put what `change` makes of the endpoint in its place: of the newest, so that two changes at once both hold.

        Raises NotFound when it has been deleted, and what `change` raises.
        """
        while (before := await self._store.call("HGET", _KEY, name)) is not None:
            record = self._sealed(change(self._read(name, before)))
            if await self._store.run(_SAVE, name, record, before):
                return
        raise NotFound("It has been deleted meanwhile.")

    async def forget(self, name: str) -> None:
        """Delete it; what is still to be delivered to it is not."""
        await self._store.run(_FORGET, name)

    async def gone(self) -> dict[str, int]:
        """Endpoints that answered 410: by name, when, in Unix ms."""
        return {name.decode(): int(at_ms) for name, at_ms in await self._hash(_GONE)}

    async def is_gone(self, name: str) -> bool:
        """Whether the endpoint has answered 410 and was not brought back since."""
        return bool(await self._store.call("HEXISTS", _GONE, name))

    async def mark(self, name: str, gone_ms: int | None) -> None:
        """The endpoint has answered 410 at that time; or None: it may be sent to again."""
        await self._store.run(_MARK, name, "" if gone_ms is None else gone_ms)

    async def tell(self, hook: list[Any], body: bytes) -> None:
        """Line up a delivery, `hook` as `shared/webhook_events.py` makes it."""
        await self._store.run(_TELL, pack(hook), body)

    def _sealed(self, endpoint: WebhookSettings) -> bytes:
        return self._store.seal.close("", _encode(endpoint), _PLACE, endpoint.name)

    def _read(self, name: str, record: bytes) -> WebhookSettings:
        return _decode(self._store.seal.open("", record, _PLACE, name))

    async def _hash(self, key: str) -> list[tuple[bytes, bytes]]:
        found: Any = await self._store.call("HGETALL", key)
        return list(found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True))


def name_taken(name: str) -> Conflict:
    """There is another endpoint of that name."""
    return Conflict(f"name: {name!r} is the name of another endpoint.", param="name")
