"""How fast two workers run a batch: `uv run python -m tests.bench.batches [--quick] [--profile FOLDER]`.

Starts a Redis or Valkey server, the simulated provider, which answers at once, and real `hermod worker` processes.
Before and after each batch as many processes with nothing but an HTTP client ask the same questions with as many calls
in flight: with the worker's own client, whose rate is what the machine allows, and with a stock `httpx.AsyncClient`.
The ratios to both hold where the machine is noisy. CPU is that of the workers, or of the bare clients, and of the Redis
server, for one item. The workers have run a batch
before: how a worker feels its way to a full load at a provider that it has not used lately (`worker/ramp.py`) is in no
figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import httpx
import msgspec
import uvloop

from shared.batches import Counts, Item, Progress
from shared.stores.folder import FolderBlobs
from shared.stores.redis import RedisStore
from tests.batches import ended, items, submit
from tests.bench.server import Server, cpu_s, python
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port
from worker.transport import Call, Transport

WORKERS = 2
AT_ONCE = 4 * 32
"""Calls in flight of a worker with the default settings."""
CLIENTS = ("own", "httpx")
"""What the bare processes send with."""
PATIENCE_S = 900.0
WARM_UP = 1000
HEADERS = {"content-type": "application/json", "x-api-key": "sk-simulated", "anthropic-version": "2023-06-01"}


class Figures(msgspec.Struct, frozen=True):
    """What was reached; CPU in microseconds per call or item."""

    per_s: float
    own_us: float
    redis_us: float = 0.0


class Bare(msgspec.Struct, frozen=True):
    """What one bare client did."""

    calls: int
    cpu_s: float


Post = Callable[[bytes], Awaitable[int]]
"""Sends a question; returns the answer's status."""


@contextlib.asynccontextmanager
async def own(url: str) -> AsyncIterator[Post]:
    """The status of what the worker's client is answered."""
    transport = Transport(max_bytes=1 << 26)

    async def post(body: bytes) -> int:
        return (await transport.send(Call("POST", url, HEADERS, body, "bench", 60.0))).status

    yield post
    await transport.close()


@contextlib.asynccontextmanager
async def stock(url: str) -> AsyncIterator[Post]:
    """The same of httpx, as it comes but for as many connections as there are calls."""
    async with httpx.AsyncClient(timeout=60.0, limits=httpx.Limits(max_connections=AT_ONCE)) as client:

        async def post(body: bytes) -> int:
            return (await client.post(url, content=body, headers=HEADERS)).status_code

        yield post


async def bare(url: str, seconds: float, client: str) -> Bare:
    """Keep AT_ONCE calls in flight; the questions are those of a batch."""
    calls, asked = 0, [bytes(one.body) for one in items(100)]
    async with (own if client == "own" else stock)(f"{url}/v1/messages") as post:
        end, begun_s = time.monotonic() + seconds, time.process_time()

        async def loop() -> None:
            nonlocal calls
            while time.monotonic() < end:
                assert await post(asked[calls % 100]) == 200
                calls += 1

        await asyncio.gather(*(loop() for _ in range(AT_ONCE)))
        return Bare(calls, time.process_time() - begun_s)


class Bench:
    """One run on one server."""

    def __init__(self, server: Server, folder: Path, simulator: str, rounds: int) -> None:
        self.server = server
        self.folder = folder
        self.simulator = simulator
        self.rounds = rounds

    def table(self, sizes: list[int]) -> None:
        """A line for each size of a batch, and before it one for each of the bare clients."""
        print(f"\n{'':32}{'per s':>10}{'CPU us':>10}{'Redis us':>10}{'of own':>10}{'of httpx':>10}", flush=True)
        for size in sizes:
            bares: dict[str, list[Figures]] = {client: [] for client in CLIENTS}
            batches: list[Figures] = []
            for _ in range(self.rounds):
                for client in CLIENTS:
                    bares[client].append(self.bare(3.0, client))
                batches.append(self.batch(size))
                for client in reversed(CLIENTS):
                    bares[client].append(self.bare(3.0, client))
            reached, ratios = middle(batches), []
            for client, found in bares.items():
                limit = middle(found)
                ratios.append(reached.per_s / limit.per_s)
                row(f"bare {client} client, {WORKERS} processes", limit)
            row(f"batch of {size:,}, {WORKERS} workers", reached, ratios)

    def bare(self, seconds: float, client: str = "own") -> Figures:
        command = python("tests.bench.batches", "--bare", self.simulator, str(seconds), client)
        running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(WORKERS)]
        done = [msgspec.json.decode(process.communicate()[0], type=Bare) for process in running]
        calls = sum(one.calls for one in done)
        return Figures(calls / seconds, sum(one.cpu_s for one in done) / calls * 1e6)

    def batch(self, size: int, profile: Path | None = None) -> Figures:
        """From the claim of the start job to the end of the batch; the workers have run another one before."""
        self.server.empty()
        with self.workers(profile) as pids:
            uvloop.run(self._run(items(WARM_UP)))
            ask(self.simulator, "POST", "/__reset")
            own, redis = sum(map(cpu_s, pids)), self.server.cpu_s()
            progress = uvloop.run(self._run(items(size)))
            own, redis = sum(map(cpu_s, pids)) - own, self.server.cpu_s() - redis
        assert progress.counts == Counts(succeeded=size)
        assert progress.started_ms
        assert progress.ended_ms
        taken_s = (progress.ended_ms - progress.started_ms) / 1000
        return Figures(size / taken_s, own / size * 1e6, redis / size * 1e6)

    async def _run(self, asked: list[Item]) -> Progress:
        store = RedisStore(self.server.url)
        batch = await submit(store, FolderBlobs(self.folder / "objects"), asked, shard_items=0)
        deadline = time.monotonic() + PATIENCE_S
        while not (progress := await ended(store, batch)):
            assert time.monotonic() < deadline, "the batch does not end"
            await asyncio.sleep(0.05)  # between two looks
        await store.close()
        return progress

    @contextlib.contextmanager
    def workers(self, profile: Path | None) -> Iterator[list[int]]:
        """Their process ids once they are ready; with `profile`, cProfile watches the first."""
        config = self.folder / "config.json"
        provider = {"keys": [{"value": "sk-simulated"}], "network_config": {"base_url": self.simulator}}
        document = {"redis": {"url": self.server.url}, "object_store": {"path": str(self.folder / "objects")}}
        config.write_text(json.dumps({**document, "providers": {"anthropic": provider}}))
        running: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(WORKERS):
                watched = ["-m", "cProfile", "-o", str(profile)] if profile and number == 0 else []
                command = [sys.executable, *watched, "-m", "deploy.cli", "worker", "--config", str(config)]
                running.append(subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL))
            eventually(lambda: self.server.client.zcard("hermod:workers") == WORKERS, 30, "the workers are not ready")
            yield [process.pid for process in running]
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            for process in running:
                process.wait()

    def profile(self, kept: Path, size: int) -> None:
        """The functions that took most of a worker's time, themselves."""
        path = kept / "batch.prof"
        self.batch(size, path)
        print(f"\n{path}", flush=True)
        pstats.Stats(str(path)).sort_stats("tottime").print_stats(45)


def middle(rows: list[Figures]) -> Figures:
    return Figures(*(median(getattr(one, name) for one in rows) for name in Figures.__struct_fields__))


def row(what: str, found: Figures, ratios: Iterable[float] = ()) -> None:
    shown = "".join(f"{ratio:>10.0%}" for ratio in ratios)
    print(f"{what:32}{found.per_s:>10,.0f}{found.own_us:>10.0f}{found.redis_us:>10.0f}{shown}", flush=True)


@contextlib.contextmanager
def simulated() -> Iterator[str]:
    """The provider's URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(python("deploy.simulator", "--port", str(port)), stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _healthy(url), 20, "the simulator is not up")
        yield url
    finally:
        process.terminate()
        process.wait()


def _healthy(url: str) -> bool:
    try:
        return ask(url, "GET", "/__health", timeout_s=5).status == 200
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, the largest batch left out")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="where cProfile's file is kept")
    parser.add_argument("--bare", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        url, seconds, client = options.bare
        sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(bare(url, float(seconds), client))))
        return
    with tempfile.TemporaryDirectory() as name, simulated() as simulator:
        server = Server(Path(name) / "redis")
        try:
            print(server.facts())
            bench = Bench(server, Path(name), simulator, 1 if options.quick else 3)
            if options.profile:
                options.profile.mkdir(parents=True, exist_ok=True)
                bench.profile(options.profile, 10_000)
            else:
                bench.table([1000, 10_000] if options.quick else [1000, 10_000, 100_000])
        finally:
            server.stop()


if __name__ == "__main__":
    main()
