"""The hosts, for the whole run; how long it may take."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import chaos_long  # noqa: F401 - the same switch
from tests.scale.cluster import Cluster, Unstarted
from tests.scale.network import Network, Unavailable


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        try:
            network = stack.enter_context(contextlib.closing(Network()))
            running = Cluster(tmp_path_factory.mktemp("cluster"), network)
            stack.callback(running.close)
            running.start()
        except (Unavailable, Unstarted) as why:
            pytest.skip(str(why))
        yield running
