"""What a gateway adds to a call: `uv run python -m tests.bench.overhead [--quick] [--api N] [--workers N]`.

The provider simulator asked directly, and the same simulator behind Hermod, LiteLLM's proxy and Portkey's gateway, all
on this machine and all started before the first request. The others are installed below `.cache/bench`; one that
cannot be is left out. Requests are chat completions of 1 KB with a key that is checked (Portkey's gateway has none).
Each round asks every gateway in turn, and the next begins when the one before has become idle; figures are medians of
the rounds, added latency that of the differences within a round. Client and simulator work on the same cores.

latency     one connection, 20 requests a second
plain       16 and 64 connections, each asks again as soon as it is answered
stream      16 streams of 500 words: the simulator writes each at once, so that events come many at a time
one by one  16 streams of 100 words at 100 a second each: every event comes alone

An event is what a blank line ends, counted at the client. CPU is that of a gateway's processes, of Hermod's API, worker
and Redis together; a request per CPU-second is a request a second on each core that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.bench.overhead import gateways
from tests.bench.overhead.gateways import Gateway
from tests.bench.overhead.installed import NotInstalled
from tests.bench.overhead.processes import DoesNotStart, machine_busy_s
from tests.bench.overhead.rounds import ALONE, LATENCY, PLAIN_16, PLAIN_64, RATE, STREAMED, STREAMS, Bench
from tests.bench.overhead.table import (
    NOT_BEHIND_PORTKEY,
    OURS,
    TEN_LITELLMS,
    TEN_THOUSAND,
    THIRD_OF_LITELLM,
    Line,
    print_table,
)
from tests.bench.server import Server

DISTURBING = 0.1
"""Share of the CPU time that other programs may take: what crosses more processes waits longer for its turn."""


def started(stack: ExitStack, folder: Path, server: Server, apis: int, workers: int) -> list[Gateway]:
    """Every gateway that can be had, the simulator first; `server` is Hermod's."""
    bare = stack.enter_context(gateways.direct(folder))
    simulator = f"http://127.0.0.1:{bare.ports[0]}"
    running = [bare, stack.enter_context(gateways.hermod(folder, simulator, server, apis, workers))]
    for name, start in (("LiteLLM", gateways.litellm), ("Portkey", gateways.portkey)):
        try:
            running.append(stack.enter_context(start(folder, simulator)))
        except (NotInstalled, DoesNotStart) as reason:
            print(f"{name} is left out: {reason}", flush=True)
    return running


def lines(bench: Bench) -> list[Line]:
    """The table's."""
    found = [
        Line(f"p50 at {RATE:g} requests/s, ms", bench.each(LATENCY, "served.p50_ms")),
        Line("  of it added", bench.added(LATENCY, "served.p50_ms"), THIRD_OF_LITELLM),
        Line(f"p99 at {RATE:g} requests/s, ms", bench.each(LATENCY, "served.p99_ms")),
        Line("  of it added", bench.added(LATENCY, "served.p99_ms")),
    ]
    for load in (PLAIN_16, PLAIN_64):
        found += [
            Line(f"requests/s, {load.connections} connections", bench.each(load, "served.requests_s"), TEN_LITELLMS),
            Line("  p50, ms", bench.each(load, "served.p50_ms")),
            Line("  requests per CPU-second", bench.each(load, "requests_per_cpu_s"), NOT_BEHIND_PORTKEY),
        ]
    for load, how, target in ((STREAMED, "at once", TEN_THOUSAND), (ALONE, "one by one", None)):
        found += [
            Line(f"events/s, {STREAMS} streams, {how}", bench.each(load, "served.events_s"), target),
            Line("  events per CPU-second", bench.each(load, "events_per_cpu_s")),
        ]
    return found


def own_cpu(bench: Bench) -> list[str]:
    """Where our CPU goes."""
    return [
        f"{OURS}'s CPU for one request, {load.connections} connections: "
        + ", ".join(f"{role} {us:,.0f} us" for role, us in bench.cpu_us_by_role(load, OURS).items())
        for load in (PLAIN_16, PLAIN_64)
    ]


def cpu_of(running: list[Gateway]) -> float:
    """CPU seconds of this run's own programs so far."""
    return sum(sum(one.cpu_s().values()) for one in running) + sum(os.times()[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, a minute or two")
    parser.add_argument("--api", type=int, default=1, metavar="N", help="API processes of Hermod")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="worker processes of Hermod")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        server = Server(Path(name) / "redis")
        stack.callback(server.stop)
        print(server.facts(), flush=True)
        running = started(stack, Path(name), server, options.api, options.workers)
        print(", ".join(f"{one.name} {one.version}" for one in running), flush=True)
        bench = Bench(running, quick=options.quick)
        busy, ours = machine_busy_s(), cpu_of(running)
        bench.run()
        ours = cpu_of(running) - ours
        others = machine_busy_s() - busy - ours
        doubts, share = bench.doubts(), max(others, 0.0) / (ours + others)
    said = f"other programs took {share:.0%} of the CPU time that was used meanwhile"
    if share > DISTURBING:
        doubts.append(f"{said}: measure again when they are gone")
    print_table(lines(bench))
    print("\n".join([*own_cpu(bench), said, *(f"DOUBT: {doubt}" for doubt in doubts)]))


if __name__ == "__main__":
    main()
