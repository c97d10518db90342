"""Fixtures of the outermost tests: the gateway, the SDK clients, the simulator's ledger."""

import contextlib
import functools
import os
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from tests.contract import process, sdks
from tests.contract.asking import KEY
from tests.contract.process import Gateway
from tests.contract.wire import TIMEOUT_S, Ledger

LOG_LINES_SHOWN = 60
_running: list[Gateway] = []


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Ends with Ctrl-C, which must end well."""
    if there := process.already_running(os.environ):
        yield there
        return
    if sys.platform == "win32":
        pytest.skip("hermod up is for POSIX systems")
    started = process.start(tmp_path_factory.mktemp("hermod"))
    _running.append(started)
    try:
        yield started
    finally:
        status = process.stop(started)
        assert status == 0, f"hermod up ended with {status}:\n{_tail(started)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the gateway's last lines with every failure."""
    report = yield
    if report.failed and _running:
        report.sections.append(("hermod up, last lines", _tail(_running[-1])))
    return report


def _tail(gateway: Gateway) -> str:
    return "\n".join(gateway.logged().splitlines()[-LOG_LINES_SHOWN:])


@pytest.fixture
def own_gateway(gateway: Gateway) -> Gateway:
    """The gateway, when its processes and its log can be looked at."""
    if gateway.process is None or not Path("/proc").is_dir():
        pytest.skip("needs a gateway that was started here, on Linux")
    return gateway


@pytest.fixture
def ledger(gateway: Gateway) -> Ledger:
    if gateway.simulator is None:
        pytest.skip("needs the provider simulator: set HERMOD_TEST_SIMULATOR")
    return Ledger(gateway.simulator)


@pytest.fixture
def user() -> str:
    """A mark that tells this test's calls from all others in the ledger."""
    return f"user-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def claude(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    """The newest Anthropic SDK; it never retries, so that every error is seen."""
    with anthropic.Anthropic(base_url=gateway.anthropic, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="session", params=["/openai", "/openai/v1"])
def gpt(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    """The newest OpenAI SDK, which adds no `/v1` of its own; it never retries."""
    with openai.OpenAI(base_url=gateway.url + request.param, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture(scope="session")
def prepare() -> Iterator[Callable[[str], sdks.Sdk]]:
    """Each generation is made ready once. The function raises NotInstallable."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda generation: stack.enter_context(contextlib.closing(sdks.prepare(generation))))


@pytest.fixture(scope="session", params=sdks.GENERATIONS)
def sdk(request: pytest.FixtureRequest, prepare: Callable[[str], sdks.Sdk]) -> sdks.Sdk:
    """A generation of the vendors' SDKs, to run scripts with."""
    try:
        return prepare(request.param)
    except sdks.NotInstallable as why:
        pytest.skip(str(why))
