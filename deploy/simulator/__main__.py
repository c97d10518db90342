"""`python -m deploy.simulator`: the simulator on its own."""

from __future__ import annotations

import logging

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
def main(  # noqa: PLR0917 - one parameter per option
    host: str,
    port: int,
    latency_ms: int,
    tokens_per_s: float,
    error_rate: float,
    error_kind: str,
    seed: int,
    ledger_size: int,
) -> None:
    """Serve a simulated provider until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        knobs = Knobs(
            latency_ms=latency_ms,
            tokens_per_s=tokens_per_s,
            error_rate=error_rate,
            error_kind=error_kind,
            seed=seed,
            ledger_size=ledger_size,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    serve(host, port, knobs)


main()
