"""The Grafana dashboard shows every metric that is registered, and asks for none that is not."""

import json
import re

from shared import metrics
from shared.tallies import Counters, Gauges, Histograms
from tests.deploy.tools import ROOT

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "hermod.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
FAMILIES = [each for each in vars(metrics).values() if isinstance(each, Counters | Gauges | Histograms)]
OF_SPREADS = ("_bucket", "_sum", "_count")
SERIES = {each.name: set(each.labels) for each in FAMILIES if not isinstance(each, Histograms)} | {
    each.name + end: {*each.labels, *(["le"] if end == "_bucket" else [])}
    for each in FAMILIES
    if isinstance(each, Histograms)
    for end in OF_SPREADS
}
"""Labels of all that a query can name."""


def asked(expression):
    return set(re.findall(r"(?:hermod|bifrost|http)_\w+", expression))


def test_every_metric_is_shown():
    shown = {name for _, target in QUERIES for name in asked(target["expr"])}
    forgotten = [each.name for each in FAMILIES if not shown & {each.name, *(each.name + end for end in OF_SPREADS)}]
    assert forgotten == []


def test_queries_and_legends_use_metrics_there_are_and_labels_they_have():
    for title, target in QUERIES:
        assert asked(target["expr"]) <= SERIES.keys(), title
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        filters = re.findall(r"\{(\w+)[!=]", target["expr"])
        used = {label.strip() for group in grouped for label in group.split(",")} | set(filters)
        for name in asked(target["expr"]):
            assert used <= SERIES[name], title
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= used, title
        assert target["expr"].count("(") == target["expr"].count(")"), title


def test_what_only_grows_is_shown_as_a_rate_and_what_is_the_same_everywhere_is_not_summed_over_processes():
    counted = {each.name for each in FAMILIES if isinstance(each, Counters)}
    shared = {each.name for each in FAMILIES if each.name.startswith(("hermod_queue_", "hermod_batch"))}
    for title, target in QUERIES:
        for name in asked(target["expr"]) & {*counted, *(name for name in SERIES if name.endswith(OF_SPREADS))}:
            assert re.search(rf"(rate|increase)\({name}(\{{[^}}]*\}})?\[", target["expr"]), title
        for name in asked(target["expr"]) & {*shared, "hermod_workers"}:
            assert re.search(rf"max (by \(\w+\) )?\({name}|max\({name}", target["expr"]), title


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
