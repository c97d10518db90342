"""Embeddings: vectors by the SDKs' default encoding, as jobs, and what is refused."""

import hashlib
import json

import pytest

from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk
from tests.contract.wire import Ledger, ask

MODEL = "text-embedding-3-small"
BASES = pytest.mark.parametrize("base", ["/openai", "/openai/v1"])


@pytest.mark.parametrize(("sdk", "script"), runs("embeddings", {}), indirect=["sdk"])
def test_every_sdk_gets_embeddings(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


@BASES
@pytest.mark.parametrize("given", ["Hello!", ["Hello!"], [1, 2, 3], [[1, 2, 3]]], ids=str)
def test_a_text_its_tokens_or_a_list_of_either_is_embedded(gateway: Gateway, base, given):
    answer = ask(gateway.url, "POST", f"{base}/embeddings", {"model": MODEL, "input": given})
    assert answer.status == 200, answer.body
    assert answer.headers["x-request-id"]
    assert answer.headers["x-bf-job-id"]
    assert answer.json["object"] == "list"
    assert [vector["index"] for vector in answer.json["data"]] == [0]


def test_fields_that_nobody_knows_travel_byte_for_byte(gateway: Gateway, ledger: Ledger, user):
    body = {"model": MODEL, "input": "Hello!", "user": user, "from_the_future": {"levels": [1, 2.50, None]}}
    sent = json.dumps(body, separators=(",", ":")).encode()
    assert ask(gateway.url, "POST", "/openai/embeddings", sent).status == 200
    assert ledger.calls(user)[0]["request_sha256"] == hashlib.sha256(sent).hexdigest()


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": "groq/llama"}, "model"),
        ({"model": "anthropic/claude-sim-large"}, "embeddings"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
    ids=str,
)
def test_a_wrong_body_is_refused_with_the_field(gateway: Gateway, changes, names):
    body = {name: value for name, value in {"model": MODEL, "input": "Hello!", **changes}.items() if value is not None}
    answer = ask(gateway.url, "POST", "/openai/embeddings", body)
    assert answer.status == 400, answer.body
    error = answer.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert names in f"{error['message']} {error['param']}"


def test_a_passing_failure_is_healed_by_one_more_attempt(gateway: Gateway, ledger: Ledger, user):
    answer = ask(gateway.url, "POST", "/openai/embeddings", {"model": "sim-500-once", "input": "Hello!", "user": user})
    assert answer.status == 200, answer.body
    assert len(ledger.calls(user)) == 2
