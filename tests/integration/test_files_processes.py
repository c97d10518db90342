"""A real API process: large files pass through it in bounded memory, and its death leaves nothing half uploaded."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.batches import blob
from shared.bodies import Bodies
from shared.ids import uuid_of
from shared.stores.folder import FolderBlobs
from shared.stores.redis import RedisStore
from tests.integration.test_files import EDGE, FORM, OPENAI, PURPOSE, form, part
from tests.integration.test_jobs_surface import answers, hermod, until, written
from tests.ports import free_port
from worker.sweep import BATCH_AGE_S, sweep_blobs

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads /proc")

BATCHES = "/anthropic/v1/messages/batches"
LARGE = 300 << 20
CHUNK = bytes(range(256)) * 256
MOST_GROWTH = 60 << 20


def blobs(folder: Path) -> list[str]:
    """What lies in an object store that is a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def api(server, folder: Path) -> Iterator[tuple[int, httpx.Client]]:
    """An API process and a client of it."""
    port = free_port()
    config = written(folder / "api.json", {"redis": {"url": server.url}, "client": {"metrics_port": 0}})
    arguments = ("api", "--config", config, "--port", str(port), "--data-dir", str(folder))
    with hermod(*arguments) as process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        until(lambda: answers(f"{client.base_url}/health"))
        yield process.pid, client


def peak(pid: int) -> int:
    """Bytes of memory that the process had at most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) << 10


def forget_peak(pid: int) -> int:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def made(size: int) -> Iterator[bytes]:
    """The form with a file of that size, never whole in memory."""
    yield PURPOSE + part("file", b"", b'; filename="large.bin"')[:-2]
    for _ in range(size // len(CHUNK)):
        yield CHUNK
    yield f"\r\n--{EDGE}--\r\n".encode()


def digest_of(size: int) -> bytes:
    whole = hashlib.sha256()
    for _ in range(size // len(CHUNK)):
        whole.update(CHUNK)
    return whole.digest()


def test_a_large_file_goes_up_and_comes_down_in_bounded_memory(server, store, tmp_path):  # noqa: ARG001 - empties Redis
    with api(server, tmp_path) as (pid, client):
        assert client.post(OPENAI, content=made(4 << 20), headers=FORM).status_code == 200, "whatever loads once"
        before = forget_peak(pid)
        answer = client.post(OPENAI, content=made(LARGE), headers=FORM)
        assert answer.status_code == 200, answer.text
        assert answer.json()["bytes"] == LARGE
        up, before = peak(pid) - before, forget_peak(pid)
        got, size = hashlib.sha256(), 0
        with client.stream("GET", f"{OPENAI}/{answer.json()['id']}/content") as content:
            for chunk in content.iter_raw():
                got.update(chunk)
                size += len(chunk)
        down = peak(pid) - before
        print(f"300 MiB up: {up / 2**20:.1f} MiB more, down: {down / 2**20:.1f} MiB more")
        assert size == LARGE
        assert got.digest() == digest_of(LARGE)
        assert up < MOST_GROWTH
        assert down < MOST_GROWTH


async def test_an_upload_that_a_kill_cuts_short_is_never_listed_and_leaves_no_blob(server, store, tmp_path):
    objects = tmp_path / "objects"
    with api(server, tmp_path) as (pid, client):
        kept = client.post(OPENAI, content=form(PURPOSE, part("file", b"kept")), headers=FORM).json()["id"]
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            head = (
                f"POST {OPENAI} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\ncontent-type: {FORM['content-type']}"
            )
            connection.sendall(f"{head}\r\n\r\n".encode() + PURPOSE + part("file", CHUNK * 80)[:-2])
            until(lambda: any(path.stat().st_size > 1 << 20 for path in (objects / ".incoming").iterdir()))
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
    with api(server, tmp_path) as (_, client):
        assert [file["id"] for file in client.get(OPENAI).json()["data"]] == [kept]
        assert client.get(f"{OPENAI}/{kept}/content").content == b"kept"
        half, whole = blobs(objects)
        assert half.startswith(".incoming/")
        assert whole == f"files/{uuid_of(kept)}/content"
        await sweep_days_later(store, objects)
        assert blobs(objects) == [whole]


async def test_a_batch_whose_create_a_kill_cuts_short_never_comes_to_be_and_its_requests_are_swept(
    server, store, tmp_path
):
    objects = tmp_path / "objects"
    with (
        api(server, tmp_path) as (pid, client),
        socket.create_connection((client.base_url.host, client.base_url.port)) as connection,
    ):
        head = f"POST {BATCHES} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\ncontent-type: application/json"
        connection.sendall(f"{head}\r\n\r\n".encode() + b'{"requests": [')
        for number in range(500):
            connection.sendall(json.dumps(request(number)).encode() + b",")
        until(lambda: any(name.startswith("batches/") for name in blobs(objects)))
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
    with api(server, tmp_path) as (_, client):
        assert client.get(BATCHES).json()["data"] == []
        assert await store.call("KEYS", "hermod:batch*") == []
        assert await store.call("ZCARD", "arq:queue") == 0
        made = client.post(BATCHES, json={"requests": [request(1)]}).json()["id"]
        await sweep_days_later(store, objects)
        assert blobs(objects) == [blob(uuid_of(made), "in", 0)], "of the batch that there is"


async def sweep_days_later(store: RedisStore, objects: Path) -> None:
    """What a worker does once what lies there is old."""
    days_ago = time.time() - 2 * BATCH_AGE_S
    for name in blobs(objects):
        os.utime(objects / name, (days_ago, days_ago))
    folder = FolderBlobs(objects)
    await folder.ready()
    await sweep_blobs({"store": store, "bodies": Bodies(folder, 1000)})
    await folder.close()


def request(number: int) -> dict[str, object]:
    question = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "why? " * 1000}]}
    return {"custom_id": f"r-{number}", "params": question}
