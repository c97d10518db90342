"""What one API process accepts: `uv run python -m tests.bench.submits [--quick] [--profile FOLDER]`.

`hermod api` and an empty Litestar handler on the same server (uvicorn, uvloop, httptools) get the same POST of 1 KB on
64 connections, in turn; figures are medians, and `better by` below 1 is the share of the empty handler's rate that is
left in this very run. A submit is one with `x-bf-async: true`, a poll one with the `x-bf-async-id` of a finished job.
Redis (or Valkey) has its append-only file, `appendfsync` always (as `hermod up` starts it) and everysec; it is emptied
before each round, and no worker runs. With `--profile` nothing is compared: cProfile watches the API process, what it
saw is printed and kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pstats
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from shared.jobs import Outcome, State
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore
from tests.bench.load import CONNECTIONS, Request, client, load
from tests.bench.server import Row, Server, cpu_s, print_heading, print_row, python
from tests.contract.process import clean_environment
from tests.contract.wire import ask
from tests.ports import free_port
from worker.leases import LeaseWorker

PATH = "/anthropic/v1/messages"
CONFIG = {
    "client": {"max_jobs_per_key": 10_000_000},
    "providers": {"anthropic": {"keys": [{"name": "bench", "value": "none", "models": ["*"], "weight": 1}]}},
}
HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "bench"}
SUBMIT = {**HEADERS, "x-bf-async": "true"}
POLICIES = ("always", "everysec")


def body() -> bytes:
    """A request of 1 KB."""
    content = {"model": "claude-sonnet-5", "max_tokens": 256, "messages": [{"role": "user", "content": ""}]}
    content["messages"][0]["content"] = "x" * (1024 - len(json.dumps(content)))
    return json.dumps(content).encode()


BODY = body()


class Running(NamedTuple):
    """A server process."""

    port: int
    pid: int


class Round(NamedTuple):
    """What one round measured of one server; CPU is us per request."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    own_us: float
    redis_us: float


@contextmanager
def serving(command: list[str], port: int, environment: dict[str, str]) -> Iterator[Running]:
    """A server process that answers; stopped by Ctrl-C, so that cProfile writes its file."""
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while not _answers(port):
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
        yield Running(port, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _answers(port: int) -> bool:
    try:
        ask(f"http://127.0.0.1:{port}", "GET", "/health", timeout_s=5)
    except OSError:
        return False
    return True


@contextmanager
def api(server: Server, folder: Path, profile: Path | None = None) -> Iterator[Running]:
    """`hermod api`, perhaps watched by cProfile."""
    port, config = free_port(), folder / "config.json"
    config.write_text(json.dumps(CONFIG))
    watched = ["-m", "cProfile", "-o", str(profile)] if profile else []
    command = [sys.executable, *watched, "-m", "deploy.cli", "api", "--config", str(config), "--port", str(port)]
    environment = {**clean_environment(), "HERMOD_REDIS_URL": server.url}
    with serving([*command, "--data-dir", str(folder / "data")], port, environment) as running:
        yield running


@contextmanager
def empty() -> Iterator[Running]:
    """The empty handler."""
    port = free_port()
    with serving(python("tests.bench.empty_app", str(port)), port, dict(os.environ)) as running:
        yield running


def finished_job(server: Server, port: int) -> str:
    """The id of a job that ended with an answer of 1 KB."""
    answered = ask(f"http://127.0.0.1:{port}", "POST", PATH, headers=SUBMIT, body=BODY)
    job_id = answered.json["id"]
    asyncio.run(_finish_all(server.url))
    return job_id


async def _finish_all(url: str) -> None:
    store, done = RedisStore(url), asyncio.Event()

    async def run_job(ctx, _job_id):
        await ctx["lease"].finish(State.SUCCEEDED, Outcome(status=200, body=BODY))
        done.set()

    run_job.__qualname__ = "run_job"
    worker = LeaseWorker(store, [run_job], WorkerSettings())
    serving = asyncio.create_task(worker.serve())
    await done.wait()
    worker.stop()
    await serving
    await store.close()


class Bench:
    """One run on one server."""

    def __init__(self, server: Server, folder: Path, *, quick: bool) -> None:
        self.server = server
        self.folder = folder
        self.rounds, self.seconds = (1, 3.0) if quick else (3, 5.0)

    def table(self) -> None:
        """All rows; the two servers stay up, so that a round is nothing but its requests."""
        print_heading("empty", "hermod api")
        with empty() as bare, api(self.server, self.folder) as ours:
            for policy in POLICIES:
                self.server.appendfsync(policy)
                for what in ("submit", "poll"):
                    self._rows(what, policy, bare, ours)

    def _rows(self, what: str, policy: str, bare: Running, ours: Running) -> None:
        first: list[Round] = []
        second: list[Round] = []
        for _ in range(self.rounds):
            request = self.request(what, ours.port)
            first.append(self._round(bare, request))
            second.append(self._round(ours, request))
        failed = sum(one.failed for one in (*first, *second))
        note = f"{failed} not answered with 200" if failed else ""
        _row(f"{what}, appendfsync {policy}", "requests/s", first, second, "requests_s", more=True, note=note)
        _row(f"  {what}, p50", "ms", first, second, "p50_ms")
        _row(f"  {what}, p99", "ms", first, second, "p99_ms")
        _row(f"  {what}, CPU of the process", "us each", first, second, "own_us")
        _row(f"  {what}, CPU of the Redis server", "us each", first, second, "redis_us")

    def _round(self, running: Running, request: Request) -> Round:
        own, redis = cpu_s(running.pid), self.server.cpu_s()
        found = load(running.port, request, self.seconds)
        requests = found.requests_s * self.seconds / 1e6
        return Round(
            requests_s=found.requests_s,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            failed=found.failed,
            own_us=(cpu_s(running.pid) - own) / requests,
            redis_us=(self.server.cpu_s() - redis) / requests,
        )

    def request(self, what: str, port: int) -> Request:
        """The request on an empty server; a poll needs a job to ask for."""
        self.server.empty()
        if what == "submit":
            return Request(PATH, SUBMIT, BODY)
        return Request(PATH, {**HEADERS, "x-bf-async-id": finished_job(self.server, port)}, BODY)

    def profile(self, what: str, kept: Path) -> None:
        """The functions that took most of the API process' time, themselves."""
        path = kept / f"{what}.prof"
        with api(self.server, self.folder, path) as running:
            load(running.port, self.request(what, running.port), 10.0)
        print(f"\n{what}: {path}", flush=True)
        pstats.Stats(str(path)).sort_stats("tottime").print_stats(40)


def _row(
    what: str, unit: str, first: list[Round], second: list[Round], name: str, *, more: bool = False, note: str = ""
) -> None:
    middles = (median(getattr(one, name) for one in side) for side in (first, second))
    print_row(Row(what, unit, *middles, more=more, note=note))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="where cProfile's files are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder / "redis")
        try:
            print(f"{server.facts()}\n{CONNECTIONS} connections from {client()}")
            bench = Bench(server, folder, quick=options.quick)
            if options.profile:
                options.profile.mkdir(parents=True, exist_ok=True)
                for what in ("submit", "poll"):
                    bench.profile(what, options.profile)
            else:
                bench.table()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
