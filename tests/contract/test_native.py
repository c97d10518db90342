"""The native surface: OpenAI's requests with prefixed models at `/v1`, and jobs at `/v1/async`."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.contract.asking import turn
from tests.contract.examples import Example
from tests.contract.jobs import DONE_WITHIN_S
from tests.contract.process import Gateway, eventually
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk
from tests.contract.wire import Answer, Ledger, ask

UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"
TTL = "x-bf-async-job-result-ttl"

ASKED: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": turn()},
    "responses": {"input": "Hello!"},
    "embeddings": {"input": "Hello!"},
}
SAID = {"chat/completions": "choices", "responses": "output", "embeddings": "data"}
BY_BOTH = pytest.mark.parametrize(
    ("operation", "provider"),
    [(operation, provider) for operation in ASKED for provider in ("openai", "anthropic")][:-1],  # it embeds nothing
)
EVERY = pytest.mark.parametrize("operation", list(ASKED))


@pytest.mark.parametrize(("sdk", "script"), runs("native", {}), indirect=["sdk"])
def test_the_openai_sdk_works_without_the_name_of_a_surface(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


def submit(gateway: Gateway, operation: str, model: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "POST", f"/v1/async/{operation}", {"model": model, **ASKED[operation]}, named)


def poll(gateway: Gateway, operation: str, job: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "GET", f"/v1/async/{operation}/{job}", headers=named)


def polled(gateway: Gateway, operation: str, job: str) -> Answer:
    """The first answer that is not 202."""

    def look() -> Answer | None:
        answer = poll(gateway, operation, job)
        if answer.status != 202:
            return answer
        assert answer.json["status"] in {"pending", "processing"}
        assert answer.json.keys() & {"result", "error", "completed_at", "expires_at"} == set()
        return None

    return eventually(look, DONE_WITHIN_S, f"job {job} is not done")


def assert_refused(answer: Answer, status: int, names: str = "") -> None:
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert names in f"{error['message']} {error['param']}"
    assert answer.headers["x-request-id"]


@BY_BOTH
def test_a_job_is_accepted_then_pending_then_completed_with_the_plain_answer(gateway: Gateway, operation, provider):
    model = f"{provider}/sim-latency-2000"
    accepted = submit(gateway, operation, model)
    assert accepted.status == 202, accepted.body
    assert accepted.json["status"] == "pending"
    job = accepted.json["id"]
    assert str(uuid.UUID(job)) == job
    assert poll(gateway, operation, job).status == 202

    done = polled(gateway, operation, job)
    assert (done.status, done.json["id"], done.json["status"]) == (200, job, "completed")
    assert done.json["status_code"] == 200
    assert "error" not in done.json
    created, completed, expires = (
        datetime.fromisoformat(done.json[name]) for name in ("created_at", "completed_at", "expires_at")
    )
    assert created == datetime.fromisoformat(accepted.json["created_at"])
    assert timedelta(seconds=2) <= completed - created < timedelta(seconds=DONE_WITHIN_S)
    assert expires - completed == timedelta(seconds=3600)

    plain = ask(gateway.url, "POST", f"/v1/{operation}", {"model": model, **ASKED[operation]})
    assert plain.status == 200, plain.body
    assert plain.json.keys() <= done.json["result"].keys()
    assert [said.keys() for said in done.json["result"][SAID[operation]]] == [
        said.keys() for said in plain.json[SAID[operation]]
    ]
    assert poll(gateway, operation, job).body == done.body


@EVERY
def test_a_job_that_fails_is_polled_with_200_and_tells_the_providers_status(gateway: Gateway, operation):
    done = polled(gateway, operation, submit(gateway, operation, "openai/sim-404").json["id"])
    assert (done.status, done.json["status"], done.json["status_code"]) == (200, "failed", 404)
    assert done.json["error"]["error"]["message"]
    assert done.json["completed_at"] < done.json["expires_at"]
    assert "result" not in done.json


@EVERY
def test_a_stream_cannot_be_a_job(gateway: Gateway, operation):
    body = {"model": "openai/gpt-sim-large", **ASKED[operation], "stream": True}
    assert_refused(ask(gateway.url, "POST", f"/v1/async/{operation}", body), 400, "stream")


@EVERY
@pytest.mark.parametrize("model", [{}, {"model": 5}, {"model": "groq/llama"}], ids=str)
def test_a_wrong_model_is_refused_before_any_job_exists(gateway: Gateway, operation, model):
    assert_refused(ask(gateway.url, "POST", f"/v1/async/{operation}", {**ASKED[operation], **model}), 400, "model")


@EVERY
@pytest.mark.parametrize("body", [b"", b'{"model": "', b"[]"])
def test_a_body_that_is_no_object_is_refused(gateway: Gateway, operation, body):
    assert_refused(ask(gateway.url, "POST", f"/v1/async/{operation}", body), 400)


@EVERY
def test_jobs_that_are_unknown_anothers_or_of_another_operation_are_not_found(gateway: Gateway, operation):
    mine = submit(gateway, operation, "openai/sim-latency-300", x_bf_vk="vk-mine").json["id"]
    for job in (UNKNOWN_JOB, "no-uuid"):
        assert_refused(poll(gateway, operation, job, x_bf_vk="vk-mine"), 404)
    assert_refused(poll(gateway, operation, mine, x_bf_vk="vk-another"), 404)
    assert_refused(poll(gateway, operation, mine), 404)
    for other in ASKED.keys() - {operation}:
        assert_refused(poll(gateway, other, mine, x_bf_vk="vk-mine"), 404)
    assert poll(gateway, operation, mine, authorization="Bearer vk-mine").status == 404  # no virtual key by its look
    assert poll(gateway, operation, mine, x_bf_vk="vk-mine").status in {200, 202}


@EVERY
def test_an_outcome_is_kept_as_long_as_asked(gateway: Gateway, operation):
    accepted = ask(
        gateway.url,
        "POST",
        f"/v1/async/{operation}",
        {"model": "openai/sim-latency-1", **ASKED[operation]},
        {TTL: "600"},
    )
    done = polled(gateway, operation, accepted.json["id"]).json
    kept = datetime.fromisoformat(done["expires_at"]) - datetime.fromisoformat(done["completed_at"])
    assert kept == timedelta(seconds=600)
    bad = ask(gateway.url, "POST", f"/v1/async/{operation}", {"model": "openai/gpt", **ASKED[operation]}, {TTL: "0"})
    assert_refused(bad, 400, TTL)


def test_a_submit_that_joins_a_job_shows_that_job(gateway: Gateway, user):
    body = {"model": "openai/sim-latency-1", **ASKED["chat/completions"], "user": user}
    first, joined = (
        ask(gateway.url, "POST", "/v1/async/chat/completions", body, {"idempotency-key": user, **wait})
        for wait in ({"prefer": "wait=60"}, {})
    )
    assert (first.status, joined.status) == (200, 202)
    assert joined.body == first.body


def test_a_job_calls_the_provider_once_however_often_it_is_polled(gateway: Gateway, ledger: Ledger, user):
    body = {"model": "openai/sim-latency-300", **ASKED["chat/completions"], "user": user}
    job = ask(gateway.url, "POST", "/v1/async/chat/completions", body).json["id"]
    assert polled(gateway, "chat/completions", job).status == 200
    assert len(ledger.calls(user)) == 1


@pytest.mark.parametrize("path", ["/v1/async/audio/speech", "/v1/async/rerank", "/v1/images/generations"])
def test_an_operation_that_is_not_served_is_named(gateway: Gateway, path):
    assert_refused(ask(gateway.url, "POST", path, {"model": "openai/gpt-sim-large"}), 404, path)


@EVERY
def test_a_job_is_shown_among_the_callers_jobs(gateway: Gateway, operation):
    job = submit(gateway, operation, "openai/gpt-sim-large").json["id"]
    shown = ask(gateway.url, "GET", f"/v1/jobs/{job}")
    assert (shown.status, shown.json["id"]) == (200, job)
