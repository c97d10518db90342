"""What the console costs: `uv run python -m tests.bench.console [--jobs 100000]`.

A real API process over a Redis with that many real async jobs (submitted, and all but 2,000 of them ended), 500
batches, 1,000 files and 100 virtual keys. For each page: the median and the worst time of 20 requests as a client on
the same machine sees it, the Redis server's own time and its commands for one request. Then what the index costs a
submit: the Redis server's time for each of 20,000, with that step and without, the median of 5 rounds in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

import shared.queue
from shared.batch_records import BatchRecords
from shared.batches import Batch
from shared.chat import Usage
from shared.failures import Failure
from shared.files import File, Files
from shared.ids import job_id, now_ms
from shared.jobs import Attempt, Job, Outcome, State
from shared.lanes import Lane
from shared.queue import Queue
from shared.settings import WorkerSettings
from shared.stores.redis import _EACH_CALL as EACH_CALL
from shared.stores.redis import _NOTHING_TO_SETTLE as NOTHING
from shared.stores.redis import RedisStore, Script
from tests.bench.server import Server
from tests.contract.process import clean_environment
from tests.ports import free_port
from worker.leases import LeaseWorker

LEFT = 2000
ROUNDS = 20
OWNERS = [f"vk:{number:032x}" for number in range(50)]
MODELS = ("claude-haiku-5-5", "openai/gpt-4o-mini", "gemini/gemini-2.5-flash")
BODY = json.dumps({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x" * 900}]}).encode()
PAGES = (
    "/console/",
    "/console/jobs",
    "/console/jobs?state=failed",
    "/console/jobs?state=unfinished",
    "/console/jobs?model=haiku&operation=chat",
    "/console/jobs?model=nothing-is-called-so",
    "/console/jobs/{job}",
    "/console/batches",
    "/console/files",
    "/console/providers",
    "/console/keys",
    "/console/playground",
)


def a_job(number: int, detached: bool = True) -> Job:
    now = now_ms()
    return Job(
        id=job_id(),
        owner=OWNERS[number % len(OWNERS)],
        dialect="anthropic",
        operation="chat",
        model=MODELS[number % len(MODELS)],
        request_id="req_1",
        created_ms=now,
        ttl_s=86_400,
        deadline_ms=now + 86_400_000,
        lane=Lane.ASYNC if detached else Lane.INTERACTIVE,
    )


async def submit(queue: Queue, number: int, *, detached: bool = True) -> str:
    """The ids end with the last one."""
    last = ""
    for start in range(0, number, 1000):
        jobs = [a_job(start + index, detached) for index in range(min(1000, number - start))]
        last = jobs[-1].id
        await asyncio.gather(*(queue.submit(job, BODY, waiter="", detached=detached) for job in jobs))
    return last


async def end(store: RedisStore, number: int) -> None:
    ended, done = 0, asyncio.Event()

    async def run_job(ctx, _job_id):
        nonlocal ended
        lease, now = ctx["lease"], now_ms()
        failed = int(lease.id[:2], 16) < 8
        failure = Failure(kind="Overloaded", message="busy", provider="anthropic", upstream_status=529)
        lease.attempts = (
            Attempt(
                number=1,
                target=lease.job.model if "/" in lease.job.model else f"anthropic/{lease.job.model}",
                key="one",
                started_ms=now - int(lease.id[:3], 16),
                ended_ms=now,
                failure=failure if failed else None,
            ),
        )
        outcome = Outcome(
            status=529 if failed else 200, body=BODY, usage=Usage(input_tokens=9, output_tokens=9), cost=9
        )
        await lease.finish(State.FAILED if failed else State.SUCCEEDED, outcome)
        ended += 1
        if ended >= number:
            done.set()

    run_job.__qualname__ = "run_job"
    worker = LeaseWorker(store, [run_job], WorkerSettings(slots=500))
    serving = asyncio.create_task(worker.serve())
    await done.wait()
    worker.stop()
    await serving


async def fill(url: str, jobs: int) -> str:
    store = RedisStore(url)
    queue, records, files = Queue(store), BatchRecords(store), Files(store)
    await submit(queue, jobs - LEFT)
    await end(store, jobs - LEFT)
    last = await submit(queue, LEFT)
    for number in range(1000):
        facts = {"owner": OWNERS[number % 50], "created_ms": now_ms()}
        file = File(id=job_id(), filename="f.jsonl", mime_type="text/plain", size=9, purpose="batch", **facts)
        await files.add(file)
        if number % 2:
            batch = Batch(
                id=job_id(), surface="openai", dialect="openai_chat", provider="openai", total=9, shards=1, **facts
            )
            await records.create(batch, [0])
    await store.close()
    return last


def config(folder: Path) -> str:
    budgets = [{"max_limit": 10, "reset_duration": "1d"}, {"max_limit": 100, "reset_duration": "1M"}]
    keys = [{"name": f"key {n}", "value": f"sk-bf-{n}", "budgets": budgets} for n in range(100)]
    providers = {name: {"keys": [{"name": "k", "value": "v"}]} for name in ("anthropic", "openai", "gemini")}
    path = folder / "config.json"
    path.write_text(json.dumps({"governance": {"virtual_keys": keys}, "providers": providers}))
    return str(path)


def measure(server: Server, folder: Path, job: str) -> None:
    port = free_port()
    command = [sys.executable, "-P", "-m", "deploy.cli", "api", "--config", config(folder), "--port", str(port)]
    environment = {**clean_environment(), "HERMOD_REDIS_URL": server.url}
    process = subprocess.Popen([*command, "--data-dir", str(folder)], env=environment)
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", timeout=30) as client:
            until_up(client)
            print(f"{'page':46}{'median ms':>10}{'worst ms':>10}{'Redis ms':>10}{'commands':>10}{'kB':>7}")
            for path in PAGES:
                row(server, client, path.format(job=job))
    finally:
        process.terminate()
        process.wait()


def until_up(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "the API does not start"
        time.sleep(0.1)


def row(server: Server, client: httpx.Client, path: str) -> None:
    browser = {"sec-fetch-site": "same-origin"}
    answer = client.get(path, headers=browser)
    assert answer.status_code == 200, answer.text
    server.client.config_resetstat()
    before, times = server.cpu_s(), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = client.get(path, headers=browser)
        times.append((time.perf_counter() - began) * 1000)
    cpu_ms = (server.cpu_s() - before) * 1000 / ROUNDS
    commands = sum(server.commands().values()) / ROUNDS
    size = len(answer.content) / 1000
    figures = f"{statistics.median(times):>10.1f}{max(times):>10.1f}{cpu_ms:>10.2f}{commands:>10.0f}{size:>7.0f}"
    print(f"{path[:45]:46}{figures}", flush=True)


async def index_cost(server: Server) -> None:
    """In turn with the step that adds to the operators' index, and without."""
    store = RedisStore(server.url)
    queue = Queue(store)
    whole = shared.queue._SUBMIT
    without = Script(whole.source.removeprefix(NOTHING).removesuffix(EACH_CALL).replace("if #recent == 0", "if true"))
    took: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(5):
        for what, script in (("without", without), ("with", whole)):
            server.empty()
            shared.queue._SUBMIT = script
            await submit(queue, 20_000)
            took[what].append(server.client.info("commandstats")["cmdstat_evalsha"]["usec"] / 20_000)
    for what, each in took.items():
        print(f"20,000 async submits {what} the index: {statistics.median(each):.1f} us of the server each")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "redis")
        server.appendfsync("everysec")
        try:
            print(f"load {os.getloadavg()[0]:.1f}; filling with {jobs:,} jobs …", flush=True)
            job = asyncio.run(fill(server.url, jobs))
            measure(server, Path(folder), job)
            asyncio.run(index_cost(server))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
