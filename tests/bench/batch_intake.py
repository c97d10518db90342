"""What taking in a batch costs: `uv run --with ijson python -m tests.bench.batch_intake [--quick]`.

One create of 100,000 requests in 256 MB against `hermod api`, its Redis (or Valkey) with appendfsync always and its
object store a folder, all on this machine: the time until the batch is promised, what the process' memory grows by, and
how long `/health` and the poll of a batch take meanwhile, beside what they take when nothing else happens. Then 50,000
lines of 1 KB and of 4 KB from a file. Last, where ijson is installed, the same bytes through its fastest backend.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import io
import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec

from api.batch_splitting import Splitter
from api.batching import ANTHROPIC_LIMITS, MIB, OPENAI_LIMITS, AnthropicRequests
from shared.files import File, Files, blob
from shared.ids import named, now_ms
from shared.stores.folder import FolderBlobs
from shared.stores.redis import RedisStore
from tests.bench.server import Server, cpu_s, percentile
from tests.bench.submits import Running, api

CREATE = "/anthropic/v1/messages/batches"
HEADERS = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
CHAT = "/v1/chat/completions"
LOOK_EVERY_S = 0.01
PAGE = os.sysconf("SC_PAGE_SIZE")


TEXT = 'She said: "no" [sic],\nand left {quietly}. '
FRAME = 160
"""Bytes of a request or line around its text, at most."""


def question(size: int) -> dict[str, Any]:
    """A body with so many bytes of text, quotes, line feeds and brackets among them."""
    once = len(json.dumps(TEXT)) - 2
    text = TEXT * (size // once) + "x" * (size % once)
    return {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": text}]}


def write_body(path: Path, count: int, size: int) -> int:
    """A create of `count` requests, `size` bytes or a little less; its size."""
    params = json.dumps(question(size // count - FRAME))
    with path.open("w") as file:
        file.write('{"requests":[')
        for number in range(count):
            file.write(f'{"," if number else ""}{{"custom_id":"request-{number:06}","params":{params}}}')
        file.write("]}")
    return path.stat().st_size


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / MIB


class Watch:
    """Polls a process and looks at its memory until the work is done."""

    def __init__(self, running: Running, paths: list[str]) -> None:
        self._pid = running.pid
        self._connection = HTTPConnection("127.0.0.1", running.port, timeout=60)
        self._paths = paths
        self.before_mib = resident_mib(running.pid)
        self.most_mib = self.before_mib
        self.ms: dict[str, list[float]] = {path: [] for path in paths}

    def during(self, work: Callable[[], None]) -> float:
        """Seconds the work took, in a thread of its own."""
        errors: list[BaseException] = []

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)

        thread, started = threading.Thread(target=run), time.perf_counter()
        thread.start()
        while thread.is_alive():
            for path in self._paths:
                self.ms[path].append(self._poll(path))
            self.most_mib = max(self.most_mib, resident_mib(self._pid))
            thread.join(LOOK_EVERY_S)
        for error in errors:
            raise error
        return time.perf_counter() - started

    def _poll(self, path: str) -> float:
        started = time.perf_counter()
        self._connection.request("GET", path, headers=HEADERS)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        return (time.perf_counter() - started) * 1000

    def say(self) -> None:
        for path, found in self.ms.items():
            shown = path if len(path) < 20 else "poll of a batch"
            figures = f"p50 {percentile(found, 0.5):.1f}, p99 {percentile(found, 0.99):.1f}, most {max(found):.1f} ms"
            print(f"    {shown:<18}{figures} ({len(found)} times)", flush=True)


def post(port: int, path: str, body: Any, size: int) -> dict[str, Any]:
    """The answer to a POST of so many bytes from a file or bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=600, blocksize=MIB)
    connection.request("POST", path, body, {**HEADERS, "content-length": str(size)})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content
    return json.loads(content)


def inline(running: Running, folder: Path, count: int, size: int) -> None:
    """The largest create, watched."""
    path = folder / "body.json"
    size = write_body(path, count, size)
    small = json.dumps({"requests": [{"custom_id": "a", "params": question(100)}]}).encode()
    known = post(running.port, CREATE, small, len(small))["id"]
    paths = ["/health", f"{CREATE}/{known}"]
    idle = Watch(running, paths)
    idle.during(lambda: time.sleep(3))
    print("\nnothing else happens")
    idle.say()
    before_s = cpu_s(running.pid)
    watch = Watch(running, paths)

    def create() -> None:
        with path.open("rb") as file:
            made = post(running.port, CREATE, file, size)
        assert made["request_counts"]["processing"] == count

    took = watch.during(create)
    print(f"\n{count:,} requests in {size / MIB:.0f} MiB: {took:.1f} s, CPU {cpu_s(running.pid) - before_s:.1f} s")
    print(f"    memory {watch.before_mib:.0f} MiB before, at most {watch.most_mib - watch.before_mib:.0f} MiB more")
    watch.say()


async def keep(server: Server, objects: Path, content: bytes) -> str:
    """A file as an upload leaves it."""
    store, blobs = RedisStore(server.url), FolderBlobs(objects)
    file = File(
        id=str(uuid.uuid4()),
        owner="anonymous",
        filename="batch.jsonl",
        mime_type="application/jsonl",
        size=len(content),
        purpose="batch",
        created_ms=now_ms(),
    )
    await blobs.put(blob(file.id), content)
    await Files(store).add(file)
    await blobs.close()
    await store.close()
    return named("file-", file.id)


def from_file(server: Server, running: Running, folder: Path, count: int, size: int) -> None:
    """A create from a file of lines of that size."""
    body = json.dumps(question(size - FRAME))
    head = f'"method":"POST","url":"{CHAT}","body":{body}'
    content = "".join(f'{{"custom_id":"request-{number:06}",{head}}}\n' for number in range(count)).encode()
    assert len(content) <= OPENAI_LIMITS.size
    file = asyncio.run(keep(server, folder / "data" / "objects", content))
    wanted = json.dumps({"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}).encode()
    watch = Watch(running, ["/health"])
    took = watch.during(lambda: _check(post(running.port, "/v1/batches", wanted, len(wanted)), count))
    print(f"\n{count:,} lines in {len(content) / MIB:.0f} MiB from a file: {took:.1f} s")
    print(f"    memory {watch.before_mib:.0f} MiB before, at most {watch.most_mib - watch.before_mib:.0f} MiB more")
    watch.say()


def _check(made: dict[str, Any], count: int) -> None:
    assert made["request_counts"]["total"] == count


def rate(what: str, data: bytes, work: Callable[[bytes], int]) -> None:
    """CPU time, the best of five rounds: others use the machine too."""
    rounds = []
    for _ in range(5):
        started = time.process_time()
        count = work(data)
        rounds.append(time.process_time() - started)
    print(f"    {what:<48}{len(data) / MIB / min(rounds):6.0f} MiB/s ({count:,} items)", flush=True)


def chunks(data: bytes) -> Iterator[bytes]:
    return (data[at : at + MIB] for at in range(0, len(data), MIB))


def split(data: bytes) -> int:
    splitter = Splitter()
    return sum(1 for chunk in chunks(data) for _ in splitter.feed(chunk))


def check(data: bytes) -> int:
    source = AnthropicRequests()
    return sum(len(source.feed(chunk)) for chunk in chunks(data)) + len(source.close())


def splitting(folder: Path, count: int, size: int) -> None:
    """How fast bodies are cut; ijson is fed as much at a time, and gives objects where shards need bytes."""
    path = folder / "some.json"
    write_body(path, count, size)
    data = path.read_bytes()
    print(f"\ncutting {count:,} requests in {len(data) / MIB:.0f} MiB in memory")
    rate("Splitter", data, split)
    rate("Splitter, each item decoded and checked", data, check)
    rate("SHA-256", data, lambda all_of_it: len(hashlib.sha256(all_of_it).digest()) and count)
    try:
        ijson = importlib.import_module("ijson").get_backend("yajl2_c")
    except ImportError:
        print("    ijson is not installed (`uv run --with ijson ...`)")
        return
    rate("ijson yajl2_c, events only", data, lambda all_of_it: _events(ijson, all_of_it))
    rate("ijson yajl2_c, items, encoded again", data, lambda all_of_it: _items(ijson, all_of_it))


def _items(ijson: Any, data: bytes) -> int:
    found = ijson.items(io.BytesIO(data), "requests.item", buf_size=MIB, use_float=True)
    return sum(1 for one in found if msgspec.json.encode(one))


def _events(ijson: Any, data: bytes) -> int:
    names = 0
    for event, value in ijson.basic_parse(io.BytesIO(data), buf_size=MIB):
        names += event == "map_key" and value == "custom_id"
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    part = 10 if parser.parse_args().quick else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder / "redis")
        try:
            print(server.facts())
            with api(server, folder) as running:
                inline(running, folder, ANTHROPIC_LIMITS.items // part, ANTHROPIC_LIMITS.size // part)
                for size in (1024, 4096):
                    from_file(server, running, folder, OPENAI_LIMITS.items // part, size)
            splitting(folder, ANTHROPIC_LIMITS.items // 10, ANTHROPIC_LIMITS.size // 10)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
