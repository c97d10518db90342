"""Virtual keys, teams and customers as the administration shows them: what they may have, and what they have used.

Money is in US dollars here, times are RFC 3339; of a key itself nothing is shown after its creation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.times import rfc3339
from shared.governance_meters import COST, REQUESTS, TOKENS, Meter, Reading, meters_of
from shared.governance_settings import Budget, Customer, ProviderConfig, RateLimit, Team, VirtualKey
from shared.prices import dollars

Readings = Mapping[str, Reading]
"""By the name of the meter."""

_encode = msgspec.json.Encoder().encode


def listing(views: list[dict[str, Any]]) -> bytes:
    """All of a kind."""
    return _encode({"object": "list", "data": views})


def one(view: dict[str, Any]) -> bytes:
    """A single one."""
    return _encode(view)


def key_view(key: VirtualKey, readings: Readings, *, configured: bool, value: str = "") -> dict[str, Any]:
    """A virtual key; `value` is the key itself, at its creation and never again."""
    scope = f"vk:{key.id or key.name}"
    configs = None
    if key.provider_configs is not None:
        configs = [_config_view(f"{scope}:{config.provider}", config, readings) for config in key.provider_configs]
    return {
        "id": key.id or key.name,
        "object": "virtual_key",
        "name": key.name,
        **({"value": value} if value else {}),
        "description": key.description,
        "is_active": key.active,
        "expires_at": _time(key.expires_ms),
        "delete_after_expire": key.delete_after_expire,
        "provider_configs": configs,
        **_limits_view(scope, key.budgets, key.rate_limit, readings),
        "team_id": key.team_id or None,
        "customer_id": key.customer_id or None,
        "weight": key.weight,
        "max_jobs": key.max_jobs,
        "max_running_jobs": key.max_running_jobs,
        "source": "config" if configured else "admin",
    }


def shared_view(shared: Team | Customer, readings: Readings, *, configured: bool) -> dict[str, Any]:
    """A team or a customer."""
    is_team = isinstance(shared, Team)
    scope = f"{'team' if is_team else 'customer'}:{shared.id}"
    return {
        "id": shared.id,
        "object": "team" if is_team else "customer",
        "name": shared.name or shared.id,
        "budgets": _budget_views(scope, shared.budgets, readings),
        **({"customer_id": shared.customer_id or None} if isinstance(shared, Team) else {}),
        "source": "config" if configured else "admin",
    }


def _config_view(scope: str, config: ProviderConfig, readings: Readings) -> dict[str, Any]:
    return {
        "provider": config.provider,
        "allowed_models": config.allowed_models,
        "blacklisted_models": config.blacklisted_models,
        "key_ids": config.key_ids,
        **_limits_view(scope, config.budgets, config.rate_limit, readings),
    }


def _limits_view(
    scope: str, budgets: tuple[Budget, ...], rate_limit: RateLimit | None, readings: Readings
) -> dict[str, Any]:
    return {
        "budgets": _budget_views(scope, budgets, readings),
        "rate_limit": None if rate_limit is None else _rate_limit_view(scope, rate_limit, readings),
    }


def _budget_views(scope: str, budgets: tuple[Budget, ...], readings: Readings) -> list[dict[str, Any]]:
    return [
        {
            "max_limit": dollars(budget.max_limit),
            "reset_duration": budget.reset_duration,
            "calendar_aligned": budget.calendar_aligned,
            **_spend(_reading(meter, readings)),
        }
        for budget, meter in zip(budgets, meters_of(scope, "", budgets, None), strict=True)
    ]


def _spend(reading: Reading) -> dict[str, Any]:
    assert reading.meter.kind == COST, "a budget's"  # noqa: S101 - called for budgets only
    return {
        "current_usage": dollars(reading.used),
        "of_that_estimated": dollars(reading.uncertain),
        "held_by_calls_in_flight": dollars(reading.held),
        "calls_of_unknown_price": reading.unpriced,
        "resets_at": _time(reading.resets_ms),
    }


def _rate_limit_view(scope: str, limit: RateLimit, readings: Readings) -> dict[str, Any]:
    meters = {meter.kind: meter for meter in meters_of(scope, "", (), limit)}
    view: dict[str, Any] = msgspec.structs.asdict(limit)
    for kind, name in ((TOKENS, "token"), (REQUESTS, "request")):
        reading = _reading(meters[kind], readings) if kind in meters else None
        view[f"{name}_current_usage"] = reading and reading.used
        view[f"{name}_resets_at"] = reading and _time(reading.resets_ms)
    return view


def _reading(meter: Meter, readings: Readings) -> Reading:
    return readings.get(meter.name) or Reading(meter=meter)


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
