"""Virtual keys, teams and customers managed: created, shown with what they have used, changed, revoked, deleted.

What config.json sets can be shown here, and changed there only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from api import admin_views as views
from api.admin_bodies import changed_customer, changed_key, changed_team
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.governance import Grant, customer_meters, owner_of_digest, team_meters
from shared.governance_keyring import Keyring
from shared.governance_meters import Meter, Reading, read_meter
from shared.governance_records import CUSTOMERS, KEYS, TEAMS, GovernanceRecords, Shelf, new_value
from shared.governance_settings import Customer, Team, VirtualKey
from shared.ids import digest, job_id, now_ms
from shared.settings import Settings
from shared.stores.redis import RedisStore

View = dict[str, Any]
_MOST_NAMED = 5
S = TypeVar("S", Team, Customer)


class Meters:
    """Reads meters, many in one round trip."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def read(self, meters: Iterable[Meter]) -> dict[str, Reading]:
        """By name. Raises StoreError."""
        found = await asyncio.gather(*(read_meter(self._store, meter) for meter in meters))
        return {reading.meter.name: reading for reading in found}


class KeyDesk:
    """Virtual keys. Every method may raise StoreError."""

    def __init__(self, keyring: Keyring, records: GovernanceRecords, meters: Meters, settings: Settings) -> None:
        self._keyring = keyring
        self._shelf = records.keys
        self._meters = meters
        self._client = settings.client
        self._providers = settings.providers

    async def create(self, body: bytes) -> View:
        """A new key, shown with its value this once. Raises InvalidRequest, Conflict."""
        usual = VirtualKey(
            name="", max_jobs=self._client.max_jobs_per_key, max_running_jobs=self._client.max_running_jobs_per_key
        )
        key, value = self._checked(changed_key(usual, body)), new_value()
        if key.expires_ms is not None and key.expires_ms <= now_ms():
            raise InvalidRequest("expires_at: expected a time to come.", param="expires_at")
        key = replace(key, hash=digest(value.encode()))
        owner = owner_of_digest(key.hash)
        key = replace(key, id=f"vk_{owner.removeprefix('vk:')}")
        await self._shelf.add(owner, key)
        await self._keyring.refresh(KEYS, owner)
        return await self._shown(self._found(key.id), value)

    async def all(self) -> list[View]:
        """All keys, by name."""
        grants = self._keyring.grants()
        readings = await self._meters.read(meter for grant in grants for meter in grant.meters())
        return [views.key_view(grant.key, readings, configured=self._configured(grant)) for grant in grants]

    async def show(self, key_id: str) -> View:
        """One key. Raises NotFound."""
        return await self._shown(self._found(key_id))

    async def change(self, key_id: str, body: bytes) -> View:
        """The key with what the body says. Raises NotFound, InvalidRequest, Conflict."""
        return await self._put(self._own(key_id), lambda key: self._checked(changed_key(key, body), key))

    async def revoke(self, key_id: str) -> View:
        """The key, no longer active. Raises NotFound, Conflict."""
        return await self._put(self._own(key_id), lambda key: replace(key, active=False))

    async def delete(self, key_id: str) -> View:
        """The key is gone, as if it had never been; its jobs are refused. Raises NotFound, Conflict."""
        grant = self._own(key_id)
        await self._shelf.forget(grant.owner)
        await self._keyring.refresh(KEYS, grant.owner)
        return {"id": grant.key.id, "object": "virtual_key", "deleted": True}

    async def _put(self, grant: Grant, change: Callable[[VirtualKey], VirtualKey]) -> View:
        await self._shelf.change(grant.owner, change)
        await self._keyring.refresh(KEYS, grant.owner)
        return await self._shown(self._found(grant.key.id))

    async def _shown(self, grant: Grant, value: str = "") -> View:
        readings = await self._meters.read(grant.meters())
        return views.key_view(grant.key, readings, configured=self._configured(grant), value=value)

    def _checked(self, key: VirtualKey, before: VirtualKey | None = None) -> VirtualKey:
        """Raises InvalidRequest for what newly refers to nothing, Conflict for a name that is taken."""
        known = before or VirtualKey(name="")
        named = {config.provider for config in known.provider_configs or ()}
        for config in key.provider_configs or ():
            if self._providers and config.provider not in {*self._providers, *named}:
                there = ", ".join(self._providers)
                message = f"provider_configs: there is no provider {config.provider!r}; there are: {there}."
                raise InvalidRequest(message, param="provider_configs")
        _check_reference("team_id", key.team_id, self._keyring.teams, known.team_id)
        _check_reference("customer_id", key.customer_id, self._keyring.customers, known.customer_id)
        if any(grant.key.name == key.name and grant.key.id != key.id for grant in self._keyring.grants()):
            raise Conflict(f"name: {key.name!r} is the name of another key.", param="name")
        return key

    def _found(self, key_id: str) -> Grant:
        grant = self._keyring.grant(key_id)
        if grant is None:
            raise NotFound("There is no such virtual key.", code="virtual_key_not_found")
        return grant

    def _own(self, key_id: str) -> Grant:
        grant = self._found(key_id)
        if self._configured(grant):
            raise _not_here(f"governance.virtual_keys ({grant.key.name!r})")
        return grant

    def _configured(self, grant: Grant) -> bool:
        return self._keyring.is_set(KEYS, grant.owner)


class SharedDesk(Generic[S]):
    """Teams, or customers. Every method may raise StoreError."""

    def __init__(
        self,
        keyring: Keyring,
        meters: Meters,
        *,
        kind: str,
        shelf: Shelf[S],
        change: Callable[[S, bytes], S],
        meters_of: Callable[[S], tuple[Meter, ...]],
        empty: S,
    ) -> None:
        self._keyring = keyring
        self._meters = meters
        self._kind = kind
        self._word = kind.removesuffix("s")
        self._shelf: Shelf[S] = shelf
        self._change: Callable[[S, bytes], S] = change
        self._meters_of: Callable[[S], tuple[Meter, ...]] = meters_of
        self._empty: S = empty

    async def create(self, body: bytes) -> View:
        """A new one; without an `id` it is given one. Raises InvalidRequest, Conflict."""
        shared = self._checked(self._change(self._empty, body))
        if not shared.id:
            shared = replace(shared, id=f"{self._word}_{job_id().replace('-', '')}")
        if shared.id in self._there():
            raise Conflict(f"id: {shared.id!r} exists already; choose another, or change that one.", param="id")
        await self._shelf.add(shared.id, shared)
        return await self._fresh(shared.id)

    async def all(self) -> list[View]:
        """All of them, by id."""
        found = [self._there()[name] for name in sorted(self._there())]
        readings = await self._meters.read(meter for each in found for meter in self._meters_of(each))
        return [views.shared_view(each, readings, configured=self._configured(each.id)) for each in found]

    async def show(self, name: str) -> View:
        """One. Raises NotFound."""
        shared = self._found(name)
        readings = await self._meters.read(self._meters_of(shared))
        return views.shared_view(shared, readings, configured=self._configured(name))

    async def change(self, name: str, body: bytes) -> View:
        """It with what the body says. Raises NotFound, InvalidRequest, Conflict."""
        self._own(name)
        await self._shelf.change(name, lambda shared: self._checked(self._change(shared, body), shared))
        return await self._fresh(name)

    async def delete(self, name: str) -> View:
        """It is gone. Raises NotFound; Conflict while something shares its budgets, which would have no limit then."""
        self._own(name)
        if sharing := self._sharing(name):
            named = ", ".join(sharing[:_MOST_NAMED]) + (", …" if len(sharing) > _MOST_NAMED else "")
            message = f"{len(sharing)} share the budgets of this {self._word} ({named}); move or delete them first."
            raise Conflict(message, code=f"{self._word}_in_use")
        await self._shelf.forget(name)
        await self._keyring.refresh(self._kind, name)
        return {"id": name, "object": self._word, "deleted": True}

    async def _fresh(self, name: str) -> View:
        await self._keyring.refresh(self._kind, name)
        return await self.show(name)

    def _checked(self, shared: S, before: S | None = None) -> S:
        if isinstance(shared, Team):
            known = before.customer_id if isinstance(before, Team) else ""
            _check_reference("customer_id", shared.customer_id, self._keyring.customers, known)
        return shared

    def _sharing(self, name: str) -> list[str]:
        """The keys and teams that name it, as people know them."""
        members: list[VirtualKey | Team] = [grant.key for grant in self._keyring.grants()]
        members += [] if self._kind == TEAMS else self._keyring.teams.values()
        return [each.name or each.id for each in members if getattr(each, f"{self._word}_id") == name]

    def _found(self, name: str) -> S:
        if name not in self._there():
            raise NotFound(f"There is no such {self._word}.")
        return self._there()[name]

    def _own(self, name: str) -> S:
        shared = self._found(name)
        if self._configured(name):
            raise _not_here(f"governance.{self._kind} ({name!r})")
        return shared

    def _there(self) -> dict[str, S]:
        return self._keyring.teams if self._kind == TEAMS else self._keyring.customers  # type: ignore[return-value]

    def _configured(self, name: str) -> bool:
        return self._keyring.is_set(self._kind, name)


def team_desk(keyring: Keyring, records: GovernanceRecords, meters: Meters) -> SharedDesk[Team]:
    """Teams."""
    return SharedDesk(
        keyring,
        meters,
        kind=TEAMS,
        shelf=records.teams,
        change=changed_team,
        meters_of=team_meters,
        empty=Team(id=""),
    )


def customer_desk(keyring: Keyring, records: GovernanceRecords, meters: Meters) -> SharedDesk[Customer]:
    """Customers."""
    return SharedDesk(
        keyring,
        meters,
        kind=CUSTOMERS,
        shelf=records.customers,
        change=changed_customer,
        meters_of=customer_meters,
        empty=Customer(id=""),
    )


def _check_reference(field: str, name: str, among: Mapping[str, object], known: str) -> None:
    """Raises InvalidRequest for a name that is not there and was not so before: config.json may have lost it since."""
    if name and name not in among and name != known:
        raise InvalidRequest(f"{field}: there is no {name!r}; create it first.", param=field)


def _not_here(what: str) -> Conflict:
    return Conflict(f"It is set in config.json, {what}; change it there.", code="set_in_configuration")
