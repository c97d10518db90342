"""What waiting costs: 10,000 jobs on slow providers in one worker, 5,000 clients on one API process.

    uv run python -m tests.bench.held [--jobs 10000] [--clients 5000]

Starts the real `hermod up` with one worker of that many slots and the built-in simulator answering after two minutes;
prints memory and CPU of the worker and the API while they wait.
"""

import argparse
import asyncio
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp

SLOW = "sim-latency-120000"
TICKS = os.sysconf("SC_CLK_TCK")
MORE = 1.2
"""Async jobs leave an eighth of the slots to others."""
WATCHED_S = 10


def children(pid: int) -> dict[str, int]:
    """Process ids of the `api` and `worker` commands below `hermod up`."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        found |= {word: int(child) for word in ("api", "worker") if word in words}
    return found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


async def watched(pids: dict[str, int]) -> str:
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    await asyncio.sleep(WATCHED_S)
    return ", ".join(
        f"{name} {rss_mib(pid):.0f} MiB, {100 * (cpu_s(pid) - before[name]) / WATCHED_S:.1f} % of a core"
        for name, pid in pids.items()
    )


async def ask(session: aiohttp.ClientSession, url: str, number: int, headers: dict[str, str]) -> int:
    body = {"model": SLOW, "max_tokens": 50, "messages": [{"role": "user", "content": f"question {number}"}]}
    async with session.post(url + "/anthropic/v1/messages", json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def in_flight(session: aiohttp.ClientSession, simulator: str, wanted: int) -> int:
    """Calls the simulator holds, once they are as many as wanted; fewer after a minute."""
    held = 0
    for _ in range(120):
        async with session.get(simulator + "/__ledger/count") as answer:
            counts = await answer.json()
        held = counts["count"] - counts["finished"] - counts["aborted"]
        if held >= wanted:
            break
        await asyncio.sleep(0.5)
    return held


async def measure(url: str, simulator: str, pids: dict[str, int], jobs: int, clients: int) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        print("idle:", await watched(pids))
        limit = asyncio.Semaphore(64)

        async def submit(number: int) -> int:
            async with limit:
                return await ask(session, url, number, {"x-bf-async": "true"})

        statuses = await asyncio.gather(*map(submit, range(jobs)))
        assert set(statuses) == {200}, set(statuses)
        print(f"{await in_flight(session, simulator, jobs)} async jobs in flight:", await watched(pids))
        waiting = [asyncio.create_task(ask(session, url, jobs + number, {})) for number in range(clients)]
        held = await in_flight(session, simulator, jobs + clients)
        print(f"and {clients} clients waiting, {held} calls in flight:", await watched(pids))
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=5_000)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(
            json.dumps({"worker": {"slots": math.ceil((args.jobs + args.clients) * MORE), "grace_s": 0.1}})
        )
        command = [sys.executable, "-m", "deploy.cli", "up", "--workers", "1", "--port", "18480"]
        command += ["--data-dir", folder + "/data", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
            try:
                printed = ""
                while "Ready." not in printed:
                    printed += up.stdout.readline()
                simulator = re.search(r"simulated at (\S+)", printed)[1]
                asyncio.run(measure("http://127.0.0.1:18480", simulator, children(up.pid), args.jobs, args.clients))
            finally:
                up.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
