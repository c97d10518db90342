"""All virtual keys in memory, in every API and worker process: those of config.json and those created at run time.

What changes at run time is heard over pub/sub, within milliseconds; whoever was cut off from Redis reads everything
again when it is back. A key of config.json goes before one created under the same value.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TypeVar

from shared.errors import Conflict, GatewayError, NotAuthenticated, NotPermitted, StoreError
from shared.governance import Grant, owner_of_digest
from shared.governance_records import CHANGES, KEYS, TEAMS, GovernanceRecords
from shared.governance_settings import Customer, Team, VirtualKey
from shared.ids import digest, now_ms
from shared.settings import Settings
from shared.stores.redis import RedisStore, listen

log = logging.getLogger("hermod.governance")

T = TypeVar("T")

AGAIN_S = 0.2
"""Pause between tries while Redis is away."""


class Keyring:
    """Knows every key by its owner.

    Attributes:
        records: those created at run time, as Redis holds them; None for a keyring of config.json alone.
        teams: by id, of config.json and of the records.
        customers: likewise.
        keys: of config.json and of the records, by owner.
    """

    def __init__(self, settings: Settings, store: RedisStore | None = None) -> None:
        self.records = None if store is None else GovernanceRecords(store)
        self._store = store
        governance = settings.governance
        self._own_keys = {owner_of_digest(key.digest): key for key in settings.virtual_keys}
        self._own_teams = {team.id: team for team in governance.teams}
        self._own_customers = {customer.id: customer for customer in governance.customers}
        self.keys: dict[str, VirtualKey] = dict(self._own_keys)
        self.teams: dict[str, Team] = dict(self._own_teams)
        self.customers: dict[str, Customer] = dict(self._own_customers)
        self._grants: dict[str, Grant] = {}
        self._closed = bool(self.keys)
        self._loaded = store is None
        self._listener: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()  # one after another: what was read first must not be put in place last
        self._build()

    async def open(self) -> None:
        """Read what there is and begin to listen; while Redis is away what is not known yet is a 503."""
        try:
            await self._load()
        except StoreError as error:
            log.warning("virtual keys that were made at run time are not known yet: %s", error)
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._listener:
            self._listener.cancel()
            await asyncio.wait([self._listener])

    # --- who is it ------------------------------------------------------------------------------------

    def of_value(self, value: str) -> tuple[str, Grant | None]:
        """Owner and grant of a key that a client sent; None for any key while none was ever listed or created.

        Raises:
            NotAuthenticated: it is unknown.
            NotPermitted: it is not active, or has expired.
            StoreError: which keys there are has not been read yet.
        """
        sent = digest(value.encode())
        owner = owner_of_digest(sent)
        grant = self._grants.get(owner)
        if grant is not None and hmac.compare_digest(grant.key.digest, sent):
            if error := grant.standing(now_ms()):
                raise error
            return owner, grant
        if not self._loaded:
            raise StoreError("The virtual keys have not been read yet; try again.", retry_after_s=1)
        if self._closed:
            message = "The virtual key is unknown to this gateway; check it, or ask whoever issued it."
            raise NotAuthenticated(message, code="virtual_key_unknown")
        return owner, None

    async def of_owner(self, owner: str) -> Grant | None:
        """The grant of who submitted a job; None where every key is accepted, or none was sent.

        A key that was created a moment ago may not have been heard of yet, so Redis is asked about an unknown one.

        Raises:
            NotPermitted: the key has been deleted, is not active, or has expired.
            StoreError: Redis is away.
        """
        if not owner.startswith("vk:"):
            return None
        if owner not in self._grants and self.records is not None:
            if not self._loaded:
                await self._load()
            elif await self.records.keys.find(owner) is not None:  # nobody queues behind others' unknown keys
                await self._hear(f"{KEYS} {owner}")
        grant = self._grants.get(owner)
        error: GatewayError | None
        if grant is not None:
            error = grant.standing(now_ms())
        else:
            error = NotPermitted("The virtual key has been deleted.", code="access_blocked") if self._closed else None
        if error:
            raise error
        return grant

    # --- what there is --------------------------------------------------------------------------------

    def grants(self) -> list[Grant]:
        """All of them, by name."""
        return sorted(self._grants.values(), key=lambda grant: grant.key.name)

    def grant(self, shown: str) -> Grant | None:
        """The one with this id, else the one of this name. Raises Conflict when several were made with it at once."""
        grants = self._grants.values()
        found = [grant for grant in grants if grant.key.shown == shown]
        found = found or [grant for grant in grants if grant.key.name == shown]
        if len(found) > 1:
            ids = ", ".join(grant.key.id for grant in found)
            raise Conflict(
                f"There are {len(found)} keys of that name; give the id of one: {ids}.", code="name_ambiguous"
            )
        return found[0] if found else None

    def is_set(self, kind: str, name: str) -> bool:
        """Whether a key (by owner), team or customer is config.json's, and so not to be changed at run time."""
        if kind == KEYS:
            return name in self._own_keys
        return name in (self._own_teams if kind == TEAMS else self._own_customers)

    async def refresh(self, kind: str, name: str) -> None:
        """Read what this process has just changed, so that it need not wait to hear of it. Raises StoreError."""
        await self._hear(f"{kind} {name}")

    # --- keeping up -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        assert self._store is not None, "opened only with a store"  # noqa: S101 - see open
        async for message in listen(self._store.url, CHANGES):
            while True:
                try:
                    await (self._load() if message is None else self._hear(message.decode()))
                except StoreError:
                    await asyncio.sleep(AGAIN_S)
                else:
                    break

    async def _load(self) -> None:
        assert self.records is not None, "opened only with a store"  # noqa: S101 - see open
        records = self.records
        async with self._reading:
            keys, teams, customers, closed = await asyncio.gather(
                records.keys.all(), records.teams.all(), records.customers.all(), records.closed()
            )
            self.keys = {**keys, **self._own_keys}
            self.teams = {**teams, **self._own_teams}
            self.customers = {**customers, **self._own_customers}
            self._closed = self._closed or closed
            self._build()
            self._loaded = True
        self._tell_unlimited()

    async def _hear(self, change: str) -> None:
        """Read one record again; what shares a budget is worked out anew."""
        assert self.records is not None, "opened only with a store"  # noqa: S101 - see open
        kind, _, name = change.partition(" ")
        if self.is_set(kind, name):
            return
        async with self._reading:
            if kind == KEYS:
                _put(self.keys, name, await self.records.keys.find(name))
                self._closed = self._closed or name in self.keys
                self._grants.pop(name, None)
                if name in self.keys:
                    self._grants[name] = Grant(self.keys[name], self.teams, self.customers)
                return
            if kind == TEAMS:
                _put(self.teams, name, await self.records.teams.find(name))
            else:
                _put(self.customers, name, await self.records.customers.find(name))
            self._build()

    def _tell_unlimited(self) -> None:
        """Log what names a team or customer that is gone, for instance from config.json: its limits are gone too."""
        teams, customers = {"", *self.teams}, {"", *self.customers}
        lost = [key.name for key in self.keys.values() if not (key.team_id in teams and key.customer_id in customers)]
        lost += [team.name or team.id for team in self.teams.values() if team.customer_id not in customers]
        if lost:
            log.warning(
                "%d name a team or customer that is gone, whose budgets limit them no more: %r", len(lost), lost[:5]
            )

    def _build(self) -> None:
        self._grants = {owner: Grant(key, self.teams, self.customers) for owner, key in self.keys.items()}


def _put(into: dict[str, T], name: str, found: T | None) -> None:
    into.pop(name, None)
    if found is not None:
        into[name] = found
