"""The providers: who they are is a row, how to speak to them is the adapter of the row's wire."""

from __future__ import annotations

from msgspec.structs import replace

from worker.providers.anthropic import ANTHROPIC
from worker.providers.anthropic.vertex import ANTHROPIC_VERTEX
from worker.providers.base import Adapter, PassThrough, Row
from worker.providers.bedrock import BEDROCK
from worker.providers.gemini import GEMINI
from worker.providers.gemini.embeddings import VERTEX_EMBEDDINGS
from worker.providers.openai import OPENAI
from worker.providers.openai.embeddings import OPENAI_EMBEDDINGS
from worker.providers.openai.responses import OPENAI_RESPONSES

_YOUTUBE = ("https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/")
_GOOGLE = ("https://generativelanguage.googleapis.com/", *_YOUTUBE)
"""What Gemini reads itself: its file API, and public videos (https://ai.google.dev/gemini-api/docs/video-understanding;
Vertex has the videos, and no such file API)."""

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
        name="azure",  # `model` is a deployment, whose name does not tell what model it is
        wire="openai_chat",
        auth="api-key",
        max_tokens_field="max_completion_tokens",
        api_path="/openai/v1",
        relays=("openai_responses",),
        batches="openai",
    ),
    Row(
        name="gemini",
        wire="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        auth="x-goog-api-key",
        batches="gemini",
        embeds="openai",
        fetches=False,
        reads=_GOOGLE,
    ),
    Row(
        name="vertex",  # a key's value is an API key; without one its calls are signed
        wire="gemini",
        auth="x-goog-api-key",
        model_wires=(("claude", "anthropic_vertex"),),
        embeds="vertex",
        fetches=False,
        reads=_YOUTUBE,
    ),
    Row(name="bedrock", wire="bedrock", batches="bedrock", fetches=False),  # its keys say in which region
    Row(
        name="ollama",  # its own /api/chat says no more of tools, images or thoughts, and hears no tool_choice either
        wire="openai_chat",
        base_url="http://127.0.0.1:11434/v1",
        key_optional=True,
        chooses_freely=True,
        reasoning_field="reasoning",
        fetches=False,
    ),
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
        call_id_chars=9,  # "must be a-z, A-Z, 0-9, with a length of 9", says its 400 of any other
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
    Row(
        name="xai",
        wire="openai_chat",
        base_url="https://api.x.ai/v1",
        reasoning_field="reasoning_content",
    ),
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
    "anthropic": Row(name="", wire="anthropic", auth="x-api-key"),
    "bedrock": Row(name="", wire="bedrock", fetches=False),
    "gemini": Row(name="", wire="gemini", auth="x-goog-api-key", api_path="/v1beta", fetches=False, reads=_GOOGLE),
    "openai": Row(name="", wire="openai_chat", api_path="/v1"),
}


def adapters() -> dict[str, Adapter]:
    """The adapters by their wire; one that speaks it elsewhere than its maker has a name of its own."""
    own = {adapter.wire: adapter for adapter in (ANTHROPIC, OPENAI, GEMINI, BEDROCK)}
    return {**own, "anthropic_vertex": ANTHROPIC_VERTEX}


def relays() -> dict[str, PassThrough]:
    """What passes bodies through on the wires that rows speak besides their own, by wire."""
    return {relay.wire: relay for relay in (OPENAI_RESPONSES,)}


def embedders() -> dict[str, PassThrough]:
    """What asks for embeddings where a row's own wire has none, by the name in `Row.embeds`."""
    return {"openai": OPENAI_EMBEDDINGS, "vertex": VERTEX_EMBEDDINGS}


def custom(name: str, base_provider_type: str) -> Row:
    """The row of a custom provider, which speaks the wire of another at an address of its own.

    An OpenAI-compatible server gets `max_tokens` and `system`, which old ones understand too.

    Raises:
        ValueError: another `base_provider_type`.
    """
    if base_provider_type not in _CUSTOM:
        raise ValueError(f"base_provider_type must be one of {', '.join(_CUSTOM)}, not {base_provider_type!r}")
    return replace(_CUSTOM[base_provider_type], name=name)
