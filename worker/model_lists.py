"""The models of all configured providers, as one list."""

from __future__ import annotations

import asyncio

import msgspec

from shared.errors import GatewayError
from shared.governance import Grant
from shared.jobs import Outcome
from shared.models import ListedModel
from worker.exchange import Exchange
from worker.routing import Router


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
    keys = [key for key in target.provider.keys or (target.key,) if only is None or key.name in only]
    listed = await exchange.models(target, keys)
    return [model for model in listed if grant is None or grant.may_use(provider, model.id)]
