"""Compare HTTP clients with many slow calls in flight: `python tests/bench/transport.py [--cells …] [client…]`.

Each figure comes from a process of its own against `provider.py`, one after the other, so that ratios hold even where
the machine is noisy. `plain-N` and `stream-N` keep N calls in flight by starting them at a steady rate, whether or not
earlier ones have ended: answers that come after a second, streams of 50 events over 5 s. `instant-N` and `burst-N`
are N loops of calls to a provider that answers, or streams 50 events, at once.

Columns: CPU ms per call, and that as a multiple of the first client's; ms that the client adds to a plain answer, or
the age of an event when it is read (p50, p99); calls and events per second; peak memory. What cannot keep up is cut
short and shows it by fewer calls per second and late answers, or has no figures at all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from clients import CLIENTS  # noqa: E402 - found through the path above

CELLS = "plain-50 plain-400 plain-2000 stream-50 stream-400 stream-2000 instant-64 burst-64"
EVENTS = 50
GAP_MS = 100
PATIENCE_S = 15.0


class Figures(msgspec.Struct):
    """What one client did in one cell."""

    cpu_ms: float
    p50_ms: float
    p99_ms: float
    calls_s: float
    events_s: float
    rss_mib: float
    failed: int
    why: str


class Tally:
    """What is seen once the warm-up is over."""

    def __init__(self, client: Any, url: str, expected_s: float) -> None:
        self.client = client
        self.url = url
        self.expected_s = expected_s
        self.counting = False
        self.calls = self.events = self.failed = 0
        self.why = ""
        self.late_ms: list[float] = []

    async def plain(self) -> None:
        counted, began = self.counting, time.monotonic()
        await self.client.plain(self.url)
        if counted:
            self.calls += 1
            self.late_ms.append((time.monotonic() - began - self.expected_s) * 1000)

    async def stream(self) -> None:
        counted, seen = self.counting, 0
        async with self.client.stream(self.url) as chunks:
            async for chunk in chunks:
                now = time.monotonic()
                seen += chunk.count(b"\n\n")
                at = chunk.rfind(b'"t":')
                if counted and at >= 0:
                    self.late_ms.append((now - float(chunk[at + 4 : at + 21])) * 1000)
        assert seen == EVENTS, f"{seen} of {EVENTS} events"
        if counted:
            self.calls += 1
            self.events += seen

    async def guarded(self, kind: str) -> None:
        try:
            await (self.plain() if kind in {"plain", "instant"} else self.stream())
        except Exception as error:  # noqa: BLE001 - whatever a client raises is a figure
            self.failed += 1
            self.why = repr(error)[:60]

    def figures(self, cpu_s: float, calls: float, window_s: float) -> Figures:
        late = sorted(self.late_ms) or [float("nan")]
        return Figures(
            cpu_ms=cpu_s / max(calls, 1) * 1000,
            p50_ms=late[len(late) // 2],
            p99_ms=late[int(len(late) * 0.99)],
            calls_s=self.calls / window_s,
            events_s=self.events / window_s,
            rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            failed=self.failed,
            why=self.why,
        )


async def steady(tally: Tally, kind: str, in_flight: int, measure_s: float) -> Figures:
    """Start calls at the rate that keeps `in_flight` of them open."""
    rate, warm_s = in_flight / tally.expected_s, max(1.5, tally.expected_s)
    tasks: set[asyncio.Task[None]] = set()
    began, started, cpu, since = time.monotonic(), 0, 0.0, 0.0
    while (elapsed := time.monotonic() - began) < warm_s + measure_s:
        if not tally.counting and elapsed >= warm_s:
            tally.counting, cpu, since = True, time.process_time(), time.monotonic()
        due = int(elapsed * rate) + 1
        for _ in range(due - started):
            task = asyncio.create_task(tally.guarded(kind))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        started = due
        await asyncio.sleep(max(0.001, min(0.02, 1 / rate)))
    cpu, window_s = time.process_time() - cpu, time.monotonic() - since
    if tasks:
        await asyncio.wait(tasks, timeout=tally.expected_s + PATIENCE_S)
    # In a steady state as many calls end as begin, so the window's CPU is that of the calls due in it.
    return tally.figures(cpu, rate * window_s, window_s)


async def loops(tally: Tally, kind: str, width: int, measure_s: float) -> Figures:
    """Keep `width` calls going, each followed by the next."""
    end = time.monotonic() + 1.0 + measure_s

    async def loop() -> None:
        while time.monotonic() < end:
            await tally.guarded(kind)

    tasks = [asyncio.create_task(loop()) for _ in range(width)]
    await asyncio.sleep(1.0)
    tally.counting, cpu, since = True, time.process_time(), time.monotonic()
    await asyncio.wait(tasks, timeout=measure_s + PATIENCE_S)
    return tally.figures(time.process_time() - cpu, tally.calls, time.monotonic() - since)


async def measure(name: str, cell: str, origin: str, measure_s: float) -> Figures:
    client = CLIENTS[name]()
    kind, _, size = cell.partition("-")
    if kind == "plain":
        return await steady(Tally(client, f"{origin}/after/1000", 1.0), kind, int(size), measure_s)
    if kind == "stream":
        lasts_s = EVENTS * GAP_MS / 1000
        return await steady(Tally(client, f"{origin}/sse/{EVENTS}/{GAP_MS}", lasts_s), kind, int(size), measure_s)
    path = "/after/0" if kind == "instant" else f"/sse/{EVENTS}/0"
    return await loops(Tally(client, origin + path, 0.0), kind, int(size), measure_s)


def run(name: str, cell: str, measure_s: float) -> Figures | str:
    """Measure in a process of its own; a sentence where there are no figures."""
    with subprocess.Popen([sys.executable, HERE / "provider.py"], stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None
        origin = f"http://127.0.0.1:{provider.stdout.readline().strip()}"
        command = [sys.executable, __file__, "--measure", str(measure_s), "--one", name, cell, origin]
        try:
            done = subprocess.run(command, capture_output=True, timeout=measure_s + 60, check=True)
        except subprocess.TimeoutExpired:
            return "does not finish"
        except subprocess.CalledProcessError as error:
            return error.stderr.decode().strip().splitlines()[-1]
        finally:
            provider.kill()
    return msgspec.json.decode(done.stdout, type=Figures)


def table(names: list[str], cells: list[str], measure_s: float) -> None:
    for cell in cells:
        print(f"\n{cell:16}  CPU ms   ratio       p50 ms      p99 ms  calls/s  events/s  MiB")
        first = 0.0
        for name in names:
            row = run(name, cell, measure_s)
            if isinstance(row, str):
                print(f"{name:16}  {row}", flush=True)
                continue
            first = first or row.cpu_ms
            print(
                f"{name:16} {row.cpu_ms:7.2f} {row.cpu_ms / first:6.1f}x {row.p50_ms:12.2f} {row.p99_ms:11.2f}"
                f" {row.calls_s:8.0f} {row.events_s:9.0f} {row.rss_mib:4.0f}"
                + (f"  {row.failed} failed: {row.why}" if row.failed else ""),
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", help=f"of {', '.join(CLIENTS)}; all when none is named")
    parser.add_argument("--cells", default=CELLS, help="in one argument, with blanks between")
    parser.add_argument("--measure", type=float, default=4.0, metavar="S", help="seconds measured after the warm-up")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.one:
        table(options.clients or list(CLIENTS), options.cells.split(), options.measure)
        return
    figures = uvloop.run(measure(*options.one, options.measure))
    sys.stdout.buffer.write(msgspec.json.encode(figures))
    sys.stdout.flush()
    os._exit(0)  # a collapsed client would take minutes to tidy up


if __name__ == "__main__":
    main()
