"""The catalog: who the providers are and how to speak to them."""

from __future__ import annotations

import pytest

from worker.providers.addresses import base_url
from worker.providers.anthropic import ANTHROPIC
from worker.providers.catalog import ROWS, adapters, custom, relays
from worker.providers.openai import OPENAI
from worker.providers.openai.responses import OPENAI_RESPONSES
from worker.routing import NO_KEY

NAMED = {
    "anthropic",
    "azure",
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
    assert row.auth in {"bearer", "x-api-key", "api-key"}
    assert row.max_tokens_field in {"max_tokens", "max_completion_tokens"}
    if row.base_url is not None:
        assert row.base_url.startswith(("https://", "http://127.0.0.1:"))
        assert not row.base_url.endswith("/")


def test_every_wire_has_its_adapter() -> None:
    assert adapters() == {"anthropic": ANTHROPIC, "openai_chat": OPENAI}


def test_responses_are_passed_through_to_those_who_speak_them() -> None:
    assert relays() == {"openai_responses": OPENAI_RESPONSES}
    assert {name: row.relays for name, row in ROWS.items() if row.relays} == {
        "azure": ("openai_responses",),
        "openai": ("openai_responses",),
    }
    assert custom("mine", "openai").relays == ()


@pytest.mark.parametrize("name", ["azure", "vertex"])
def test_a_provider_without_a_public_address_needs_one(name: str) -> None:
    assert base_url(ROWS[name], None, NO_KEY, "m") == ""


def test_only_local_servers_need_no_key() -> None:
    assert {name for name, row in ROWS.items() if row.key_optional} == {"ollama", "vllm"}


@pytest.mark.parametrize(
    ("name", "configured", "expected"),
    [
        ("openai", None, "https://api.openai.com/v1"),
        ("openai", "http://proxy:9000", "http://proxy:9000/v1"),
        ("openai", "http://proxy:9000/", "http://proxy:9000/v1"),
        ("openai", "http://proxy:9000/custom", "http://proxy:9000/custom"),
        ("azure", "https://me.openai.azure.com", "https://me.openai.azure.com/openai/v1"),
        ("azure", "https://me.openai.azure.com/openai/v1/", "https://me.openai.azure.com/openai/v1"),
        ("gemini", "http://proxy:9000", "http://proxy:9000/v1beta/openai"),
        ("anthropic", "http://proxy:9000", "http://proxy:9000"),
        ("vertex", "https://x.googleapis.com/v1/projects/p", "https://x.googleapis.com/v1/projects/p"),
    ],
)
def test_a_configured_origin_gets_the_path_of_the_api(name: str, configured: str | None, expected: str) -> None:
    assert base_url(ROWS[name], configured, NO_KEY, "m") == expected


@pytest.mark.parametrize(
    ("kind", "wire", "auth", "expected"),
    [
        ("openai", "openai_chat", "bearer", "http://h:1/v1"),
        ("anthropic", "anthropic", "x-api-key", "http://h:1"),
    ],
)
def test_a_custom_provider_speaks_the_wire_of_its_kind(kind: str, wire: str, auth: str, expected: str) -> None:
    row = custom("mine", kind)
    assert (row.name, row.wire, row.auth, row.base_url) == ("mine", wire, auth, None)
    assert base_url(row, "http://h:1", NO_KEY, "m") == expected


def test_a_custom_provider_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="cohere"):
        custom("mine", "cohere")
