"""The API process holds no provider key and calls nobody but Redis."""

import json
import re
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.integration.test_up_processes import Up, needs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads another process's memory through /proc")

SECRET = "sk-ant-the-operators-secret-key-" + "0123456789abcdef"


def memory_holds(pid: int, needle: bytes) -> bool:
    """Whether the bytes stand anywhere in the writable memory of the process."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end, access = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if not access.startswith("rw"):
                continue
            try:
                memory.seek(int(start, 16))
                if needle in memory.read(int(end, 16) - int(start, 16)):
                    return True
            except OSError:
                continue  # [vvar] and the like cannot be read
    return False


def peers(pid: int) -> set[tuple[str, int]]:
    """(address, port) of every TCP connection that the process itself opened."""
    inodes = {
        match[1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if (match := re.match(r"socket:\[(\d+)\]", str(link.readlink())))
    }
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1].split(":")[1] for row in rows if row[3] == "0A" and row[9] in inodes}
    return {
        (socket.inet_ntoa(bytes.fromhex(row[2][:8])[::-1]), int(row[2].split(":")[1], 16))
        for row in rows
        if row[9] in inodes and row[3] != "0A" and row[1].split(":")[1] not in listening
    }


def ask(up: Up, path: str, body: dict) -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{up.port}{path}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the URL is ours
        return json.load(answer)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    up = Up(tmp_path_factory.mktemp("simulator"))
    yield re.search(r"http://127\.0\.0\.1:\d+", up.until_ready().split("simulated at ")[1])[0]
    up.process.terminate()
    up.process.communicate()
    up.log.close()


def test_the_api_process_holds_no_provider_key_and_opens_no_connection_but_to_redis(simulator, tmp_path):
    needs("api.app", "worker.main")
    up = Up(tmp_path, ANTHROPIC_API_KEY=SECRET, ANTHROPIC_BASE_URL=simulator)
    try:
        printed = up.until_ready()
        question = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}
        assert ask(up, "/anthropic/v1/messages", question)["content"]
        api, worker = up.child("api"), up.child("worker")
        assert memory_holds(worker, SECRET.encode()), "the witness: where a key is held, it is found"
        assert not memory_holds(api, SECRET.encode())
        redis_port = int(re.search(r"redis://\*\*\*@127\.0\.0\.1:(\d+)", printed)[1])
        assert peers(api) == {("127.0.0.1", redis_port)}
        simulator_port = int(simulator.rpartition(":")[2])
        assert ("127.0.0.1", simulator_port) in peers(worker), "the witness: where a call is made, it is seen"
    finally:
        up.process.terminate()
        up.process.communicate()
        up.log.close()
