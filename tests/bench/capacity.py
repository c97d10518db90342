"""How much one Redis carries: `uv run python -m tests.bench.capacity [--quick]`.

Starts a Redis or Valkey server (append-only file, `appendfsync` always), the simulated provider, `hermod api` and two
`hermod worker`, and sends requests of 1 KB that are answered with 1 KB, 64 at a time, each kind on an empty server.

    CPU       of the Redis server, the API process and the workers for one job, by the kernel's clock; `full at` is how
              many jobs a second keep one core of the server busy, which runs all scripts on one
    network   into and out of the server for one job
    log       bytes that one job adds to the append-only file, before it is rewritten
    memory    of the server for one job in the queue, and for one that has ended and is kept

The server sends replies together when calls come together, so a job costs less the busier it is: what is printed is
what it costs at the rate beside it. The lines of no-op jobs fill the queue first and let workers empty it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from shared.lanes import QUEUE
from tests.bench import batches
from tests.bench.queue import cells
from tests.bench.queue.ours import Ours
from tests.bench.server import Server, cpu_s, python
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port

AT_ONCE = 64
ANSWER = "sim-words-140"  # about 1 KB
STREAM = "sim-words-100+rate-50"  # an event every 20 ms, for two seconds
PATH = "/anthropic/v1/messages"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "bench"}
ASYNC = {"x-bf-async": "true"}
WITHIN_S = 300.0
KIB = 1024


class Cost(msgspec.Struct, frozen=True):
    """What one job took: microseconds of CPU, bytes."""

    per_s: float
    redis_us: float
    api_us: float
    workers_us: float
    received: float
    sent: float
    logged: float

    def line(self, what: str) -> str:
        full = 1e6 / self.redis_us
        cpu = f"{self.redis_us:>9.0f}{self.api_us:>9.0f}{self.workers_us:>9.0f}{full:>11,.0f}"
        moved = "".join(f"{size / KIB:>9.1f}" for size in (self.received, self.sent, self.logged))
        return f"{what:34}{self.per_s:>9,.0f}{cpu}{moved}"


_COLUMNS = {
    "per s": 9,
    "Redis us": 9,
    "API us": 9,
    "work us": 9,
    "full at/s": 11,
    "in KiB": 9,
    "out KiB": 9,
    "log KiB": 9,
}
HEADING = " " * 34 + "".join(f"{name:>{width}}" for name, width in _COLUMNS.items())


class Bench:
    """A gateway on one server; `workers` only while they are wanted."""

    def __init__(self, server: Server, folder: Path, simulator: str, scale: int) -> None:
        self.server = server
        self.scale = scale
        self._simulator = simulator
        self._folder = folder
        self._sent = 0
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        server.client.config_set("auto-aof-rewrite-percentage", 0)  # the log's growth is measured

    @contextlib.contextmanager
    def api(self) -> Iterator[int]:
        """Its process id."""
        with self._process("api", "--port", str(self._port)) as pid:
            eventually(self._answers, 30, "the API is not up")
            yield pid

    @contextlib.contextmanager
    def workers(self) -> Iterator[list[int]]:
        """Their process ids."""
        with contextlib.ExitStack() as stack:
            pids = [stack.enter_context(self._process("worker")) for _ in range(batches.WORKERS)]
            alive = self.server.client.zcard
            eventually(lambda: alive("hermod:workers") == batches.WORKERS, 30, "the workers are not ready")
            yield pids

    async def costs(self, count: int, load: Callable[[int], Awaitable[None]]) -> Cost:
        """Of `count` jobs that `load` asks for, on an empty server, until the last has ended."""
        self.server.empty()
        with self.api() as api, self.workers() as workers:
            await load(AT_ONCE)  # scripts are loaded, connections open
            self.until_drained()
            before, began = self._meters(api, workers), asyncio.get_running_loop().time()
            await load(count)
            self.until_drained()
            lasted = asyncio.get_running_loop().time() - began
            spent = [(after - at) / count for at, after in zip(before, self._meters(api, workers), strict=True)]
        return Cost(count / lasted, *(1e6 * seconds for seconds in spent[:3]), *spent[3:])

    async def kept(self, count: int, size: int) -> tuple[float, float]:
        """Bytes of the server's memory for an async job with a request of that size: in the queue, and once ended."""
        self.server.empty()
        with self.api():
            await self.asked(AT_ONCE, ASYNC, size=size)
            empty = self.server.memory()
            await self.asked(count, ASYNC, size=size)
            queued = self.server.memory()
            with self.workers():
                self.until_drained()
            return (queued - empty) / count, (self.server.memory() - empty) / count

    def until_drained(self) -> None:
        eventually(lambda: not self.server.client.zcard(QUEUE), WITHIN_S, "not all jobs have ended")

    async def asked(self, count: int, headers: dict[str, str] | None = None, *, size: int = KIB, **more: Any) -> None:
        """Send that many requests, no two alike, AT_ONCE at a time."""
        numbers = iter(range(self._sent, self._sent + count))
        self._sent += count
        named = {**HEADERS, **(headers or {})}

        async with aiohttp.ClientSession(self._url, headers=named) as session:

            async def loop() -> None:
                for number in numbers:
                    async with session.post(PATH, json=_body(number, size, **more)) as answer:
                        text = await answer.read()
                        assert answer.status == 200, text

            await asyncio.gather(*(loop() for _ in range(AT_ONCE)))

    def _meters(self, api: int, workers: list[int]) -> list[float]:
        """CPU seconds of server, API and workers; bytes into and out of the server, and in its log."""
        info = self.server.client.info()
        moved = (info["total_net_input_bytes"], info["total_net_output_bytes"], info["aof_current_size"])
        return [self.server.cpu_s(), cpu_s(api), sum(map(cpu_s, workers)), *moved]

    @contextlib.contextmanager
    def _process(self, *arguments: str) -> Iterator[int]:
        config = self._folder / f"{arguments[0]}.json"
        provider = {"keys": [{"value": "simulated"}], "network_config": {"base_url": self._simulator}}
        document = {
            "redis": {"url": self.server.url},
            "object_store": {"path": str(self._folder / "objects")},
            "providers": {"anthropic": provider if arguments[0] == "worker" else {}},
        }
        config.write_text(json.dumps(document))
        command = python("deploy.cli", *arguments, "--config", str(config), "--metrics-port", "0")
        process = subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL)
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def _answers(self) -> bool:
        try:
            return ask(self._url, "GET", "/live", timeout_s=5).status == 200
        except OSError:
            return False


def _body(number: int, size: int, **more: Any) -> dict[str, Any]:
    body = {"model": ANSWER, "max_tokens": 999, "messages": [{"role": "user", "content": f"{number} "}], **more}
    body["messages"][0]["content"] += "x" * (size - len(json.dumps(body)))
    return body


async def run(bench: Bench) -> None:
    """Print all of it."""
    print("\n" + HEADING, flush=True)
    kinds: list[tuple[str, int, Callable[[int], Awaitable[None]]]] = [
        ("plain request", 4000, bench.asked),
        ("async job, never polled", 4000, lambda count: bench.asked(count, ASYNC)),
        ("stream of 100 events in 2 s", 400, lambda count: bench.asked(count, model=STREAM, stream=True)),
    ]
    for what, count, load in kinds:
        cost = await bench.costs(count * bench.scale, load)
        print(cost.line(what), flush=True)
    for size in (KIB, 16 * KIB):
        queued, ended = await bench.kept(2500 * bench.scale, size)
        print(f"a request of {size // KIB} KiB: {queued / KIB:.1f} KiB of memory in the queue, ", end="")
        print(f"{ended / KIB:.1f} KiB once ended and kept", flush=True)
    await in_large_batches(bench.server, 20_000 * bench.scale)


async def in_large_batches(server: Server, count: int) -> None:
    """Print what jobs that do nothing cost the server when many of them travel together: what it is like when full."""
    async with cells.opened(Ours, server) as side:
        spent = server.cpu_s()
        await side.enqueue(count, 0)
        submit_us = (server.cpu_s() - spent) / count * 1e6
    for workers in (1, 2):
        async with cells.opened(Ours, server) as side:
            drained = await cells.drain(side, server, workers, Ours.slots[0], count)
        whole_us = submit_us + drained.server_us
        print(f"no-op jobs, {workers} worker(s), {drained.jobs_s:,.0f}/s: {submit_us:.0f} us of the server to", end=" ")
        print(f"submit, {drained.server_us:.0f} us to claim and end: full at {1e6 / whole_us:,.0f}/s", flush=True)


def batch(server: Server, folder: Path, simulator: str, size: int) -> None:
    """The line of what an item of a batch costs."""
    server.client.execute_command("FLUSHALL", "SYNC")  # memory is given back before it is looked at
    empty = server.memory()
    found = batches.Bench(server, folder, simulator, 1).batch(size)
    kept = (server.memory() - empty) / size
    print(f"item of a batch of {size:,}: {found.redis_us:.1f} us of the server, ", end="")
    print(f"full at {1e6 / found.redis_us:,.0f}/s; {found.own_us:.0f} us of the workers; ", end="")
    print(f"{kept:.0f} bytes of memory kept", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the jobs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, batches.simulated() as simulator:
        server = Server(Path(name) / "redis")
        try:
            print(server.facts())
            scale = 1 if options.quick else 4
            uvloop.run(run(Bench(server, Path(name), simulator, scale)))
            batch(server, Path(name), simulator, 5000 * scale)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
