"""One trace leads from a client's request over the queue to the provider's answer."""

import secrets
import sys
from pathlib import Path

import pytest

from shared import traces
from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.integration.complainer import Complainer
from tests.integration.otlp import Collector, Seen

PATH = "/anthropic/v1/messages"
SOON_S = 60.0
PROTOBUF = "google/_upb"
"""The compiled part of what OTLP is written with."""


@pytest.fixture
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def provider():
    running = Complainer()
    yield running
    running.close()


@pytest.fixture
def begun(tmp_path, server):
    """Starts fleets with these variables and sections of config.json."""
    fleets = []

    def begin(environment, **sections) -> Fleet:
        fleets.append(Fleet(tmp_path, server.url, environment=environment, **sections))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def variables(collector):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}


def body(model="claude", **more):
    return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], **more}


def traceparent():
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def spans_of(collector: Collector, parent: str, *kinds: str) -> dict[str, Seen]:
    """The spans of the client's trace by kind, once there is one of each of these kinds."""
    trace = parent.split("-")[1]

    def look():
        found = [span for span in collector.spans if span.trace == trace]
        return found if {span.kind for span in found} >= set(kinds) else None

    found = eventually(look, SOON_S, "the trace is not complete")
    assert len({span.kind for span in found}) == len(found), found
    return {span.kind: span for span in found}


def test_a_trace_leads_from_the_clients_request_to_the_providers_answer(collector, begun):
    fleet, parent = begun(variables(collector)), traceparent()
    fleet.worker().until_ready()
    answer = ask(fleet.url, "POST", PATH, body(), {"traceparent": parent})
    assert answer.status == 200
    spans = spans_of(collector, parent, "SERVER", "CONSUMER", "CLIENT")
    request, run, call = spans["SERVER"], spans["CONSUMER"], spans["CLIENT"]
    assert request.parent == parent.split("-")[2], "the client's span is the first"
    assert (run.parent, call.parent) == (request.id, run.id)
    assert (request.service, run.service, call.service) == ("hermod-api", "hermod-worker", "hermod-worker")
    assert (request.name, run.name, call.name) == (f"POST {PATH}", "job chat", "chat claude")
    assert request.attributes["http.route"] == PATH
    assert request.attributes["http.response.status_code"] == 200
    job = answer.headers["x-bf-job-id"]
    assert run.attributes["hermod.job.id"] == job
    assert (run.attributes["hermod.job.state"], run.attributes["hermod.job.crashes"]) == ("succeeded", 0)
    usage = answer.json["usage"]
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude",
        "gen_ai.usage.input_tokens": usage["input_tokens"],
        "gen_ai.usage.output_tokens": usage["output_tokens"],
        "hermod.job.id": job,
        "hermod.attempt": 1,
    }


def test_the_trace_goes_on_with_the_worker_that_takes_over(collector, begun):
    fleet, parent = begun(variables(collector)), traceparent()
    doomed = fleet.worker("answered=kill").until_ready()
    submitted = ask(fleet.url, "POST", PATH, body(), {"traceparent": parent, "x-bf-async": "true"})
    job = submitted.headers["x-bf-job-id"]
    doomed.process.wait(SOON_S)
    fleet.worker().until_ready()
    poll = {"x-bf-async-id": job, "x-bf-async-wait": "30"}
    assert ask(fleet.url, "POST", PATH, b"", poll).json["content"]
    spans = spans_of(collector, parent, "SERVER", "CONSUMER", "CLIENT")
    assert spans["CONSUMER"].parent == spans["SERVER"].id
    assert spans["CONSUMER"].attributes["hermod.job.crashes"] == 1
    assert spans["CLIENT"].parent == spans["CONSUMER"].id
    assert fleet.called() == 2, "the provider was asked by both"


def test_each_attempt_is_a_span_and_says_why_it_failed_but_not_in_whose_words(collector, begun):
    fleet, parent = begun(variables(collector)), traceparent()
    fleet.worker().until_ready()
    answer = ask(fleet.url, "POST", PATH, body("sim-500-once"), {"traceparent": parent})
    assert answer.status == 200
    trace = parent.split("-")[1]

    def look():
        found = [span for span in collector.spans if span.trace == trace and span.kind == "CLIENT"]
        return sorted(found, key=lambda span: span.attributes["hermod.attempt"]) if len(found) == 2 else None

    first, second = eventually(look, SOON_S, "not two attempts")
    assert (first.failed, first.attributes["error.type"]) == (True, "ServerError")
    assert first.attributes["http.response.status_code"] == 500
    assert not second.failed


@pytest.mark.parametrize("wanted", [False, True])
def test_a_provider_is_told_of_the_trace_only_when_that_is_configured(collector, provider, begun, wanted):
    named = {"anthropic": {"keys": [{"value": "sk-simulated"}], "network_config": {"base_url": provider.url}}}
    fleet = begun(variables(collector), providers=named, worker={"send_traceparent": wanted})
    fleet.worker().until_ready()
    parent = traceparent()
    assert ask(fleet.url, "POST", PATH, body(), {"traceparent": parent}).status == 400
    call = spans_of(collector, parent, "CLIENT")["CLIENT"]
    (received,) = provider.received
    assert received.headers.get("traceparent") == (f"00-{call.trace}-{call.id}-01" if wanted else None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads another process's memory through /proc")
def test_without_a_collector_nothing_of_opentelemetry_is_imported(begun):
    fleet = begun({})
    worker = fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body(), {"traceparent": traceparent()}).status == 200
    assert PROTOBUF not in Path(f"/proc/{worker.process.pid}/maps").read_text()


@pytest.mark.parametrize(
    "header",
    ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-" + "1" * 32 + "-" + "0" * 16 + "-01", "00-1-1-1"],
)
def test_what_is_no_traceparent_is_ignored(header):
    assert traces.valid(header) == ""
