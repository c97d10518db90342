"""The catalog: who the providers are and how to speak to them."""

from __future__ import annotations

import pytest

from worker.providers.addresses import base_url
from worker.providers.anthropic import ANTHROPIC
from worker.providers.anthropic.vertex import ANTHROPIC_VERTEX
from worker.providers.bedrock import BEDROCK
from worker.providers.catalog import ROWS, adapters, custom, relays
from worker.providers.gemini import GEMINI
from worker.providers.openai import OPENAI
from worker.providers.openai.responses import OPENAI_RESPONSES
from worker.routing import NO_KEY

NAMED = {
    "anthropic",
    "azure",
    "bedrock",
    "cerebras",
    "deepseek",
    "fireworks",
    "gemini",
    "groq",
    "mistral",
    "ollama",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "vertex",
    "vllm",
    "xai",
}


def test_every_provider_has_a_row_under_its_name() -> None:
    assert set(ROWS) == NAMED
    assert all(row.name == name for name, row in ROWS.items())


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_row_has_an_adapter_and_a_usable_address(name: str) -> None:
    row = ROWS[name]
    assert adapters()[row.wire].wire == row.wire
    assert all(adapter in adapters() for _, adapter in row.model_wires)
    assert row.auth in {"bearer", "x-api-key", "api-key", "x-goog-api-key"}
    assert row.max_tokens_field in {"max_tokens", "max_completion_tokens"}
    if row.base_url is not None:
        assert row.base_url.startswith(("https://", "http://127.0.0.1:"))
        assert not row.base_url.endswith("/")


def test_every_wire_has_its_adapter() -> None:
    assert adapters() == {
        "anthropic": ANTHROPIC,
        "anthropic_vertex": ANTHROPIC_VERTEX,
        "bedrock": BEDROCK,
        "gemini": GEMINI,
        "openai_chat": OPENAI,
    }


@pytest.mark.parametrize("name", ["bedrock", "gemini", "ollama", "vertex"])
def test_who_fetches_no_pictures_gets_them_fetched(name: str) -> None:
    assert not ROWS[name].fetches
    assert not any(row.fetches for row in (custom("mine", "gemini"), custom("mine", "bedrock")))


def test_responses_are_passed_through_to_those_who_speak_them() -> None:
    assert relays() == {"openai_responses": OPENAI_RESPONSES}
    assert {name: row.relays for name, row in ROWS.items() if row.relays} == {
        "azure": ("openai_responses",),
        "openai": ("openai_responses",),
    }
    assert custom("mine", "openai").relays == ()


def test_only_local_servers_need_no_key() -> None:
    assert {name for name, row in ROWS.items() if row.key_optional} == {"ollama", "vllm"}


@pytest.mark.parametrize(
    ("kind", "wire", "auth", "expected"),
    [
        ("openai", "openai_chat", "bearer", "http://h:1/v1"),
        ("anthropic", "anthropic", "x-api-key", "http://h:1"),
        ("gemini", "gemini", "x-goog-api-key", "http://h:1/v1beta"),
        ("bedrock", "bedrock", "bearer", "http://h:1"),
    ],
)
def test_a_custom_provider_speaks_the_wire_of_its_kind(kind: str, wire: str, auth: str, expected: str) -> None:
    row = custom("mine", kind)
    assert (row.name, row.wire, row.auth, row.base_url) == ("mine", wire, auth, None)
    assert base_url(row, "http://h:1", NO_KEY, "m") == expected


def test_a_custom_provider_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="cohere"):
        custom("mine", "cohere")
