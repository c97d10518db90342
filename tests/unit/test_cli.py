import base64
import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.first import default_data_dir
from deploy.private_files import DataFolderBusy, api_document, api_environment, lock, write_document
from deploy.start_lines import Running, start_lines
from shared.config_environment import KEY_VARIABLES
from shared.config_file import load
from shared.settings import Settings

KEY = "sk-ant-a-real-looking-secret-0123456789"
DOCUMENT = {
    "encryption_key": "env.GW",
    "client": {"async_job_result_ttl": 60},
    "providers": {
        "openai": {
            "keys": [{"name": "main", "value": "env.MY_OPENAI", "models": ["gpt-4o-mini"]}, {"value": KEY}],
            "network_config": {
                "base_url": f"https://user:{KEY}@proxy.example/v1",
                "extra_headers": {"x-gateway": "env.MY_HEADER"},
                "max_retries": 4,
            },
            "proxy_config": {"type": "http", "url": "http://proxy.example", "username": "me", "password": KEY},
        }
    },
    "governance": {
        "virtual_keys": [{"name": "team-a", "value": "env.VK_A", "weight": 2}],
        "auth_config": {"admin_password": KEY},
    },
    "redis": {"url": "env.MY_REDIS"},
}
ENVIRON = {
    "MY_OPENAI": KEY,
    "MY_HEADER": KEY,
    "VK_A": KEY,
    "MY_REDIS": f"redis://:{KEY}@cache:6379/0",
    **dict.fromkeys(KEY_VARIABLES.values(), ""),
    "OLLAMA_HOST": "",
    "HERMOD_CONFIG": "",
    "HERMOD_REDIS_URL": "",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


def hermod(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=ENVIRON if environ is None else environ)


def test_config_check_says_what_is_configured_without_a_secret(config):
    result = hermod("config", "check", "--config", str(config))
    assert result.exit_code == 0
    assert "openai: https://***@proxy.example/v1" in result.output
    assert "key main: value ***, models gpt-4o-mini" in result.output
    assert "header x-gateway: ***" in result.output
    assert "virtual key team-a: value ***, weight 2, at most 100000 unfinished, any number running" in result.output
    assert "redis: redis://***@cache:6379/0" in result.output
    assert "warning: encryption_key: " in result.output
    assert result.output.endswith("ok\n")
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("count", "said"), [(0, "off; what callers"), (1, "on, 1 key"), (2, "on, 2 keys: the first encrypts")]
)
def test_config_check_says_whether_what_lies_stored_is_encrypted(config, count, said):
    keys = {f"KEY_{number}": base64.b64encode(bytes([number]) * 32).decode() for number in range(count)}
    document = {**DOCUMENT, "encryption": {"keys": [f"env.{name}" for name in keys]}}
    config.write_text(json.dumps(document))
    result = hermod("config", "check", "--config", str(config), environ={**ENVIRON, **keys})
    assert result.exit_code == 0
    assert f"encryption at rest: {said}" in result.output
    assert not [key for key in keys.values() if key in result.output]


def test_config_check_takes_the_file_from_the_environment(config):
    result = hermod("config", "check", environ={**ENVIRON, "HERMOD_CONFIG": str(config)})
    assert result.exit_code == 0
    assert f"settings from {config}" in result.output


def test_config_check_without_a_file_looks_at_the_environment(tmp_path):
    result = hermod("config", "check", "--data-dir", str(tmp_path), environ={**ENVIRON, "GROQ_API_KEY": KEY})
    assert result.exit_code == 0
    assert "settings from the environment" in result.output
    assert "  groq: its usual address" in result.output
    assert f"object store: folder {tmp_path / 'objects'}" in result.output
    assert KEY not in result.output


def test_config_check_fails_with_the_path_of_the_bad_field(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"providers": {"openai": {"keys": [{"value": "k", "weight": "x"}]}}}')
    result = hermod("config", "check", "--config", str(path))
    assert result.exit_code == 1
    assert result.output == 'Error: providers.openai.keys[0].weight: expected a number, got "x"\n'


@pytest.mark.parametrize("command", ["worker", "up"])
def test_an_unset_reference_of_a_key_stops_the_start(config, tmp_path, command):
    result = hermod(
        command, "--config", str(config), "--data-dir", str(tmp_path / "data"), environ={**ENVIRON, "MY_OPENAI": ""}
    )
    assert result.exit_code == 1
    assert "providers.openai.keys[0].value: environment variable MY_OPENAI is not set" in result.output


def test_up_refuses_a_port_that_is_taken_before_it_starts_anything(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        result = hermod("up", "--port", str(port), "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert f"Error: cannot listen on 127.0.0.1:{port} (Address already in use): stop what uses it" in result.output
    assert "starting" not in result.output


def test_up_refuses_a_data_folder_that_is_in_use(tmp_path):
    (tmp_path / "run").mkdir()
    holder = lock(tmp_path / "run" / "lock")
    result = hermod("up", "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert f"is using {tmp_path}: stop it, or give this one another --data-dir" in result.output
    assert holder


def test_up_refuses_to_call_itself(tmp_path):
    environ = {**ENVIRON, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://localhost:8089/anthropic"}
    result = hermod("up", "--port", "8089", "--data-dir", str(tmp_path), environ=environ)
    assert result.exit_code == 1
    assert "providers.anthropic.network_config.base_url is this gateway's own address" in result.output
    assert "unset the ANTHROPIC_BASE_URL" in result.output


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path):
    path = tmp_path / "run" / "lock"
    path.parent.mkdir()
    code = "import sys; from pathlib import Path; from deploy.private_files import lock; lock(Path(sys.argv[1]))"
    hold = f"{code}; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderBusy, match=rf"another hermod up \(process {holder.pid}\) is using {tmp_path}"):
            lock(path)
        holder.kill()
    assert lock(path)


def test_the_api_process_sees_neither_keys_nor_ways_to_reach_a_provider():
    document = api_document(DOCUMENT)
    assert KEY not in json.dumps(document)
    assert document == {
        "client": {"async_job_result_ttl": 60},
        "governance": {"virtual_keys": [{"name": "team-a", "value": "env.VK_A", "weight": 2}]},
        "providers": {"openai": {"network_config": {"max_retries": 4}}},
        "redis": {"url": "env.MY_REDIS"},
    }


def test_the_api_processs_environment_has_no_variable_of_a_provider_key():
    environ = {**ENVIRON, "ANTHROPIC_API_KEY": KEY, "HOME": "/home/me"}
    kept = api_environment(DOCUMENT, environ)
    assert {"MY_OPENAI", "MY_HEADER", "ANTHROPIC_API_KEY"}.isdisjoint(kept)
    assert kept["HOME"] == "/home/me"
    assert kept["VK_A"] == ENVIRON["VK_A"]
    assert kept["MY_REDIS"] == ENVIRON["MY_REDIS"]


def test_what_up_writes_is_for_this_user_only(tmp_path):
    path = tmp_path / "api.json"
    path.write_text("an older file that others may read")
    path.chmod(0o644)
    write_document(path, {"client": {}})
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"client": {}}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_DATA_HOME": "/data"}, Path("/data/hermod")),
        ({"XDG_DATA_HOME": "relative"}, Path.home() / ".local/share/hermod"),
        ({}, Path.home() / ".local/share/hermod"),
    ],
)
def test_data_lives_where_the_xdg_specification_says(environ, folder):
    assert default_data_dir(environ) == folder


def running(settings: Settings, simulator: str | None = None) -> str:
    return "\n".join(
        start_lines(
            Running(
                url="http://127.0.0.1:8080",
                redis="here",
                objects="there",
                workers=2,
                settings=settings,
                simulator=simulator,
            )
        )
    )


@pytest.mark.parametrize(
    ("environ", "model"),
    [
        ({}, "claude-haiku-5-5"),
        ({"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}, "claude-haiku-5-5"),
        ({"OPENAI_API_KEY": KEY}, "openai/gpt-4o-mini"),
        ({"GROQ_API_KEY": KEY}, "groq/YOUR-MODEL"),
    ],
)
def test_the_printed_example_is_python_for_a_configured_provider(environ, model):
    settings = load(None, environ, secrets=True).settings
    lines = running(settings, simulator=None if environ else "http://127.0.0.1:9")
    example = lines[lines.index("    import time") : lines.index("Ready.")]
    compile("\n".join(line.removeprefix("    ") for line in example.splitlines()), "example", "exec")
    assert f'"model": "{model}"' in example
    assert '"x-bf-async": "true"' in example
    assert KEY not in lines
    assert ("answers come from the built-in simulator" in lines) is (not environ)


@pytest.mark.parametrize("place", ["/proc/nowhere", "{tmp}/mine"])
def test_up_says_so_when_it_cannot_keep_data(tmp_path, place):
    (tmp_path / "mine" / "run" / "lock").mkdir(parents=True)  # what should be a file
    folder = place.format(tmp=tmp_path)
    result = hermod("up", "--data-dir", folder)
    assert result.exit_code == 1
    assert f"Error: cannot keep data in {folder}" in result.output
    assert "name another folder with --data-dir" in result.output


def test_up_says_when_the_address_is_not_this_machines(tmp_path):
    result = hermod("up", "--host", "203.0.113.1", "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "cannot listen on 203.0.113.1:8080" in result.output
    assert "choose another --host" in result.output


def test_help_tells_of_every_command_in_a_whole_sentence():
    lines = hermod("--help").output.partition("Commands:")[2].strip().splitlines()
    expected = {"up", "api", "worker", "simulate", "submit", "jobs", "batches", "keys"}
    assert expected <= {line.split()[0] for line in lines}
    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("hermod ba", "batches"),
        ("hermod batches re", "results"),
        ("hermod config ch", "check"),
        ("hermod up --wo", "--workers"),
    ],
)
def test_a_shell_completes_commands_and_options(typed, offered):
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    result = CliRunner().invoke(main, prog_name="hermod", env={"_HERMOD_COMPLETE": "bash_complete", **words})
    assert f"plain,{offered}" in result.output.splitlines()
