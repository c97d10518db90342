"""Where a call goes, by the provider's row, the operator's address and the key."""

from __future__ import annotations

import pytest

from shared.errors import Unsupported
from shared.provider_settings import AzureKey, BedrockKey, ProviderKey, ProviderSettings, VertexKey
from worker.providers.addresses import base_url, path_of, url
from worker.providers.anthropic.vertex import ANTHROPIC_VERTEX
from worker.providers.catalog import ROWS, adapters
from worker.providers.openai.responses import OPENAI_RESPONSES
from worker.routing import NO_KEY

ENDPOINT = "https://me.openai.azure.com"
GPT = ROWS["azure"].wire
OLD = "2024-10-21"
DEPLOYED = "/openai/deployments/my%20gpt"


def a_key(**facts) -> ProviderKey:
    return ProviderKey(name="k", value="v", **facts)


def azure(**facts) -> ProviderKey:
    return a_key(azure=AzureKey(endpoint=ENDPOINT, **facts))


def vertex(region: str) -> ProviderKey:
    return a_key(vertex=VertexKey(project_id="my-project", region=region))


def bedrock(region: str) -> ProviderKey:
    return a_key(bedrock=BedrockKey(region=region))


@pytest.mark.parametrize(
    ("name", "configured", "expected"),
    [
        ("openai", None, "https://api.openai.com/v1"),
        ("openai", "http://proxy:9000", "http://proxy:9000/v1"),
        ("openai", "http://proxy:9000/", "http://proxy:9000/v1"),
        ("openai", "http://proxy:9000/custom", "http://proxy:9000/custom"),
        ("azure", ENDPOINT, f"{ENDPOINT}/openai/v1"),
        ("azure", f"{ENDPOINT}/openai/v1/", f"{ENDPOINT}/openai/v1"),
        ("azure", None, ""),
        ("gemini", "http://proxy:9000", "http://proxy:9000/v1beta"),
        ("anthropic", "http://proxy:9000", "http://proxy:9000"),
        ("vertex", "https://x.googleapis.com/v1/publishers/google", "https://x.googleapis.com/v1/publishers/google"),
        ("vertex", None, ""),
        ("ollama", "http://gpu:11434", "http://gpu:11434/v1"),
    ],
)
def test_a_configured_origin_gets_the_path_of_the_api(name: str, configured: str | None, expected: str) -> None:
    assert base_url(ROWS[name], configured, NO_KEY, "m") == expected


@pytest.mark.parametrize(
    ("key", "wire", "operation", "expected"),
    [
        (azure(), GPT, "chat", "/openai/v1/chat/completions"),
        (azure(), GPT, "embeddings", "/openai/v1/embeddings"),
        (azure(), GPT, "models", "/openai/v1/models"),
        (azure(api_version=OLD), GPT, "chat", f"{DEPLOYED}/chat/completions?api-version={OLD}"),
        (azure(api_version=OLD), GPT, "embeddings", f"{DEPLOYED}/embeddings?api-version={OLD}"),
        (azure(api_version=OLD), GPT, "models", f"/openai/models?api-version={OLD}"),
        (azure(), "responses", "chat", "/openai/v1/responses"),
        (azure(api_version=OLD), "responses", "chat", f"/openai/responses?api-version={OLD}"),
    ],
)
def test_azure_is_called_at_its_v1_surface_or_with_a_version_at_its_older_one(key, wire, operation, expected) -> None:
    path = (OPENAI_RESPONSES if wire == "responses" else adapters()[wire]).path(operation)
    assert url(ROWS["azure"], None, key, "my gpt", path) == ENDPOINT + expected


def test_an_older_azure_address_keeps_the_query_of_its_path() -> None:
    called = url(ROWS["azure"], None, azure(api_version="v"), "", "/batches?limit=100&after=b1")
    assert called == f"{ENDPOINT}/openai/batches?limit=100&after=b1&api-version=v"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_vertex_is_called_in_the_keys_project_and_region(region: str, host: str) -> None:
    row, place = ROWS["vertex"], f"projects/my-project/locations/{region}/publishers"
    assert url(row, None, vertex(region), "gemini-3-flash", adapters()["gemini"].path("chat", "gemini-3-flash")) == (
        f"https://{host}/v1beta1/{place}/google/models/gemini-3-flash:generateContent"
    )
    claude = "claude-sonnet-5@20260801"
    assert url(row, None, vertex(region), claude, ANTHROPIC_VERTEX.path("chat", claude, stream=True)) == (
        f"https://{host}/v1/{place}/anthropic/models/{claude}:streamRawPredict"
    )


def test_the_list_of_vertex_models_belongs_to_no_project() -> None:
    called = url(ROWS["vertex"], None, vertex("global"), "", "/models")
    assert called == "https://aiplatform.googleapis.com/v1beta1/publishers/google/models"


def test_bedrock_is_called_in_the_keys_region() -> None:
    called = url(ROWS["bedrock"], None, bedrock("eu-west-1"), "m", "/model/m/converse")
    assert called == "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse"


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("vertex", vertex("r"), "http://sim/vertex/v1beta1/projects/my-project/locations/r/publishers/google"),
        ("bedrock", bedrock("us-east-1"), "http://sim/vertex"),
    ],
)
def test_the_operators_address_takes_the_place_of_a_regions_host(name: str, key: ProviderKey, expected: str) -> None:
    assert base_url(ROWS[name], "http://sim/vertex", key, "m") == expected


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("azure", azure(), f"{ENDPOINT}/openai/v1"),
        ("ollama", a_key(base_url="http://gpu-2:11434"), "http://gpu-2:11434/v1"),
        ("vllm", a_key(base_url="http://gpu-3:8000/v1"), "http://gpu-3:8000/v1"),
    ],
)
def test_a_key_with_an_address_of_its_own_goes_nowhere_else(name: str, key: ProviderKey, expected: str) -> None:
    assert base_url(ROWS[name], "https://elsewhere.example/v9", key, "m") == expected


def mine(**facts) -> ProviderSettings:
    return ProviderSettings(name="mine", base_provider_type="openai", **facts)


CHAT = adapters()["openai_chat"]


def test_a_custom_provider_may_be_asked_for_everything_at_the_paths_of_its_wire() -> None:
    paths = {operation: path_of(mine(), CHAT, operation, "m") for operation in ("chat", "embeddings", "models")}
    assert paths == {"chat": "/chat/completions", "embeddings": "/embeddings", "models": "/models"}


@pytest.mark.parametrize(
    ("operation", "stream", "allowed"),
    [
        ("chat", False, {"chat_completion"}),
        ("chat", False, {"responses"}),
        ("chat", True, {"chat_completion_stream"}),
        ("embeddings", False, {"embedding"}),
        ("models", False, {"list_models"}),
    ],
)
def test_what_the_operator_does_not_allow_of_a_custom_provider_is_refused(operation, stream, allowed) -> None:
    assert path_of(mine(allowed_requests=frozenset(allowed)), CHAT, operation, "m", stream=stream)
    others = {"chat_completion", "chat_completion_stream", "embedding", "list_models"} - allowed
    refusing = mine(allowed_requests=frozenset(others - {"chat_completion"} if allowed == {"responses"} else others))
    with pytest.raises(Unsupported, match="mine may not be asked for"):
        path_of(refusing, CHAT, operation, "m", stream=stream)


def test_a_custom_provider_may_have_paths_of_its_own() -> None:
    own = mine(request_path_overrides={"chat_completion": "/v2/chat", "chat_completion_stream": "/v2/chat?sse=1"})
    assert path_of(own, CHAT, "chat", "m") == "/v2/chat"
    assert path_of(own, CHAT, "chat", "m", stream=True) == "/v2/chat?sse=1"
    assert path_of(own, CHAT, "embeddings", "m") == "/embeddings"
