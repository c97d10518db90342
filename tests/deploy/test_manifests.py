"""The Kubernetes manifests are valid, and keep what they promise about secrets, users, networks and time."""

import copy
import ipaddress
import json
import re
import shutil

import pytest
import yaml
from click.testing import CliRunner

from deploy.cli import main
from shared import otel
from shared.config_file import load
from shared.settings import ClientSettings, WorkerSettings
from tests.deploy.manifests import K8S, OVERLAYS, Rendered, rendered, wrong_by_schema

RESERVED = ("10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.0.1", "192.168.1.1", "224.0.0.1")
RESERVED_6 = ("::1", "fd00:ec2::254", "fe80::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001::1", "ff02::1")
METRICS_PORTS = [WorkerSettings().metrics_port, ClientSettings().metrics_port]


@pytest.fixture(params=OVERLAYS)
def overlay(request) -> Rendered:
    return rendered(request.param)


def container(overlay, component):
    return overlay.of("Deployment")[f"hermod-{component}"]["spec"]["template"]["spec"]["containers"][0]


def settings_of(overlay, tmp_path, *, secrets):
    document = overlay.config()
    (tmp_path / "config.json").write_text(json.dumps(document))
    environ = dict.fromkeys(re.findall(r"env\.(\w+)", json.dumps(document)), "https://there")
    return load(str(tmp_path / "config.json"), {**environ, "HERMOD_REDIS_URL": "redis://there"}, secrets=secrets)


def test_every_manifest_is_what_its_published_schema_allows(overlay, tmp_path):
    assert wrong_by_schema(overlay.all, tmp_path) == ""


def with_component(component, folder) -> Rendered:
    """The base and one component."""
    for part in ("base", "components"):
        shutil.copytree(K8S / part, folder / part)  # kustomize reads nothing outside the overlay's own tree
    (folder / "overlay").mkdir()
    kustomization = {"resources": ["../base"], "components": [f"../components/{component}"]}
    (folder / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return Rendered(folder / "overlay")


@pytest.mark.parametrize("component", ["api-hpa", "monitoring", "otel", "worker-hpa", "worker-keda"])
def test_every_component_renders_to_valid_manifests(component, tmp_path):
    schema_folder = tmp_path / "schema"
    schema_folder.mkdir()
    assert wrong_by_schema(with_component(component, tmp_path).all, schema_folder) == ""


def test_the_schemas_do_refuse_what_is_wrong(tmp_path):
    deployment = copy.deepcopy(rendered("trial").of("Deployment")["hermod-api"])
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicie"] = "Always"
    assert "imagePullPolicie" in wrong_by_schema([deployment], tmp_path)


def test_no_secret_is_in_the_manifests(overlay):
    assert not overlay.of("Secret")
    literals = [
        entry
        for _, pod in overlay.pods()
        for each in pod["containers"]
        for entry in each.get("env", [])
        if "value" in entry
    ]
    assert not literals


def test_a_providers_secret_is_seen_by_workers_only(overlay):
    seen = {
        name: {entry["secretRef"]["name"] for each in pod["containers"] for entry in each.get("envFrom", [])}
        for name, pod in overlay.pods()
    }
    assert {name for name, secrets in seen.items() if "hermod-providers" in secrets} == {"hermod-worker"}
    assert seen["hermod-api"] == {"hermod-stores", "hermod-redis-api", "hermod-clients", "hermod-admin"}
    assert seen["hermod-worker"] == {"hermod-stores", "hermod-redis-worker", "hermod-clients", "hermod-providers"}
    assert {name for name, secrets in seen.items() if "hermod-redis" in secrets} <= {"redis"}


def test_every_pod_is_what_the_restricted_standard_asks_for_and_more(overlay):
    for name, pod in overlay.pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 65532, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), name
        assert all({"configMap", "emptyDir"} & volume.keys() for volume in pod.get("volumes", [])), name
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert each["resources"]["requests"]["memory"], name
            assert each["resources"]["limits"]["memory"], name
    assert overlay.of("Namespace")["hermod"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_image_has_a_version(overlay):
    for name, pod in overlay.pods():
        for each in pod["containers"]:
            assert re.fullmatch(r"(\S+/)?[a-z-]+:v?\d+(\.\d+)+", each["image"]), name


@pytest.mark.parametrize("component", ["api", "worker"])
def test_the_containers_run_commands_that_exist_with_options_they_take(overlay, component):
    command, *options = container(overlay, component)["args"]
    assert command == component
    told = CliRunner().invoke(main, [command, "--help"]).output
    for option in options:
        assert f"{option.partition('=')[0]} " in told


def test_the_configuration_loads_without_warnings_and_the_api_needs_no_providers_key(overlay, tmp_path):
    document = overlay.config()
    assert not settings_of(overlay, tmp_path, secrets=True).warnings
    keys = [key["value"] for provider in document["providers"].values() for key in provider["keys"]]
    stored = document["object_store"]
    secrets = [*keys, document["redis"]["url"], stored["access_key"], stored["secret_key"]]
    secrets += [key["value"] for key in document.get("governance", {}).get("virtual_keys", [])]
    assert all(re.fullmatch(r"env\.\w+", secret) for secret in secrets)


def test_a_pod_is_killed_only_after_what_it_was_granted(overlay, tmp_path):
    settings = settings_of(overlay, tmp_path, secrets=False).settings.worker
    kill_after = {name: pod.get("terminationGracePeriodSeconds", 30) for name, pod in overlay.pods()}
    assert settings.grace_s >= WorkerSettings().grace_s
    assert kill_after["hermod-worker"] >= settings.grace_s + settings.lease_s
    options = dict(option.removeprefix("--").split("=") for option in container(overlay, "api")["args"][1:])
    assert kill_after["hermod-api"] > int(options["drain"]) + int(options["grace"])


@pytest.mark.parametrize("component", ["api", "worker"])
def test_an_outage_of_redis_kills_no_pod(overlay, component):
    probes = container(overlay, component)
    assert probes["startupProbe"]["httpGet"]["path"] == "/live"
    assert probes["livenessProbe"]["httpGet"]["path"] == "/live"
    assert probes["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_rolling_out_takes_no_pod_before_another_is_ready_and_draining_a_node_leaves_one(overlay):
    budgets = overlay.of("PodDisruptionBudget")
    for name, deployment in overlay.of("Deployment").items():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert budgets[name]["spec"]["maxUnavailable"] == 1
        assert budgets[name]["spec"]["selector"] == deployment["spec"]["selector"]


# --- the network ----------------------------------------------------------------------------------------------------


def policies_for(overlay, component, direction):
    """The rules that select a component's pods, besides the one that denies all."""
    labels = {"app.kubernetes.io/name": "hermod", "app.kubernetes.io/component": component}
    for policy in overlay.of("NetworkPolicy").values():
        selected = policy["spec"]["podSelector"].get("matchLabels", {})
        if selected.items() <= labels.items():
            yield from policy["spec"].get(direction, [])


def allowed(rule, address):
    """Whether a rule's addresses hold this one."""
    blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
    ip = ipaddress.ip_address(address)
    return any(
        ip in ipaddress.ip_network(block["cidr"])
        and not any(ip in ipaddress.ip_network(hole) for hole in block.get("except", []))
        for block in blocks
    )


def ports(rule):
    return {port["port"] for port in rule["ports"]}


def test_nothing_is_allowed_that_is_not_said(overlay):
    spec = overlay.of("NetworkPolicy")["nobody"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_clients_reach_the_apis_port_and_only_prometheus_the_ports_of_metrics(overlay):
    monitoring = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    asked = {
        component: sorted(
            (sorted(ports(rule)), rule.get("from")) for rule in policies_for(overlay, component, "ingress")
        )
        for component in ("api", "worker")
    }
    assert asked == {"api": [([8080], None), (METRICS_PORTS, monitoring)], "worker": [(METRICS_PORTS, monitoring)]}


def test_the_api_asks_names_and_stores_only(overlay):
    egress = list(policies_for(overlay, "api", "egress"))
    assert not any(allowed(rule, address) for rule in egress for address in ("1.1.1.1", *RESERVED))
    assert all("to" in rule for rule in egress), "a rule without addresses allows all of them"


def test_a_worker_reaches_the_world_by_https_but_neither_the_cluster_nor_its_metadata(overlay):
    egress = list(policies_for(overlay, "worker", "egress"))
    world = [rule for rule in egress if allowed(rule, "1.1.1.1")]
    assert [ports(rule) for rule in world] == [{443}]
    assert allowed(world[0], "2606:4700:4700::1111")
    for address in (*RESERVED, *RESERVED_6):
        assert not any(allowed(rule, address) for rule in egress), address


def test_the_way_to_a_collector_is_there_only_when_it_is_asked_for_and_leads_nowhere_else(overlay, tmp_path):
    assert "hermod-to-collector" not in overlay.of("NetworkPolicy")
    asked = with_component("otel", tmp_path)
    [rule] = asked.of("NetworkPolicy")["hermod-to-collector"]["spec"]["egress"]
    assert ports(rule) == {4318}
    [peer] = rule["to"]
    assert peer.keys() == {"namespaceSelector", "podSelector"}
    for component in ("api", "worker"):
        told = {entry["name"]: entry.get("value") for entry in container(asked, component)["env"]}
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.monitoring:4318"
        assert otel.wanted(told, "METRICS")
        assert otel.wanted(told, "TRACES")


def test_receivers_and_providers_inside_are_reached_by_workers_only_and_each_by_its_address():
    inside = rendered("production").of("NetworkPolicy")["worker-to-inside"]["spec"]
    assert inside["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"
    blocks = [peer["ipBlock"]["cidr"] for rule in inside["egress"] for peer in rule["to"]]
    assert blocks
    assert all(block.endswith("/32") for block in blocks)


# --- scaling and watching -------------------------------------------------------------------------------------------


def test_workers_are_scaled_by_the_age_of_each_lanes_oldest_job():
    scaled = rendered("production").of("ScaledObject")["hermod-worker"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "hermod-worker"
    assert scaled["minReplicaCount"] >= 2
    lanes = {}
    for trigger in scaled["triggers"]:
        assert trigger["type"] == "prometheus"
        assert trigger["metricType"] == "Value", "an age does not shrink by being shared"
        lane = re.search(r'hermod_queue_oldest_seconds\{.*lane="(\w+)"', trigger["metadata"]["query"])
        lanes[lane[1]] = float(trigger["metadata"]["threshold"])
    assert list(lanes) == ["interactive", "chores", "async", "batch"]
    assert sorted(lanes.values()) == list(lanes.values())


def test_what_scales_itself_names_no_number_of_replicas():
    for name, deployment in rendered("production").of("Deployment").items():
        assert "replicas" not in deployment["spec"], name


def test_every_monitor_finds_a_service_with_its_port():
    overlay = rendered("production")
    services = overlay.of("Service")
    for name, monitor in overlay.of("ServiceMonitor").items():
        labels = monitor["spec"]["selector"]["matchLabels"]
        found = [each for each in services.values() if labels.items() <= each["metadata"].get("labels", {}).items()]
        assert len(found) == 1, name
        named = {port["name"]: port["port"] for port in found[0]["spec"]["ports"]}
        assert [named[endpoint["port"]] in METRICS_PORTS for endpoint in monitor["spec"]["endpoints"]] == [True], name
