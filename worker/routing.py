"""Which targets may serve a job, in which order, with which key."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from shared.errors import InvalidRequest
from shared.jobs import Attempt, Job
from shared.models import split_model
from shared.provider_settings import ProviderKey, ProviderSettings
from shared.settings import Settings
from worker.providers.addresses import base_url
from worker.providers.base import Adapter, PassThrough, Row
from worker.providers.catalog import ROWS, adapters, custom, relays


class Target(msgspec.Struct, frozen=True):
    """Provider + model + key, chosen for one attempt; `model` is the name by which the client asked."""

    row: Row
    adapter: Adapter
    provider: ProviderSettings
    model: str
    key: ProviderKey

    @property
    def name(self) -> str:
        """`provider/model`, as attempts and response headers show it."""
        return f"{self.row.name}/{self.model}"

    @property
    def base_url(self) -> str:
        """Origin and path prefix the call goes to."""
        return base_url(self.row, self.provider.network.base_url, self.key, self.upstream_model)

    @property
    def upstream_model(self) -> str:
        """The model's name at the provider."""
        return self.key.aliases.get(self.model, self.model)

    def speaking(self, wire: str) -> PassThrough | None:
        """What passes a client's bodies of `wire` through to this provider; None when they must be translated."""
        if wire == self.adapter.wire:
            return self.adapter
        return RELAYS[wire] if wire in self.row.relays else None


ADAPTERS = adapters()
RELAYS = relays()
NO_KEY = ProviderKey(name="none", value="")


class Router:
    """Resolves model names against the configured providers. Immutable after start."""

    def __init__(self, settings: Settings, pick: Callable[..., list[ProviderKey]] = random.choices) -> None:
        self.providers = settings.providers
        self._pick = pick

    def resolve(self, job: Job, default_provider: str) -> list[tuple[str, str]]:
        """(provider, model) pairs to try in turn: the asked one, then the fallbacks.

        Raises:
            InvalidRequest: a name leads to a provider that is not configured.
        """
        return [split_model(name, self.providers, default_provider) for name in (job.model, *job.fallbacks)]

    def target(self, provider: str, model: str) -> Target:
        """The target for one attempt, its key drawn by weight among those that may serve the model.

        Raises:
            InvalidRequest: no key of the provider may serve the model.
        """
        row, settings = self._row(provider)
        key = self._key(row, settings, model)
        return Target(row, _adapter(row, key.aliases.get(model, model)), settings, model, key)

    def any_target(self, provider: str) -> Target:
        """A target for asking the provider about itself: its first key, no model."""
        row, settings = self._row(provider)
        return Target(row, ADAPTERS[row.wire], settings, "", settings.keys[0] if settings.keys else NO_KEY)

    def _row(self, provider: str) -> tuple[Row, ProviderSettings]:
        settings = self.providers[provider]
        return ROWS.get(provider) or custom(provider, settings.base_provider_type or "openai"), settings

    def _key(self, row: Row, settings: ProviderSettings, model: str) -> ProviderKey:
        fitting = [key for key in settings.keys if key.serves(model)]
        if fitting:
            weights = [key.weight for key in fitting]
            return self._pick(fitting, weights=weights if any(weights) else None)[0]
        if not settings.keys and (row.key_optional or settings.key_less):
            return NO_KEY
        raise InvalidRequest(
            f"model: no key of provider {row.name!r} may serve {model!r}.", param="model", code="model_not_found"
        )


def _adapter(row: Row, model: str) -> Adapter:
    """What speaks to this model: some providers serve other makers' models on the makers' own wire."""
    return ADAPTERS[next((wire for prefix, wire in row.model_wires if model.startswith(prefix)), row.wire)]


def place(attempts: tuple[Attempt, ...]) -> tuple[int, int]:
    """(index of the target whose turn it is, tries it has had), read off the attempts so far."""
    moves = [number for number, attempt in enumerate(attempts, 1) if attempt.then == "fallback"]
    return len(moves), len(attempts) - (moves[-1] if moves else 0)
