"""What is told to a model in its maker's own words: the `additionalModelRequestFields` of Converse."""

from __future__ import annotations

import re

from shared.chat import ChatRequest, Reasoning
from worker.providers.claude import plan
from worker.providers.losses import Losses

CLAUDE = re.compile(r"claude")

_NOVA = re.compile(r"amazon\.nova")
_NOVA_THAT_REASONS = re.compile(r"amazon\.nova-2")
_GPT_OSS = re.compile(r"openai\.gpt-oss")
_MISTRAL = re.compile(r"mistral\.")

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""Efforts as the models know them that are not Claude."""


def sampling(request: ChatRequest, losses: Losses) -> dict[str, object]:
    """`top_k`, which every maker calls otherwise and most models refuse."""
    if request.top_k is None:
        return {}
    if CLAUDE.search(request.model) or _MISTRAL.search(request.model):
        return {"top_k": request.top_k}
    if _NOVA.search(request.model):
        return {"inferenceConfig": {"topK": request.top_k}}
    losses.drop("top_k")
    return {}


def reasoning(request: ChatRequest, losses: Losses) -> tuple[int | None, dict[str, object], str | None]:
    """How hard to think: the output limit with room for it, the model's own fields, and `outputConfig.effort`."""
    if CLAUDE.search(request.model):
        limit, thinking, effort = plan(request, losses)
        given = None if request.max_tokens is None else limit  # without a limit, Converse takes the model's largest
        return given, {"thinking": thinking} if thinking else {}, effort
    return request.max_tokens, _others(request.model, request.reasoning or Reasoning(mode="disabled"), losses), None


def _others(model: str, wanted: Reasoning, losses: Losses) -> dict[str, object]:
    if wanted.mode == "disabled" or wanted.effort == "none":
        return {}
    effort = _EFFORTS.get(wanted.effort or "")
    if effort and _GPT_OSS.search(model):
        return {"reasoning_effort": effort}
    if effort and _NOVA_THAT_REASONS.search(model):
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    losses.drop("reasoning" if wanted.mode else "reasoning.effort")
    return {}
