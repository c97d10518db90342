"""`hermod keys`: virtual keys of a gateway, created, listed, shown, revoked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click
import msgspec

from deploy.client.gateway import Gateway, manages_a_gateway
from deploy.client.texts import fields, table

KEYS = "/admin/virtual-keys"

_PERIODS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PER = re.compile(r"([0-9]+(?:\.[0-9]+)?)/([1-9][0-9]{0,3}[smhdwMQY])")
_FOR = re.compile(r"([1-9][0-9]{0,4})([mhdw])")

_json = click.option("--json", "as_json", is_flag=True, help="The gateway's own object, one line each.")
_key = click.argument("key_id", metavar="KEY")


class _Rate(click.ParamType["tuple[float, str]"]):
    """`AMOUNT/PERIOD` as (amount, period)."""

    name = "amount/period"

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, str] | Any:
        found = _PER.fullmatch(value) if isinstance(value, str) else None
        if found is None or (self._whole and "." in found[1]):
            self.fail(f"{value!r}: expected an amount and a period, as in 10/1d, 2.50/1h or 100000/1m.", param, ctx)
        return float(found[1]), found[2]


class _Time(click.ParamType[str]):
    """How long from now, or when: RFC 3339."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if found := _FOR.fullmatch(value):
            return (datetime.now(UTC) + timedelta(seconds=int(found[1]) * _PERIODS[found[2]])).isoformat()
        try:
            return datetime.fromisoformat(value).isoformat()
        except ValueError:
            self.fail(f"{value!r}: expected 30d, 12h or a time such as 2027-01-31T00:00:00Z.", param, ctx)


@click.group(short_help="Create virtual keys, look at them, revoke them.")
def command() -> None:
    """Create virtual keys, look at what they have used, revoke them.

    They are the keys that clients send: `x-bf-vk`, or as the SDK's api_key.
    KEY is the id or the name of one, not the key itself.
    """


@command.command()
@click.argument("name")
@click.option("--description", default="", help="For people.")
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="PROVIDER[/MODEL]",
    help="What it may use, nothing else then; again for more. Default: everything.",
)
@click.option(
    "--budget", "budgets", multiple=True, type=_Rate(), help="US dollars in a period, as in 10/1d; again for more."
)
@click.option("--tokens", type=_Rate(whole=True), help="Tokens in a window, as in 100000/1m.")
@click.option("--requests", type=_Rate(whole=True), help="Requests in a window, as in 60/1m.")
@click.option("--expires", "expires_at", type=_Time(), help="After 30d or 12h, or at a time such as 2027-01-31T00:00Z.")
@click.option("--team", "team_id", default="", help="Id of the team whose budgets it shares.")
@click.option("--customer", "customer_id", default="", help="Id of the customer whose budgets it shares.")
@_json
@manages_a_gateway
def create(  # noqa: PLR0913 - options
    gateway: Gateway,
    *,
    name: str,
    description: str,
    allowed: tuple[str, ...],
    budgets: tuple[tuple[float, str], ...],
    tokens: tuple[float, str] | None,
    requests: tuple[float, str] | None,
    expires_at: str | None,
    team_id: str,
    customer_id: str,
    as_json: bool,
) -> None:
    """Create a virtual key and print it: it is shown this once."""
    asked = {
        "name": name,
        "description": description,
        "budgets": [{"max_limit": most, "reset_duration": period} for most, period in budgets],
        "rate_limit": _rate_limit(tokens, requests),
        "provider_configs": _provider_configs(allowed),
        "expires_at": expires_at,
        "team_id": team_id,
        "customer_id": customer_id,
    }
    key = gateway.post(KEYS, msgspec.json.encode(asked))
    if as_json:
        click.echo(msgspec.json.encode(key))
        return
    click.echo(f"{key['id']}: give its key to whoever is to use it; it is not shown again", err=True)
    click.echo(key["value"])


@command.command("list")
@_json
@manages_a_gateway
def list_keys(gateway: Gateway, *, as_json: bool) -> None:
    """List the keys with what they have spent."""
    found = gateway.get(KEYS)["data"]
    if as_json:
        for key in found:
            click.echo(msgspec.json.encode(key))
    elif found:
        click.echo(table(("ID", "NAME", "STATE", "SPENT", "REQUESTS", "TOKENS", "EXPIRES"), map(_row, found)))
    else:
        click.echo("no virtual keys", err=True)


@command.command()
@_key
@_json
@manages_a_gateway
def show(gateway: Gateway, *, key_id: str, as_json: bool) -> None:
    """Show what a key may do, and what it has used of it."""
    key = gateway.get(_path(key_id))
    click.echo(msgspec.json.encode(key) if as_json else fields(_facts(key)))


@command.command(short_help="Refuse a key from now on.")
@_key
@_json
@manages_a_gateway
def revoke(gateway: Gateway, *, key_id: str, as_json: bool) -> None:
    """Refuse a key from now on: its requests, and its jobs and batches that are still queued."""
    key = gateway.post(f"{_path(key_id)}/revoke")
    click.echo(msgspec.json.encode(key) if as_json else f"{key['id']} ({key['name']}) is revoked")


def _path(key_id: str) -> str:
    return f"{KEYS}/{quote(key_id, safe='')}"


def _rate_limit(tokens: tuple[float, str] | None, requests: tuple[float, str] | None) -> dict[str, Any] | None:
    limit: dict[str, Any] = {}
    for kind, rate in (("token", tokens), ("request", requests)):
        if rate:
            limit |= {f"{kind}_max_limit": int(rate[0]), f"{kind}_reset_duration": rate[1]}
    return limit or None


def _provider_configs(allowed: tuple[str, ...]) -> list[dict[str, Any]] | None:
    """One for each provider; a provider that is named alone is allowed whole."""
    models: dict[str, list[str]] = {}
    for name in allowed:
        provider, _, model = name.partition("/")
        models.setdefault(provider, []).append(model or "*")
    return [{"provider": provider, "allowed_models": names} for provider, names in models.items()] or None


def _row(key: dict[str, Any]) -> tuple[object, ...]:
    spent = ", ".join(map(_spent, key["budgets"]))
    limit = key["rate_limit"] or {}
    state = _state(key)
    return key["id"], key["name"], state, spent, _window(limit, "request"), _window(limit, "token"), key["expires_at"]


def _facts(key: dict[str, Any]) -> list[tuple[str, object]]:
    limit = key["rate_limit"] or {}
    configs = key["provider_configs"]
    return [
        *((name, key[name]) for name in ("id", "name", "description")),
        ("state", _state(key)),
        ("set in", "config.json" if key["source"] == "config" else "the gateway"),
        ("expires", key["expires_at"]),
        ("team", key["team_id"]),
        ("customer", key["customer_id"]),
        *(("budget", _spent_in_full(budget)) for budget in key["budgets"]),
        ("requests", _window(limit, "request")),
        ("tokens", _window(limit, "token")),
        ("may use", "everything" if configs is None else "" if configs else "nothing"),
        *(("may use", line) for config in configs or () for line in _config(config)),
    ]


def _config(config: dict[str, Any]) -> list[str]:
    but = f" but {', '.join(config['blacklisted_models'])}" if config["blacklisted_models"] else ""
    limit = config["rate_limit"] or {}
    used = [*map(_spent_in_full, config["budgets"]), _window(limit, "request"), _window(limit, "token")]
    allowed = ", ".join(config["allowed_models"]) or "nothing"
    return [f"{config['provider']}: {allowed}{but}", *(f"{config['provider']}: {line}" for line in used if line)]


def _state(key: dict[str, Any]) -> str:
    if not key["is_active"]:
        return "revoked"
    expired = key["expires_at"] and datetime.fromisoformat(key["expires_at"]) <= datetime.now(UTC)
    return "expired" if expired else "active"


def _spent(budget: dict[str, Any]) -> str:
    return f"${budget['current_usage']:.4g} of ${budget['max_limit']:g}/{budget['reset_duration']}"


def _spent_in_full(budget: dict[str, Any]) -> str:
    parts = [_spent(budget)]
    if budget["of_that_estimated"]:
        parts.append(f"${budget['of_that_estimated']:.4g} of it estimated")
    if budget["calls_of_unknown_price"]:
        parts.append(f"{budget['calls_of_unknown_price']} calls of unknown price not counted")
    if budget["resets_at"]:
        parts.append(f"anew at {budget['resets_at']}")
    return ", ".join(parts)


def _window(limit: dict[str, Any], kind: str) -> str:
    most = limit.get(f"{kind}_max_limit")
    if most is None:
        return ""
    return f"{limit[f'{kind}_current_usage']} of {most}/{limit[f'{kind}_reset_duration']}"
