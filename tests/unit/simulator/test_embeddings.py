"""OpenAI's SDK accepts the simulator as its provider of embeddings."""

from __future__ import annotations

import base64
import math
import struct

import openai
import pytest

from tests.unit.simulator.questions import EMBEDDINGS

HELLO = {"model": "text-embedding-3-small", "input": "hello"}


def test_the_sdk_decodes_what_it_asks_for_by_default(gpt):
    by_default = gpt.embeddings.create(**HELLO)
    as_floats = gpt.embeddings.create(**HELLO, encoding_format="float")
    assert by_default.data[0].embedding == pytest.approx(as_floats.data[0].embedding, abs=1e-7)
    assert (by_default.model, by_default.object, by_default.data[0].object) == (HELLO["model"], "list", "embedding")
    assert by_default._request_id


def test_vectors_depend_on_the_text_alone_and_have_unit_length(gpt):
    one, other, again = gpt.embeddings.create(model="m", input=["hello", "bye", "hello"]).data
    assert [one.index, other.index, again.index] == [0, 1, 2]
    assert one.embedding == again.embedding == gpt.embeddings.create(**HELLO).data[0].embedding
    assert one.embedding != other.embedding
    assert math.hypot(*one.embedding) == pytest.approx(1)


@pytest.mark.parametrize(("more", "length"), [({}, 16), ({"dimensions": 1}, 1), ({"dimensions": 3072}, 3072)])
def test_vectors_are_as_long_as_asked(gpt, more, length):
    vector = gpt.embeddings.create(**HELLO, **more).data[0].embedding
    assert len(vector) == length
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_base64_is_little_endian_float32_and_floats_are_the_default(http):
    floats = http.post(EMBEDDINGS, json=HELLO).json()["data"][0]["embedding"]
    packed = http.post(EMBEDDINGS, json={**HELLO, "encoding_format": "base64"}).json()["data"][0]["embedding"]
    assert list(struct.unpack("<16f", base64.b64decode(packed))) == pytest.approx(floats, abs=1e-7)


@pytest.mark.parametrize(
    ("given", "vectors", "tokens"),
    [
        ("hello world", 1, 2),
        (["hello world", "bye"], 2, 3),
        ([8134, 2308, 0], 1, 3),
        ([[8134], [2308, 7]], 2, 3),
    ],
)
def test_texts_and_tokens_are_counted(gpt, given, vectors, tokens):
    answer = gpt.embeddings.create(model="m", input=given)
    assert len(answer.data) == vectors
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"model": None}, "model", "invalid_type"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": ""}, None, None),
        ({"input": []}, None, None),
        ({"input": [""]}, None, None),
        ({"input": [[]]}, None, None),
        ({"input": ["hello", 7]}, None, None),
        ({"input": ["hello", [7]]}, None, None),
        ({"input": 7}, "input", "invalid_type"),
        ({"input": [{}]}, "input[0]", "invalid_type"),
        ({"input": ["hello"] * 2049}, "input", "array_above_max_length"),
        ({"encoding_format": "md5"}, "encoding_format", "invalid_value"),
        ({"encoding_format": 7}, "encoding_format", "invalid_type"),
        ({"dimensions": 0}, "dimensions", "integer_below_min_value"),
        ({"dimensions": 3073}, "dimensions", None),
        ({"dimensions": "16"}, "dimensions", "invalid_type"),
    ],
)
def test_a_bad_body_is_refused_naming_the_field(http, more, param, code):
    answer = http.post(EMBEDDINGS, json={**HELLO, **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)


def test_missing_fields_are_named(http):
    for name in HELLO:
        answer = http.post(EMBEDDINGS, json={key: value for key, value in HELLO.items() if key != name})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("sim-429", openai.RateLimitError),
        ("sim-stream-error", openai.InternalServerError),
        ("sim-cut", openai.APIConnectionError),
        ("sim-cut-stream", openai.APIConnectionError),
    ],
)
def test_ordered_faults_raise_the_sdks_own_errors(gpt, model, error):
    with pytest.raises(error):
        gpt.embeddings.create(model=model, input="hello")


def test_the_latency_is_as_ordered(http):
    assert http.post(EMBEDDINGS, json={**HELLO, "model": "sim-latency-150"}).elapsed.total_seconds() > 0.14
