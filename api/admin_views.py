"""Virtual keys, teams and customers as the administration shows them: what they may have, and what they have used.

Money is in US dollars here, times are RFC 3339; of a key itself nothing is shown after its creation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.times import rfc3339
from shared.governance import customer_meters, key_meters, team_meters
from shared.governance_meters import COST, REQUESTS, TOKENS, Meter, Reading
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
    configs = None
    if key.provider_configs is not None:
        configs = [_config_view(config, key_meters(key, config), readings) for config in key.provider_configs]
    return {
        "id": key.shown,
        "object": "virtual_key",
        "name": key.name,
        **({"value": value} if value else {}),
        "description": key.description,
        "is_active": key.active,
        "expires_at": _time(key.expires_ms),
        "delete_after_expire": key.delete_after_expire,
        "provider_configs": configs,
        **_limits_view(key, key_meters(key), readings),
        "team_id": key.team_id or None,
        "customer_id": key.customer_id or None,
        "weight": key.weight,
        "max_jobs": key.max_jobs,
        "max_running_jobs": key.max_running_jobs,
        "source": "config" if configured else "admin",
    }


def shared_view(shared: Team | Customer, readings: Readings, *, configured: bool) -> dict[str, Any]:
    """A team or a customer."""
    team = shared if isinstance(shared, Team) else None
    meters = team_meters(team) if team else customer_meters(shared)
    return {
        "id": shared.id,
        "object": "team" if team else "customer",
        "name": shared.name or shared.id,
        "budgets": _budget_views(shared.budgets, meters, readings),
        **({"customer_id": team.customer_id or None} if team else {}),
        "source": "config" if configured else "admin",
    }


def _config_view(config: ProviderConfig, meters: tuple[Meter, ...], readings: Readings) -> dict[str, Any]:
    return {
        "provider": config.provider,
        "allowed_models": config.allowed_models,
        "blacklisted_models": config.blacklisted_models,
        "key_ids": config.key_ids,
        **_limits_view(config, meters, readings),
    }


def _limits_view(of: VirtualKey | ProviderConfig, meters: tuple[Meter, ...], readings: Readings) -> dict[str, Any]:
    return {
        "budgets": _budget_views(of.budgets, meters, readings),
        "rate_limit": None if of.rate_limit is None else _rate_limit_view(of.rate_limit, meters, readings),
    }


def _budget_views(budgets: tuple[Budget, ...], meters: tuple[Meter, ...], readings: Readings) -> list[dict[str, Any]]:
    costs = [meter for meter in meters if meter.kind == COST]
    return [
        {
            "max_limit": dollars(budget.max_limit),
            "reset_duration": budget.reset_duration,
            "calendar_aligned": budget.calendar_aligned,
            **_spend(_reading(meter, readings)),
        }
        for budget, meter in zip(budgets, costs, strict=True)
    ]


def _spend(reading: Reading) -> dict[str, Any]:
    return {
        "current_usage": dollars(reading.used),
        "of_that_estimated": dollars(reading.uncertain),
        "held_by_calls_in_flight": dollars(reading.held),
        "calls_of_unknown_price": reading.unpriced,
        "resets_at": _time(reading.resets_ms),
    }


def _rate_limit_view(limit: RateLimit, meters: tuple[Meter, ...], readings: Readings) -> dict[str, Any]:
    windows = {meter.kind: meter for meter in meters}
    view: dict[str, Any] = msgspec.structs.asdict(limit)
    for kind, name in ((TOKENS, "token"), (REQUESTS, "request")):
        reading = _reading(windows[kind], readings) if kind in windows else None
        view[f"{name}_current_usage"] = reading and reading.used
        view[f"{name}_resets_at"] = reading and _time(reading.resets_ms)
    return view


def _reading(meter: Meter, readings: Readings) -> Reading:
    return readings.get(meter.name) or Reading(meter=meter)


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
