"""What an operator can set about callers: section `governance` of config.json, and what is created at run time.

`shared/config_governance.py` reads the former, `shared/governance_records.py` keeps the latter. Money is whole
nano-US-dollars (1e-9 USD), as everywhere.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from shared.ids import digest
from shared.masked import Masked

PERIOD = re.compile(r"([1-9][0-9]{0,3})([smhdwMQY])")
"""A length of time in Bifrost's spelling: `30s`, `1m`, `5h`, `1d`, `1w`, and `1M`, `1Q`, `1Y`."""

ANY = "*"


def expiry_ms(time: datetime) -> int:
    """A key's `expires_at` as Unix ms; one that names no time zone is UTC's."""
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be spent in a period: an entry of `budgets`.

    Attributes:
        max_limit: US dollars. Here nano-USD.
        reset_duration: a period, as `30s`, `1m`, `5h`, `1d`, `1w`, `1M`, `1Q`, `1Y`; it begins with the first call
            after the last one's end. Another period is counted anew, with nothing spent.
        calendar_aligned: it begins with the hour, day, week (Monday), month, quarter or year instead, in UTC.
    """

    max_limit: int
    reset_duration: str
    calendar_aligned: bool = False


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens and requests a window lets through: `rate_limit`.

    Attributes:
        token_max_limit: input and output tokens; None for any number.
        token_reset_duration: a period; default one minute.
        request_max_limit: requests; None for any number.
        request_reset_duration: a period; default one minute.
    """

    token_max_limit: int | None = None
    token_reset_duration: str = "1m"  # noqa: S105 - tokens of text
    request_max_limit: int | None = None
    request_reset_duration: str = "1m"


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a virtual key may have of one provider: an entry of `provider_configs`.

    Attributes:
        provider: as in `provider/model`.
        allowed_models: default `*`, all; an empty list means none.
        blacklisted_models: default none.
        key_ids: names of the provider's keys that may serve it; default `*`, all; an empty list means none.
        budgets: of what is spent at this provider.
        rate_limit: of what is sent to this provider.
    """

    provider: str
    allowed_models: tuple[str, ...] = (ANY,)
    blacklisted_models: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = (ANY,)
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None

    def allows(self, model: str) -> bool:
        """Whether the model, by the name the client gives it without the provider's, may be asked."""
        return model not in self.blacklisted_models and (ANY in self.allowed_models or model in self.allowed_models)


class VirtualKey(Masked, frozen=True, kw_only=True):
    """A caller's credential and what it may have: an entry of `governance.virtual_keys`.

    Attributes:
        id: unique; what it has spent is counted under it. Default its name.
        name: unique; default `virtual-key-1`, `virtual-key-2`, …
        value: the credential, a literal or `env.NAME`; printable ASCII. Empty for a key created at run time, of which
            only the hash is kept.
        hash: SHA-256 of the value, see `digest`; empty where the value itself is at hand.
        active: key `is_active`: false refuses whoever sends it; default true.
        description: for people.
        expires_ms: key `expires_at` (RFC 3339): from then on it is refused; default never. Here Unix milliseconds.
        delete_after_expire: it is deleted once it has expired; default false. Only of keys created at run time.
        provider_configs: the providers it may use; without the key `provider_configs`, or with
            `allow_all_providers`, None: all of them.
        budgets: of everything it spends.
        rate_limit: of everything it sends.
        team_id: whose budgets it shares; not together with `customer_id`.
        customer_id: whose budgets it shares.
        weight: turns in line for one of a caller with weight 1; default 1. Ours.
        max_jobs: unfinished jobs; default `client.max_jobs_per_key`. Ours.
        max_running_jobs: jobs that run at once, 0 for no limit; default `client.max_running_jobs_per_key`. Ours.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value", "hash"})

    name: str
    value: str = ""
    id: str = ""
    hash: str = ""
    active: bool = True
    description: str = ""
    expires_ms: int | None = None
    delete_after_expire: bool = False
    provider_configs: tuple[ProviderConfig, ...] | None = None
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    team_id: str = ""
    customer_id: str = ""
    weight: float = 1.0
    max_jobs: int = 100_000
    max_running_jobs: int = 0

    @property
    def shown(self) -> str:
        """By which people and programs name it: its id, or its name where it has none."""
        return self.id or self.name

    @property
    def digest(self) -> str:
        """The hash, by which it is known."""
        return self.hash or digest(self.value.encode())


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays for keys and teams: an entry of `governance.customers`.

    Attributes:
        id: unique.
        name: for people; default its id.
        budgets: of everything its teams and keys spend.
    """

    id: str
    name: str = ""
    budgets: tuple[Budget, ...] = ()


class Team(Customer, frozen=True, kw_only=True):
    """Keys that share budgets: an entry of `governance.teams`.

    Attributes:
        customer_id: whose budgets it shares; empty for none.
    """

    customer_id: str = ""


class RequiredHeader(Masked, frozen=True, kw_only=True):
    """A header without which nothing is accepted: an entry of `client.required_headers`.

    Attributes:
        name: in lower case.
        value: the one value it may have (a reference `env.NAME`, which may be a secret); empty for another rule.
        pattern: a regular expression for the whole value; `.*` for any.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    value: str = ""
    pattern: str = ".*"


class AdminSettings(Masked, frozen=True, kw_only=True):
    """Section `admin`. Ours.

    Attributes:
        token: lets in programs that manage the gateway, as `Authorization: Bearer …`; else HERMOD_ADMIN_TOKEN.
        password_hash: lets in people, at `/console/login`: argon2id, as `hermod admin hash-password` writes it. With a
            token alone, people are asked for the token; with neither only who is on this machine is let in.
        password: HERMOD_ADMIN_PASSWORD, hashed at start; only where there is no password_hash.
        show_content: the console shows what was asked and answered; default false.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"token", "password_hash", "password"})

    token: str = ""
    password_hash: str = ""
    password: str = ""
    show_content: bool = False


class GovernanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section `governance` but its virtual keys, and what else decides who is let in.

    Attributes:
        teams: `governance.teams`; default none.
        customers: `governance.customers`; default none.
        required_headers: `client.required_headers`, a map from header to `*`, `env.NAME` or a regular expression for
            the whole value, or a list of headers; default none.
        admin: section `admin`.
    """

    teams: tuple[Team, ...] = ()
    customers: tuple[Customer, ...] = ()
    required_headers: tuple[RequiredHeader, ...] = ()
    admin: AdminSettings = AdminSettings()
