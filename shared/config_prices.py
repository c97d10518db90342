"""Reads prices from config.json: `prices`, ours, and `governance.pricing_overrides` in Bifrost's shape."""

from __future__ import annotations

import json
from typing import Any

from shared import bifrost_settings
from shared.config_section import Section
from shared.price_settings import SetPrice

_BIFROST = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
}
"""Our prices, per million tokens, by Bifrost's, per token."""
_TEXT = frozenset({"chat_completion", "text_completion", "responses", "embedding"})
"""Of Bifrost's `request_types`, those that Hermod has."""
_SCOPES = frozenset({"global", "provider"})
_MILLION = 1_000_000


def own_prices(prices: Section) -> list[SetPrice]:
    """`prices`: `{"provider/model": {"input": …, "output": …}}`, dollars per million tokens. Raises SettingsError."""
    found = []
    for name in prices.names():
        provider, _, model = name.partition("/")
        if not (provider and model):
            raise prices.fail(name, "expected provider/model, as in openai/gpt-4o")
        price = prices.section(name)
        discount = _amount(price, "batch_discount")
        if discount is not None and discount > 1:
            raise price.fail("batch_discount", f"expected at most 1, got {discount:g}; 0.5 is half the price")
        given = {field: _amount(price, field) for field in _BIFROST}
        found.append(SetPrice(provider=provider, model=model, prefix=False, batch_discount=discount, **given))
        price.finish()
    return found


def bifrost_prices(governance: Section, warnings: list[str]) -> list[SetPrice]:
    """`governance.pricing_overrides`, those that hold for everybody. Raises SettingsError."""
    found = []
    for override in governance.sections("pricing_overrides"):
        override.ignore("id", "name")
        scope, kinds = override.text("scope_kind") or "global", set(override.texts("request_types"))
        if scope not in _SCOPES or (kinds and not kinds & _TEXT):
            warnings.append(f"{override.path}: Hermod has no prices of this scope or request type; ignored")
            continue
        provider = override.text("provider_id")
        if scope == "provider" and not provider:
            raise override.fail("provider_id", "missing; scope_kind provider needs it")
        given = _patch(override, warnings)
        if kinds == {"embedding"} and given["output"] is None:
            given["output"] = 0.0
        model, prefix = _pattern(override)
        found.append(SetPrice(provider=provider, model=model, prefix=prefix, **given))
        warnings += override.finish(bifrost_settings.PRICING_OVERRIDE)
    return found


def _pattern(override: Section) -> tuple[str, bool]:
    """The model's name, and whether it is only the beginning of one."""
    match, pattern = override.text("match_type") or "exact", override.text("pattern") or ""
    if match not in {"exact", "wildcard"}:
        raise override.fail("match_type", f'expected exact or wildcard, got "{match}"')
    model = pattern.removesuffix("*") if match == "wildcard" else pattern
    if not pattern or "*" in model or (match == "wildcard" and model == pattern):
        raise override.fail("pattern", "expected a model's name, or with match_type wildcard its beginning and a *")
    return model, match == "wildcard"


def _patch(override: Section, warnings: list[str]) -> dict[str, float | None]:
    """The prices, which Bifrost's file holds as JSON in a string."""
    try:
        values: Any = json.loads(override.text("pricing_patch") or "{}")
    except json.JSONDecodeError as error:
        raise override.fail("pricing_patch", f"expected a JSON object in a string: {error.msg}") from error
    patch = Section(values, override.at("pricing_patch"), {})
    amounts = {ours: _amount(patch, theirs) for ours, theirs in _BIFROST.items()}
    warnings += patch.finish(frozenset(patch.names()))
    return {ours: None if amount is None else amount * _MILLION for ours, amount in amounts.items()}


def _amount(prices: Section, key: str) -> float | None:
    amount = prices.number(key, -1.0, above=None)
    return None if amount < 0 else amount
