"""`/v1/jobs/{id}/events`: a job as it happens, resumable by `Last-Event-ID`."""

import json
import uuid

import pytest

from tests.contract.process import Gateway
from tests.contract.wire import ask

SUBMIT = "/v1/async/chat/completions"


def submit(gateway: Gateway, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": uuid.uuid4().hex}]}
    return ask(gateway.url, "POST", SUBMIT, body).json["id"]


def events(gateway: Gateway, job_id: str, last_event_id: str = "") -> list[tuple[str, str, dict]]:
    """(id, event, data) of each, until the stream ends."""
    headers = {"last-event-id": last_event_id} if last_event_id else {}
    answer = ask(gateway.url, "GET", f"/v1/jobs/{job_id}/events", headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for frame in answer.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


def test_a_job_is_told_from_the_queue_to_its_answer(gateway: Gateway):
    job_id = submit(gateway, "openai/sim-latency-300")
    told = [(kind, data) for _, kind, data in events(gateway, job_id) if kind != "waiting"]
    assert [kind for kind, _ in told] == ["queued", "running", "attempt", "answer", "succeeded"]
    by_kind = dict(told)
    assert by_kind["attempt"]["target"] == "openai/sim-latency-300"
    assert by_kind["answer"]["choices"][0]["message"]["content"]
    assert by_kind["succeeded"]["id"] == job_id


def test_attempts_that_fail_are_told_with_their_reason(gateway: Gateway):
    told = events(gateway, submit(gateway, "openai/sim-503-once"))
    attempts = [data for _, kind, data in told if kind == "attempt"]
    assert [attempt["decision"] for attempt in attempts] == ["wait", None]
    assert attempts[0]["reason"]["upstream_status"] == 503
    assert told[-1][1] == "succeeded"


def test_a_failed_job_ends_with_its_error(gateway: Gateway):
    _, kind, job = events(gateway, submit(gateway, "openai/sim-400"))[-1]
    assert kind == "failed"
    assert job["error"]["message"]


def test_whoever_comes_back_misses_nothing_and_sees_nothing_twice(gateway: Gateway):
    job_id = submit(gateway, "openai/sim-latency-100")
    whole = [event for event in events(gateway, job_id) if event[0]]
    for seen in range(len(whole) - 1):
        assert events(gateway, job_id, whole[seen][0]) == whole[seen + 1 :]


def test_whoever_comes_back_after_the_end_is_told_not_to(gateway: Gateway):
    job_id = submit(gateway, "openai/sim-words-1")
    last, _, _ = events(gateway, job_id)[-1]
    answer = ask(gateway.url, "GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": last})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["x-bf-job-id"] == job_id


def test_the_answers_own_events_are_told_and_resumed(gateway: Gateway):
    body = {"model": "openai/sim-words-20", "input": "Hello", "background": True, "stream": True}
    answer = ask(gateway.url, "POST", "/openai/responses", body)
    whole = [event for event in events(gateway, answer.headers["x-bf-job-id"]) if event[0]]
    own = [data for _, kind, data in whole if kind.startswith("response.")]
    assert [data["sequence_number"] for data in own] == list(range(len(own)))
    assert [kind for _, kind, _ in whole][-2:] == ["response.completed", "succeeded"]
    for seen in (3, len(whole) // 2, len(whole) - 2):
        assert events(gateway, answer.headers["x-bf-job-id"], whole[seen][0]) == whole[seen + 1 :]


def test_a_job_can_be_waited_for(gateway: Gateway):
    job_id = submit(gateway, "openai/sim-latency-300")
    job = ask(gateway.url, "GET", f"/v1/jobs/{job_id}", headers={"prefer": "wait=60"}).json
    assert job["status"] == "succeeded"


@pytest.mark.parametrize(("last", "status"), [("nonsense", 400), ("1-2", 400), ("1-2-x", 400)])
def test_what_is_no_id_of_an_event_is_refused(gateway: Gateway, last, status):
    job_id = submit(gateway, "openai/sim-words-1")
    answer = ask(gateway.url, "GET", f"/v1/jobs/{job_id}/events", headers={"last-event-id": last})
    assert answer.status == status
    assert "Last-Event-ID" in answer.json["error"]["message"]


def test_an_unknown_job_has_no_events(gateway: Gateway):
    assert ask(gateway.url, "GET", f"/v1/jobs/{uuid.uuid4()}/events").status == 404
