"""A collector is sent what `/metrics` shows, by real processes over OTLP."""

import signal

import pytest

from shared.metrics import REGISTRY
from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.integration.otlp import Collector, labels
from tests.integration.test_metrics_processes import scraped
from tests.ports import free_port

PATH = "/anthropic/v1/messages"
SOON_S = 60.0
NEVER = "3600000"
CUMULATIVE = 2
NEWEST = {"provider": "anthropic", "model": "claude"}


@pytest.fixture
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def begun(tmp_path, server):
    fleets = []

    def begin(environment) -> Fleet:
        fleets.append(Fleet(tmp_path, server.url, environment=environment))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def variables(collector, *, every_ms="100", **more):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": every_ms, **more}


def body(**more):
    return {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], **more}


def points(collector, service, name):
    """The points of the newest metric of this name; none while there is none."""
    metric = collector.metrics.get(service, {}).get(name)
    return list(getattr(metric, metric.WhichOneof("data")).data_points) if metric else []


def value(collector, service, name, **wanted):
    return sum(point.as_double for point in points(collector, service, name) if wanted.items() <= labels(point).items())


def as_prometheus_says_it(collector, service):
    """All the collector has of a service, in the words of the text format."""
    said = {}
    for name, metric in collector.metrics.get(service, {}).items():
        for point in points(collector, service, name):
            if metric.WhichOneof("data") == "histogram":
                said[series(f"{name}_count", point)] = float(point.count)
                said[series(f"{name}_sum", point)] = point.sum
                upto = 0
                bounds = [*map(str, point.explicit_bounds), "+Inf"]
                for bound, count in zip(bounds, point.bucket_counts, strict=True):
                    upto += count
                    said[series(f"{name}_bucket", point, le=bound)] = float(upto)
            else:
                said[series(name, point)] = point.as_double
    return said


def series(name, point, **more):
    text = ",".join(f'{label}="{value}"' for label, value in sorted({**labels(point), **more}.items()))
    return f"{name}{{{text}}}" if text else name


def test_a_collector_hears_what_prometheus_reads_series_by_series(collector, begun):
    fleet, port = begun(variables(collector)), free_port()
    fleet.worker(metrics_port=port).until_ready()
    for _ in range(3):
        assert ask(fleet.url, "POST", PATH, body()).status == 200
    assert ask(fleet.url, "POST", PATH, body(stream=True)).status == 200

    def the_same():
        told = as_prometheus_says_it(collector, "hermod-worker")
        calls = told.get('bifrost_upstream_requests_total{model="claude",provider="anthropic"}')
        return calls == 4 and told == scraped(f"http://127.0.0.1:{port}")

    eventually(the_same, SOON_S, "the collector knows other figures than /metrics shows")
    spread = collector.metrics["hermod-worker"]["bifrost_upstream_latency_seconds"].histogram
    assert spread.aggregation_temporality == CUMULATIVE
    assert spread.data_points[0].count == 4
    counter = collector.metrics["hermod-worker"]["hermod_jobs_total"].sum
    assert counter.is_monotonic
    assert counter.aggregation_temporality == CUMULATIVE
    assert value(collector, "hermod-worker", "hermod_jobs_total", operation="chat", state="succeeded") == 4
    assert collector.metrics["hermod-worker"]["hermod_slots"].WhichOneof("data") == "gauge"


def test_each_process_is_a_source_of_its_own_and_sends_all_that_is_registered(collector, begun):
    fleet = begun(variables(collector))
    for _ in range(2):
        fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body(stream=True)).status == 200

    def all_there():
        requests = value(collector, "hermod-api", "http_requests_total", path=PATH, status="200")
        alive = value(collector, "hermod-api", "hermod_workers")
        return (requests, alive) == (1, 2) and len(collector.instances.get("hermod-worker", ())) == 2

    eventually(all_there, SOON_S, "not every process sends its metrics")
    assert len(collector.instances["hermod-api"]) == 1
    registered = {family.name: family.type for family in REGISTRY.collect()}
    of_workers = {name.removesuffix("_total") for name in collector.metrics["hermod-worker"]}
    assert of_workers <= registered.keys()
    assert {name for name, kind in registered.items() if kind == "gauge"} <= of_workers


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_process_that_is_told_to_stop_sends_its_last_figures(collector, begun, role):
    fleet = begun(variables(collector, every_ms=NEVER))
    worker = fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body()).status == 200
    assert collector.metrics == {}
    if role == "worker":
        assert worker.stop() == 0
        assert value(collector, "hermod-worker", "bifrost_success_requests_total", **NEWEST) == 1
    else:
        api = fleet._processes[1]
        api.send_signal(signal.SIGTERM)
        api.wait(SOON_S)
        assert value(collector, "hermod-api", "http_requests_total", path=PATH, status="200") == 1


def test_a_collector_that_is_away_holds_nothing_up_and_hears_the_sums_when_it_is_back(collector, begun):
    away = free_port()
    environment = {**variables(collector), "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{away}/v1/metrics"}
    fleet = begun({**environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "1"})
    worker = fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body()).status == 200
    eventually(lambda: "Failed to export metrics" in worker.log.read_text(), SOON_S, "nothing says that it is away")
    back = Collector(port=away)
    try:
        eventually(
            lambda: value(back, "hermod-worker", "bifrost_success_requests_total", **NEWEST) == 1, SOON_S, "no sums"
        )
    finally:
        back.close()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(SOON_S) == 0


@pytest.mark.parametrize("off", [{"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_metrics_are_not_sent_when_they_are_switched_off(collector, begun, off):
    fleet = begun(variables(collector, **off))
    worker = fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body()).status == 200
    assert worker.stop() == 0
    assert collector.metrics == {}
    assert bool(collector.spans) == ("OTEL_SDK_DISABLED" not in off), "traces have a switch of their own"
