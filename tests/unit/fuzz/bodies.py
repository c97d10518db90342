"""Request bodies for every dialect: what its vendor's SDK would send, often with something wrong."""

from __future__ import annotations

from typing import Any

import anthropic.types
import anthropic.types.beta
import openai.types
import openai.types.chat
import openai.types.responses
from hypothesis import strategies as st

from shared.dialects import DIALECTS
from tests.unit.fuzz.mutations import written
from tests.unit.fuzz.typed import values

_ANTHROPIC = anthropic.types.MessageCreateParams | anthropic.types.beta.MessageCreateParams
_COUNT = anthropic.types.MessageCountTokensParams | anthropic.types.beta.MessageCountTokensParams

TYPES: dict[tuple[str, str], Any] = {
    ("anthropic", "chat"): _ANTHROPIC,
    ("anthropic", "count_tokens"): _COUNT,
    ("openai_chat", "chat"): openai.types.chat.CompletionCreateParams,
    ("openai_chat", "embeddings"): openai.types.EmbeddingCreateParams,
    ("openai_responses", "chat"): openai.types.responses.ResponseCreateParams,
    ("openai_responses", "count_tokens"): openai.types.responses.InputTokenCountParams,
}
"""The vendor's type of a request, by dialect and operation."""
SURFACES = [surface for surface in TYPES if surface[0] in DIALECTS]

_MODELS = st.sampled_from(
    [
        "claude-haiku-4-5",
        "claude-3-7-sonnet-20250219",
        "gpt-5.1",
        "anthropic/claude-haiku-5-5",
        "openai/gpt-4o-mini",
        "mistral/mistral-small",
    ]
)
_ODD_MODELS = st.sampled_from(["openai/", "/", "azure/gpt", "modèle-漢", "a\r\nx-injected: 1", "\x7f", "x" * 5_000])
_FALLBACKS = st.sampled_from([["openai/gpt-4o"], ["mistral/m", "anthropic/c"], ["nobody/x"], [], "default", [{}], [1]])


@st.composite
def _asked(draw: st.DrawFn, hint: Any) -> dict[str, Any]:
    asked: dict[str, Any] = draw(values(hint))
    if draw(st.integers(0, 9)):
        asked["model"] = draw(_MODELS if draw(st.integers(0, 9)) else _ODD_MODELS)
    if not draw(st.integers(0, 9)):
        asked["fallbacks"] = draw(_FALLBACKS)
    return asked


def bodies(dialect: str, operation: str) -> st.SearchStrategy[bytes]:
    """Bytes for a request of `dialect`, half of them valid."""
    return _asked(TYPES[dialect, operation]).flatmap(written)
