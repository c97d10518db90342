"""`hermod batches`: those of the caller, on both surfaces."""

from __future__ import annotations

import sys

import click
import msgspec

from deploy.client.batch_status import ANTHROPIC, OPENAI, Status, path_of, status_of
from deploy.client.creation import post_once
from deploy.client.gateway import Gateway, asks_a_gateway
from deploy.client.results import copy_results
from deploy.client.texts import fields, table
from deploy.client.watch import watch_batch

_id = click.argument("batch_id", metavar="BATCH_ID")
_json = click.option("--json", "as_json", is_flag=True, help="The gateway's own object, one line each.")


@click.group(short_help="Look at batches, and what came of them.")
def command() -> None:
    """Look at batches, and what came of them.

    BATCH_ID is msgbatch_… or batch_…, as `hermod submit` or an SDK has shown it.
    """


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@_json
@asks_a_gateway
def list_batches(gateway: Gateway, *, limit: int, as_json: bool) -> None:
    """List the newest batches of both surfaces."""
    found = [
        *gateway.listed(ANTHROPIC, limit, after="after_id", last="last_id"),
        *gateway.listed(OPENAI, limit, after="after", last="last_id"),
    ]
    newest = sorted(found, key=lambda batch: status_of(batch).created, reverse=True)[:limit]
    if as_json:
        for batch in newest:
            click.echo(msgspec.json.encode(batch))
    elif newest:
        header = ("ID", "STATUS", "DONE", "SUCCEEDED", "OTHERS", "CREATED")
        click.echo(table(header, (_row(status_of(batch)) for batch in newest)))
    else:
        click.echo("no batches", err=True)


@command.command()
@_id
@_json
@asks_a_gateway
def show(gateway: Gateway, *, batch_id: str, as_json: bool) -> None:
    """Show a batch as it stands."""
    batch = gateway.get(path_of(batch_id))
    click.echo(msgspec.json.encode(batch) if as_json else fields(_facts(status_of(batch))))


@command.command(short_help="Follow a batch to its end.")
@_id
@click.option("--json", "as_json", is_flag=True, help="The gateway's own object, one line each time it has changed.")
@asks_a_gateway
def watch(gateway: Gateway, *, batch_id: str, as_json: bool) -> None:
    """Follow a batch to its end; exit status 0 only if all requests succeeded. Ctrl-C ends the watching alone."""
    watch_batch(gateway, batch_id, as_json=as_json)


@command.command(short_help="Write the results, a line of JSON each.")
@_id
@click.option("--errors", is_flag=True, help="Only requests that did not succeed.")
@asks_a_gateway
def results(gateway: Gateway, *, batch_id: str, errors: bool) -> None:
    """Write the results of a batch that has ended, one line of JSON for each request.

    hermod batches results msgbatch_… > results.jsonl
    """
    copy_results(gateway, batch_id, sys.stdout.buffer, only_errors=errors)


@command.command(short_help="Run what did not succeed again.")
@_id
@click.option("--watch", "follow", is_flag=True, help="Follow the new batch to its end, as `watch` does.")
@_json
@asks_a_gateway
def retry(gateway: Gateway, *, batch_id: str, follow: bool, as_json: bool) -> None:
    """Run the requests of an ended batch that did not succeed as a new batch, and print its id."""
    batch = post_once(gateway, f"{path_of(batch_id)}/retry", bytes, {})
    click.echo(msgspec.json.encode(batch) if as_json else batch["id"])
    if follow:
        watch_batch(gateway, batch["id"], as_json=as_json)


@command.command(short_help="Cancel a batch.")
@_id
@_json
@asks_a_gateway
def cancel(gateway: Gateway, *, batch_id: str, as_json: bool) -> None:
    """Cancel a batch: what has begun still ends, nothing more is begun."""
    batch = gateway.post(f"{path_of(batch_id)}/cancel")
    status = status_of(batch)
    if not status.cancelled:
        raise click.ClickException(f"{batch_id} had ended before: {status.counts} of {status.total}.")
    click.echo(msgspec.json.encode(batch) if as_json else f"{batch_id} {status.state}")


@command.command(short_help="Delete a batch that has ended.")
@_id
@asks_a_gateway
def delete(gateway: Gateway, *, batch_id: str) -> None:
    """Delete a batch that has ended. Files of results, which batches of the OpenAI surface have, stay."""
    gateway.delete(path_of(batch_id))
    click.echo(f"{batch_id} deleted")


def _row(status: Status) -> tuple[object, ...]:
    done = f"{status.done}/{status.total}"
    return status.id, status.state, done, status.succeeded, status.done - status.succeeded, status.created


def _facts(status: Status) -> list[tuple[str, object]]:
    return [
        ("id", status.id),
        ("status", status.state),
        ("requests", status.total),
        ("done", f"{status.done}: {status.counts}"),
        ("endpoint", status.endpoint),
        ("retry of", status.retry_of),
        ("created", status.created),
        ("expires", None if status.ended else status.expires),
        ("ended", status.finished),
        ("at batch APIs", status.native or None),
        ("tokens", status.tokens or None),
        ("cost", status.price),
    ]
