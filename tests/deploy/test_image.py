"""The image's steps build what runs as an ordinary user on a read-only root."""

import json
import re
import subprocess

import pytest

from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.deploy.image import DOCKERFILE, sent, stages
from tests.deploy.sandbox import Mount
from tests.deploy.tools import ROOT
from tests.ports import free_port

STARTS_WITHIN_S = 60.0


@pytest.fixture
def run(built, tmp_path):
    """Runs a program of the image to its end."""
    (tmp_path / "root").mkdir()

    def run(*arguments, **facts):
        command = built.command(tmp_path / "root", arguments, **facts)
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_the_base_has_an_exact_version():
    versions = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert len(versions) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", versions[0])
    assert {stage.base for stage in stages()} == {"${BASE}"}


def test_whatever_is_installed_has_its_hash_checked():
    steps = [text for word, text in stages()[0].steps if word == "RUN"]
    assert all("--require-hashes" in text for text in steps if "pip install" in text and "--no-index" not in text)
    assert "uv sync --frozen --no-dev --no-install-project" in steps, "--frozen: what uv.lock names, with its hashes"
    assert all("--require-hashes" in text for text in steps if "uv build" in text)


def test_nothing_else_is_fetched_on_the_way():
    """None of these would check the hash of what comes."""
    steps = [(word, text) for stage in stages() for word, text in stage.steps]
    assert "ADD" not in {word for word, _ in steps}
    assert not [
        text for word, text in steps if word == "RUN" and re.search(r"\b(curl|wget|git|apt|apt-get|npm)\b|://", text)
    ]


def test_nothing_is_sent_to_the_build_but_what_the_wheel_is_made_of():
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    assert patterns[1] == "*"
    assert set(sent()) == {"LICENSE", "README.md", "pyproject.toml", "uv.lock", "api", "deploy", "shared", "worker"}


def test_the_image_holds_what_runs_and_no_tool_of_ours_for_tests(run):
    listed = run("python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")
    names = set(listed.stdout.split())
    assert {"hermod", "litestar", "arq", "minio"} <= names
    assert not {"pytest", "anthropic", "openai", "mypy", "moto"} & names


@pytest.mark.parametrize("command", ["api", "worker", "up", "simulate", "submit", "batches", "jobs"])
def test_every_command_is_in_the_image(built, run, command):
    done = run(*built.entrypoint, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_user_without_rights_on_a_root_that_cannot_be_written(run):
    asked = "import os; print(os.getuid(), os.getgid(), os.getgroups()); open('/opt/hermod/mine', 'w')"
    done = run("python", "-c", asked)
    assert done.stdout.split("\n")[0] == "65532 65532 []"
    assert "Read-only file system" in done.stderr
    assert "Permission denied" in run("python", "-c", "open('/proc/sys/kernel/hostname', 'w')").stderr
    capabilities = run("grep", "Cap", "/proc/self/status").stdout
    assert set(re.findall(r"Cap\w+:\s+(\w+)", capabilities)) == {"0" * 16}


def test_the_whole_gateway_runs_in_it_with_its_data_folder_and_tmp_writable(built, tmp_path):
    data, port = tmp_path / "data", free_port()
    data.mkdir()
    data.chmod(0o777)
    (tmp_path / "root").mkdir()
    mounts = [Mount("/tmp"), Mount(built.folder, data, writable=True)]  # noqa: S108 - of the sandbox
    arguments = [*built.entrypoint, "up", "--port", str(port), "--workers", "1"]
    command = built.command(tmp_path / "root", arguments, mounts=mounts)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:

        def ready() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            return b"Ready." in (tmp_path / "log").read_bytes()

        eventually(ready, STARTS_WITHIN_S, "hermod up is not ready")
        question = {"model": "sim-words-3", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello?"}]}
        answer = ask(url, "POST", "/anthropic/v1/messages", question)
        assert (answer.status, answer.json["type"]) == (200, "message")
        assert (data / "objects").is_dir()
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_the_health_check_passes_for_what_lives_and_fails_for_what_does_not(built, run, tmp_path):
    check = ["sh", "-c", built.healthcheck.replace("8080", "$A").replace("9090", "$B")]
    (tmp_path / "config.json").write_text('{"providers": {}, "redis": {"url": "redis://127.0.0.1:1"}}')
    dead, port = free_port(), free_port()
    (tmp_path / "of-api").mkdir()
    mounts = [Mount("/etc/hermod/config.json", tmp_path / "config.json"), Mount(built.folder), Mount("/tmp")]  # noqa: S108
    arguments = [*built.arguments, "--port", str(port), "--config", "/etc/hermod/config.json"]
    command = built.command(tmp_path / "of-api", [*built.entrypoint, *arguments], mounts=mounts)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(
            lambda: run(*check, environment={"A": str(dead), "B": str(port)}).returncode == 0,
            STARTS_WITHIN_S,
            "the health check does not pass",
        )
        assert ask(f"http://127.0.0.1:{port}", "GET", "/health").status == 503, "its Redis is away all the while"
        assert run(*check, environment={"A": str(dead), "B": str(dead)}).returncode == 1
    finally:
        process.terminate()
        process.wait(60)
    lines = (tmp_path / "log").read_text().splitlines()
    assert all(json.loads(line) for line in lines)
