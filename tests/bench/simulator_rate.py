"""Measures how many calls per second one simulator process answers.

`python -m tests.bench.simulator_rate [--seconds 5] [--connections 64] [--wire openai] [--stream]` starts a simulator
on a free port and keeps every connection busy with one call after the other. The client needs a core of its own;
where it is the slower half, `wrk` against `python -m deploy.simulator` shows more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys

import httptools
import uvloop

_TEXT = "Tell me a short story about a lighthouse keeper and the sea, please."
_PATHS = {"anthropic": "/anthropic/v1/messages", "openai": "/v1/chat/completions"}


class Caller(asyncio.Protocol):
    """One connection; asks again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.answered = 0
        self.failed = 0

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.answered += 1
        self.failed += self._parser.get_status_code() != 200
        self._transport.write(self._request)


def request(wire: str, stream: bool) -> bytes:
    """The bytes of one call."""
    content = {"model": "bench", "max_tokens": 256, "messages": [{"role": "user", "content": _TEXT}], "stream": stream}
    body = json.dumps(content).encode()
    head = (
        f"POST {_PATHS[wire]} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer bench\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def measure(port: int, asked: bytes, connections: int, seconds: float) -> tuple[float, int]:
    """Calls per second, and how many of them were not answered with 200."""
    loop = asyncio.get_running_loop()
    callers = [Caller(asked) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)
    before, began = sum(caller.answered for caller in callers), loop.time()
    await asyncio.sleep(seconds)
    rate = (sum(caller.answered for caller in callers) - before) / (loop.time() - began)
    return rate, sum(caller.failed for caller in callers)


def main() -> None:
    """Start, measure, stop, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--wire", choices=_PATHS, default="anthropic")
    parser.add_argument("--stream", action="store_true")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "deploy.simulator", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stderr.readline().rpartition(":")[2])
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                body = request(asked.wire, asked.stream)
                rate, failed = runner.run(measure(port, body, asked.connections, asked.seconds))
        finally:
            process.terminate()
    sys.stdout.write(f"{asked.wire} {'stream' if asked.stream else 'plain'}: {rate:,.0f} calls/s, {failed} failed\n")


if __name__ == "__main__":
    main()
