"""`hermod jobs`: those of the caller."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec

from deploy.client.gateway import Gateway, asks_a_gateway
from deploy.client.job_events import JOBS, Event, job_events
from deploy.client.job_teller import Teller, attempt_words, waiting_words
from deploy.client.texts import fields, table
from shared.jobs import State

_id = click.argument("job_id", metavar="JOB_ID")
_json = click.option("--json", "as_json", is_flag=True, help="The gateway's own object, one line each.")


@click.group(short_help="Look at jobs, follow them, cancel them.")
def command() -> None:
    """Look at jobs, follow them, cancel them.

    JOB_ID is the id of a placeholder, and the header x-bf-job-id of every answer.
    """


@command.command("list")
@click.option("--status", type=click.Choice([state.value for state in State]), help="Only those in that state.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@_json
@asks_a_gateway
def list_jobs(gateway: Gateway, *, status: str | None, limit: int, as_json: bool) -> None:
    """List the newest asynchronous jobs."""
    found = list(gateway.listed(JOBS, limit, after="after", last="next", **({"status": status} if status else {})))
    if as_json:
        for job in found:
            click.echo(msgspec.json.encode(job))
    elif found:
        header = ("ID", "STATUS", "MODEL", "OPERATION", "TRIES", "CREATED", "COMPLETED")
        click.echo(table(header, map(_row, found)))
    else:
        click.echo("no jobs", err=True)


@command.command(short_help="Show a job as it stands.")
@_id
@_json
@asks_a_gateway
def show(gateway: Gateway, *, job_id: str, as_json: bool) -> None:
    """Show a job: its state, its tries and why they failed, what it waits for."""
    job = gateway.get(_path(job_id))
    click.echo(msgspec.json.encode(job) if as_json else fields(_facts(job)))


@command.command(short_help="Follow a job to its end.")
@_id
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each event.")
@asks_a_gateway
def tail(gateway: Gateway, *, job_id: str, as_json: bool) -> None:
    """Follow a job to its end and print its answer; exit status 0 only if it succeeded. Ctrl-C leaves the job alone."""
    tell = _tell_json if as_json else Teller().tell
    event = None
    try:
        for event in job_events(gateway, _path(job_id)):
            tell(event)
    except KeyboardInterrupt:
        click.echo(f"\nstopped following; the job goes on: hermod jobs tail {job_id}", err=True)
    if event is None or event.kind != State.SUCCEEDED:
        click.get_current_context().exit(1)


@command.command()
@_id
@_json
@asks_a_gateway
def cancel(gateway: Gateway, *, job_id: str, as_json: bool) -> None:
    """Cancel a job."""
    job = gateway.post(f"{_path(job_id)}/cancel")
    state = State(job["status"])
    if state.final and state is not State.CANCELLED:
        raise click.ClickException(f"{job_id} had ended before: {state}.")
    words = state.value if state.final else f"is still {state}, and ends as soon as its worker hears of it"
    click.echo(msgspec.json.encode(job) if as_json else f"{job_id} {words}")


def _path(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"


def _tell_json(event: Event) -> None:
    click.echo(msgspec.json.encode(event))


def _row(job: dict[str, Any]) -> tuple[object, ...]:
    tries = len(job["attempts"])
    return job["id"], job["status"], job["model"], job["operation"], tries, job["created_at"], job["completed_at"]


def _facts(job: dict[str, Any]) -> list[tuple[str, object]]:
    plain_ones = ("id", "status", "model", "operation", "dialect", "lane")
    times = [(name.removesuffix("_at"), job[name]) for name in ("created_at", "started_at", "completed_at")]
    return [
        *((name, job[name]) for name in plain_ones),
        *times,
        *(("attempt", attempt_words(attempt)) for attempt in job["attempts"]),
        ("waiting", job["waiting"] and waiting_words(job["waiting"])),
        ("cost", None if job.get("cost_usd") is None else f"${job['cost_usd']:.6f}"),
        ("error", job["error"] and job["error"]["message"]),
    ]
