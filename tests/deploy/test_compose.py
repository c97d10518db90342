"""The composition is what the specification allows, and keeps the same promises as the manifests."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from deploy.cli import main
from shared.config_file import load
from shared.settings import ClientSettings, WorkerSettings
from tests.deploy.tools import ROOT, compose_spec

FOLDER = ROOT / "deploy" / "compose"
OURS = ("api", "worker")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text, environ):
    """As Compose does it: what is set, a default, or an error for what must be set."""

    def value(found):
        name, mark, rest = found.groups()
        assert environ.get(name) or mark == "-", f"{name} has no value and no default"
        return environ.get(name) or rest

    return VARIABLE.sub(value, text).replace("$$", "$")


@pytest.fixture(scope="module")
def environ():
    """`.env` as the example says to make it."""
    lines = [line for line in (FOLDER / "env.example").read_text().splitlines() if not line.startswith("#")]
    return {name: value or f"made-up-{name}" for name, _, value in (line.partition("=") for line in lines)}


@pytest.fixture(scope="module")
def composition(environ, tmp_path_factory):
    """The whole, as the specification's own loader reads it."""
    folder = tmp_path_factory.mktemp("compose") / "deploy"
    shutil.copytree(ROOT / "deploy" / "grafana", folder / "grafana")
    shutil.copytree(FOLDER, folder / "compose")
    shutil.copytree(ROOT / "deploy" / "k8s" / "overlays" / "trial", folder / "k8s" / "overlays" / "trial")
    file = folder / "compose" / "compose.yaml"
    file.write_text(filled(file.read_text(), environ))
    loader = [compose_spec(), "-format", "json", "-no-interpolation", file.name]
    done = subprocess.run(loader, cwd=file.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_a_composition(composition):
    assert set(composition["services"]) == {"api", "worker", "redis", "objects", "owner", "prometheus", "grafana"}
    assert composition["services"]["worker"]["deploy"]["replicas"] == 2


def test_no_secret_is_in_it_and_it_does_not_start_without_them(environ):
    text = (FOLDER / "compose.yaml").read_text()
    assert re.findall(r"(?im)^\s*\w*(?:password|secret_key|access_key): (?!\$\{)", text) == []
    redis = ("REDIS_PASSWORD", "REDIS_API_PASSWORD", "REDIS_WORKER_PASSWORD")
    for name in (*redis, "S3_SECRET_KEY", "GRAFANA_PASSWORD", "HERMOD_ADMIN_PASSWORD"):
        with pytest.raises(AssertionError, match=f"{name} has no value"):
            filled(text, {**environ, name: ""})
    assert "*.env" in (FOLDER / ".gitignore").read_text().splitlines()


def test_nobody_is_root_or_may_write_to_its_root_or_gain_rights(composition):
    for name, service in composition["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "pid", "ipc", "devices"} & service.keys(), name
        if name != "owner":
            assert int(service["user"].partition(":")[0]) > 0, name
            assert "cap_add" not in service, name


def test_what_is_root_for_a_moment_changes_owners_and_nothing_else(composition):
    owner = composition["services"]["owner"]
    assert (owner["entrypoint"][0], owner["cap_add"]) == ("chown", ["CHOWN"])
    assert (owner["network_mode"], owner["restart"]) == ("none", "no")


def test_a_providers_key_is_seen_by_workers_only(composition):
    files = {name: service.get("env_file") for name, service in composition["services"].items()}
    assert [name for name, found in files.items() if found] == ["worker"]
    assert files["worker"][0]["path"].endswith("/providers.env")


def test_redis_is_told_each_password_once_and_nobody_else_its_administrators(composition, environ):
    told = {name: json.dumps(service.get("environment", {})) for name, service in composition["services"].items()}
    knows = {
        password: sorted(name for name, text in told.items() if f'"{password}"' in text or f":{password}@" in text)
        for password in (environ[name] for name in ("REDIS_PASSWORD", "REDIS_API_PASSWORD", "REDIS_WORKER_PASSWORD"))
    }
    assert list(knows.values()) == [["redis"], ["api", "redis"], ["redis", "worker"]]


def test_the_encryption_key_is_seen_by_api_and_workers_only(composition, environ):
    told = {name: service.get("environment", {}).values() for name, service in composition["services"].items()}
    assert sorted(name for name, values in told.items() if environ["HERMOD_ENCRYPTION_KEY"] in values) == list(OURS)


def test_what_lets_administrators_in_is_seen_by_the_api_only(composition, environ):
    told = {name: service.get("environment", {}).values() for name, service in composition["services"].items()}
    for name in ("HERMOD_ADMIN_PASSWORD", "HERMOD_ADMIN_TOKEN"):
        assert [service for service, values in told.items() if environ[name] in values] == ["api"]


def test_only_workers_have_a_way_out_and_stores_are_reached_from_inside_only(composition):
    networks = {name: set(service.get("networks", ())) for name, service in composition["services"].items()}
    assert [name for name, joined in networks.items() if "out" in joined] == ["worker"]
    assert networks["redis"] == networks["objects"] == {"stores"}
    assert composition["networks"]["stores"]["internal"] is True
    published = {name: service["ports"] for name, service in composition["services"].items() if "ports" in service}
    assert set(published) == {"api", "grafana"}
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_every_image_has_a_version_and_every_server_a_health_check(composition):
    for name, service in composition["services"].items():
        assert re.fullmatch(r"(\S+/)?[a-z]+:v?\d+(\.\d+)+", service["image"]), name
        assert name == "owner" or service["healthcheck"]["test"], name


def test_accepted_jobs_are_on_disk(composition):
    (command,) = composition["services"]["redis"]["command"]
    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("name", OURS)
def test_the_containers_run_commands_that_exist_with_options_they_take(composition, name):
    command, *rest = composition["services"][name]["command"]
    assert command == name
    told = CliRunner().invoke(main, [command, "--help"]).output
    assert all(f"{option} " in told for option in rest if option.startswith("--"))


def test_the_configuration_loads_without_warnings_and_a_stop_waits_for_what_is_granted(composition, environ):
    keys = [line.partition("=")[0] for line in (FOLDER / "providers.env.example").read_text().splitlines()]
    provided = {**composition["services"]["worker"]["environment"], **dict.fromkeys(keys[1:], "a key")}
    loaded = load(str(FOLDER / "config.json"), provided, secrets=True)
    assert not loaded.warnings
    worker = loaded.settings.worker
    assert worker.grace_s >= WorkerSettings().grace_s
    waits = {name: int(composition["services"][name]["stop_grace_period"].rstrip("s")) for name in OURS}
    assert waits["worker"] >= worker.grace_s + worker.lease_s
    command = composition["services"]["api"]["command"]
    assert waits["api"] > int(command[command.index("--grace") + 1])
    assert f"hermod-worker:{environ['REDIS_WORKER_PASSWORD']}@" in loaded.settings.redis.url


def test_prometheus_asks_every_process_at_the_port_it_has(composition):
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    asked = {entry["names"][0]: entry["port"] for job in scraped for entry in job["dns_sd_configs"]}
    assert asked == {"api": ClientSettings().metrics_port, "worker": WorkerSettings().metrics_port}
    assert all("watch" in composition["services"][name]["networks"] for name in (*asked, "prometheus", "grafana"))
