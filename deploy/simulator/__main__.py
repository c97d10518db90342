"""`python -m deploy.simulator`: the simulator on its own."""

from __future__ import annotations

import logging
from typing import Any

import click

from deploy.simulator.knobs import Knobs
from deploy.simulator.server import serve

_DEFAULT = Knobs()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=18200, show_default=True)
@click.option("--latency-ms", default=_DEFAULT.latency_ms, show_default=True, help="Before the first byte.")
@click.option("--tokens-per-s", default=_DEFAULT.tokens_per_s, show_default=True, help="Of streams; 0 is at once.")
@click.option("--error-rate", default=_DEFAULT.error_rate, show_default=True, help="Share of calls, 0 to 1.")
@click.option("--error-kind", default=_DEFAULT.error_kind, show_default=True, help="A status, cut, garbage, ...")
@click.option("--seed", default=_DEFAULT.seed, show_default=True, help="Of the draw for the error rate.")
@click.option("--ledger-size", default=_DEFAULT.ledger_size, show_default=True, help="Calls remembered.")
@click.option("--requests-per-minute", default=_DEFAULT.requests_per_minute, show_default=True, help="Of each key.")
@click.option("--tokens-per-minute", default=_DEFAULT.tokens_per_minute, show_default=True, help="Of each key.")
@click.option("--burst-s", default=_DEFAULT.burst_s, show_default=True, help="Seconds' worth of these at once.")
def main(host: str, port: int, **knobs: Any) -> None:
    """Serve a simulated provider until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        turned = Knobs(**knobs)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    serve(host, port, turned)


main()
