"""Embeddings in the OpenAI Chat dialect: the envelope and the placeholder."""

import json

import pytest

from shared.dialects.base import Head
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest
from shared.jobs import State
from tests.made import a_job


@pytest.mark.parametrize("given", ["text", ["text", "more"], [1, 2], [[1], [2, 3]]])
def test_every_form_of_input_is_accepted(given):
    body = json.dumps({"model": "m", "input": given, "encoding_format": "base64"}).encode()
    assert OPENAI_CHAT.read_head(body, "embeddings") == Head(model="m")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "", "input": "x"}, "model"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": [1.5]}, "input[0]"),
        ({"model": "m", "input": "x", "dimensions": "4"}, "dimensions"),
        ({"model": "m", "input": "x", "stream": True}, "stream"),
    ],
)
def test_a_wrong_field_is_named(body, param):
    with pytest.raises(InvalidRequest) as refused:
        OPENAI_CHAT.read_head(json.dumps(body).encode(), "embeddings")
    assert refused.value.param == param


def test_the_placeholder_holds_one_vector_without_numbers_for_the_sdk_raises_on_none():
    job = a_job(id="job", model="openai/m", operation="embeddings")
    assert json.loads(OPENAI_CHAT.placeholder(job, State.QUEUED)) == {
        "id": "job",
        "object": "list",
        "model": "openai/m",
        "data": [{"object": "embedding", "index": 0, "embedding": []}],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }
