"""A worker process of a benchmark: started, waits for the word, works until it is killed.

Its parent writes lines to its stdin: the first one starts the work, every other is answered with the CPU seconds used
since then. End of file, when the parent is gone, ends it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from tests.bench.server import python, resident_kib

BODY_BYTES = 1024
FOR_EVER_S = 3600


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process is told.

    Attributes:
        slots: jobs at once.
        job_timeout_s: for stock arq, whose takeover depends on it.
        announce: print a line whenever a job starts.
    """

    url: str
    slots: int
    job_timeout_s: int = FOR_EVER_S
    announce: bool = False


def body_of(seconds: float) -> bytes:
    """A request of 1 KB that takes so long."""
    return f"{seconds:012.6f}".encode().ljust(BODY_BYTES, b"x")


async def work(body: bytes, announce: bool) -> None:
    """What a job does: nothing, or sleep."""
    if announce:
        print("started", flush=True)
    if (seconds := float(body[:12])) > 0:
        await asyncio.sleep(seconds)


class Process:
    """The parent's end."""

    def __init__(self, module: str, orders: Orders) -> None:
        command = python(module, msgspec.json.encode(orders).decode())
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def go(self) -> None:
        self._tell("go")

    def expect(self, line: str) -> None:
        found = self._line()
        assert found == line, f"a worker process said {found!r} instead of {line!r}"

    def cpu_s(self) -> float:
        self._tell("cpu")
        return float(self._line())

    def resident_kib(self) -> int:
        return resident_kib(self._process.pid)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def serve(worker: Callable[[Orders], Awaitable[None]]) -> None:
    """The child's end: be `worker` with the orders on the command line."""
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    print("ready", flush=True)
    os.read(0, 1024)
    uvloop.run(_serve(worker, orders, time.process_time()))


async def _serve(worker: Callable[[Orders], Awaitable[None]], orders: Orders, began_s: float) -> None:
    asyncio.get_running_loop().add_reader(0, _answer, began_s)
    await worker(orders)


def _answer(began_s: float) -> None:
    if not os.read(0, 1024):
        os._exit(0)
    print(time.process_time() - began_s, flush=True)
