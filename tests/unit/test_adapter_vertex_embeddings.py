"""OpenAI's embeddings on Vertex: what cannot be asked for, and answers that cannot be shown."""

import json

import pytest

from shared.errors import Garbled, InvalidRequest
from shared.ids import job_id, now_ms
from shared.jobs import Job
from worker.providers.catalog import ROWS
from worker.providers.gemini.embeddings import VERTEX_EMBEDDINGS

JOB = Job(
    id=job_id(),
    owner="me",
    dialect="openai_chat",
    operation="embeddings",
    model="vertex/m",
    request_id="r",
    ttl_s=60,
    deadline_ms=now_ms() + 60_000,
    created_ms=now_ms(),
)


def answer(*values):
    return json.dumps({"predictions": [{"embeddings": {"values": values, "statistics": {"token_count": 3}}}]}).encode()


@pytest.mark.parametrize(("field", "wrong"), [("input", [1, 2]), ("input", [[1], [2]]), ("task_type", 7)])
def test_what_cannot_be_asked_for_is_refused_by_its_name(field, wrong):
    body = json.dumps({"model": "vertex/m", "input": "a", field: wrong}).encode()
    with pytest.raises(InvalidRequest, match=f"^{field}: ") as caught:
        VERTEX_EMBEDDINGS.edit(body, ROWS["vertex"], "m")
    assert caught.value.param == field


def test_vectors_are_shown_as_they_came_and_their_tokens_are_counted():
    shown = json.loads(VERTEX_EMBEDDINGS.relabel(answer(0.5, 1e300), JOB, b'{"input": "a"}'))
    assert shown["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, 1e300]}]
    assert (shown["model"], shown["usage"]) == ("m", {"prompt_tokens": 3, "total_tokens": 3})
    assert VERTEX_EMBEDDINGS.usage(answer(0.5)).input_tokens == 3


@pytest.mark.parametrize("body", [answer(1e300), b'{"predictions": [{}]}', b"[]"])
def test_an_answer_that_cannot_be_shown_is_the_providers_fault(body):
    with pytest.raises(Garbled) as caught:
        VERTEX_EMBEDDINGS.relabel(body, JOB, b'{"input": "a", "encoding_format": "base64"}')
    assert caught.value.provider == "vertex"
