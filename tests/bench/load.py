"""One request over and over on many connections: `wrk` where it is installed, else a client process of our own.

`python -m tests.bench.load PORT CONNECTIONS SECONDS`, the request on stdin, is that process. It takes more of the
machine than `wrk` does, so figures of the two do not compare; the ratios of one run do.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from tests.bench.server import percentile, python
from tests.bench.simulator_rate import Caller

CONNECTIONS = 64
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Request(msgspec.Struct, frozen=True):
    """A POST; `body` is sent as it is."""

    path: str
    headers: dict[str, str]
    body: bytes


class Load(msgspec.Struct, frozen=True):
    """What was answered, and how many of the answers were no 200."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def client() -> str:
    """What will send the requests."""
    return "wrk" if shutil.which("wrk") else "own client process (wrk is not installed: apt-get install wrk)"


def load(port: int, request: Request, seconds: float) -> Load:
    """Keep CONNECTIONS connections to this machine's `port` busy."""
    if shutil.which("wrk"):
        return _wrk(port, request, seconds)
    command = python("tests.bench.load", str(port), str(CONNECTIONS), str(seconds))
    done = subprocess.run(command, input=msgspec.json.encode(request), capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Load)


def _wrk(port: int, request: Request, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        lines = ['wrk.method = "POST"', f"wrk.body = [==[{request.body.decode()}]==]"]
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items()]
        script.write_text("\n".join(lines))
        url = f"http://127.0.0.1:{port}{request.path}"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        requests_s=float(_found(r"Requests/sec:\s+([\d.]+)", said)[1]),
        p50_ms=_ms(_found(r"50%\s+([\d.]+)(us|ms|s)", said)),
        p99_ms=_ms(_found(r"99%\s+([\d.]+)(us|ms|s)", said)),
        failed=int(failed[1]) if failed else 0,
    )


def _found(pattern: str, said: str) -> re.Match[str]:
    found = re.search(pattern, said)
    assert found, f"wrk said nothing like {pattern}:\n{said}"
    return found


def _ms(found: re.Match[str]) -> float:
    return float(found[1]) * _UNITS[found[2]]


class Timed(Caller):
    """A connection that remembers how long each answer took."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self.taken_ms: list[float] = []
        self._asked = 0.0

    def connection_made(self, transport) -> None:
        self._asked = time.perf_counter()
        super().connection_made(transport)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.taken_ms.append((now - self._asked) * 1000)
        self._asked = now
        super().on_message_complete()


async def _own(port: int, request: Request, connections: int, seconds: float) -> Load:
    headers = {"host": "localhost", **request.headers, "content-length": str(len(request.body))}
    lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body
    callers = [Timed(raw) for _ in range(connections)]
    loop = asyncio.get_running_loop()
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    await asyncio.sleep(seconds)
    taken = [ms for caller in callers for ms in caller.taken_ms]
    return Load(
        requests_s=len(taken) / seconds,
        p50_ms=percentile(taken, 0.5),
        p99_ms=percentile(taken, 0.99),
        failed=sum(caller.failed for caller in callers),
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    figures = uvloop.run(_own(int(sys.argv[1]), asked, int(sys.argv[2]), float(sys.argv[3])))
    sys.stdout.buffer.write(msgspec.json.encode(figures))
