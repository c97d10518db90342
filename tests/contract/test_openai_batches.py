"""Batches through the OpenAI SDK: a file in, a file out, which can be read while the batch runs."""

import json
import time
import uuid

import openai
import pytest

from tests.contract.asking import GPT, turn
from tests.contract.process import eventually

ENDS_WITHIN_S = 60.0
FINAL = {"completed", "failed", "expired", "cancelled"}


@pytest.fixture
def submitted(gpt: openai.OpenAI):
    """A function that uploads these models' questions and makes a batch of them."""

    def submit(models: list[str], **more):
        lines = [
            {
                "custom_id": f"r{number}",
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": model, "messages": turn(f"{uuid.uuid4().hex} {number}")},
            }
            for number, model in enumerate(models)
        ]
        file = gpt.files.create(file=("batch.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
        return gpt.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", **more
        )

    return submit


def ended(gpt: openai.OpenAI, batch_id: str):
    def look():
        batch = gpt.batches.retrieve(batch_id)
        return batch if batch.status in FINAL else None

    return eventually(look, ENDS_WITHIN_S, "the batch has not ended")


def lines(gpt: openai.OpenAI, file_id: str) -> list[dict]:
    return [json.loads(line) for line in gpt.files.content(file_id).text.splitlines()]


def test_every_line_comes_back_once_in_the_output_or_the_error_file(gpt: openai.OpenAI, submitted):
    batch = ended(gpt, submitted([GPT, "anthropic/claude-sim-large", "sim-400", GPT], metadata={"team": "a"}).id)
    assert (batch.status, batch.metadata) == ("completed", {"team": "a"})
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (4, 3, 1)
    out, err = lines(gpt, batch.output_file_id), lines(gpt, batch.error_file_id)
    assert sorted(line["custom_id"] for line in out) == ["r0", "r1", "r3"]
    assert all(line["response"]["body"]["choices"][0]["message"]["content"] for line in out)
    assert [(line["custom_id"], line["response"]["status_code"]) for line in err] == [("r2", 400)]


def test_results_can_be_read_while_the_batch_runs(gpt: openai.OpenAI, submitted):
    batch_id = submitted([GPT] * 100 + ["sim-latency-4000"] * 100).id

    def partial():
        batch = gpt.batches.retrieve(batch_id)
        return batch if batch.output_file_id and batch.status == "in_progress" else None

    running = eventually(partial, ENDS_WITHIN_S, "no result was shown before the end")
    so_far = eventually(lambda: lines(gpt, running.output_file_id), ENDS_WITHIN_S, "no result could be read")
    file = gpt.files.retrieve(running.output_file_id)
    assert (file.id, file.purpose, file.filename) == (
        running.output_file_id,
        "batch_output",
        f"{running.id}_output.jsonl",
    )
    assert file.bytes > 0
    assert {line["custom_id"] for line in so_far} <= {f"r{number}" for number in range(100)}
    batch = ended(gpt, batch_id)
    assert batch.output_file_id == running.output_file_id
    assert sorted(line["custom_id"] for line in lines(gpt, batch.output_file_id)) == sorted(
        f"r{number}" for number in range(200)
    )
    assert gpt.files.delete(batch.output_file_id).deleted
    for ask in (gpt.files.retrieve, gpt.files.content):
        with pytest.raises(openai.NotFoundError):
            ask(batch.output_file_id)


def test_a_cancelled_batch_says_of_every_line_what_became_of_it(gpt: openai.OpenAI, submitted):
    batch_id = submitted(["sim-latency-1500"] * 300).id
    gpt.batches.cancel(batch_id)
    batch = ended(gpt, batch_id)
    assert batch.status == "cancelled"
    out = lines(gpt, batch.output_file_id) if batch.output_file_id else []
    err = lines(gpt, batch.error_file_id)
    assert sorted(line["custom_id"] for line in out + err) == sorted(f"r{number}" for number in range(300))
    assert {line["error"]["code"] for line in err} == {"batch_cancelled"}


def test_the_output_expires_when_it_was_asked_to(gpt: openai.OpenAI, submitted):
    batch = ended(gpt, submitted([GPT], output_expires_after={"anchor": "created_at", "seconds": 3600}).id)
    file = gpt.files.retrieve(batch.output_file_id)
    assert file.purpose == "batch_output"
    assert file.expires_at - time.time() == pytest.approx(3600, abs=60)


def test_a_batch_api_that_a_provider_has_not_is_refused_by_name(submitted):
    asked = {"extra_headers": {"x-bf-batch-mode": "native"}, "extra_body": {"provider": "ollama"}}
    with pytest.raises(openai.BadRequestError) as refused:
        submitted([GPT], **asked)
    assert refused.value.param == "x-bf-batch-mode"


def test_a_batch_runs_at_the_providers_own_batch_api_when_asked_to(gpt: openai.OpenAI, submitted):
    batch = ended(gpt, submitted([GPT] * 5, extra_headers={"x-bf-batch-mode": "native"}).id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 5)
    assert len(lines(gpt, batch.output_file_id)) == 5
