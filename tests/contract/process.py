"""The gateway under test: `hermod up` as a real process, or one that already runs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.contract.wire import ask
from tests.ports import free_port

Found = TypeVar("Found")

STARTS_WITHIN_S = 120.0
STOPS_WITHIN_S = 120.0  # running jobs get 25 s
LOOKS_AT_LEAST_S, LOOKS_AT_MOST_S = 0.02, 0.2
"""Between two looks; in between, a twentieth of what has been waited: looks cost what is waited for its time."""
_OWN_OR_PROVIDERS = re.compile(r"HERMOD_|OLLAMA_HOST|AWS_|GOOGLE_|AZURE_|[A-Z_]+_(API_KEY|BASE_URL|AUTH_TOKEN)$")
_SIMULATOR_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass
class Gateway:
    """What the tests know of it. `process`, `log` and `data` are None for one that was not started here."""

    url: str
    simulator: str | None = None
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    data: Path | None = None

    @property
    def anthropic(self) -> str:
        return f"{self.url}/anthropic"

    @property
    def openai(self) -> str:
        return f"{self.url}/openai"

    def logged(self) -> str:
        return self.log.read_text(errors="replace") if self.log else ""

    def children(self) -> dict[int, list[str]]:
        """Arguments of the processes it started, by process id."""
        assert self.process is not None
        pid = self.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child): _arguments(int(child)) for child in found}


def clean_environment() -> dict[str, str]:
    """The environment without anything that names a provider, a key or a gateway."""
    return {name: value for name, value in os.environ.items() if not _OWN_OR_PROVIDERS.match(name)}


def already_running(environ: Mapping[str, str]) -> Gateway | None:
    url = environ.get("HERMOD_TEST_URL")
    return Gateway(url=url.rstrip("/"), simulator=environ.get("HERMOD_TEST_SIMULATOR")) if url else None


def start(folder: Path, config: Path | None = None) -> Gateway:
    """Starts `hermod up` and waits until it is healthy; without a config, also until it has named its simulator."""
    port = free_port()
    log, data = folder / "hermod-up.log", folder / "data"
    command = [str(Path(sys.executable).with_name("hermod")), "up", "--port", str(port), "--data-dir", str(data)]
    if config is not None:
        command += ["--config", str(config)]
    environment = {**clean_environment(), "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest, which stops the gateway in turn
        )
    gateway = Gateway(url=f"http://127.0.0.1:{port}", process=process, log=log, data=data)
    try:
        eventually(lambda: _healthy(gateway), STARTS_WITHIN_S, "hermod up is not healthy")
        if config is None:
            named = eventually(lambda: _simulator(gateway.logged()), STARTS_WITHIN_S, "no simulator was named")
            gateway.simulator = named
    except BaseException as error:
        process.kill()
        process.wait()
        error.add_note(f"its log:\n{gateway.logged()[-4000:]}")
        raise
    return gateway


def stop(gateway: Gateway) -> int:
    """Ctrl-C; the exit status."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGINT)
    try:
        return gateway.process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        gateway.process.kill()
        gateway.process.wait()
        raise


def eventually(look: Callable[[], Found | None], within_s: float, otherwise: str) -> Found:
    """The first true thing that `look` returns; fails with `otherwise` when none came in time."""
    began = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - began
        assert waited < within_s, f"{otherwise} within {within_s:g} s"
        time.sleep(pause(waited))
    return found


def pause(waited_s: float) -> float:
    """Until the next look at what has been waited for so long, in seconds."""
    return min(max(LOOKS_AT_LEAST_S, waited_s / 20), LOOKS_AT_MOST_S)


def _healthy(gateway: Gateway) -> bool:
    assert gateway.process is not None
    assert gateway.process.poll() is None, f"hermod up ended with status {gateway.process.returncode}"
    try:
        return ask(gateway.url, "GET", "/health", timeout_s=5).status == 200
    except OSError:
        return False


def _simulator(log: str) -> str | None:
    lines = (line for line in log.splitlines() if "simulat" in line)
    return next((found[0] for line in lines if (found := _SIMULATOR_URL.search(line))), None)


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []
