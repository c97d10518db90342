"""Both vendors' batch APIs, as their own SDKs use them."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest

from tests.unit.simulator.questions import HEADERS, TEXT, asked, put

BATCHES = "/anthropic/v1/messages/batches"


def requests(count, model="m"):
    return [{"custom_id": f"c-{number}", "params": asked(model)} for number in range(count)]


def lines(bodies, endpoint):
    made = [
        {"custom_id": f"c-{number}", "method": "POST", "url": endpoint, "body": body}
        for number, body in enumerate(bodies)
    ]
    return "\n".join(map(json.dumps, made)).encode()


def create(gpt, bodies, endpoint="/v1/chat/completions", **more):
    file = gpt.files.create(file=("in.jsonl", lines(bodies, endpoint)), purpose="batch")
    return gpt.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def test_a_batch_of_messages_ends_after_one_look_and_holds_every_answer(claude):
    batch = claude.messages.batches.create(requests=[*requests(2), {"custom_id": "bad", "params": {"model": "m"}}])
    assert (batch.processing_status, batch.results_url, batch.request_counts.processing) == ("in_progress", None, 3)
    assert claude.messages.batches.retrieve(batch.id).processing_status == "in_progress"
    ended = claude.messages.batches.retrieve(batch.id)
    assert (ended.processing_status, ended.request_counts.succeeded, ended.request_counts.errored) == ("ended", 2, 1)
    first, second, bad = claude.messages.batches.results(batch.id)
    assert (first.custom_id, second.custom_id, bad.custom_id) == ("c-0", "c-1", "bad")
    assert first.result.message.content[0].text == TEXT
    assert bad.result.error.error.type == "invalid_request_error"


def test_a_batch_of_chats_ends_after_one_look_and_writes_two_files(gpt):
    batch = create(gpt, [asked(), {"model": "m", "messages": []}], metadata={"mark": "mine"})
    assert (batch.status, batch.metadata) == ("in_progress", {"mark": "mine"})
    assert gpt.batches.retrieve(batch.id).status == "in_progress"
    ended = gpt.batches.retrieve(batch.id)
    assert (ended.status, ended.request_counts.completed, ended.request_counts.failed) == ("completed", 1, 1)
    good = json.loads(gpt.files.content(ended.output_file_id).text)
    assert (good["custom_id"], good["response"]["status_code"]) == ("c-0", 200)
    assert good["response"]["body"]["choices"][0]["message"]["content"] == TEXT
    bad = json.loads(gpt.files.content(ended.error_file_id).text)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("c-1", 400)


def test_responses_and_embeddings_can_be_batched(gpt):
    for endpoint, body in (("/v1/responses", put()), ("/v1/embeddings", put())):
        batch = create(gpt, [body], endpoint)
        gpt.batches.retrieve(batch.id)
        assert gpt.batches.retrieve(batch.id).request_counts.completed == 1


def test_a_batch_takes_as_many_looks_as_ordered(claude):
    batch = claude.messages.batches.create(requests=requests(1, "sim-batch-3"))
    seen = [claude.messages.batches.retrieve(batch.id).processing_status for _ in range(4)]
    assert seen == ["in_progress"] * 3 + ["ended"]


def test_a_stalled_batch_runs_until_it_is_cancelled_and_keeps_its_first_half(claude, gpt):
    batch = claude.messages.batches.create(requests=requests(4, "sim-batch-stall"))
    assert {claude.messages.batches.retrieve(batch.id).processing_status for _ in range(5)} == {"in_progress"}
    assert claude.messages.batches.cancel(batch.id).processing_status == "canceling"
    claude.messages.batches.retrieve(batch.id)
    assert claude.messages.batches.retrieve(batch.id).processing_status == "ended"
    kinds = [each.result.type for each in claude.messages.batches.results(batch.id)]
    assert kinds == ["succeeded", "succeeded", "canceled", "canceled"]
    other = create(gpt, [asked("sim-batch-stall")] * 2)
    assert gpt.batches.cancel(other.id).status == "cancelling"
    gpt.batches.retrieve(other.id)
    ended = gpt.batches.retrieve(other.id)
    assert (ended.status, ended.request_counts.completed, ended.request_counts.failed) == ("cancelled", 1, 1)
    assert json.loads(gpt.files.content(ended.error_file_id).text)["error"]["code"] == "batch_cancelled"


def test_a_lost_reply_is_a_500_to_a_batch_that_is_there(claude, gpt):
    with pytest.raises(anthropic.InternalServerError):
        claude.messages.batches.create(requests=requests(7, "sim-batch-lost"))
    assert claude.messages.batches.list(limit=1).data[0].request_counts.processing == 7
    with pytest.raises(openai.InternalServerError):
        create(gpt, [asked("sim-batch-lost")], metadata={"mark": "lost"})
    assert gpt.batches.list(limit=1).data[0].metadata == {"mark": "lost"}


def test_lists_show_the_newest_first_page_by_page(claude, gpt):
    made = [claude.messages.batches.create(requests=requests(1)).id for _ in range(3)]
    found = [batch.id for batch, _ in zip(claude.messages.batches.list(limit=2), range(3), strict=False)]
    assert found == made[::-1]
    made = [create(gpt, [asked()]).id for _ in range(3)]
    assert [batch.id for batch, _ in zip(gpt.batches.list(limit=2), range(3), strict=False)] == made[::-1]


def test_the_ledger_shows_the_batch_and_none_of_its_requests(http):
    since = http.get("/__ledger").json()["last"]
    body = {"requests": requests(2, "noted")}
    batch = http.post(BATCHES, json=body).json()["id"]
    http.get(f"{BATCHES}/{batch}")
    http.get(f"{BATCHES}/{batch}")
    entries = http.get("/__ledger", params={"since": since}).json()["entries"]
    assert [(entry["method"], entry["path"], entry["model"]) for entry in entries] == [
        ("POST", BATCHES, "noted"),
        ("GET", f"{BATCHES}/{batch}", ""),
        ("GET", f"{BATCHES}/{batch}", ""),
    ]


def test_a_reset_forgets_batches(http):
    batch = http.post(BATCHES, json={"requests": requests(1)}).json()["id"]
    http.post("/__reset")
    assert http.get(f"{BATCHES}/{batch}").status_code == 404


BAD = {
    "not JSON": b"{",
    "no requests": b'{"requests": []}',
    "a custom_id of another alphabet": json.dumps({"requests": [{"custom_id": "a b", "params": {}}]}).encode(),
    "a custom_id twice": json.dumps({"requests": requests(1) * 2}).encode(),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_a_bad_batch_of_messages_is_refused(http, body):
    answer = http.post(BATCHES, content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_bad_batch_of_chats_is_refused(gpt, http):
    with pytest.raises(openai.NotFoundError):
        gpt.batches.create(input_file_id="file-x", endpoint="/v1/responses", completion_window="24h")
    file = gpt.files.create(file=("in.jsonl", lines([asked()], "/v1/embeddings")), purpose="batch")
    with pytest.raises(openai.BadRequestError):
        gpt.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    assert http.post("/openai/v1/files", json={}).status_code == 400
    assert http.get("/openai/v1/batches", headers={**HEADERS, "authorization": ""}).status_code == 401
