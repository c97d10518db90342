"""The provider simulator as a process of its own, for a gateway that is configured to call it."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port

STARTS_WITHIN_S = 120.0


@contextlib.contextmanager
def simulating(folder: Path) -> Iterator[str]:
    """Its URL; what it logs goes to a file in `folder`."""
    port = str(free_port())
    command = [str(Path(sys.executable).with_name("hermod")), "simulate", "--port", port]
    url = f"http://127.0.0.1:{port}"
    with (folder / "simulator.log").open("wb") as output:
        started = subprocess.Popen(command, env=clean_environment(), stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: _answers(url), STARTS_WITHIN_S, "the simulator does not start")
        yield url
    finally:
        started.terminate()
        started.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return ask(url, "GET", "/__health").status == 200
    return False
