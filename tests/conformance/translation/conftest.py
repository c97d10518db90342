"""The server that stands between the SDKs and the recorded answers; at the end, how many cells passed."""

import pytest

from tests.conformance.translation import exchange
from tests.conformance.translation.tally import lines


@pytest.fixture(scope="session")
def gateway():
    with exchange.serve() as server:
        yield server


def pytest_terminal_summary(terminalreporter):
    for line in lines():
        terminalreporter.write_line(line)
