"""A gateway made of real processes whose workers can be struck down: API, workers, simulated provider, one Redis."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from shared.queue import JOB
from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port

STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0
LEASE_S = 4.0
"""Eight renewals: a live worker that a busy machine makes wait for seconds keeps its jobs."""
UNSTRUCK = {"lease_s": 60}
"""The section `worker` where every call counts and no worker is struck down: no lease runs out."""
IN_PROGRESS = "arq:in-progress:"
PAGE = 10_000  # of the ledger
_READY = re.compile(r"worker ([0-9a-f]{16}) ready")


class Worker:
    """A worker process; its id is in its first log line."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def id(self) -> str:
        """Empty while it starts."""
        ready = _READY.search(self.log.read_text(errors="replace"))
        return ready[1] if ready else ""

    def until_ready(self) -> "Worker":
        def look() -> str:
            assert self.id or self.process.poll() is None, f"it has ended: {self.log.read_text()[-2000:]}"
            return self.id

        eventually(look, STARTS_WITHIN_S, "the worker is not ready")
        return self

    def freeze(self) -> None:
        """Returns when nothing of it runs any more."""
        self.process.send_signal(signal.SIGSTOP)
        self.until_frozen()

    def until_frozen(self) -> None:
        def look() -> bool:
            found = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG)
            assert not found or found.si_code == os.CLD_STOPPED, "it has ended"
            return found is not None

        eventually(look, ENDS_WITHIN_S, "the worker is not frozen")

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDS_WITHIN_S)


class Witness:
    """What Redis and the simulated provider tell of a gateway; `url` of the API, `simulator` of the provider."""

    url: str
    simulator: str
    url_of_redis: str
    client: redis.Redis

    def held(self, worker: Worker) -> dict[str, bytes]:
        """The fences by job of one worker; exact once it is frozen or dead, for the PING follows all it has sent."""
        self.client.ping()
        keys = list(self.client.scan_iter(IN_PROGRESS + "*", count=1000))
        fences = zip(keys, self.client.mget(keys) if keys else [], strict=True)
        mine = f"{worker.id}:".encode()
        return {
            key.decode().removeprefix(IN_PROGRESS): fence for key, fence in fences if (fence or b"").startswith(mine)
        }

    def until_lost(self, fences: dict[str, bytes]) -> None:
        """Wait until every one of these fences is no longer its job's."""

        def lost() -> bool:
            return all(self.client.get(IN_PROGRESS + job) != fence for job, fence in fences.items())

        eventually(lost, ENDS_WITHIN_S, "the leases do not run out")

    def ended_by(self, job: str, fence: bytes) -> bool:
        """Whether the holder of this fence ended the job; handing it back is no end."""
        state, last = self.client.hmget(JOB + job, "state", "ended_by")
        return last == fence and state not in {b"queued", b"running"}

    def records(self) -> dict[str, dict[bytes, bytes]]:
        """All jobs, every field."""
        keys = self.client.scan_iter(JOB + "*", count=1000)
        return {key.decode().removeprefix(JOB): self.client.hgetall(key) for key in keys}

    def calls(self, limit: int = 0) -> list[dict[str, Any]]:
        """The provider's whole ledger, oldest first, or only its first entries."""
        entries: list[dict[str, Any]] = []
        path = f"/__ledger?limit={limit or PAGE}&since="
        while (page := ask(self.simulator, "GET", f"{path}{len(entries)}").json["entries"]) and not limit:
            entries += page
        return entries or page

    def called(self) -> int:
        return int(ask(self.simulator, "GET", "/__ledger/count").json["count"])


class Fleet(Witness):
    """Processes on this machine."""

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        *,
        api_redis_url: str = "",
        admin_redis_url: str = "",
        slots: int = 4,
        providers: dict[str, Any] | None = None,
        path: str = "",
        environment: Mapping[str, str] | None = None,
        **sections: Any,
    ) -> None:
        """`providers` and `sections` as in config.json; the simulator's address is put in, with `path` behind it."""
        self._folder = folder
        self._environment = environment or {}
        self._numbers = itertools.count(1)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._apis: dict[str, subprocess.Popen[bytes]] = {}
        self.url_of_redis = redis_url
        self.client = redis.Redis.from_url(admin_redis_url or redis_url)
        self.client.flushall()
        api, simulator = free_port(), free_port()
        self.url, self.simulator = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{simulator}"
        providers = providers or {"anthropic": {"keys": [{"value": "sk-simulated"}]}}
        for provider in providers.values():
            provider["network_config"] = {"base_url": self.simulator + path, **provider.get("network_config", {})}
        leases = {"slots": slots, "lease_s": LEASE_S, "renew_s": 0.5, "grace_s": 1, **sections.pop("worker", {})}
        self._configure("worker", redis_url, providers, worker=leases, **sections)
        self._configure("api", api_redis_url or redis_url, {name: {} for name in providers})
        self._start("simulator", "simulate", "--port", str(simulator))
        self._apis[self.url], _ = self._start("api", "api", *self._api_options(api, 0))
        for base, health in ((self.simulator, "/__health"), (self.url, "/health")):
            eventually(lambda base=base, health=health: _answers(base, health), STARTS_WITHIN_S, f"{base} is not up")

    def another_api(self, *, metrics_port: int) -> str:
        """Its URL, once it answers."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self._apis[url], _ = self._start("api", "api", *self._api_options(port, metrics_port))
        eventually(lambda: _answers(url, "/health"), STARTS_WITHIN_S, f"{url} is not up")
        return url

    def kill_api(self, url: str) -> None:
        """Returns when it is dead."""
        self._apis[url].kill()
        self._apis[url].wait()

    def _api_options(self, port: int, metrics_port: int) -> tuple[str, ...]:
        ports = ("--port", str(port), "--metrics-port", str(metrics_port))
        return ("--config", str(self._folder / "api.json"), *ports)

    def worker(self, failpoint: str = "", *, metrics_port: int = 0) -> Worker:
        """Start one; it may not be ready yet."""
        options = ("--config", str(self._folder / "worker.json"), "--metrics-port", str(metrics_port))
        return Worker(*self._start("worker", "worker", *options, failpoint=failpoint))

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()  # also ends one that is frozen
                process.wait()
        self.client.close()

    def _configure(self, name: str, redis_url: str, providers: dict[str, Any], **sections: Any) -> None:
        objects = {"path": str(self._folder / "objects")}
        document = {"redis": {"url": redis_url}, "providers": providers, "object_store": objects, **sections}
        (self._folder / f"{name}.json").write_text(json.dumps(document))

    def _start(self, name: str, *arguments: str, failpoint: str = "") -> tuple[subprocess.Popen[bytes], Path]:
        log = self._folder / f"{name}-{next(self._numbers)}.log"
        environment = clean_environment() | self._environment
        if failpoint:
            environment["HERMOD_FAILPOINT"] = failpoint
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "deploy.cli", *arguments], env=environment, stdout=output, stderr=output
            )
        self._processes.append(process)
        return process, log


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def _answers(url: str, path: str) -> bool:
    try:
        return ask(url, "GET", path, timeout_s=5).status < 500
    except OSError:
        return False
