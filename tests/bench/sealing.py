"""What encryption at rest adds: `uv run python -m tests.bench.sealing [--quick]`.

Two gateways (API, worker, simulator as processes) on one Redis, one with `encryption.keys`, get the same requests on
one connection each, in turn: a job is submitted, polled until it has ended and polled once more. Figures are medians of
the time that the client sees.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median

from tests.bench.server import Row, Server, print_heading, print_row
from tests.security.place import CLAUDE, OWNER, Place, running

PATH = "/anthropic/v1/messages"
SIZES = (2_000, 100_000)


def once(place: Place, text: str) -> tuple[float, float]:
    """Milliseconds of a submit, and of a poll of the job when it has ended."""
    body = {"model": CLAUDE, "max_tokens": 20, "messages": [{"role": "user", "content": f"{uuid.uuid4()} {text}"}]}
    began = time.perf_counter()
    answer = place.ask("POST", PATH, OWNER, json=body, headers={"x-bf-async": "true"})
    submit_ms = (time.perf_counter() - began) * 1000
    name = {"x-bf-async-id": answer.json()["id"]}
    while "text" not in str(place.ask("POST", PATH, OWNER, headers=name).json()["content"]):
        assert time.perf_counter() - began < 30, "the job has not ended"
    began = time.perf_counter()
    place.ask("POST", PATH, OWNER, headers=name)
    return submit_ms, (time.perf_counter() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    times = 50 if parser.parse_args().quick else 500
    key = base64.b64encode(os.urandom(32)).decode()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("redis", "clear", "sealed")]
        for folder in folders[1:]:
            folder.mkdir()
        server = Server(folders[0])
        try:
            print(server.facts())
            with (
                running(server.url, folders[1]) as clear,
                running(server.url.removesuffix("/0") + "/1", folders[2], encryption={"keys": [key]}) as sealed,
            ):
                compare(clear, sealed, times)
        finally:
            server.stop()


def compare(clear: Place, sealed: Place, times: int) -> None:
    """Print the table."""
    print_heading("clear", "sealed")
    for size in SIZES:
        text = "x" * size
        rounds = [(once(clear, text), once(sealed, text)) for _ in range(times)]
        for at, what in enumerate(("submit", "poll")):
            sides = (median(one[side][at] for one in rounds) for side in (0, 1))
            print_row(Row(f"{what} of {size:,} bytes, p50", "ms", *sides))


if __name__ == "__main__":
    main()
