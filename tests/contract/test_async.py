"""Jobs on the SDK routes: submit with `x-bf-async`, poll with `x-bf-async-id`."""

import threading
import uuid
from datetime import datetime
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import CLAUDE, GPT, completion, message
from tests.contract.jobs import BODIES, BOTH, DONE_WITHIN_S, PATHS, marked, poll, polled, submit
from tests.contract.process import Gateway, eventually
from tests.contract.wire import Ledger, ask

EMPTY = {"anthropic": "content", "openai": "choices"}
REQUEST_ID = {"anthropic": "request-id", "openai": "x-request-id"}


@BOTH
def test_a_submitted_job_is_a_placeholder_first_and_the_plain_answer_later(gateway: Gateway, surface):
    body = BODIES[surface](model="sim-latency-300")
    accepted = submit(gateway, surface, body)
    assert accepted.status == 200, accepted.body
    assert accepted.json[EMPTY[surface]] == []
    assert accepted.json["model"] == "sim-latency-300"
    assert accepted.headers["x-bf-async-status"] in {"queued", "running"}
    assert accepted.headers["x-bf-job-id"] == accepted.json["id"]
    assert str(uuid.UUID(accepted.json["id"])) == accepted.json["id"]
    assert accepted.headers[REQUEST_ID[surface]]
    assert accepted.headers["content-type"] == "application/json"

    done = polled(gateway, surface, accepted.json["id"])
    plain = ask(gateway.url, "POST", PATHS[surface], body)
    assert done.status == plain.status == 200
    assert done.headers["x-bf-async-status"] == "succeeded"
    assert done.json.keys() == plain.json.keys()
    assert done.json[EMPTY[surface]] == plain.json[EMPTY[surface]]
    assert done.json["id"] != accepted.json["id"]


@pytest.mark.parametrize("model", [CLAUDE, f"openai/{GPT}"])
def test_the_anthropic_sdk_submits_and_polls(claude: anthropic.Anthropic, model):
    asked = message(model=model)
    job = claude.messages.create(**asked, extra_headers={"x-bf-async": "true"})
    assert (job.content, job.stop_reason, job.role) == ([], None, "assistant")

    def look() -> anthropic.types.Message | None:
        found = claude.messages.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.content else None

    answer = eventually(look, DONE_WITHIN_S, "the job is not done")
    assert (answer.type, answer.stop_reason) == ("message", "end_turn")


@pytest.mark.parametrize("model", [GPT, f"anthropic/{CLAUDE}"])
def test_the_openai_sdk_submits_and_polls(gpt: openai.OpenAI, model):
    asked = completion(model=model)
    job = gpt.chat.completions.create(**asked, extra_headers={"x-bf-async": "true"})
    assert (job.choices, job.object) == ([], "chat.completion")

    def look() -> openai.types.chat.ChatCompletion | None:
        found = gpt.chat.completions.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.choices else None

    answer = eventually(look, DONE_WITHIN_S, "the job is not done")
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("header", [{"x-bf-async": "true"}, {}], ids=["a job too", "in the background only"])
def test_a_background_response_is_polled_by_the_id_that_it_shows(gateway: Gateway, header):
    path, body = "/openai/responses", {"model": GPT, "input": "Hello", "background": True}
    shown = ask(gateway.url, "POST", path, body, header).json["id"]
    done = ask(gateway.url, "POST", path, b"", {"x-bf-async-id": shown, "prefer": "wait=60"})
    assert (done.json["status"], done.json["id"]) == ("completed", shown)


@BOTH
def test_a_finished_job_may_be_polled_with_any_body_and_always_answers_the_same(gateway: Gateway, surface):
    job = submit(gateway, surface, BODIES[surface]()).json["id"]
    first = polled(gateway, surface, job)
    for body in (b"", b"{}", BODIES[surface](), b"not JSON"):
        assert poll(gateway, surface, job, body).body == first.body


@BOTH
def test_a_poll_starts_nothing_even_when_it_also_asks_to_submit(gateway: Gateway, ledger: Ledger, surface, user):
    body = marked(surface, user)
    job = submit(gateway, surface, body).json["id"]
    polled(gateway, surface, job)
    again = poll(gateway, surface, job, body, x_bf_async="true")
    assert again.headers["x-bf-job-id"] == job
    assert len(ledger.calls(user)) == 1


@BOTH
@pytest.mark.parametrize(("value", "submits"), [("TRUE", True), ("1", True), ("false", False), ("0", False)])
def test_only_a_true_value_submits(gateway: Gateway, surface, value, submits):
    answer = ask(gateway.url, "POST", PATHS[surface], BODIES[surface](), {"x-bf-async": value})
    assert (answer.json[EMPTY[surface]] == []) is submits


@BOTH
def test_an_outcome_is_kept_as_long_as_asked_and_then_unknown(gateway: Gateway, surface):
    job = submit(gateway, surface, BODIES[surface](), x_bf_async_job_result_ttl="1").json["id"]
    kept = submit(gateway, surface, BODIES[surface](), x_bf_async_job_result_ttl="600").json["id"]
    polled(gateway, surface, kept)
    eventually(lambda: poll(gateway, surface, job).status == 404, DONE_WITHIN_S, "the outcome has not expired")
    assert poll(gateway, surface, kept).status == 200


@BOTH
def test_an_outcome_that_is_to_be_deleted_on_read_can_be_read_once(gateway: Gateway, surface):
    job = submit(gateway, surface, BODIES[surface](model="sim-latency-2000")).json["id"]
    once = {"x_bf_async_delete_on_read": "true"}
    assert poll(gateway, surface, job, **once).json[EMPTY[surface]] == []
    read = poll(gateway, surface, job, prefer="wait=60", **once)
    assert read.json[EMPTY[surface]]
    assert poll(gateway, surface, job).status == 404


@BOTH
def test_an_outcome_is_not_deleted_for_a_reader_who_left_before_it_came(gateway: Gateway, surface):
    job = submit(gateway, surface, BODIES[surface](model="sim-latency-5000")).json["id"]
    headers = {"x-bf-async-id": job, "x-bf-async-delete-on-read": "true", "prefer": "wait=60"}
    with pytest.raises(TimeoutError):
        ask(gateway.url, "POST", PATHS[surface], b"", headers, timeout_s=0.5)
    ended = ask(gateway.url, "GET", f"/v1/jobs/{job}", headers={"prefer": "wait=60"})
    assert ended.json["status"] == "succeeded"
    settled = submit(gateway, surface, BODIES[surface](), prefer="wait=60")  # what the end has set off is over by now
    assert settled.headers["x-bf-async-status"] == "succeeded"
    assert poll(gateway, surface, job).json[EMPTY[surface]]


@BOTH
def test_a_poll_of_an_answer_that_was_streamed_says_where_it_is(gateway: Gateway, surface):
    streamed = ask(gateway.url, "POST", PATHS[surface], BODIES[surface](stream=True))
    answer = poll(gateway, surface, streamed.headers["x-bf-job-id"])
    assert answer.status == 400
    assert f"/v1/jobs/{streamed.headers['x-bf-job-id']}/events" in answer.json["error"]["message"]


@BOTH
@pytest.mark.parametrize("header", [{"prefer": "wait=60"}, {"x_bf_async_wait": "60"}])
def test_a_submit_that_waits_gets_the_answer_itself(gateway: Gateway, surface, header):
    answer = submit(gateway, surface, BODIES[surface](model="sim-latency-300"), **header)
    assert answer.headers["x-bf-async-status"] == "succeeded"
    assert answer.json[EMPTY[surface]]


@BOTH
def test_a_poll_that_waits_gets_the_answer_or_is_told_when_to_ask_again(gateway: Gateway, surface):
    job = submit(gateway, surface, BODIES[surface](model="sim-latency-5000")).json["id"]
    early = poll(gateway, surface, job, prefer="wait=1")
    assert early.headers["x-bf-async-status"] in {"queued", "running"}
    assert int(early.headers["retry-after-ms"]) > 0
    assert poll(gateway, surface, job, prefer="wait=60").json[EMPTY[surface]]


def test_the_loop_over_an_answer_without_content_ends(gateway: Gateway):
    job = submit(gateway, "anthropic", message(max_tokens=0)).json["id"]
    assert polled(gateway, "anthropic", job).json["content"] == [{"type": "text", "text": ""}]


@BOTH
def test_a_submit_that_the_sdk_repeats_is_the_same_job(gateway: Gateway, ledger: Ledger, surface, user):
    body = marked(surface, user, model="sim-latency-300")
    first, second = (submit(gateway, surface, body, x_stainless_retry_count=str(n)).json["id"] for n in range(2))
    assert first == second
    polled(gateway, surface, first)
    assert len(ledger.calls(user)) == 1


@BOTH
def test_an_idempotency_key_names_one_job_and_refuses_another_body(gateway: Gateway, ledger: Ledger, surface, user):
    body = marked(surface, user)
    first, second = (submit(gateway, surface, body, idempotency_key=user).json["id"] for _ in range(2))
    assert first == second
    other = submit(gateway, surface, marked(surface, user, model="sim-words-5"), idempotency_key=user)
    assert (other.status, other.headers["x-should-retry"]) == (409, "false")
    polled(gateway, surface, first)
    assert len(ledger.calls(user)) == 1


@pytest.mark.parametrize(
    ("header", "kept_s"),
    [
        ({"x-bf-async": "true"}, 86_400),
        ({}, 86_400),
        ({"x-bf-async": "true", "x-bf-async-job-result-ttl": "7200"}, 7200),
    ],
    ids=["async", "plain", "as long as it says"],
)
@BOTH
def test_what_an_idempotency_key_names_is_kept_as_long_as_the_key(gateway: Gateway, surface, user, header, kept_s):
    headers = {"idempotency-key": user, "prefer": "wait=60", **header}
    job = ask(gateway.url, "POST", PATHS[surface], marked(surface, user), headers).headers["x-bf-job-id"]
    shown = eventually(
        lambda: (found := ask(gateway.url, "GET", f"/v1/jobs/{job}").json)["completed_at"] and found,
        DONE_WITHIN_S,
        "the job has not ended",
    )
    expires, completed = (datetime.fromisoformat(shown[name]) for name in ("expires_at", "completed_at"))
    assert (expires - completed).total_seconds() == kept_s


@BOTH
def test_a_submit_that_joins_a_job_and_waits_gets_its_answer(gateway: Gateway, surface, user):
    body = marked(surface, user)
    job = submit(gateway, surface, body, idempotency_key=user).json["id"]
    done = polled(gateway, surface, job)
    assert submit(gateway, surface, body, idempotency_key=user).json["id"] == job
    again = submit(gateway, surface, body, idempotency_key=user, prefer="wait=60")
    assert (again.status, again.body) == (200, done.body)
    assert (again.headers["x-bf-job-id"], again.headers["x-bf-async-status"]) == (job, "succeeded")


@BOTH
def test_many_jobs_at_once_are_each_answered_once(gateway: Gateway, ledger: Ledger, surface, user):
    jobs: list[str] = []
    bodies = [marked(surface, user, model=f"sim-words-{number}") for number in range(1, 33)]

    def submit_one(body: Any) -> None:
        jobs.append(submit(gateway, surface, body).json["id"])

    threads = [threading.Thread(target=submit_one, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DONE_WITHIN_S)
    answers = [polled(gateway, surface, job) for job in jobs]
    assert {answer.status for answer in answers} == {200}
    assert sorted(call["model"] for call in ledger.calls(user)) == sorted(body["model"] for body in bodies)
