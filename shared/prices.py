"""What an answer costs: a table of list prices, which the operator's own come before. Pure.

Money is whole nano-US-dollars (1e-9 USD). What is not known is None, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from shared.chat import Usage
from shared.price_settings import SetPrice
from shared.price_table import CACHE_WRITE, LONG, TABLES, Row

NANO = 1_000_000_000
BATCH_DISCOUNT = 0.5
"""What every batch API that the gateway speaks to takes off (Anthropic, OpenAI, Azure, Gemini, Bedrock)."""

_SNAPSHOT = re.compile(r"(?:[-@](?:\d{8}|\d{4}-\d{2}-\d{2})|-00\d|-latest)$")
"""What names a version of the same model at the same price; a version with a price of its own is in the table."""
_MILLION = 1_000_000
_GIVEN = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "batch_discount")


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model, in US dollars per million tokens, see SetPrice; `long` is for prompts of more than `above`."""

    input: float
    cache_read: float
    cache_write: float
    cache_write_1h: float
    output: float
    batch_discount: float = BATCH_DISCOUNT
    above: int = 0
    long: Price | None = None

    def cost(self, usage: Usage, *, batch: bool) -> int:
        """Nano-USD."""
        if self.long is not None and usage.total_input_tokens > self.above:
            return self.long.cost(usage, batch=batch)
        dollars = (
            usage.input_tokens * self.input
            + usage.cache_read_tokens * self.cache_read
            + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * self.cache_write
            + usage.cache_write_1h_tokens * self.cache_write_1h
            + usage.output_tokens * self.output
        ) / _MILLION
        return round(dollars * NANO * (1 - self.batch_discount if batch else 1))


class Prices:
    """The table, and what the operator set, which is looked up for the provider, then for any provider.

    A whole name comes before the beginning of one, a longer beginning before a shorter.
    """

    def __init__(self, settings: Iterable[SetPrice] = ()) -> None:
        self._set = sorted(
            settings, key=lambda price: (price.provider is not None, not price.prefix, len(price.model)), reverse=True
        )

    def cost(self, provider: str, model: str, usage: Usage, *, batch: bool = False) -> int | None:
        """Nano-USD that an answer of the model costs, at the provider's batch API or not; None when unknown."""
        price = self._price(provider, model) if usage.known else None
        return None if price is None else price.cost(usage, batch=batch)

    def _price(self, provider: str, model: str) -> Price | None:
        listed = _listed(provider, model)
        given = next((price for price in self._set if _is_for(price, provider, model)), None)
        return listed if given is None else _patched(listed, given)


def dollars(nano: int | None) -> float | None:
    """The cost as clients see it, in US dollars; None when unknown."""
    return None if nano is None else nano / NANO


@lru_cache(maxsize=1024)
def _listed(provider: str, model: str) -> Price | None:
    table = TABLES.get(provider, {})
    name = model if model in table else _SNAPSHOT.sub("", model)
    if name not in table:
        return None
    maker = "anthropic" if name.startswith("claude-") else ""
    price = _of(table[name], maker)
    if name not in LONG:
        return price
    above, row = LONG[name]
    return msgspec.structs.replace(price, above=above, long=_of(row, maker))


def _of(row: Row, maker: str) -> Price:
    fresh, cached, output = row
    write, hour = CACHE_WRITE.get(maker, (1.0, 1.0))
    return Price(
        input=fresh,
        cache_read=fresh if cached is None else cached,
        cache_write=fresh * write,
        cache_write_1h=fresh * hour,
        output=output,
    )


def _is_for(price: SetPrice, provider: str, model: str) -> bool:
    if price.provider not in {None, provider}:
        return False
    return model.startswith(price.model) if price.prefix else model == price.model


def _patched(listed: Price | None, given: SetPrice) -> Price | None:
    """The table's price with what was given in its place, for prompts of any length then."""
    changes = {name: value for name in _GIVEN if (value := getattr(given, name)) is not None}
    if listed is None:
        if given.input is None or given.output is None:
            return None
        listed = _of((given.input, None, given.output), "")
    kept = listed.long if changes.keys() <= {"batch_discount"} else None
    return msgspec.structs.replace(listed, **changes, long=kept)
