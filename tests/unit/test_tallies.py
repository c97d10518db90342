"""Tallies say the same to Prometheus as its own client's metrics would."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shared.tallies import Counters, Gauges, Histograms

BOUNDS = (0.1, 1, 10)
ODD = 'a "model"\nwith\\all'


def told(registry: CollectorRegistry) -> set[tuple[str, str, frozenset[tuple[str, str]], float]]:
    text = generate_latest(registry).decode()
    return {
        (family.type, sample.name, frozenset(sample.labels.items()), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_they_say_what_the_clients_own_metrics_say():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter, their_counter = Counters(ours, "c_total", "C.", ["x"]), Counter("c", "C.", ["x"], registry=theirs)
    gauge, their_gauge = Gauges(ours, "g", "G."), Gauge("g", "G.", registry=theirs)
    histogram = Histograms(ours, "h", "H.", ["x"], bounds=BOUNDS)
    their_histogram = Histogram("h", "H.", ["x"], buckets=BOUNDS, registry=theirs)
    gauge.of().value = 7
    their_gauge.set(7)
    for label in ("a", ODD):
        counter.of(label).value += 2
        their_counter.labels(label).inc(2)
        for value in (0.05, 0.1, 0.100001, 10, 11):
            histogram.of(label).observe(value)
            their_histogram.labels(label).observe(value)
    assert told(ours) == told(theirs)


def test_a_series_whose_labels_are_known_is_there_with_0():
    registry = CollectorRegistry()
    Counters(registry, "c_total", "C.", ["x", "y"], ("a", "b"), ("c",))
    Histograms(registry, "h", "H.", bounds=BOUNDS)
    said = told(registry)
    assert ("counter", "c_total", frozenset({("x", "b"), ("y", "c")}), 0.0) in said
    assert ("histogram", "h_count", frozenset(), 0.0) in said


def test_a_series_with_other_labels_than_its_metric_has_is_a_mistake_that_shows():
    counter = Counters(CollectorRegistry(), "c_total", "C.", ["x"])
    with pytest.raises(ValueError, match="c_total"):
        counter.of("a", "b")


def test_no_two_metrics_have_one_name():
    registry = CollectorRegistry()
    Gauges(registry, "g", "G.")
    with pytest.raises(ValueError, match="g"):
        Gauges(registry, "g", "G.")
