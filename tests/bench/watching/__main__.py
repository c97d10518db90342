"""What watching costs a call: `uv run python -m tests.bench.watching [--quick]`.

Three gateways side by side, each an API process, a worker and a Redis of its own, before one simulator: one with
metrics, traces and log fields taken out, one as it is, one that sends its traces to a collector that drops them. Every
round asks each in turn; figures are medians, differences are of the same round.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import uvloop

from tests.bench.overhead import gateways
from tests.bench.overhead.client import paced, saturated
from tests.bench.overhead.gateways import PLAIN, Gateway
from tests.bench.overhead.processes import until_idle
from tests.bench.server import Server
from tests.integration.otlp import Collector

BARE = "unwatched"
CONNECTIONS = 16
RATE = 50.0
MOST = 0.03
"""Of p50 and of CPU, for watching without traces."""


def started(stack: ExitStack, folder: Path) -> list[Gateway]:
    """All three."""
    (folder / "direct").mkdir()
    simulator = stack.enter_context(gateways.direct(folder / "direct"))
    collector = Collector()
    stack.callback(collector.close)
    kinds = {
        BARE: ("tests.bench.watching.unwatched", {}),
        "watched": ("deploy.cli", {}),
        "traced": ("deploy.cli", {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}),
    }
    running = []
    for name, (module, variables) in kinds.items():
        own = folder / name
        own.mkdir()
        server = Server(own / "redis")
        stack.callback(server.stop)
        url = f"http://127.0.0.1:{simulator.ports[0]}"
        gateway = gateways.hermod(own, url, server, 1, 1, module=module, variables=variables, name=name)
        running.append(stack.enter_context(gateway))
    return running


def measure(gateway: Gateway, seconds: float) -> dict[str, float]:
    """CPU for one call in microseconds, all of it and by role, and p50 in milliseconds of calls that come alone."""
    request, before = gateway.request(PLAIN), gateway.cpu_s()
    served = uvloop.run(saturated(gateway.ports, request, CONNECTIONS, seconds))
    until_idle(gateway.pids(), 15)
    spent = {role: 1e6 * (now - before[role]) / served.answered for role, now in gateway.cpu_s().items()}
    alone = uvloop.run(paced(gateway.ports[0], request, RATE, seconds))
    return {**spent, "CPU us": sum(spent.values()), "p50 ms": alone.p50_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    rounds, seconds = (3, 1.5) if parser.parse_args().quick else (15, 4.0)
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        running = started(stack, Path(name))
        for gateway in running:
            measure(gateway, 1.0)
        for number in range(rounds):
            # Each is first as often as the others: a machine has slower and faster minutes.
            for gateway in running[number % 3 :] + running[: number % 3]:
                found[gateway.name].append(measure(gateway, seconds))
                shown = "  ".join(f"{what} {figure:8.2f}" for what, figure in found[gateway.name][-1].items())
                print(f"{number + 1}/{rounds} {gateway.name:10}{shown}", flush=True)
    for gateway_name, figures in found.items():
        for what in figures[0]:
            bare = [one[what] for one in found[BARE]]
            more = median((one[what] - without) / without for one, without in zip(figures, bare, strict=True))
            print(f"{gateway_name:10}{what:8}{median(one[what] for one in figures):9.2f}  {more:+.1%}")
    print(f"most that `watched` may add to CPU and p50: {MOST:.0%}")


if __name__ == "__main__":
    main()
