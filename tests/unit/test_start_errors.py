"""What cannot start says which setting, why, and what to do; exit status 1 and nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy import up
from deploy.cli import main
from shared.config_environment import KEY_VARIABLES

QUIET = {**dict.fromkeys(KEY_VARIABLES.values(), ""), "OLLAMA_HOST": "", "HERMOD_CONFIG": "", "HERMOD_REDIS_URL": ""}
SECRET = "a-password-of-redis"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def hermod(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, env={**QUIET, **environ})


def last_line(result: Result) -> str:
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    return result.output.splitlines()[-1]


@pytest.mark.parametrize("command", ["up", "api", "simulate"])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path, taken, command):
    folder = () if command == "simulate" else ("--data-dir", str(tmp_path))
    result = hermod(command, "--port", str(taken), *folder)
    assert last_line(result) == (
        f"Error: cannot listen on 127.0.0.1:{taken} (Address already in use): "
        "stop what uses it or choose another --port"
    )


@pytest.mark.parametrize("first", [8078, 8079, 8080])
def test_ports_of_metrics_that_would_take_the_apis_are_named(tmp_path, first):
    result = hermod("up", "--metrics-port", str(first), "--workers", "2", "--data-dir", str(tmp_path))
    assert last_line(result) == (
        f"Error: --metrics-port takes the ports {first} to {first + 2}, and --port is one of them: move either"
    )


def test_an_address_of_another_machine_is_named(tmp_path):
    result = hermod("api", "--host", "192.0.2.1", "--data-dir", str(tmp_path))
    assert last_line(result) == (
        "Error: cannot listen on 192.0.2.1:8080 (Cannot assign requested address): choose another --host"
    )


@pytest.mark.parametrize("command", ["api", "worker", "up"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("providers: {}", "not JSON: Expecting value at line 1, column 1"),
        ('{"redis": {},}', "not JSON: Expecting property name enclosed in double quotes at line 1, column 14"),
        ("[]", "expected a JSON object"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, command, text, said):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    assert last_line(hermod(command, "--config", str(path), "--data-dir", str(tmp_path))) == f"Error: {path}: {said}"


@pytest.mark.parametrize("command", ["api", "worker", "up"])
@pytest.mark.parametrize("bucket", ["no bucket", "no..bucket", "10.0.0.1", "its-s3alias"])
def test_what_cannot_name_a_bucket_is_said_before_anything_asks_for_it(tmp_path, command, bucket):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"object_store": {"endpoint": "s3.example", "bucket": bucket}}))
    assert last_line(hermod(command, "--config", str(path), "--data-dir", str(tmp_path))) == (
        "Error: object_store.bucket: expected 3 to 63 letters, digits, single dots and hyphens, as S3 names buckets"
    )


def test_up_says_which_redis_of_the_operators_does_not_answer_and_starts_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(up, "_STARTS_WITHIN_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    result = hermod(
        "up", "--data-dir", str(tmp_path), "--port", str(port), HERMOD_REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{port}/0"
    )
    begin, _, rest = last_line(result).partition(" (")
    why, _, rest = rest.rpartition("): ")
    assert begin == f"Error: Redis at redis://***@127.0.0.1:{port}/0 does not answer"
    assert "Connect" in why
    assert rest == "start it, or leave redis.url and HERMOD_REDIS_URL unset for one of Hermod's own"
    assert SECRET not in result.output
    assert not list((tmp_path / "run").glob("*.json")), "no part was started"


def test_a_start_says_what_its_settings_lead_to(tmp_path, taken):
    url = f"redis://:{SECRET}@127.0.0.1:1/0"
    result = hermod("api", "--port", str(taken), "--data-dir", str(tmp_path), HERMOD_REDIS_URL=url)
    assert "settings from the environment; Redis at redis://" in result.output
    assert f"objects in {Path(tmp_path) / 'objects'}" in result.output
    assert SECRET not in result.output
