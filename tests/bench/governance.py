"""What limits cost a caller: `uv run python -m tests.bench.governance [--quick]`.

One `hermod api`, one worker and the simulator, Redis as `hermod up` starts it. The same request is sent on one
connection in turn without a key, with a key without limits, and with one that has eight meters on its way (budgets of
its provider, its own, its team's and its customer's, tokens and requests); once as a job (`x-bf-async: true`), whose
answer is the submit alone, and once as a plain call, which the worker also reserves and settles. Medians of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.bench.server import Server
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port

PATH = "/anthropic/v1/messages"
MODEL = "claude-bench"
BUDGET = {"max_limit": 1_000_000, "reset_duration": "1d"}
RATES = {"token_max_limit": 10**12, "request_max_limit": 10**9}
CALLERS = {"no key": None, "a key without limits": "sk-bf-plain", "a key with 8 meters": "sk-bf-limited"}


def document(redis_url: str, simulator: str) -> dict[str, Any]:
    """The configuration of API and worker."""
    config = {"provider": "anthropic", "budgets": [BUDGET], "rate_limit": RATES}
    limited = {"team_id": "t", "budgets": [BUDGET], "rate_limit": RATES, "provider_configs": [config]}
    return {
        "client": {"max_jobs_per_key": 10_000_000},
        "redis": {"url": redis_url},
        "providers": {"anthropic": {"keys": [{"value": "k"}], "network_config": {"base_url": simulator}}},
        "prices": {f"anthropic/{MODEL}": {"input": 1, "output": 1}},
        "governance": {
            "customers": [{"id": "c", "budgets": [BUDGET]}],
            "teams": [{"id": "t", "customer_id": "c", "budgets": [BUDGET]}],
            "virtual_keys": [
                {"name": "plain", "value": "sk-bf-plain"},
                {"name": "limited", "value": "sk-bf-limited", **limited},
            ],
        },
    }


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[None]:
    """One of ours, killed at the end."""
    command = [sys.executable, "-P", "-m", "deploy.cli", *arguments]
    running = subprocess.Popen(command, env=clean_environment(), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.kill()
        running.wait()


def is_up(port: int, path: str) -> bool:
    try:
        return ask(f"http://127.0.0.1:{port}", "GET", path, timeout_s=5).status == 200
    except OSError:
        return False


def measure(port: int, rounds: int, **more: str) -> dict[str, list[float]]:
    """Milliseconds of each request by caller; the callers take turns."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {"model": MODEL, "max_tokens": 16, "messages": [{"role": "user", "content": "Hello!"}]}
    sent = json.dumps(body)
    found: dict[str, list[float]] = {name: [] for name in CALLERS}
    for turn in range(rounds + 50):
        for name, key in CALLERS.items():
            headers = {"content-type": "application/json", **more, **({"x-bf-vk": key} if key else {})}
            began = time.perf_counter()
            connection.request("POST", PATH, sent, headers)
            answer = connection.getresponse()
            answer.read()
            took_ms = (time.perf_counter() - began) * 1000
            assert answer.status == 200, answer.status
            if turn >= 50:
                found[name].append(took_ms)
    return found


def show(what: str, found: dict[str, list[float]]) -> None:
    """A line a caller."""
    base = median(found["no key"])
    for name, times in found.items():
        middle, high = median(times), quantiles(times, n=100)[98]
        print(f"{what:12} {name:22} p50 {middle:7.3f} ms  p99 {high:7.3f} ms  added p50 {middle - base:+.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    rounds = 300 if parser.parse_args().quick else 3000
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = Server(folder / "redis")
        stack.callback(server.stop)
        port, upstream = free_port(), free_port()
        config = folder / "config.json"
        config.write_text(json.dumps(document(server.url, f"http://127.0.0.1:{upstream}")))
        common = ("--config", str(config), "--data-dir", str(folder / "data"))
        stack.enter_context(process("simulate", "--port", str(upstream)))
        stack.enter_context(process("api", "--port", str(port), *common))
        eventually(lambda: is_up(port, "/health"), 30, "the API does not answer")
        print(server.facts())
        show("submit", measure(port, rounds, **{"x-bf-async": "true"}))
        server.empty()
        stack.enter_context(process("worker", "--metrics-port", "0", *common))
        eventually(lambda: is_up(upstream, "/__health"), 30, "the simulator does not answer")
        show("plain call", measure(port, rounds // 3))


if __name__ == "__main__":
    main()
