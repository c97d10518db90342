"""The Grafana dashboard asks for metrics that there are."""

import json
import re

from tests.deploy.tools import ROOT

METRICS = {
    "hermod_queue_depth": {"lane"},
    "hermod_queue_oldest_seconds": {"lane"},
    "hermod_jobs_total": {"operation", "lane", "state"},
    "hermod_attempts_total": {"provider", "model", "reason"},
    "hermod_lease_takeovers_total": set(),
    "hermod_leases": set(),
    "hermod_batch_items": {"state"},
    "bifrost_upstream_requests_total": {"provider", "model"},
    "bifrost_upstream_latency_seconds_bucket": {"le"},
    "bifrost_stream_first_token_latency_seconds_bucket": {"le"},
    "bifrost_input_tokens_total": set(),
    "bifrost_output_tokens_total": set(),
    "bifrost_cost_total": {"provider", "model"},
    "bifrost_cache_hits_total": set(),
    "http_requests_total": {"path", "method", "status"},
    "http_request_duration_seconds_bucket": {"le", "path"},
}
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "hermod.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]


def test_every_metric_is_shown_and_none_that_there_is_not():
    shown = {name for _, target in QUERIES for name in re.findall(r"(?:hermod|bifrost|http)_\w+", target["expr"])}
    assert shown == set(METRICS)


def test_queries_and_legends_use_labels_that_their_metrics_have():
    for title, target in QUERIES:
        (name,) = re.findall(r"(?:hermod|bifrost|http)_\w+", target["expr"])
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        filters = re.findall(r"\{(\w+)[!=]", target["expr"])
        used = {label.strip() for group in grouped for label in group.split(",")} | set(filters)
        assert used <= METRICS[name], title
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= used, title
        assert target["expr"].count("(") == target["expr"].count(")"), title


def test_panels_have_a_name_of_their_own_and_do_not_overlap():
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
