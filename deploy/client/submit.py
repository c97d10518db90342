"""`hermod submit`: a file of requests becomes a batch."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import click
import msgspec

from api.batching import ENDPOINTS
from deploy.client.creation import create_batch
from deploy.client.gateway import Gateway, asks_a_gateway
from deploy.client.requests_file import Problems, read_requests
from deploy.client.watch import watch_batch


class _BadFile(click.ClickException):
    """The file is refused; nothing was sent."""

    exit_code = 2

    def __init__(self, path: str, problems: Problems) -> None:
        lines = [f"{path}: nothing was sent, for the file is not all right", *problems.shown]
        if more := problems.count - len(problems.shown):
            lines.append(f"and {more} more")
        super().__init__("\n  ".join(lines))


@click.command(short_help="Run a file of requests as a batch.")
@click.argument(
    "path", metavar="FILE.jsonl", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)
)
@click.option("--endpoint", type=click.Choice(list(ENDPOINTS)), help="Of lines in OpenAI's form without `url`.")
@click.option("--provider", default="", help="Who serves a model without a `provider/` prefix.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "native", "direct"]),
    help="By the provider's own batch API (native), by single calls (direct), or as suits (auto, the default).",
)
@click.option(
    "--watch", is_flag=True, help="Follow the batch to its end; exit status 0 only if all requests succeeded."
)
@click.option("--json", "as_json", is_flag=True, help="Print the batch as JSON instead of its id.")
@asks_a_gateway
def command(
    gateway: Gateway,
    *,
    path: str,
    endpoint: str | None,
    provider: str,
    mode: str | None,
    watch: bool,
    as_json: bool,
) -> None:
    """Run the requests in a file as a batch, and print its id.

    FILE.jsonl holds one request a line, all in OpenAI's form {"custom_id", "method", "url", "body"}, where `method`
    and `url` may be missing, or all in Anthropic's, {"custom_id", "params"}; - is standard input. The whole file is
    looked through first: if anything in it is wrong, nothing is sent, and the exit status is 2.
    """
    wishes = {"x-model-provider": provider, "x-bf-batch-mode": mode or ""}
    with _opened(path) as file:
        try:
            requests = read_requests(file, endpoint or "")
        except Problems as problems:
            raise _BadFile(path, problems) from problems
        name = "stdin.jsonl" if path == "-" else Path(path).name
        try:
            batch = create_batch(gateway, file, requests, name, {key: value for key, value in wishes.items() if value})
        except KeyboardInterrupt:
            click.echo("\nstopped; a batch may have been made nevertheless: hermod batches list", err=True)
            click.get_current_context().exit(1)
    click.echo(msgspec.json.encode(batch) if as_json else batch["id"])
    if watch:
        watch_batch(gateway, batch["id"], as_json=as_json)


def _opened(path: str) -> BinaryIO:
    """The file, or a copy on disk of one that can be read only once. Raises click.ClickException."""
    try:
        file = cast("BinaryIO", click.open_file(path, "rb"))
        if file.seekable():
            return file
        copy = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - whoever asked closes it
        with file:
            shutil.copyfileobj(file, copy)
    except OSError as error:
        raise click.FileError(path, error.strerror) from error
    return copy
