"""Metrics exist before anything has happened, say what they are called elsewhere, and stay few."""

import re
import subprocess
import sys

import pytest

from shared import metrics
from shared.batches import OPERATIONS
from shared.config_file import load
from shared.jobs import State
from shared.lanes import Lane
from shared.masked import SettingsError
from shared.tallies import Counters, Gauges, Histograms
from shared.webhook_scripts import WEBHOOK
from tests.deploy.tools import ROOT

LATER = {
    "hermod_attempts_total",
    "hermod_webhook_tries_total",
    "bifrost_provider_key_up",
    "http_requests_total",
    "http_request_duration_seconds",
    *(f"bifrost_{what}_requests_total" for what in ("upstream", "success", "error")),
    "bifrost_upstream_latency_seconds",
    "bifrost_stream_first_token_latency_seconds",
    *(f"bifrost_{what}_total" for what in ("input_tokens", "output_tokens", "cost")),
}
"""Whose labels name what is configured, or asked for: their series come with it."""
PRIVATE = {"owner", "virtual_key", "key_value", "tenant", "team", "customer", "user", "job", "id", "prompt"}


@pytest.fixture(scope="module")
def fresh() -> str:
    """What a process says in which nothing has happened."""
    code = "from shared.metrics import exposition; print(exposition().decode())"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def names() -> dict[str, set[str]]:
    families = (family for family in vars(metrics).values() if isinstance(family, Counters | Gauges | Histograms))
    return {family.name: set(family.labels) for family in families}


def test_every_series_whose_labels_are_known_is_there_from_the_start_with_0(fresh):
    for name in names().keys() - LATER:
        values = re.findall(rf"^{name}(?:_count)?(?:\{{.*\}})? (\S+)$", fresh, re.MULTILINE)
        assert values, name
        assert set(values) == {"0.0"}, name
    jobs = re.findall(r'^hermod_jobs_total\{lane="(\w+)",operation="(\w+)",state="(\w+)"\} 0\.0$', fresh, re.MULTILINE)
    assert {lane for lane, _, _ in jobs} == set(Lane)
    asked = {"chat", "count_tokens", "embeddings", "models"}
    assert {operation for _, operation, _ in jobs} == {*asked, WEBHOOK, *OPERATIONS}
    assert {state for _, _, state in jobs} == {state for state in State if state.final}


def test_no_label_names_who_asks_or_what(fresh):
    for name, labels in names().items():
        assert not labels & PRIVATE, name
    assert "_created" not in fresh


def test_the_cluster_scales_by_metrics_that_there_are():
    queries = (ROOT / "deploy/k8s/components/worker-keda/scaledobject.yaml").read_text()
    for name, lane in re.findall(r"max\((\w+)\{.*lane=\"(\w+)\"\}\)", queries):
        assert name in names()
        assert lane in set(Lane)


def test_models_that_callers_make_up_become_one():
    models = metrics._Models()
    labels = {models.label(f"m{number}") for number in range(metrics.MOST_MODELS + 100)}
    assert len(labels) == metrics.MOST_MODELS + 1
    assert models.label("m1") == "m1"
    assert models.label("m9999") == metrics.OTHER


@pytest.mark.parametrize("section", ["client", "worker"])
def test_a_port_that_there_cannot_be_stops_the_start(section, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(f'{{"{section}": {{"metrics_port": 65536}}}}')
    with pytest.raises(SettingsError, match=rf"{section}\.metrics_port: expected at most 65535, got 65536"):
        load(str(config), {}, secrets=False)
