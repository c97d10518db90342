"""What the queue benchmarks stand on: a Redis or Valkey server of their own, facts about the machine, the table."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import redis

from deploy.redis_server import prepare

STARTS_WITHIN_S = 10.0


class Server:
    """A server process with its data in `folder`, as `hermod up` starts it: append-only file, `appendfsync always`."""

    def __init__(self, folder: Path) -> None:
        plan = prepare(folder, os.environ)
        self.url, self.label = plan.url, plan.label
        self.process = subprocess.Popen(plan.arguments, stdout=subprocess.DEVNULL)
        self.client: Any = redis.Redis.from_url(plan.url)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                self.client.ping()
            except redis.RedisError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()

    def empty(self) -> None:
        """No keys, no counters."""
        self.client.flushall()
        self.client.config_resetstat()

    def appendfsync(self, policy: str) -> None:
        self.client.config_set("appendfsync", policy)

    def cpu_s(self) -> float:
        cpu = self.client.info("cpu")
        return cpu["used_cpu_user"] + cpu["used_cpu_sys"]

    def memory(self) -> int:
        """Bytes in use, without the buffers of connections and of the append-only file."""
        found = self.client.info("memory")
        return found["used_memory"] - found["mem_clients_normal"] - found["mem_aof_buffer"]

    def commands(self) -> dict[str, int]:
        """Calls of each command since `empty`, those inside scripts included."""
        stats = self.client.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}

    def facts(self) -> str:
        """The machine and the versions, on three lines."""
        info = self.client.info("server")
        name = info.get("server_name", "redis")
        fsync = self.client.config_get("appendfsync")["appendfsync"]
        packages = ", ".join(f"{package} {version(package)}" for package in ("arq", "redis", "uvloop", "litestar"))
        return (
            f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()},"
            f" load {os.getloadavg()[0]:.1f} at the start\n"
            f"Python {platform.python_version()}, {packages}\n"
            f"{name} {info.get('valkey_version', info['redis_version'])}, append-only file, appendfsync {fsync}"
            " unless a row says otherwise"
        )


class Row(msgspec.Struct, frozen=True):
    """One line of the table: two sides, each the median of its rounds.

    Attributes:
        more: a larger figure is the better one; the ratio says how many times better the second side is.
    """

    what: str
    unit: str
    first: float
    second: float
    more: bool = False
    note: str = ""

    @property
    def ratio(self) -> str:
        better, worse = (self.second, self.first) if self.more else (self.first, self.second)
        if not worse:
            return "-"
        return f"{better / worse:.1f}x" if better > 2 * worse else f"{better / worse:.2f}x"


def print_heading(first: str, second: str) -> None:
    print(f"\n{'':58}{first:>12}{second:>12}   {'better by':>9}", flush=True)


def print_row(row: Row) -> None:
    """One line, at once: a run takes minutes."""
    what = f"{row.what}, {row.unit}"
    print(
        f"{what:58}{_figure(row.first):>12}{_figure(row.second):>12}   {row.ratio:>9}"
        + (f"   {row.note}" if row.note else ""),
        flush=True,
    )


def _figure(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout)


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used; not a number where there is no /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("nan")
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
