"""What watching costs a call: `uv run python -m tests.bench.watching [--traces] [--quick]`.

One gateway (an API process, a worker, a Redis) before the simulator, under a steady load of 16 connections for a second
and a half, again and again: with metrics and log fields, and, every other time, with these taken out. With `--traces`
it also sends its traces to a collector, which drops them. Figures are medians, of differences those of neighbours.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import uvloop

from tests.bench.overhead import gateways
from tests.bench.overhead.client import saturated
from tests.bench.overhead.gateways import PLAIN, Gateway
from tests.bench.overhead.processes import until_idle
from tests.bench.server import Server
from tests.bench.watching.switched import PUT_BACK, TAKE_OUT
from tests.integration.otlp import Collector

CONNECTIONS = 16
SECONDS = 1.5
MOST = 0.03
"""Of CPU and of p50 that watching may add, without traces."""
Figures = dict[str, float]


def started(stack: ExitStack, folder: Path, *, traces: bool) -> Gateway:
    """The gateway."""
    simulator = stack.enter_context(gateways.direct(folder))
    variables = {}
    if traces:
        collector = Collector()
        stack.callback(collector.close)
        variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
    server = Server(folder / "redis")
    stack.callback(server.stop)
    url, module = f"http://127.0.0.1:{simulator.ports[0]}", "tests.bench.watching.switched"
    return stack.enter_context(gateways.hermod(folder, url, server, 1, 1, module=module, variables=variables))


def measure(gateway: Gateway, *, watched: bool) -> Figures:
    """CPU of a call in microseconds, by role and in all, and p50 in milliseconds."""
    for role in ("API", "worker"):
        os.kill(gateway.processes[role][0], PUT_BACK if watched else TAKE_OUT)
    before = gateway.cpu_s()
    served = uvloop.run(saturated(gateway.ports, gateway.request(PLAIN), CONNECTIONS, SECONDS))
    until_idle(gateway.pids(), 15)
    spent = {role: 1e6 * (now - before[role]) / served.answered for role, now in gateway.cpu_s().items()}
    return {**spent, "all": sum(spent.values()), "p50 ms": served.p50_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", action="store_true")
    parser.add_argument("--quick", action="store_true", help="five pairs instead of forty")
    options = parser.parse_args()
    pairs: list[tuple[Figures, Figures]] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        gateway = started(stack, Path(name), traces=options.traces)
        measure(gateway, watched=True)
        for number in range(5 if options.quick else 40):
            # The second of a pair is now the one, now the other.
            found = {watched: measure(gateway, watched=watched) for watched in (bool(number % 2), not number % 2)}
            pairs.append((found[False], found[True]))
    for what in pairs[0][0]:
        without, added = (
            median(bare[what] for bare, _ in pairs),
            median(more[what] - bare[what] for bare, more in pairs),
        )
        print(f"{what:8}{without:9.2f} {added:+8.2f} {added / without:+.1%}")
    print(f"most that may be added without traces: {MOST:.0%}")


if __name__ == "__main__":
    main()
