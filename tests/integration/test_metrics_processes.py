"""What real processes tell Prometheus: on a port of their own, and to the administration on the API's."""

import re

import pytest

from tests.chaos.fleet import Fleet
from tests.contract.wire import ask
from tests.ports import free_port

PATH = "/anthropic/v1/messages"
SOON_S = 60.0
TOKEN = "an-administrators-token"


@pytest.fixture
def begun(tmp_path, server):
    fleets = []

    def begin(**more) -> Fleet:
        fleets.append(Fleet(tmp_path, server.url, **more))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def body(model="claude", **more):
    return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], **more}


def scraped(url: str, **headers: str) -> dict[str, float]:
    answer = ask(url, "GET", "/metrics", headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/plain")
    return {name: float(value) for name, value in re.findall(r"^([^# ]\S*) (\S+)$", answer.body.decode(), re.MULTILINE)}


def test_a_workers_calls_tokens_and_failures_are_counted_by_provider_and_model(begun):
    fleet, port = begun(), free_port()
    fleet.worker(metrics_port=port).until_ready()
    url = f"http://127.0.0.1:{port}"
    before = scraped(url)
    assert before["bifrost_active_requests"] == 0
    assert before['bifrost_provider_key_up{key="key-1",provider="anthropic"}'] == 1
    used = [ask(fleet.url, "POST", PATH, body()).json["usage"] for _ in range(3)]
    assert ask(fleet.url, "POST", PATH, body("sim-500-once")).status == 200
    assert ask(fleet.url, "POST", PATH, body(stream=True)).status == 200
    assert ask(fleet.url, "POST", PATH, body("sim-401")).status == 502
    said = scraped(url)
    claude, failing = 'model="claude",provider="anthropic"', 'model="sim-500-once",provider="anthropic"'
    assert said[f"bifrost_upstream_requests_total{{{claude}}}"] == 4
    assert said[f"bifrost_success_requests_total{{{claude}}}"] == 4
    assert said[f"bifrost_upstream_latency_seconds_count{{{claude}}}"] == 4
    assert said[f"bifrost_stream_first_token_latency_seconds_count{{{claude}}}"] == 1
    assert said[f"bifrost_input_tokens_total{{{claude}}}"] == 4 * used[0]["input_tokens"]
    assert said[f"bifrost_output_tokens_total{{{claude}}}"] >= 3 * used[0]["output_tokens"]
    assert said[f"bifrost_upstream_requests_total{{{failing}}}"] == 2
    assert said[f'bifrost_error_requests_total{{error_type="ServerError",{failing},status_code="500"}}'] == 1
    assert said[f'hermod_attempts_total{{{failing},reason="ServerError"}}'] == 1
    assert said[f'hermod_attempts_total{{{failing},reason=""}}'] == 1
    assert said['bifrost_provider_key_up{key="key-1",provider="anthropic"}'] == 0, "it was refused last"
    jobs = 'hermod_jobs_total{lane="interactive",operation="chat",state="%s"}'
    assert (said[jobs % "succeeded"], said[jobs % "failed"]) == (5, 1)
    assert said['bifrost_request_retries_bucket{le="0.0"}'] == 5
    assert said["hermod_workers"] == 1


def test_a_killed_workers_job_is_a_takeover_of_the_one_that_goes_on_with_it(begun):
    fleet, port = begun(), free_port()
    doomed = fleet.worker("answered=kill").until_ready()
    job = ask(fleet.url, "POST", PATH, body(), {"x-bf-async": "true"}).headers["x-bf-job-id"]
    doomed.process.wait(SOON_S)
    fleet.worker(metrics_port=port).until_ready()
    assert ask(fleet.url, "POST", PATH, b"", {"x-bf-async-id": job, "x-bf-async-wait": "30"}).json["content"]
    assert scraped(f"http://127.0.0.1:{port}")["hermod_lease_takeovers_total"] == 1


def test_requests_are_counted_by_route_never_by_what_a_client_made_up(begun):
    fleet = begun()
    fleet.worker().until_ready()
    assert ask(fleet.url, "POST", PATH, body()).status == 200
    assert ask(fleet.url, "GET", "/v1/jobs/6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11").status == 404
    for number in range(5):
        assert ask(fleet.url, "GET", f"/made-up/{number}").status == 404
    assert ask(fleet.url, "PROPFIND", PATH).status in {404, 405}
    said = scraped(fleet.url)
    assert said[f'http_requests_total{{method="POST",path="{PATH}",status="200"}}'] == 1
    assert said['http_requests_total{method="GET",path="unmatched",status="404"}'] == 5
    (jobs,) = (name for name in said if name.startswith("http_requests_total") and "/v1/jobs/" in name)
    assert "6f0d2c1e" not in jobs
    assert not any("made-up" in name or "PROPFIND" in name for name in said)
    assert said[f'http_request_duration_seconds_count{{method="POST",path="{PATH}"}}'] == 1
    assert said["http_request_size_bytes_count"] >= 1
    assert said["http_response_size_bytes_sum"] > 0


def test_on_the_apis_port_metrics_are_the_administrations(begun):
    fleet = begun()
    assert scraped(fleet.url)["hermod_workers"] == 0
    assert ask(fleet.url, "GET", "/metrics", headers={"x-forwarded-for": "203.0.113.9"}).status == 403


def test_with_a_token_they_need_it(begun):
    fleet = begun(environment={"HERMOD_ADMIN_TOKEN": TOKEN})
    assert ask(fleet.url, "GET", "/metrics").status == 401
    assert scraped(fleet.url, authorization=f"Bearer {TOKEN}")["hermod_workers"] == 0


def test_the_api_has_a_port_of_its_own_for_them_that_asks_for_no_token(begun):
    fleet, port = begun(environment={"HERMOD_ADMIN_TOKEN": TOKEN}), free_port()
    fleet.another_api(metrics_port=port)
    own = f"http://127.0.0.1:{port}"
    assert scraped(own)["hermod_workers"] == 0
    assert ask(own, "GET", "/ready").status == 200
    assert ask(own, "POST", PATH, body()).status == 404, "nothing for clients"
