"""`hermod webhooks`: endpoints that are told of ends of jobs and batches, and what was delivered to them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec

from deploy.client.gateway import Gateway, manages_a_gateway
from deploy.client.texts import fields, table

WEBHOOKS = "/admin/webhooks"

_json = click.option("--json", "as_json", is_flag=True, help="The gateway's own object, one line each.")
_name = click.argument("name")


@click.group(short_help="Look at webhook endpoints, try them out, deliver again.")
def command() -> None:
    """Look at webhook endpoints, try them out, look at what was delivered and deliver it again.

    They are set in config.json, or created here.
    """


@command.command("list")
@_json
@manages_a_gateway
def list_webhooks(gateway: Gateway, *, as_json: bool) -> None:
    """List the endpoints."""
    found = gateway.get(WEBHOOKS)["data"]
    if as_json:
        for webhook in found:
            click.echo(msgspec.json.encode(webhook))
    elif found:
        click.echo(table(("NAME", "URL", "STATE", "EVENTS"), map(_webhook_row, found)))
    else:
        click.echo("no webhook endpoints", err=True)


@command.command(short_help="Create an endpoint, and print its secret.")
@_name
@click.argument("target", metavar="ENDPOINT_URL")
@click.option("--event", "events", multiple=True, help="Tell it of all of these, as batch.completed; again for more.")
@click.option("--include-response", is_flag=True, help="Events carry the answer.")
@click.option("--allow-private-network", is_flag=True, help="It may be on a private network, by plain HTTP too.")
@_json
@manages_a_gateway
def create(
    gateway: Gateway,
    *,
    name: str,
    target: str,
    events: tuple[str, ...],
    include_response: bool,
    allow_private_network: bool,
    as_json: bool,
) -> None:
    """Create an endpoint and print its secret: it is shown this once.

    Requests name it in x-bf-async-webhook.
    """
    asked = {
        "name": name,
        "url": target,
        "events": events,
        "include_response": include_response,
        "allow_private_network": allow_private_network,
    }
    _tell_secret(gateway.post(WEBHOOKS, msgspec.json.encode(asked)), as_json=as_json)


@command.command(short_help="Give an endpoint a new secret.")
@_name
@_json
@manages_a_gateway
def rotate(gateway: Gateway, *, name: str, as_json: bool) -> None:
    """Give an endpoint a new secret and print it; the one before goes on signing too, until the next time."""
    _tell_secret(gateway.post(f"{WEBHOOKS}/{quote(name, safe='')}/rotate-secret"), as_json=as_json)


@command.command(short_help="Delete an endpoint.")
@_name
@manages_a_gateway
def delete(gateway: Gateway, *, name: str) -> None:
    """Delete an endpoint; what was still to be delivered to it is not."""
    gateway.delete(f"{WEBHOOKS}/{quote(name, safe='')}")
    click.echo(f"{name} deleted")


@command.command(short_help="Send an event that is about nothing.")
@_name
@_json
@manages_a_gateway
def test(gateway: Gateway, *, name: str, as_json: bool) -> None:
    """Send an event that is about nothing; `hermod webhooks deliveries` tells what became of it."""
    _show(gateway.post(f"{WEBHOOKS}/{quote(name, safe='')}/test"), as_json=as_json)


@command.command(short_help="List what was and is to be delivered.")
@_name
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="The newest so many.")
@_json
@manages_a_gateway
def deliveries(gateway: Gateway, *, name: str, limit: int, as_json: bool) -> None:
    """List what was and is to be delivered to an endpoint, newest first."""
    found = gateway.get(f"{WEBHOOKS}/{quote(name, safe='')}/deliveries", limit=limit)["data"]
    if as_json:
        for delivery in found:
            click.echo(msgspec.json.encode(delivery))
    elif found:
        click.echo(table(("ID", "CREATED", "TYPE", "STATUS", "TRIES", "ERROR", "NEXT"), map(_delivery_row, found)))
    else:
        click.echo("no deliveries", err=True)


@command.command()
@click.argument("delivery_id", metavar="DELIVERY_ID")
@_json
@manages_a_gateway
def redeliver(gateway: Gateway, *, delivery_id: str, as_json: bool) -> None:
    """Deliver the same event again, whatever became of it."""
    _show(gateway.post(f"{WEBHOOKS}/deliveries/{quote(delivery_id, safe='')}/redeliver"), as_json=as_json)


def _tell_secret(webhook: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(webhook))
        return
    click.echo(f"{webhook['name']}: give its receiver this secret; it is not shown again", err=True)
    click.echo(webhook["secret"])


def _show(delivery: dict[str, Any], *, as_json: bool) -> None:
    facts = [(name, delivery[name]) for name in ("id", "webhook", "event_id", "type", "status")]
    click.echo(msgspec.json.encode(delivery) if as_json else fields(facts))


def _webhook_row(webhook: dict[str, Any]) -> tuple[object, ...]:
    state = "disabled" if webhook["disabled"] else "active"
    return webhook["name"], webhook["url"], state, ", ".join(webhook["events"])


def _delivery_row(delivery: dict[str, Any]) -> tuple[object, ...]:
    attempts = delivery["attempts"]
    last = attempts[-1] if attempts else {"number": 0, "error": None}
    facts = (delivery[name] for name in ("id", "created_at", "type", "status"))
    return *facts, last["number"], last["error"], delivery["next_attempt_at"]
