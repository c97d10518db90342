"""What an outcome cost. Pure."""

from __future__ import annotations

import msgspec

from shared.batches import Spent
from shared.chat import Usage
from shared.jobs import Outcome
from shared.prices import Prices
from worker.routing import Target

_NO_SUCCESS = 400


def priced(outcome: Outcome, prices: Prices, target: Target) -> Outcome:
    """The outcome with what it cost at the target."""
    return msgspec.structs.replace(outcome, cost=cost_of(prices, target, outcome.usage))


def cost_of(prices: Prices, target: Target, usage: Usage | None, *, batch: bool = False) -> int | None:
    """Nano-USD; None when unknown. A model goes by its name at the provider; a deployment, by what clients call it."""
    if usage is None:
        return None
    cost = prices.cost(target.row.name, target.upstream_model, usage, batch=batch)
    if cost is None and target.model != target.upstream_model:
        return prices.cost(target.row.name, target.model, usage, batch=batch)
    return cost


def at_batch_price(outcome: Outcome, prices: Prices, target: Target) -> tuple[Outcome, int]:
    """The priced outcome of an item that ran at the target's batch API, and what that has saved in nano-USD."""
    cost = cost_of(prices, target, outcome.usage, batch=True)
    saved = 0 if cost is None or outcome.cost is None else outcome.cost - cost
    return msgspec.structs.replace(outcome, cost=cost), saved


def spent_on(outcome: Outcome, *, native: bool = False, saved: int = 0) -> Spent:
    """What an item that ended so has cost, at a batch API if `native`; nothing when it failed."""
    if outcome.status >= _NO_SUCCESS:
        return Spent()
    usage = outcome.usage or Usage()
    return Spent(
        native=int(native),
        direct=int(not native),
        unpriced=int(outcome.cost is None),
        cost=outcome.cost or 0,
        saved=saved,
        input=usage.total_input_tokens,
        cached=usage.cache_read_tokens,
        output=usage.output_tokens,
        reasoning=usage.reasoning_tokens,
    )
