"""The `hermod` command."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec.structs import replace

from deploy.config_report import config_report
from deploy.first import default_data_dir, refuse_taken, settings_of, with_folder
from shared import logs
from shared.config_file import Loaded, load
from shared.masked import SettingsError

_Function = TypeVar("_Function", bound=Callable[..., Any])


_host = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_host_of_probe = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address of its probes and metrics."
)
_metrics_port = click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="TCP port of its probes and metrics, 0 for none; default metrics_port of `client` or `worker`.",
)
_config = click.option(
    "--config",
    envvar="HERMOD_CONFIG",
    type=click.Path(dir_okay=False),
    help="config.json in Bifrost's shape; default $HERMOD_CONFIG, else the usual environment variables.",
)
_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for Redis' data and the object store; default ~/.local/share/hermod.",
)
_log_format = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="HERMOD_LOG_FORMAT",
    show_default=True,
    show_envvar=True,
    help="Of the lines on stderr.",
)
_log_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    envvar="HERMOD_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="From which on lines are written.",
)


def _port(default: int) -> Callable[[_Function], _Function]:
    return click.option("--port", type=click.IntRange(1, 65535), default=default, show_default=True, help="TCP port.")


class _Commands(click.Group):
    """Knows besides its own commands those that talk to a gateway, and loads one when it is asked for."""

    _talking = ("batches", "jobs", "keys", "submit", "webhooks")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._talking])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._talking:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f"deploy.client.{cmd_name}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hermod", prog_name="hermod")
def main() -> None:
    """A drop-in LLM gateway that cannot lose a request."""


@main.command()
@_host
@_port(8080)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65000),
    default=0,
    help="TCP port of the API's probes and metrics; each worker takes the next one. Default: none.",
)
@_config
@_data_dir
@_log_format
@_log_level
def up(
    host: str,
    port: int,
    workers: int,
    *,
    metrics_port: int,
    config: str | None,
    data_dir: Path | None,
    log_format: logs.LogFormat,
    log_level: logs.LogLevel,
) -> None:
    """Run the whole gateway on this machine; Ctrl-C stops it.

    API, workers, Redis and object store are started together; what they keep lies in the data folder.
    """
    from deploy import up as gateway  # noqa: PLC0415 - each command loads only what it runs
    from deploy.private_files import DataFolderBusy  # noqa: PLC0415 - the same

    logs.configure(log_format, log_level)
    folder = (data_dir or default_data_dir(os.environ)).resolve()
    options = gateway.Options(
        host=host,
        port=port,
        workers=workers,
        metrics_port=metrics_port,
        config=config,
        data_dir=folder,
        log_format=log_format,
        log_level=log_level,
    )
    try:
        asyncio.run(gateway.run(options, os.environ))
    except (SettingsError, DataFolderBusy, gateway.CannotStart) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@_host
@_port(8080)
@click.option(
    "--drain",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seconds for which it still takes requests when told to stop, while /ready says 503.",
)
@click.option(
    "--grace",
    type=click.IntRange(min=1),
    default=25,
    show_default=True,
    help="Seconds that requests and streams in flight then get to end.",
)
@_metrics_port
@_config
@_data_dir
@_log_format
@_log_level
def api(  # noqa: PLR0913 - its options
    host: str,
    port: int,
    *,
    drain: int,
    grace: int,
    metrics_port: int | None,
    config: str | None,
    data_dir: Path | None,
    log_format: logs.LogFormat,
    log_level: logs.LogLevel,
) -> None:
    """Run one API process: it faces clients and holds no provider key."""
    logs.configure(log_format, log_level)
    settings = settings_of("api", config, data_dir)
    refuse_taken(host, port)
    if metrics_port is not None:
        settings = replace(settings, client=replace(settings.client, metrics_port=metrics_port))
    from api.server import serve  # noqa: PLC0415 - each command loads only what it runs

    serve(settings, host, port, drain_s=drain, grace_s=grace)


@main.command()
@_host_of_probe
@_metrics_port
@_config
@_data_dir
@_log_format
@_log_level
def worker(
    host: str,
    metrics_port: int | None,
    *,
    config: str | None,
    data_dir: Path | None,
    log_format: logs.LogFormat,
    log_level: logs.LogLevel,
) -> None:
    """Run one worker process: it calls the providers."""
    logs.configure(log_format, log_level)
    settings = settings_of("worker", config, data_dir)
    if metrics_port is not None:
        settings = replace(settings, worker=replace(settings.worker, metrics_port=metrics_port))
    from worker.main import run  # noqa: PLC0415 - each command loads only what it runs

    run(settings, host)


@main.command()
@_host
@_port(8081)
@click.option("--latency-ms", type=click.IntRange(min=0), default=0, show_default=True, help="Before the first byte.")
@click.option("--tokens-per-s", type=click.FloatRange(min=0), default=0, help="Pace of streams; 0 writes at once.")
@click.option("--error-rate", type=click.FloatRange(0, 1), default=0, help="Share of calls that fail, 0 to 1.")
@click.option("--error-kind", default="529", show_default=True, help="A status, cut, cut-stream, garbage, …")
@click.option("--seed", type=int, default=0, help="Of the draw for --error-rate.")
@click.option("--requests-per-minute", type=click.IntRange(min=0), default=0, help="Of each key; 0 is no limit.")
@click.option("--tokens-per-minute", type=click.IntRange(min=0), default=0, help="The same.")
@click.option("--burst-s", type=click.FloatRange(min=0), default=60, help="Seconds' worth of these at once.")
@_log_format
@_log_level
def simulate(host: str, port: int, log_format: logs.LogFormat, log_level: logs.LogLevel, **knobs: Any) -> None:
    """Run a stand-in for the providers, to try things out.

    It has knobs for latency and faults, and keeps a ledger of every call.
    """
    logs.configure(log_format, log_level)
    from deploy.simulator.knobs import Knobs  # noqa: PLC0415 - each command loads only what it runs
    from deploy.simulator.server import serve  # noqa: PLC0415 - the same

    try:
        turned = Knobs(**knobs)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--error-kind") from error
    refuse_taken(host, port)
    serve(host, port, turned)


@main.group()
def config() -> None:
    """Look at the settings."""


@config.command(short_help="Say what is configured, and what is wrong with it.")
@_config
@_data_dir
def check(config: str | None, data_dir: Path | None) -> None:
    """Say what is configured, secrets masked; exit status 1 and the field's path when something is wrong."""
    try:
        loaded = load(config, os.environ, secrets=True)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    settings = with_folder(loaded.settings, data_dir)
    click.echo("\n".join(config_report(Loaded(settings=settings, warnings=loaded.warnings), config)))


@config.command("reference", short_help="Print every setting with its meaning, as Markdown.")
def print_reference() -> None:
    """Print every setting with its meaning and default, as Markdown."""
    from deploy.config_reference import reference  # noqa: PLC0415 - each command loads only what it runs

    click.echo(reference())


@main.group()
def admin() -> None:
    """Who may administer the gateway."""


@admin.command("hash-password", short_help="Print the hash of a password, for config.json.")
@click.password_option(help="Asked for when it is not given.")
def hash_password(password: str) -> None:
    """Print the hash of a password, for admin.password_hash of config.json."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - each command loads only what it runs

    click.echo(PasswordHasher().hash(password))


if __name__ == "__main__":
    sys.exit(main())
