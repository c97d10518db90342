"""The parts of `hermod up`, as real processes: Redis, the supervisor, and the whole command."""

import asyncio
import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.probes import redis_answers, until
from deploy.processes import Child, Command, Household
from deploy.redis_server import RedisServer, find_binary, prepare
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="hermod up is for POSIX systems")

DUMMY_KEY = "sk-ant-dummy-key-of-a-test"
FOREVER = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended but was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(true: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)  # between two looks at a condition


async def running(child: Child, other_than: int | None = None) -> int:
    """Process id of the child once it runs (again)."""

    async def up() -> bool:
        return child.pid not in {None, other_than}

    assert await until(up, 60)
    assert child.pid is not None
    return child.pid


def command(name: str, role: str, *arguments: str, **more: object) -> Command:
    return Command(name=name, role=role, arguments=arguments, environment=dict(os.environ), **more)  # type: ignore[arg-type]


def python(name: str, role: str, code: str, **more: object) -> Command:
    return command(name, role, sys.executable, "-c", code, **more)


@pytest.fixture
async def household() -> AsyncIterator[Household]:
    household = Household()
    yield household
    household.kill()
    await household.stop(tuple({child.command.role for child in household.children}))


async def redis_child(household: Household, server: RedisServer) -> Child:
    child = household.start(command("redis", "redis", *server.arguments))
    assert await until(lambda: redis_answers(server.url), 60)
    return child


needs_server = pytest.mark.skipif(find_binary(os.environ) is None, reason="no Redis server on this machine")


@needs_server
async def test_the_redis_server_keeps_its_data_over_a_restart(household, tmp_path):
    folder = tmp_path / 'with space and "quote"'
    server = prepare(folder, os.environ)
    child = await redis_child(household, server)
    async with Redis.from_url(server.url) as client:
        await client.set("job", "outcome")
    await child.stop()
    assert not await redis_answers(server.url)
    again = prepare(folder, os.environ)
    await redis_child(household, again)
    async with Redis.from_url(again.url) as client:
        assert await client.get("job") == b"outcome"


@needs_server
async def test_a_killed_redis_server_is_started_again_with_everything_it_acknowledged(household, tmp_path):
    server = prepare(tmp_path, os.environ)
    child = await redis_child(household, server)
    first = await running(child)
    async with Redis.from_url(server.url) as client:
        for number in range(100):
            await client.set(f"job-{number}", "outcome")
    os.kill(first, signal.SIGKILL)
    await running(child, other_than=first)
    assert await until(lambda: redis_answers(server.url), 60)
    async with Redis.from_url(server.url) as client:
        assert await client.dbsize() == 100


@needs_server
async def test_the_redis_server_is_durable_private_and_never_evicts(household, tmp_path):
    server = prepare(tmp_path, os.environ)
    await redis_child(household, server)
    assert server.durable
    async with Redis.from_url(server.url) as client:
        assert await client.config_get("appendonly", "appendfsync", "maxmemory-policy", "bind", "save") == {
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
            "save": "",
        }
    password = re.search(r":([^:@]+)@", server.url)
    assert password is not None
    assert password[1] not in " ".join(server.arguments)
    assert password[1] not in repr(server)
    assert (tmp_path / "server.conf").stat().st_mode & 0o777 == 0o600
    assert not await redis_answers(server.url.replace(password[1], "wrong"))


async def test_without_a_server_program_fakeredis_serves_and_says_that_it_is_not_durable(
    household, tmp_path, monkeypatch
):
    monkeypatch.setattr("deploy.redis_server.find_binary", lambda _: None)
    server = prepare(tmp_path, os.environ)
    assert not server.durable
    assert "NOT durable" in server.label
    await redis_child(household, server)
    async with Redis.from_url(server.url) as client:
        assert await client.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "a", "b") in {b"OK", "OK"}
        assert await client.get("a") == b"b"


async def test_a_child_that_dies_is_started_again_and_said_so(household, caplog):
    child = household.start(python("worker-1", "worker", FOREVER))
    first = await running(child)
    os.kill(first, signal.SIGKILL)
    second = await running(child, other_than=first)
    assert alive(second)
    assert child.restarts == 1
    assert "worker-1 was killed by SIGKILL; starting it again in 0.2 s" in caplog.messages


async def test_a_child_that_keeps_dying_is_given_longer_pauses(household, caplog):
    child = household.start(python("worker-1", "worker", "raise SystemExit(3)"))

    async def tried_thrice() -> bool:
        return child.restarts >= 2

    assert await until(tried_thrice, 60)
    assert [line for line in caplog.messages if "worker-1" in line][:2] == [
        "worker-1 ended with status 3; starting it again in 0.2 s",
        "worker-1 ended with status 3; starting it again in 0.4 s",
    ]


async def test_a_program_that_does_not_exist_is_said_and_tried_again(household, caplog):
    child = household.start(command("redis", "redis", "/nowhere/redis-server"))

    async def tried_again() -> bool:
        return child.restarts >= 1

    assert await until(tried_again, 60)
    assert "redis cannot be started (No such file or directory); starting it again in 0.2 s" in caplog.messages


async def test_a_child_that_ignores_the_request_to_stop_is_killed_with_its_own_children(household, tmp_path, caplog):
    note = tmp_path / "pid"
    grandchild = (
        "import subprocess, sys, pathlib; "
        f"made = subprocess.Popen([sys.executable, '-c', {FOREVER!r}]); "
        f"pathlib.Path({str(note)!r}).write_text(str(made.pid)); {DEAF}"
    )
    child = household.start(python("worker-1", "worker", grandchild, stop_within_s=0.3))

    async def noted() -> bool:
        return note.exists() and note.read_text() != ""

    assert await until(noted, 60)
    pid = await running(child)
    await child.stop()
    assert "worker-1 did not stop within 0.3 s: killed" in caplog.messages
    eventually(lambda: not alive(pid) and not alive(int(note.read_text())))


async def test_children_are_stopped_role_by_role_in_the_given_order(household, tmp_path):
    log = tmp_path / "order"
    code = (
        "import signal, sys, pathlib\n"
        "def end(*_):\n"
        f"    with open({str(log)!r}, 'a') as file: file.write(sys.argv[1] + '\\n')\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path({str(tmp_path)!r}, sys.argv[1]).touch()\n"
        "signal.pause()"
    )
    for role in ("redis", "worker", "api"):
        household.start(command(role, role, sys.executable, "-c", code, role))

    async def all_listen() -> bool:
        return all((tmp_path / role).exists() for role in ("redis", "worker", "api"))

    assert await until(all_listen, 60)
    await household.stop(("api", "worker", "redis"))
    assert log.read_text().split() == ["api", "worker", "redis"]


async def test_a_child_told_to_stop_while_it_waits_to_be_restarted_stays_down(household):
    child = household.start(python("worker-1", "worker", "raise SystemExit(3)"))

    async def tried_thrice() -> bool:
        return child.restarts >= 2

    assert await until(tried_thrice, 60)
    await asyncio.wait_for(child.stop(), 30)
    assert child.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_no_child_outlives_a_supervisor_that_is_killed():
    supervisor = (
        "import asyncio, os, sys\n"
        "from deploy.processes import Command, Household\n"
        "async def main():\n"
        "    household = Household()\n"
        f"    arguments = (sys.executable, '-c', {DEAF!r})\n"
        "    child = household.start(Command(name='c', role='r', arguments=arguments, environment=dict(os.environ)))\n"
        "    while child.pid is None: await asyncio.sleep(0.01)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert alive(child)
        process.kill()
        process.wait()
    eventually(lambda: not alive(child))


class Up:
    """A running `hermod up`."""

    def __init__(self, folder: Path, *options: str, **keys: str) -> None:
        self.folder = folder
        self.port = free_port()
        unwanted = re.compile(r"HERMOD_|OLLAMA_HOST|[A-Z_]+_(API_KEY|BASE_URL)$")
        environ = {name: value for name, value in os.environ.items() if not unwanted.match(name)}
        self.log = (folder / "stderr").open("ab")
        arguments = ("--port", str(self.port), "--workers", "1", "--data-dir", str(folder / "data"), *options)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "deploy.cli", "up", *arguments],
            env={**environ, **keys},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def health(self) -> int | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    def until_ready(self) -> str:
        """What it printed."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Ready."):
                return "".join(lines)
        pytest.fail(f"hermod up ended: {(self.folder / 'stderr').read_text()[-2000:]}")

    def children(self) -> dict[int, list[str]]:
        """Arguments by process id."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(pid): Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in found}

    def child(self, word: str) -> int | None:
        """Process id of the child that was started as that command; None until it became that program."""
        return next((pid for pid, arguments in self.children().items() if word in arguments), None)


def needs(*parts: str) -> None:
    for part in parts:
        try:
            importlib.import_module(part)
        except ImportError as missing:
            pytest.skip(f"{part} cannot be imported: {missing}")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    needs("api.app", "worker.main")
    running = Up(tmp_path, ANTHROPIC_API_KEY=DUMMY_KEY)
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.process.kill()
    running.process.communicate()
    running.log.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_up_serves_restarts_what_dies_and_leaves_nothing_behind(up):
    printed = up.until_ready()
    assert up.health() == 200
    assert f"http://127.0.0.1:{up.port}/anthropic" in printed
    assert "providers  anthropic" in printed
    assert DUMMY_KEY not in printed

    children = up.children()
    assert len(children) == 3
    eventually(lambda: None not in {up.child("api"), up.child("worker")})
    api, worker = up.child("api"), up.child("worker")
    assert DUMMY_KEY not in Path(f"/proc/{api}/environ").read_text()
    assert DUMMY_KEY in Path(f"/proc/{worker}/environ").read_text()
    assert DUMMY_KEY not in "".join(path.read_text() for path in (up.folder / "data" / "run").glob("*.json"))
    assert json.loads((up.folder / "data/run/api.json").read_text()) == {"providers": {"anthropic": {}}}

    os.kill(api, signal.SIGKILL)
    eventually(lambda: up.health() == 200)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: up.child("worker") not in {None, worker})

    children = up.children()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert not [pid for pid in children if alive(pid)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killing_up_itself_leaves_nothing_behind_and_frees_the_data_folder(up, tmp_path):
    up.until_ready()
    children = up.children()
    up.process.kill()
    up.process.wait()
    eventually(lambda: not any(alive(pid) for pid in children))
    again = Up(tmp_path, ANTHROPIC_API_KEY=DUMMY_KEY)
    try:
        again.until_ready()
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(60) == 0
    finally:
        again.process.kill()
        again.process.communicate()
        again.log.close()


def test_a_second_up_on_the_same_data_folder_is_refused(up, tmp_path):
    up.until_ready()
    second = Up(tmp_path, ANTHROPIC_API_KEY=DUMMY_KEY)
    try:
        assert second.process.wait(60) == 1
        complaint = (tmp_path / "stderr").read_text()
        assert f"another hermod up (process {up.process.pid}) is using {tmp_path / 'data'}" in complaint
    finally:
        second.process.communicate()
        second.log.close()


def test_up_without_a_provider_key_says_so_and_answers_from_the_simulator(tmp_path):
    needs("api.app", "worker.main", "deploy.simulator.server")
    up = Up(tmp_path)
    try:
        printed = up.until_ready()
        assert "no provider key found: answers come from the built-in simulator" in printed
        question = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{up.port}/anthropic/v1/messages",
            data=json.dumps(question).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the URL is ours
            assert json.load(answer)["type"] == "message"
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(60) == 0
    finally:
        up.process.kill()
        up.process.communicate()
        up.log.close()
