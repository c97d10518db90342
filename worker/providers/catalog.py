"""The providers: who they are is a row, how to speak to them is the adapter of the row's wire."""

from __future__ import annotations

from worker.providers.anthropic import ANTHROPIC
from worker.providers.base import Adapter, PassThrough, Row
from worker.providers.openai import OPENAI
from worker.providers.openai.responses import OPENAI_RESPONSES

_ROWS = (
    Row(
        name="anthropic",
        wire="anthropic",
        base_url="https://api.anthropic.com",
        auth="x-api-key",
        batches="anthropic",
    ),
    Row(
        name="openai",
        wire="openai_chat",
        base_url="https://api.openai.com/v1",
        max_tokens_field="max_completion_tokens",
        system_role="developer",  # on reasoning models; the others get `system`
        relays=("openai_responses",),
        batches="openai",
    ),
    Row(
        name="azure",  # the v1 surface, where `model` is the deployment; its names do not tell what model it is
        wire="openai_chat",
        auth="api-key",
        max_tokens_field="max_completion_tokens",
        api_path="/openai/v1",
        relays=("openai_responses",),
        batches="openai",
    ),
    Row(
        name="gemini",
        wire="openai_chat",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    Row(name="vertex", wire="openai_chat"),  # …/v1/projects/{project}/locations/{location}/endpoints/openapi
    Row(name="ollama", wire="openai_chat", base_url="http://127.0.0.1:11434/v1", key_optional=True),
    Row(name="vllm", wire="openai_chat", base_url="http://127.0.0.1:8000/v1", key_optional=True),
    Row(
        name="groq",
        wire="openai_chat",
        base_url="https://api.groq.com/openai/v1",
        max_tokens_field="max_completion_tokens",
    ),
    Row(
        name="mistral",  # answers 422 to a field it does not know, and ends every stream with the usage unasked
        wire="openai_chat",
        base_url="https://api.mistral.ai/v1",
        stream_usage=False,
        strict_fields=True,
    ),
    Row(name="together", wire="openai_chat", base_url="https://api.together.xyz/v1"),
    Row(name="fireworks", wire="openai_chat", base_url="https://api.fireworks.ai/inference/v1"),
    Row(
        name="deepseek",
        wire="openai_chat",
        base_url="https://api.deepseek.com/v1",
        reasoning_field="reasoning_content",
    ),
    Row(
        name="openrouter",
        wire="openai_chat",
        base_url="https://openrouter.ai/api/v1",
        reasoning_field="reasoning",
    ),
    Row(name="xai", wire="openai_chat", base_url="https://api.x.ai/v1"),
    Row(
        name="cerebras",
        wire="openai_chat",
        base_url="https://api.cerebras.ai/v1",
        max_tokens_field="max_completion_tokens",
    ),
    Row(
        name="perplexity",  # every chunk holds the usage unasked
        wire="openai_chat",
        base_url="https://api.perplexity.ai",
        stream_usage=False,
    ),
)

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
"""By provider name."""

_CUSTOM = {
    "openai": Row(name="", wire="openai_chat", api_path="/v1"),
    "anthropic": Row(name="", wire="anthropic", auth="x-api-key"),
}


def adapters() -> dict[str, Adapter]:
    """The adapters by their wire."""
    return {adapter.wire: adapter for adapter in (ANTHROPIC, OPENAI)}


def relays() -> dict[str, PassThrough]:
    """What passes bodies through on the wires that rows speak besides their own, by wire."""
    return {relay.wire: relay for relay in (OPENAI_RESPONSES,)}


def custom(name: str, base_provider_type: str) -> Row:
    """The row of a custom provider, which speaks the wire of `openai` or `anthropic` at an address of its own.

    An OpenAI-compatible server gets `max_tokens` and `system`, which old ones understand too.

    Raises:
        ValueError: another `base_provider_type`.
    """
    if base_provider_type not in _CUSTOM:
        raise ValueError(f"base_provider_type must be openai or anthropic, not {base_provider_type!r}")
    base = _CUSTOM[base_provider_type]
    return Row(name=name, wire=base.wire, auth=base.auth, api_path=base.api_path)
