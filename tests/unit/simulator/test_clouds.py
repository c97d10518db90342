"""What the simulator plays of Azure's and Vertex's own ways."""

import json

import anthropic
import httpx
import openai
import pytest

from tests.unit.simulator.questions import asked

OLD = "/azure/openai/deployments/my-gpt"
CLAUDE = "/vertex/v1/projects/p/locations/us-central1/publishers/anthropic/models"
MESSAGES = {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello!"}]}
VERSION = {"anthropic_version": "vertex-2023-10-16"}
TOKEN = {"authorization": "Bearer ya29.t"}


@pytest.mark.parametrize("version", [None, "2024-10-21"])
def test_azures_own_sdk_is_answered_at_both_surfaces(url, version):
    at = (
        {"api_version": version, "azure_endpoint": f"{url}/azure"}
        if version
        else {"base_url": f"{url}/azure/openai/v1"}
    )
    client = openai.AzureOpenAI(api_key="k", **at) if version else openai.OpenAI(api_key="k", **at)
    with client:
        answer = client.chat.completions.create(model="my-gpt", messages=[{"role": "user", "content": "Hello!"}])
        vectors = client.embeddings.create(model="my-gpt", input="Hello!")
        response = client.responses.create(model="my-gpt", input="Hello!")
    assert answer.model == response.model == vectors.model == "my-gpt"
    assert answer.choices[0].message.content


def test_the_deployment_in_the_path_is_the_model(url):
    answer = httpx.post(f"{url}{OLD}/chat/completions?api-version=1", json=asked(), headers={"api-key": "k"})
    assert answer.json()["model"] == "my-gpt"
    busy = f"{url}{OLD.replace('my-gpt', 'sim-429')}/chat/completions?api-version=1"
    assert httpx.post(busy, json=asked(), headers={"api-key": "k"}).status_code == 429


@pytest.mark.parametrize("path", ["/azure/openai/v1/chat/completions", f"{OLD}/chat/completions?api-version=1"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [({"api-key": "k"}, 200), (TOKEN, 200), ({"x-api-key": "k"}, 401), ({}, 401)],
)
def test_azure_takes_its_own_header_or_a_token(url, path, headers, status):
    assert httpx.post(url + path, json=asked(), headers=headers).status_code == status


def test_an_older_azure_address_needs_a_version(url):
    answer = httpx.post(f"{url}{OLD}/chat/completions", json=asked(), headers={"api-key": "k"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "404")


def test_anthropics_own_sdk_for_vertex_is_answered(url):
    with anthropic.AnthropicVertex(
        base_url=f"{url}/vertex/v1", project_id="p", region="us-central1", access_token="t"
    ) as client:
        extra = {"extra_body": VERSION}
        answer = client.messages.create(model="claude-sonnet-5", **MESSAGES, **extra)
        assert (answer.model, answer.type) == ("claude-sonnet-5", "message")
        with client.messages.stream(model="claude-sonnet-5", **MESSAGES, **extra) as stream:
            assert stream.get_final_message().content[0].text
        assert client.messages.count_tokens(
            model="claude-sonnet-5", messages=MESSAGES["messages"], **extra
        ).input_tokens


@pytest.mark.parametrize(
    ("verb", "changed", "headers", "status", "named"),
    [
        ("rawPredict", {}, TOKEN, 200, ""),
        ("rawPredict", {}, {"x-goog-api-key": "AIza"}, 200, ""),
        ("rawPredict", {}, {}, 401, "credential"),
        ("rawPredict", {}, {"x-api-key": "k"}, 401, "credential"),
        ("rawPredict", {"model": "claude"}, TOKEN, 400, "model: "),
        ("rawPredict", {"anthropic_version": None}, TOKEN, 400, "anthropic_version: "),
        ("rawPredict", {"stream": True}, TOKEN, 400, "stream: "),
        ("streamRawPredict", {}, TOKEN, 400, "stream: "),
        ("streamRawPredict", {"stream": True}, TOKEN, 200, ""),
    ],
)  # fmt: skip
def test_vertex_wants_googles_credential_and_its_own_shape(url, verb, changed, headers, status, named):
    body = {**MESSAGES, **VERSION, **changed}
    answer = httpx.post(f"{url}{CLAUDE}/claude-sonnet-5:{verb}", content=json.dumps(body), headers=headers)
    assert answer.status_code == status
    if named:
        assert named in answer.json()["error"]["message"]
