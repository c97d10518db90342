"""The models of all configured providers, as one list."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from shared.errors import Garbled, GatewayError, Unsupported
from shared.governance import Grant
from shared.jobs import Outcome
from shared.models import ListedModel
from shared.provider_settings import ProviderKey
from worker.exchange import Exchange
from worker.providers.base import Model
from worker.routing import Router, Target

MOST_PAGES = 20
"""Of one provider's list, each a thousand models where it can be chosen."""


async def list_models(router: Router, exchange: Exchange, grant: Grant | None) -> Outcome:
    """Every provider's list, as far as the caller may use it; `grant` is None for all.

    One that fails is named in a header, all failing is an error. Raises GatewayError.
    """
    names = [name for name in router.providers if grant is None or grant.may_use(name)]
    lists = await asyncio.gather(*(_list(router, exchange, grant, name) for name in names), return_exceptions=True)
    failed = [reply for reply in lists if isinstance(reply, BaseException)]
    for error in failed:
        if not isinstance(error, GatewayError):
            raise error
    if failed and len(failed) == len(names):
        raise failed[0]
    missing = [name for name, reply in zip(names, lists, strict=True) if isinstance(reply, BaseException)]
    entries = [entry for reply in lists if not isinstance(reply, BaseException) for entry in reply]
    headers = {"x-bf-models-missing": ", ".join(missing)} if missing else {}
    return Outcome(status=200, body=msgspec.json.encode(entries), headers=headers)


async def _list(router: Router, exchange: Exchange, grant: Grant | None, provider: str) -> list[ListedModel]:
    target, only = router.any_target(provider), None if grant is None else grant.provider_keys(provider)
    keys = [key for key in target.provider.keys or (target.key,) if only is None or key.is_one_of(only)]
    listed = await _listed(exchange, target, keys)
    return [model for model in listed if grant is None or grant.may_use(provider, model.id)]


async def _listed(exchange: Exchange, target: Target, keys: Sequence[ProviderKey]) -> list[ListedModel]:
    """The provider's models that one of these keys of it may serve, and the other names that they have here."""
    try:
        path = target.path(target.adapter, "models")
    except Unsupported:
        return _named_in(keys, target)
    listed = await _pages(exchange, target, path)
    models = [_entry(target, model) for model in listed if any(key.serves(model.id) for key in keys)]
    aliases = dict.fromkeys(name for key in keys for name in key.aliases if key.serves(name))
    known = {model.id for model in models}
    return models + [_entry(target, Model(id=name)) for name in aliases if name not in known]


def _entry(target: Target, model: Model) -> ListedModel:
    return ListedModel(
        provider=target.row.name,
        id=model.id,
        wire=target.adapter.wire,
        display_name=model.display_name,
        created_s=model.created_s,
        owned_by=model.owned_by,
        raw=msgspec.UNSET if model.raw is None else model.raw,
    )


async def _pages(exchange: Exchange, target: Target, path: str) -> list[Model]:
    """The models of all pages. Raises GatewayError."""
    listed: list[Model] = []
    query = ""
    for _ in range(MOST_PAGES):
        body = await exchange.get(target, f"{path}{'&' if '?' in path else '?'}{query}" if query else path)
        try:
            listed += target.adapter.models(body)
            query = target.adapter.next_page(body)
        except msgspec.MsgspecError as cause:
            raise Garbled("The provider's model list cannot be read.", provider=target.row.name) from cause
        if not query:
            break
    return listed


def _named_in(keys: Sequence[ProviderKey], target: Target) -> list[ListedModel]:
    """What the operator has named, of a provider that lists nothing itself."""
    names = dict.fromkeys(name for key in keys for name in (*key.models, *key.aliases))
    return [_entry(target, Model(id=name)) for name in names if name != "*" and any(key.serves(name) for key in keys)]
