"""Our queue against stock arq on one server: `uv run python -m tests.bench.queue [--quick] [--only drain,latency,…]`.

Starts a Redis or Valkey of its own in a temporary folder, and worker processes. Both sides run in turn (A B A B …),
each round on an empty server; figures are medians, and `better by` compares the two sides of this very run, so that
it holds on a noisy machine. Jobs carry 1 KB. Stock arq polls every 10 ms, its results too, and has the number of slots
out of several that suits it best; ours has the default of 200, other figures are notes.

drain       no-op jobs/s of 1 and 2 workers on a queue filled before, and what a job costs
latency     ms from submit to outcome while no-op jobs arrive at a steady rate
full        no-op jobs/s of a new worker beside six that hold 200 slow jobs each
takeover    seconds from the SIGKILL of a worker until another one starts its job
hold        memory and CPU of one worker, and of the server, per sleeping job
fairness    10 ms jobs on 2 workers of 50 slots: a small tenant behind a big one; five equal ones
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import uvloop

from tests.bench.queue import cells
from tests.bench.queue.cells import Drained, Side
from tests.bench.queue.ours import Ours
from tests.bench.queue.stock import Stock
from tests.bench.server import Row, Server, percentile, print_heading, print_row

Figure = TypeVar("Figure")

STOCK_SLOTS = 100
"""Where no row tries several."""


class Bench:
    """One run: the server, and how much of everything."""

    def __init__(self, server: Server, *, quick: bool) -> None:
        self.server = server
        self.quick = quick

    async def both(
        self, measure: Callable[[Side], Awaitable[Figure]], rounds: int
    ) -> tuple[list[Figure], list[Figure]]:
        """What `measure` says of stock arq and of ours, in turn."""
        figures: tuple[list[Figure], list[Figure]] = ([], [])
        for _ in range(rounds):
            for kind, found in zip((Stock, Ours), figures, strict=True):
                async with cells.opened(kind, self.server) as side:
                    found.append(await measure(side))
        return figures

    async def drain(self) -> None:
        """Rows of throughput, and of what a job costs."""
        for policy in ("always", "everysec"):
            self.server.appendfsync(policy)
            for count in (1, 2):
                await self._drain(policy, count)
        self.server.appendfsync("always")

    async def _drain(self, policy: str, count: int) -> None:
        variants = max(len(Stock.slots), len(Ours.slots))
        stock: dict[int, list[Drained]] = {}
        ours: dict[int, list[Drained]] = {}
        for turn in range(variants * (1 if self.quick else 2)):

            async def measure(side: Side, turn: int = turn) -> None:
                slots = side.slots[turn % len(side.slots)]
                jobs = 2000 if isinstance(side, Stock) else 20_000
                found = stock if isinstance(side, Stock) else ours
                found.setdefault(slots, []).append(await cells.drain(side, self.server, count, slots, jobs))

            await self.both(measure, 1)
        best = max(stock, key=lambda slots: _middle(stock[slots], "jobs_s"))
        first, second = stock[best], ours[Ours.slots[0]]
        where = f"{count} worker{'s' * (count > 1)}, appendfsync {policy}"
        note = f"stock by slots: {_by_slots(stock)}; ours: {_by_slots(ours)}"
        self._row(f"no-op, {where}", "jobs/s", first, second, "jobs_s", more=True, note=note)
        if policy == "always":
            self._row(f"  Redis commands, {count} worker{'s' * (count > 1)}", "per job", first, second, "commands")
            self._row("  of them sent, not called by a script", "per job", first, second, "sent")
            self._row("  server CPU", "us per job", first, second, "server_us")
            self._row("  worker CPU", "us per job", first, second, "worker_us")

    def _row(
        self, what: str, unit: str, first: list, second: list, name: str, *, more: bool = False, note: str = ""
    ) -> None:
        print_row(Row(what, unit, _middle(first, name), _middle(second, name), more=more, note=note))

    async def latency(self) -> None:
        """Rows of submit to outcome."""
        for rate in (50, 500):

            async def measure(side: Side, rate: int = rate) -> list[float]:
                slots = STOCK_SLOTS if isinstance(side, Stock) else Ours.slots[0]
                return await cells.latency(side, self.server, slots, rate, 3 if self.quick else 6)

            stock, ours = await self.both(measure, 1 if self.quick else 3)
            for share in (0.5, 0.99):
                first, second = ([percentile(one, share) for one in side] for side in (stock, ours))
                what = f"submit to outcome at {rate} jobs/s, p{share * 100:.0f}"
                print_row(Row(what, "ms", median(first), median(second)))

    async def full(self) -> None:
        """Rows of a new worker beside full ones."""
        for slots in (200, 1000):

            async def measure(side: Side, slots: int = slots) -> float:
                return await cells.beside_full_workers(side, self.server, slots, 15 if self.quick else 60, 5)

            stock, ours = await self.both(measure, 1)
            what = f"new worker ({slots:,} slots) beside 6 x 200 slow jobs"
            print_row(Row(what, "jobs/s", median(stock), median(ours), more=True))

    async def takeover(self) -> None:
        """The row of a killed worker."""
        timeout_s = 10 if self.quick else 60

        async def measure(side: Side) -> float:
            return await cells.takeover(side, self.server, timeout_s)

        stock, ours = await self.both(measure, 1 if self.quick else 2)
        note = f"stock: job_timeout {timeout_s} s + 10 s, ours: lease 10 s whatever the timeout"
        print_row(Row("takeover after SIGKILL", "s", median(stock), median(ours), note=note))

    async def hold(self) -> None:
        """Rows of what a waiting job costs."""
        jobs = 2000 if self.quick else 10_000

        async def measure(side: Side) -> cells.Held:
            return await cells.hold(side, self.server, jobs, 6 if self.quick else 12)

        stock, ours = await self.both(measure, 1)
        what = f"{jobs:,} sleeping jobs"
        self._row(f"{what}: server memory", "KiB per job", stock, ours, "server_kib")
        self._row(f"{what}: worker memory", "KiB per job", stock, ours, "worker_kib")
        self._row(f"{what}: server CPU meanwhile", "% of a core", stock, ours, "server_cpu")
        self._row(f"{what}: worker CPU meanwhile", "% of a core", stock, ours, "worker_cpu")

    async def fairness(self) -> None:
        """Rows of how tenants share."""
        ahead = 4000 if self.quick else 20_000
        for before in (0, ahead):

            async def measure(side: Side, before: int = before) -> float:
                return await cells.small_tenant(side, self.server, 50, before)

            stock, ours = await self.both(measure, 1 if self.quick else 3)
            what = f"20 jobs behind {before:,} of another tenant, p95" if before else "20 jobs, nobody else, p95"
            print_row(Row(what, "ms", median(stock), median(ours)))

        async def even(side: Side) -> float:
            return await cells.jain(side, self.server, 50, ahead // 10)

        stock, ours = await self.both(even, 1 if self.quick else 3)
        print_row(Row("Jain's index, 5 tenants, half of the drain", "1 = even", median(stock), median(ours), more=True))


def _middle(rows: list, name: str) -> float:
    return median(getattr(row, name) for row in rows)


def _by_slots(found: dict[int, list[Drained]]) -> str:
    return ", ".join(f"{slots} {_middle(rows, 'jobs_s'):,.0f}" for slots, rows in sorted(found.items()))


async def run(parts: list[str], *, quick: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            print(server.facts())
            print_heading(Stock.name, Ours.name)
            bench = Bench(server, quick=quick)
            for part in parts:
                await getattr(bench, part)()
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of a quarter of an hour")
    parser.add_argument("--only", default=PARTS, metavar="PARTS", help=f"of {PARTS}")
    options = parser.parse_args()
    uvloop.run(run(options.only.split(","), quick=options.quick))


PARTS = "drain,latency,full,takeover,hold,fairness"

if __name__ == "__main__":
    main()
