"""Sessions of administrators, and how often a password may be tried. In Redis, for any API process may be asked.

hermod:session:<digest of epoch and id>  the session's CSRF token; expires with it
hermod:logins:<network>                  passwords tried from there in the last while
"""

from __future__ import annotations

import ipaddress
import secrets

import msgspec

from shared.errors import LimitExceeded
from shared.ids import digest
from shared.stores.redis import RedisStore, Script

SESSION_S = 12 * 3600
TRIES = 10
TRIES_S = 900
"""So many wrong passwords in so many seconds from one address, or one IPv6 network of 64 bits."""

_TRY = Script(
    """
local function one(who, ttl)
  local key = 'hermod:logins:' .. who
  local count = redis.call('INCR', key)
  if count == 1 then redis.call('EXPIRE', key, ttl) end
  return {count, redis.call('TTL', key)}
end
""",
    even_when_full=True,
)


class Session(msgspec.Struct, frozen=True):
    """Somebody who is signed in.

    Attributes:
        id: what the cookie holds; Redis knows a digest of it only.
        csrf: what every change must be sent with.
    """

    id: str
    csrf: str


class Sessions:
    """Those of one epoch, see Secrets. Every method may raise StoreError."""

    def __init__(self, store: RedisStore, epoch: bytes) -> None:
        self._store = store
        self._epoch = epoch

    async def begin(self) -> Session:
        """A new one."""
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        await self._store.call("SET", self._key(session.id), session.csrf, "EX", SESSION_S)
        return session

    async def find(self, session_id: str) -> Session | None:
        """The one with this id, None when there is none (any more)."""
        csrf = await self._store.call("GET", self._key(session_id)) if session_id else None
        return None if csrf is None else Session(session_id, csrf.decode())

    async def end(self, session_id: str) -> None:
        """Sign out."""
        await self._store.call("DEL", self._key(session_id))

    async def count_try(self, peer: str) -> None:
        """Before a password is looked at. Raises LimitExceeded after TRIES of them."""
        count, left_s = await self._store.run(_TRY, _network(peer), TRIES_S)
        if count > TRIES:
            minutes = max(1, round(left_s / 60))
            message = f"Too many wrong passwords from {peer}; try again in {minutes} minutes."
            raise LimitExceeded(message, code="too_many_logins", retry_after_s=left_s)

    async def forgive(self, peer: str) -> None:
        """The password was right."""
        await self._store.call("DEL", "hermod:logins:" + _network(peer))

    def _key(self, session_id: str) -> str:
        return "hermod:session:" + digest(self._epoch, session_id.encode())


def _network(peer: str) -> str:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
