"""Which targets may serve a job, in which order, with which key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, lru_cache
from urllib.parse import quote

import msgspec

from shared.errors import InvalidRequest
from shared.jobs import Job
from shared.metrics import model_label
from shared.models import split_model
from shared.provider_settings import ProviderKey, ProviderSettings
from shared.settings import Settings
from worker.choice import for_session, in_turn
from worker.gates import Gate, gate_of
from worker.providers.addresses import base_url, path_of, url
from worker.providers.base import Adapter, PassThrough, Row
from worker.providers.betas import allowed
from worker.providers.catalog import ROWS, adapters, custom, embedders, relays

MOST_KNOWN = 1024
"""Models whose targets a router remembers; of names the callers choose, each of up to 512 characters."""
_HEADER_SAFE = "/:@._-+~ ()[],=!$&'*;"


class Target(msgspec.Struct, frozen=True, dict=True):
    """Provider + model + key, chosen for an attempt; `model` is the name by which the client asked.

    A router hands out the same one for many attempts: what follows from it alone is found out once.
    """

    row: Row
    adapter: Adapter
    provider: ProviderSettings
    model: str
    key: ProviderKey

    @cached_property
    def name(self) -> str:
        """`provider/model`, as attempts show it."""
        return f"{self.row.name}/{self.model}"

    @cached_property
    def served(self) -> Mapping[str, str]:
        """The headers that tell who served an answer."""
        told = {"x-bf-provider": self.row.name, "x-bf-model": self.model, "x-bf-key": self.key.name}
        return {name: quote(value, safe=_HEADER_SAFE) for name, value in told.items()}

    @cached_property
    def labels(self) -> tuple[str, str]:
        """What tells its metrics from others'."""
        return self.row.name, model_label(self.model)

    @cached_property
    def gate(self) -> Gate:
        """The way its calls go, of which limits are kept."""
        return gate_of(self)

    @cached_property
    def base_url(self) -> str:
        """Origin and path prefix of the provider's API."""
        return base_url(self.row, self.provider.network.base_url, self.key, self.upstream_model)

    def url(self, path: str) -> str:
        """Where a call to a path of the API goes."""
        return url(self.row, self.provider.network.base_url, self.key, self.upstream_model, path)

    def path(self, wire: PassThrough, operation: str, *, stream: bool = False) -> str:
        """The path of an operation. Raises Unsupported."""
        return path_of(self.provider, wire, operation, self.upstream_model, stream=stream)

    def address(self, wire: PassThrough, operation: str, *, stream: bool = False) -> str:
        """Where an operation's calls go. Raises Unsupported."""
        asked = (wire.wire, operation, stream)
        if asked not in self._addresses:
            self._addresses[asked] = self.url(self.path(wire, operation, stream=stream))
        return self._addresses[asked]

    @cached_property
    def _addresses(self) -> dict[tuple[str, str, bool], str]:
        return {}

    def headers(self, wire: PassThrough, client: Mapping[str, str]) -> dict[str, str]:
        """Headers of a call; `client` are those of the client that may pass, names in lower case."""
        network = self.provider.network
        passed = allowed(client, network.beta_header_overrides)
        return {**wire.headers(self.row, self.key.value, passed), **network.extra_headers}

    @cached_property
    def upstream_model(self) -> str:
        """The model's name at the provider."""
        return self.key.aliases.get(self.model, self.model)

    def speaking(self, wire: str, operation: str) -> PassThrough | None:
        """What passes a client's bodies of `wire` through to this provider; None when they must be translated."""
        if wire == self.adapter.wire:
            return self.adapter
        if operation == "embeddings" and self.row.embeds and wire == EMBEDDERS[self.row.embeds].wire:
            return EMBEDDERS[self.row.embeds]
        return RELAYS[wire] if wire in self.row.relays else None


ADAPTERS = adapters()
RELAYS = relays()
EMBEDDERS = embedders()
NO_KEY = ProviderKey(name="none", value="")


class Router:
    """Resolves model names against the configured providers. Immutable after start."""

    def __init__(self, settings: Settings) -> None:
        self.providers = settings.providers
        self._fallbacks = settings.fallbacks
        self._listing = _listing(settings.providers)
        self._serving = lru_cache(maxsize=MOST_KNOWN)(self._found)
        self._split = lru_cache(maxsize=MOST_KNOWN)(self._parts)

    def resolve(self, job: Job, default_provider: str) -> list[tuple[str, str]]:
        """(provider, model) pairs to try in turn: the asked one, then its fallbacks, or those configured for it.

        Raises:
            InvalidRequest: a name leads to a provider that is not configured.
        """
        asked = self._split(job.model, default_provider)
        fallbacks = job.fallbacks or self._fallbacks.get("/".join(asked), ())
        return [asked, *[self._split(name, default_provider) for name in fallbacks]]

    def _parts(self, name: str, default_provider: str) -> tuple[str, str]:
        return split_model(name, self.providers, default_provider)

    def targets(self, provider: str, model: str, *, only: frozenset[str] | None = None) -> list[Target]:
        """The targets of all keys that may serve the model; with `only`, of those with these names.

        Raises:
            InvalidRequest: there is none.
        """
        return list(self._serving(provider, model, only))

    def _found(self, provider: str, model: str, only: frozenset[str] | None) -> tuple[Target, ...]:
        row, settings = self._row(provider)
        return tuple(_target(row, settings, model, key) for key in self._fitting(row, settings, model, only))

    def also_at(self, job: Job, provider: str, model: str) -> tuple[str, ...]:
        """Other providers with a key that lists the model by its name, as one of this provider does.

        Only of a model that was asked for without a provider.
        """
        listing = self._listing.get(model, ()) if job.model == model else ()
        return tuple(name for name in listing if name != provider) if provider in listing else ()

    def in_turn(self, targets: list[Target], weights: list[float], session: str) -> list[Target]:
        """The targets in the order in which to try them: a session's is always the same."""
        if session:
            return for_session(targets, [f"{one.name} {one.key.name}" for one in targets], weights, session)
        return in_turn(targets, weights)

    def target(self, provider: str, model: str, *, only: frozenset[str] | None = None) -> Target:
        """The target for one attempt, its key drawn by weight among those that may serve the model.

        With `only`, among the keys of these names.

        Raises:
            InvalidRequest: no key of the provider may serve the model.
        """
        targets = self.targets(provider, model, only=only)
        return in_turn(targets, [target.key.weight for target in targets])[0]

    def any_target(self, provider: str) -> Target:
        """A target for asking the provider about itself: its first key, no model."""
        row, settings = self._row(provider)
        return Target(row, ADAPTERS[row.wire], settings, "", settings.keys[0] if settings.keys else NO_KEY)

    def _row(self, provider: str) -> tuple[Row, ProviderSettings]:
        settings = self.providers[provider]
        return ROWS.get(provider) or custom(provider, settings.base_provider_type or "openai"), settings

    @staticmethod
    def _fitting(row: Row, settings: ProviderSettings, model: str, only: frozenset[str] | None) -> list[ProviderKey]:
        fitting = [key for key in settings.keys if key.serves(model) and (only is None or key.is_one_of(only))]
        if fitting:
            return fitting
        if not settings.keys and (row.key_optional or settings.key_less):
            return [NO_KEY]
        raise InvalidRequest(
            f"model: no key of provider {row.name!r} may serve {model!r}.", param="model", code="model_not_found"
        )


def _listing(providers: dict[str, ProviderSettings]) -> dict[str, tuple[str, ...]]:
    """Providers by the models that their keys list by name."""
    found: dict[str, dict[str, None]] = {}
    for name, settings in providers.items():
        for key in settings.keys:
            for model in key.models:
                if key.serves(model):
                    found.setdefault(model, {})[name] = None
    return {model: tuple(names) for model, names in found.items()}


def _target(row: Row, settings: ProviderSettings, model: str, key: ProviderKey) -> Target:
    return Target(row, _adapter(row, key.aliases.get(model, model)), settings, model, key)


def _adapter(row: Row, model: str) -> Adapter:
    """What speaks to this model: some providers serve other makers' models on the makers' own wire."""
    return ADAPTERS[next((wire for prefix, wire in row.model_wires if model.startswith(prefix)), row.wire)]
