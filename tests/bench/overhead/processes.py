"""Server processes: started with their output in a file, their CPU read from /proc with all they started, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.contract.wire import ask

STOPS_WITHIN_S = 30.0
IDLE_LOOK_S = 0.2
IDLE_SHARE = 0.1


class DoesNotStart(Exception):
    """The server ended, or does not answer; the message ends with what it logged."""


@contextmanager
def started(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that need not answer yet; told to stop at the end, and killed with all it started if it does not."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until_answered(
    process: subprocess.Popen[bytes], log: Path, url: str, headers: Mapping[str, str], body: bytes, *, within_s: float
) -> None:
    """Wait for the first POST that is answered with 200. Raises DoesNotStart."""
    deadline, last = time.monotonic() + within_s, "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = ask(url, "POST", "", body, headers)
        except OSError:
            time.sleep(0.1)
            continue
        if answer.status == 200:
            return
        last = f"status {answer.status}"
        time.sleep(0.5)
    if process.poll() is not None:
        last = f"ended with status {process.returncode}"
    raise DoesNotStart(f"{last}; its log ends with\n{log.read_text(errors='replace')[-2000:]}")


def tree(pid: int) -> set[int]:
    """A process and all it has started that still run; empty where there is no /proc, or when it is gone."""
    try:
        listed = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it ended meanwhile
        listed = []
    return {pid, *(one for words in listed for child in words.split() for one in tree(int(child)))} if listed else set()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all it has started; not a number where there is no /proc."""
    return sum(map(_own_cpu_s, tree(pid))) if Path(f"/proc/{pid}").exists() else float("nan")


def _own_cpu_s(pid: int) -> float:
    """With those of its children that have ended and been waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")


def until_idle(pids: list[int], within_s: float) -> bool:
    """Wait until the processes do nearly nothing; whether they came to that.

    Work put off until after the answer is part of its cost, and would slow down whoever is measured next.
    """
    deadline = time.monotonic() + within_s
    before = sum(map(cpu_s, pids))
    while time.monotonic() < deadline:
        time.sleep(IDLE_LOOK_S)
        now = sum(map(cpu_s, pids))
        if not now - before > IDLE_SHARE * IDLE_LOOK_S:
            return True
        before = now
    return False


def machine_busy_s() -> float:
    """CPU seconds that all programs of this machine, and others on its host, have taken from it."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return float("nan")
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
