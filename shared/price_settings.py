"""What an operator can set about prices: `prices` and `governance.pricing_overrides`."""

from __future__ import annotations

import msgspec


class SetPrice(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of one model, or of all whose name begins so, that count instead of the table's.

    What is None is as in the table; for a model that is not there a cache costs what input does, and without `input`
    and `output` the cost stays unknown.

    Attributes:
        provider, model, prefix: whose model (None for any provider's), its name there, and whether that is only how the
            name begins.
        input: US dollars per million tokens of what was not read from a cache; default, of all these, the table's.
        cache_read: of input that was; where the table has none, as `input`, like the next two.
        cache_write: of input that went into a cache.
        cache_write_1h: of input that went into a cache for an hour.
        output: of the answer.
        batch_discount: what a provider's batch API takes off, 0.5 for half the price.
    """

    model: str
    provider: str | None = None
    prefix: bool = False
    input: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    output: float | None = None
    batch_discount: float | None = None
