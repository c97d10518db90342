"""The image, built and run by a real container engine: when HERMOD_IMAGE_ENGINE names one.

    HERMOD_IMAGE_ENGINE=docker uv run pytest tests/deploy/test_engine.py

The variable holds the command with its own options, as in `podman --runtime runc`. HERMOD_IMAGE_BASE is another base,
for an engine that reaches no registry: any Debian with `/usr/local/bin/python3.11` and pip.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.deploy.tools import ROOT
from tests.ports import free_port

BUILDS_WITHIN_S = 1200
STARTS_WITHIN_S = 60.0
NAME = f"hermod-test-{os.getpid()}"
ENGINE = shlex.split(os.environ.get("HERMOD_IMAGE_ENGINE", ""))
HARDENED = shlex.split(
    "--read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges "
    "--ulimit nofile=10000:10000 --ulimit nproc=4096:4096 --network host"
)
QUESTION = {"model": "sim-words-3", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello?"}]}

pytestmark = pytest.mark.skipif(not ENGINE, reason="HERMOD_IMAGE_ENGINE names no container engine")


def engine(*arguments: str, within_s: float = 120) -> str:
    """What the engine printed; BUILDAH_FORMAT, since only Docker's own format of images knows health checks."""
    environment = {**os.environ, "BUILDAH_FORMAT": "docker"}
    done = subprocess.run(
        [*ENGINE, *arguments], capture_output=True, text=True, timeout=within_s, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built() -> Iterator[str]:
    base = os.environ.get("HERMOD_IMAGE_BASE")
    chosen = ["--build-arg", f"BASE={base}"] if base else []
    # The host's network: a build must reach the package registry, by whatever way this machine has to it.
    command = ["build", "--network", "host", *chosen, "-f", "deploy/Dockerfile", "-t", NAME, str(ROOT)]
    engine(*command, within_s=BUILDS_WITHIN_S)
    yield NAME
    engine("rmi", "-f", NAME)


@pytest.fixture
def container(built: str) -> Iterator[str]:
    """Started with `hermod up` on a volume of its own; its URL is printed on the way."""
    engine("volume", "create", NAME)
    port = free_port()
    data = ["-v", f"{NAME}:/var/lib/hermod"]
    engine("run", "-d", "--name", NAME, *HARDENED, *data, built, "up", "--workers", "1", "--port", str(port))
    try:
        eventually(lambda: answers(port), STARTS_WITHIN_S, "hermod up is not ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        engine("rm", "-f", NAME)
        engine("volume", "rm", "-f", NAME)


def answers(port: int) -> bool:
    try:
        return ask(f"http://127.0.0.1:{port}", "GET", "/ready").status == 200
    except OSError:
        return False


def test_the_gateway_runs_as_nobody_on_a_root_that_cannot_be_written_and_keeps_its_jobs(container):
    assert engine("exec", NAME, "id", "-u") == "65532"
    assert engine("exec", NAME, "sh", "-c", "touch /x 2>/dev/null || echo refused") == "refused"
    assert ask(container, "POST", "/anthropic/v1/messages", QUESTION).status == 200
    job = ask(container, "POST", "/anthropic/v1/messages", QUESTION, {"x-bf-async": "true"}).json["id"]
    poll = {"x-bf-async-id": job}

    def done():
        return ask(container, "POST", "/anthropic/v1/messages", {}, poll).json["content"]

    eventually(done, STARTS_WITHIN_S, "the job does not end")
    answer = done()
    engine("stop", "-t", "60", NAME)
    assert engine("inspect", NAME, "--format", "{{.State.ExitCode}}") == "0", "it left of itself, and cleanly"
    engine("start", NAME)
    eventually(lambda: answers(int(container.rpartition(":")[2])), STARTS_WITHIN_S, "it does not start again")
    assert done() == answer


def test_its_health_check_is_known_to_the_engine(built):
    facts = json.loads(engine("inspect", built))[0]
    check = facts.get("Healthcheck") or facts["Config"]["Healthcheck"]  # Podman's place, Docker's
    assert "live 8080 || live 9090" in check["Test"][-1]
