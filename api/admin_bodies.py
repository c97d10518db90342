"""What the administration is sent: JSON bodies to virtual keys, teams and customers. Bifrost's names of the fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict, replace

from shared.config_governance import MOST_DOLLARS, NANO
from shared.dialects.openai_errors import decode, invalid
from shared.governance_settings import (
    ANY,
    PERIOD,
    Budget,
    Customer,
    ProviderConfig,
    RateLimit,
    Team,
    VirtualKey,
    expiry_ms,
)

MOST = 100
"""Entries of any list here."""

_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Period = Annotated[str, Meta(pattern=f"^{PERIOD.pattern}$")]
_Names = Annotated[list[_Name], Meta(max_length=10_000)]
_Whole = Annotated[int, Meta(ge=0, le=2**52)]

T = TypeVar("T", VirtualKey, Team, Customer)


class _Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class BudgetBody(_Strict, frozen=True):
    """See Budget; `max_limit` in US dollars."""

    max_limit: Annotated[float, Meta(ge=0, le=MOST_DOLLARS)]
    reset_duration: _Period = "1M"
    calendar_aligned: bool = False


class RateLimitBody(_Strict, frozen=True):
    """See RateLimit."""

    token_max_limit: _Whole | None = None
    token_reset_duration: _Period = "1m"  # noqa: S105 - tokens of text
    request_max_limit: _Whole | None = None
    request_reset_duration: _Period = "1m"


_Budgets = Annotated[list[BudgetBody], Meta(max_length=MOST)]


class ProviderConfigBody(_Strict, frozen=True):
    """See ProviderConfig."""

    provider: _Name
    allowed_models: _Names = msgspec.field(default_factory=lambda: [ANY])
    blacklisted_models: _Names = msgspec.field(default_factory=list)
    key_ids: _Names = msgspec.field(default_factory=lambda: [ANY])
    budgets: _Budgets = msgspec.field(default_factory=list)
    rate_limit: RateLimitBody | None = None


class KeyBody(_Strict, frozen=True):
    """See VirtualKey; what is left out stays as it is, or is as in config.json."""

    name: _Name | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    delete_after_expire: bool | UnsetType = UNSET
    allow_all_providers: bool | UnsetType = UNSET
    provider_configs: Annotated[list[ProviderConfigBody], Meta(max_length=MOST)] | UnsetType | None = UNSET
    budgets: _Budgets | UnsetType = UNSET
    rate_limit: RateLimitBody | UnsetType | None = UNSET
    team_id: str | UnsetType = UNSET
    customer_id: str | UnsetType = UNSET
    weight: Annotated[float, Meta(gt=0, le=1e6)] | UnsetType = UNSET
    max_jobs: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    max_running_jobs: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class SharedBody(_Strict, frozen=True):
    """See Team and Customer; a customer has no `customer_id`."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | UnsetType = UNSET
    name: _Name | UnsetType = UNSET
    budgets: _Budgets | UnsetType = UNSET
    customer_id: str | UnsetType = UNSET


_KEY = msgspec.json.Decoder(KeyBody)
_SHARED = msgspec.json.Decoder(SharedBody)


def changed_key(key: VirtualKey, body: bytes) -> VirtualKey:
    """The key with what the body says. Raises InvalidRequest naming the field."""
    given = decode(_KEY, body)
    changes = _given(given, but={"is_active", "expires_at", "allow_all_providers"})
    if given.is_active is not UNSET:
        changes["active"] = given.is_active
    if given.expires_at is not UNSET:
        changes["expires_ms"] = given.expires_at and expiry_ms(given.expires_at)
    if isinstance(given.provider_configs, list):
        changes["provider_configs"] = tuple(map(_provider_config, given.provider_configs))
    if given.allow_all_providers is True:
        changes["provider_configs"] = None
    if given.rate_limit is not UNSET:
        changes["rate_limit"] = _rate_limit(given.rate_limit)
    if given.budgets is not UNSET:
        changes["budgets"] = _budgets(given.budgets, "budgets")
    return _checked(replace(key, **changes))


def changed_team(team: Team, body: bytes) -> Team:
    """The team with what the body says. Raises InvalidRequest naming the field."""
    return _changed(team, decode(_SHARED, body))


def changed_customer(customer: Customer, body: bytes) -> Customer:
    """The customer with what the body says. Raises InvalidRequest naming the field."""
    given = decode(_SHARED, body)
    if given.customer_id is not UNSET:
        raise invalid("customer_id", "a customer has none; only teams and keys have")
    return _changed(customer, given)


def _changed(shared: T, given: SharedBody) -> T:
    changes = _given(given, but=set())
    if shared.id and given.id not in {UNSET, shared.id}:
        raise invalid("id", "cannot be changed; what was spent is counted under it")
    if given.budgets is not UNSET:
        changes["budgets"] = _budgets(given.budgets, "budgets")
    return replace(shared, **changes)


def _given(body: KeyBody | SharedBody, but: set[str]) -> dict[str, Any]:
    return {name: value for name, value in asdict(body).items() if value is not UNSET and name not in but}


def _checked(key: VirtualKey) -> VirtualKey:
    if not key.name:
        raise invalid("name", "missing required field")
    if key.team_id and key.customer_id:
        raise invalid("customer_id", "give either a team or a customer; the team says whose it is")
    providers = [config.provider for config in key.provider_configs or ()]
    if len(set(providers)) < len(providers):
        raise invalid("provider_configs", "a provider is named twice")
    return key


def _provider_config(body: ProviderConfigBody) -> ProviderConfig:
    return ProviderConfig(
        provider=body.provider,
        allowed_models=tuple(body.allowed_models),
        blacklisted_models=tuple(body.blacklisted_models),
        key_ids=tuple(body.key_ids),
        budgets=_budgets(body.budgets, f"provider_configs ({body.provider}) budgets"),
        rate_limit=_rate_limit(body.rate_limit),
    )


def _budgets(bodies: list[BudgetBody], at: str) -> tuple[Budget, ...]:
    if len({(body.reset_duration, body.calendar_aligned) for body in bodies}) < len(bodies):
        raise invalid(at, "two have the same reset_duration; keep the smaller one")
    return tuple(Budget(**{**asdict(body), "max_limit": round(body.max_limit * NANO)}) for body in bodies)


def _rate_limit(body: RateLimitBody | None) -> RateLimit | None:
    return None if body is None else RateLimit(**asdict(body))
