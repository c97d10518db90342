"""What a virtual key may do: which providers and models, against which meters. Pure.

The chain of meters: provider config → virtual key → team → customer; a team's customer too. All must be open.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import GatewayError, NotPermitted
from shared.governance_meters import Limits, Meter, limits, meters_of
from shared.governance_settings import ANY, Customer, ProviderConfig, Team, VirtualKey
from shared.queue import Share

_LISTED = "`GET /v1/models` lists what it may use"


class Grant:
    """One key with what it shares with others, everything worked out beforehand.

    Attributes:
        key: as configured or created.
        owner: of its jobs.
        share: its place in the queue, with the meters that every request of it must pass.
    """

    def __init__(self, key: VirtualKey, teams: Mapping[str, Team], customers: Mapping[str, Customer]) -> None:
        self.key = key
        self.owner = owner_of_digest(key.digest)
        self._configs = {config.provider: config for config in key.provider_configs or ()}
        common = (*key_meters(key), *_shared(key, teams, customers))
        self._limits = {name: limits(common, key_meters(key, config)) for name, config in self._configs.items()}
        self._usual = limits(common)
        self.share = Share(key.weight, key.max_running_jobs, key.max_jobs, self._usual)

    def standing(self, now_ms: int) -> GatewayError | None:
        """Why nothing of the key is accepted or run now; None when it is. `now_ms` is Unix time."""
        if not self.key.active:
            return NotPermitted("The virtual key is not active; ask whoever issued it.", code="access_blocked")
        if self.key.expires_ms is not None and now_ms >= self.key.expires_ms:
            return NotPermitted("The virtual key has expired; ask whoever issued it.", code="access_blocked")
        return None

    def check(self, provider: str, model: str) -> None:
        """Raises NotPermitted when the key may not use the model at the provider."""
        if self.key.provider_configs is None:
            return
        config = self._configs.get(provider)
        if config is None:
            message = f"model: the virtual key may not use provider {provider!r}; {_LISTED}."
            raise NotPermitted(message, param="model", code="provider_blocked")
        if not config.allows(model):
            message = f"model: the virtual key may not use {model!r} at provider {provider!r}; {_LISTED}."
            raise NotPermitted(message, param="model", code="model_blocked")

    def may_use(self, provider: str, model: str | None = None) -> bool:
        """Whether the key may use the model at the provider; without one, whether the provider for anything."""
        config = self._configs.get(provider)
        return self.key.provider_configs is None or (config is not None and (model is None or config.allows(model)))

    def provider_keys(self, provider: str) -> frozenset[str] | None:
        """Names of the provider's keys that may serve it; None for all."""
        config = self._configs.get(provider)
        return None if config is None or ANY in config.key_ids else frozenset(config.key_ids)

    @property
    def is_limited(self) -> bool:
        """Whether it may not do everything, always."""
        return self.key.provider_configs is not None or self._usual is not None

    def limits(self, provider: str) -> Limits | None:
        """The meters that a call to the provider must pass; None for none."""
        return self._limits.get(provider, self._usual)

    def meters(self) -> tuple[Meter, ...]:
        """Its own meters: those of the key, and of its provider configs."""
        configs = self._configs.values()
        return (*key_meters(self.key), *(meter for config in configs for meter in key_meters(self.key, config)))


def owner_of_digest(digest: str) -> str:
    """The owner that the key with this SHA-256 stands for."""
    return "vk:" + digest[:32]


def key_meters(key: VirtualKey, config: ProviderConfig | None = None) -> tuple[Meter, ...]:
    """The meters of a key's own limits, or of those it has at one provider."""
    scope, whose = f"vk:{key.shown}", f"virtual key {key.name!r}"
    if config is None:
        return meters_of(scope, whose, key.budgets, key.rate_limit)
    scope, whose = f"{scope}:{config.provider}", f"{whose} at provider {config.provider!r}"
    return meters_of(scope, whose, config.budgets, config.rate_limit)


def team_meters(team: Team) -> tuple[Meter, ...]:
    """The meters of a team's own budgets."""
    return meters_of(f"team:{team.id}", f"team {team.name or team.id!r}", team.budgets, None)


def customer_meters(customer: Customer) -> tuple[Meter, ...]:
    """The meters of a customer's budgets."""
    return meters_of(f"customer:{customer.id}", f"customer {customer.name or customer.id!r}", customer.budgets, None)


def _shared(key: VirtualKey, teams: Mapping[str, Team], customers: Mapping[str, Customer]) -> tuple[Meter, ...]:
    found: tuple[Meter, ...] = ()
    customer_id = key.customer_id
    if team := teams.get(key.team_id):
        found += team_meters(team)
        customer_id = team.customer_id
    if customer := customers.get(customer_id):
        found += customer_meters(customer)
    return found
