"""What is told to a model in its maker's own words: the `additionalModelRequestFields` of Converse."""

from __future__ import annotations

import re

from shared.chat import ChatRequest, Reasoning
from shared.wire import bedrock as wire
from worker.providers.claude import plan
from worker.providers.losses import Losses

CLAUDE = re.compile(r"claude")

_CACHES = re.compile(r"claude-(?!instant|v2|3-(?:haiku|sonnet|opus|5-sonnet))")
_CACHES_FOR_AN_HOUR = re.compile(r"claude-[a-z]+-(?:4-[5-9]|[5-9])(?!\d)")
"""Others refuse a cache point, or its `ttl` (https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html)."""
_NOVA = re.compile(r"amazon\.nova")
_NOVA_THAT_REASONS = re.compile(r"amazon\.nova-2")
_GPT_OSS = re.compile(r"openai\.gpt-oss")
_MISTRAL = re.compile(r"mistral\.")

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
"""Efforts as the models know them that are not Claude."""


def cache_points(request: ChatRequest, losses: Losses) -> dict[str, wire.CachePoint]:
    """What follows on the canonical paths that the client has marked; nothing for models without a prompt cache."""
    if not _CACHES.search(request.model):
        return {}
    points = {}
    for path, ttl in request.cache_marks.items():
        lasting = ttl == "1h" and _CACHES_FOR_AN_HOUR.search(request.model) is not None
        if ttl == "1h" and not lasting:
            losses.drop(f"{path}.cache_control.ttl", "ttl")
        points[path] = wire.CachePoint("default", ttl if lasting else None)
    return points


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
