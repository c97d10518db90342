"""Reads the section `governance` of config.json: Bifrost's shape, and `client.required_headers` and `admin`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from shared import bifrost_settings
from shared.config_section import REFERENCE, Section
from shared.governance_settings import (
    ANY,
    PERIOD,
    AdminSettings,
    Budget,
    Customer,
    GovernanceSettings,
    ProviderConfig,
    RateLimit,
    RequiredHeader,
    Team,
    VirtualKey,
    expiry_ms,
)
from shared.masked import SettingsError
from shared.settings import ClientSettings

NANO = 1_000_000_000
_SHORTEST_TOKEN = 16
_SHORTEST_PASSWORD = 12
_ARGON2ID = "$argon2id$"
ADMIN_VARIABLES = frozenset({"HERMOD_ADMIN_PASSWORD", "HERMOD_ADMIN_TOKEN"})
MOST_DOLLARS = 9_000_000
"""Nano-dollars beyond it are no longer exact in Redis' scripts."""


class Governance:
    """The section `governance`; every method raises SettingsError."""

    def __init__(self, section: Section, client: ClientSettings, warnings: list[str]) -> None:
        self._section = section
        self._client = client
        self._warnings = warnings
        self._budgets = {each.text("id") or "": self._budget(each) for each in section.sections("budgets")}
        self._rate_limits = {each.text("id") or "": self._rate_limit(each) for each in section.sections("rate_limits")}
        self.customers = tuple(self._customer(each) for each in section.sections("customers"))
        self.teams = tuple(self._team(each) for each in section.sections("teams"))
        self.virtual_keys = self._virtual_keys()
        warnings += section.finish(bifrost_settings.GOVERNANCE)

    def _virtual_keys(self) -> tuple[VirtualKey, ...]:
        keys: list[VirtualKey] = []
        for index, section in enumerate(self._section.sections("virtual_keys"), start=1):
            key = self._virtual_key(section, section.text("name") or f"virtual-key-{index}")
            if not key.value:
                raise section.fail("value", "missing; give the key or a reference, as in env.TEAM_KEY")
            if not (key.value.isascii() and key.value.isprintable() and key.value == key.value.strip()):
                raise section.fail(
                    "value", "expected printable ASCII with no space at its ends: a header has to hold it"
                )
            for other in keys:
                if other.name == key.name:
                    raise section.fail("name", f'"{key.name}" is the name of an earlier key')
                if other.value == key.value:
                    raise section.fail("value", f'the same as that of "{other.name}"')
                if other.id == key.id:
                    raise section.fail("id", f'"{key.id}" is the id of an earlier key')
            keys.append(key)
            self._warnings += section.finish(bifrost_settings.VIRTUAL_KEY)
        return tuple(keys)

    def _virtual_key(self, section: Section, name: str) -> VirtualKey:
        key = VirtualKey(
            name=name,
            id=section.text("id") or name,
            value=section.text("value", secret=True) or "",
            active=section.flag("is_active", default=True),
            description=section.text("description") or "",
            expires_ms=_time(section, "expires_at"),
            provider_configs=self._provider_configs(section),
            budgets=self._budgets_of(section),
            rate_limit=self._rate_limit_of(section),
            team_id=_known(section, "team_id", self.teams),
            customer_id=_known(section, "customer_id", self.customers),
            weight=section.number("weight", 1.0),
            max_jobs=section.integer("max_jobs", self._client.max_jobs_per_key, least=1),
            max_running_jobs=section.integer("max_running_jobs", self._client.max_running_jobs_per_key),
        )
        if key.team_id and key.customer_id:
            raise section.fail("customer_id", "give either a team or a customer; the team says whose it is")
        return key

    def _provider_configs(self, section: Section) -> tuple[ProviderConfig, ...] | None:
        """None when the key may use every provider: that is said, or nothing is said of providers."""
        everything = section.flag("allow_all_providers", default=False)
        given = "provider_configs" in section
        configs = tuple(self._provider_config(each) for each in section.sections("provider_configs"))
        return configs if given and not everything else None

    def _provider_config(self, section: Section) -> ProviderConfig:
        provider = section.text("provider")
        if not provider:
            raise section.fail("provider", "missing; name the provider, as in openai")
        config = ProviderConfig(
            provider=provider,
            allowed_models=section.texts("allowed_models", (ANY,)),
            blacklisted_models=section.texts("blacklisted_models"),
            key_ids=section.texts("key_ids", (ANY,)),
            budgets=self._budgets_of(section),
            rate_limit=self._rate_limit_of(section),
        )
        self._warnings += section.finish(bifrost_settings.PROVIDER_CONFIG)
        return config

    def _team(self, section: Section) -> Team:
        team_id = _id(section)
        team = Team(
            id=team_id,
            name=section.text("name") or team_id,
            budgets=self._budgets_of(section),
            customer_id=_known(section, "customer_id", self.customers),
        )
        self._warnings += section.finish(bifrost_settings.TEAM)
        return team

    def _customer(self, section: Section) -> Customer:
        customer_id = _id(section)
        customer = Customer(id=customer_id, name=section.text("name") or customer_id, budgets=self._budgets_of(section))
        self._warnings += section.finish(bifrost_settings.TEAM)
        return customer

    # --- budgets and rate limits, in place or by their id -----------------------------------------------

    def _budgets_of(self, section: Section) -> tuple[Budget, ...]:
        found = [self._budget(each) for each in section.sections("budgets")]
        if "budget" in section:
            found.append(self._budget(section.section("budget")))
        if budget_id := section.text("budget_id"):
            if budget_id not in self._budgets:
                raise section.fail("budget_id", f'governance.budgets has no "{budget_id}"')
            found.append(self._budgets[budget_id])
        if len({(each.reset_duration, each.calendar_aligned) for each in found}) < len(found):
            raise section.fail("budgets", "two budgets have the same reset_duration; keep the smaller one")
        return tuple(found)

    def _rate_limit_of(self, section: Section) -> RateLimit | None:
        if limit_id := section.text("rate_limit_id"):
            if limit_id not in self._rate_limits:
                raise section.fail("rate_limit_id", f'governance.rate_limits has no "{limit_id}"')
            return self._rate_limits[limit_id]
        return self._rate_limit(section.section("rate_limit")) if "rate_limit" in section else None

    def _budget(self, section: Section) -> Budget:
        section.ignore("id")
        if "max_limit" not in section:
            raise section.fail("max_limit", "missing; the most that may be spent, in US dollars")
        dollars = section.number("max_limit", 0, above=None)
        if dollars > MOST_DOLLARS:
            raise section.fail("max_limit", f"expected at most {MOST_DOLLARS}")
        budget = Budget(
            max_limit=round(dollars * NANO),
            reset_duration=_period(section, "reset_duration", "1M"),
            calendar_aligned=section.flag("calendar_aligned", default=False),
        )
        self._warnings += section.finish(bifrost_settings.BUDGET)
        return budget

    def _rate_limit(self, section: Section) -> RateLimit:
        section.ignore("id")
        limit = RateLimit(
            token_max_limit=section.integer("token_max_limit", 0) if "token_max_limit" in section else None,
            token_reset_duration=_period(section, "token_reset_duration", "1m"),
            request_max_limit=section.integer("request_max_limit", 0) if "request_max_limit" in section else None,
            request_reset_duration=_period(section, "request_reset_duration", "1m"),
        )
        self._warnings += section.finish(bifrost_settings.RATE_LIMIT)
        return limit


def governance_settings(
    governance: Governance, doors: tuple[Section, Section] | None, environ: Mapping[str, str]
) -> GovernanceSettings:
    """All but the virtual keys. `doors` are `client` and `admin`, None where nobody is let in. Raises SettingsError."""
    shared = GovernanceSettings(teams=governance.teams, customers=governance.customers)
    if doors is None:
        return shared
    client, admin = doors
    read = replace(shared, required_headers=_required_headers(client), admin=_admin(admin, environ))
    admin.finish()
    return read


def _admin(admin: Section, environ: Mapping[str, str]) -> AdminSettings:
    token = admin.text("token", secret=True) or environ.get("HERMOD_ADMIN_TOKEN") or ""
    if token and len(token) < _SHORTEST_TOKEN:
        at = admin.at("token") if "token" in admin else "HERMOD_ADMIN_TOKEN"
        message = f"expected at least {_SHORTEST_TOKEN} characters; `openssl rand -hex 32` makes one"
        raise SettingsError(at, message)
    password_hash = admin.text("password_hash", secret=True) or ""
    if password_hash and not password_hash.startswith(_ARGON2ID):
        raise admin.fail("password_hash", "expected an argon2id hash; `hermod admin hash-password` makes one")
    password = "" if password_hash else environ.get("HERMOD_ADMIN_PASSWORD") or ""
    if password and len(password) < _SHORTEST_PASSWORD:
        raise SettingsError("HERMOD_ADMIN_PASSWORD", f"expected at least {_SHORTEST_PASSWORD} characters")
    return AdminSettings(
        token=token,
        password_hash=password_hash,
        password=password,
        show_content=admin.flag("show_content", default=False),
    )


def _required_headers(client: Section) -> tuple[RequiredHeader, ...]:
    if isinstance(client.raw("required_headers"), list):
        return tuple(RequiredHeader(name=name.lower()) for name in client.texts("required_headers"))
    section = client.section("required_headers")
    return tuple(_required_header(section, name) for name in section.names())


def _required_header(section: Section, name: str) -> RequiredHeader:
    if REFERENCE.fullmatch(str(section.raw(name))):
        return RequiredHeader(name=name.lower(), value=section.text(name, secret=True) or "")
    pattern = section.text(name) or ANY
    if pattern == ANY:
        return RequiredHeader(name=name.lower())
    try:
        re.compile(pattern)
    except re.error as error:
        raise section.fail(name, f"not a regular expression: {error}") from error
    return RequiredHeader(name=name.lower(), pattern=pattern)


def _id(section: Section) -> str:
    found = section.text("id")
    if not found:
        raise section.fail("id", "missing; keys refer to it")
    return found


def _known(section: Section, key: str, among: tuple[Team, ...] | tuple[Customer, ...]) -> str:
    name = section.text(key) or ""
    if name and all(each.id != name for each in among):
        kind = key.removesuffix("_id")
        raise section.fail(key, f'governance.{kind}s has no "{name}"')
    return name


def _period(section: Section, key: str, default: str) -> str:
    period = section.text(key) or default
    if not PERIOD.fullmatch(period):
        raise section.fail(key, f'expected a period such as 1m, 5h, 1d, 1w, 1M, 1Q or 1Y, got "{period[:40]}"')
    return period


def _time(section: Section, key: str) -> int | None:
    text = section.text(key)
    if text is None:
        return None
    try:
        return expiry_ms(datetime.fromisoformat(text))
    except ValueError as error:
        raise section.fail(key, "expected a time such as 2027-01-31T00:00:00Z") from error
