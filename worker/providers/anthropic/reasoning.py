"""How hard to think, as the asked model understands it: effort, or on older models a budget."""

from __future__ import annotations

import re

from shared.chat import ChatRequest, Reasoning, ToolCall
from shared.wire import anthropic as wire
from worker.providers.anthropic.losses import Losses

DEFAULT_MAX_TOKENS = 4096
"""For callers that give no limit, which this wire demands: the smallest output limit of any Claude model (3 Haiku),
so no model refuses it."""

_MIN_BUDGET = 1024
"""The API refuses a smaller `budget_tokens`."""

_BUDGETS = {"low": 2_000, "medium": 8_000, "high": 24_000, "xhigh": 27_000, "max": 27_000}
"""Tokens of thinking that stand for an effort; the highest leaves room for an answer below the 32,000 of Opus 4."""

_WITHOUT_THINKING = re.compile(r"claude-(?:instant|2|3-(?!7))")
"""Models before 3.7: no thinking and no effort."""

_WITH_BUDGET = re.compile(r"claude-(?:3-7|haiku-4-5|sonnet-4-(?:0|5|20\d{6})|opus-4-(?:0|1|20\d{6}))")
"""Models that think within a budget and refuse an effort. The list is closed: later ones take an effort."""


def plan(request: ChatRequest, losses: Losses) -> tuple[int, wire.ThinkingConfig | None, str | None]:
    """`max_tokens`, `thinking` and `output_config.effort` for the request."""
    limit = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    wanted = request.reasoning
    if wanted is None:
        return limit, None, None
    if wanted.mode is not None:
        return limit, wire.ThinkingConfig(wanted.mode, wanted.budget_tokens), wanted.effort
    return _from_effort(request, wanted, limit, losses)


def _from_effort(
    request: ChatRequest, wanted: Reasoning, limit: int, losses: Losses
) -> tuple[int, wire.ThinkingConfig | None, str | None]:
    by_budget = _WITH_BUDGET.search(request.model) is not None
    takes_effort = not by_budget and _WITHOUT_THINKING.search(request.model) is None
    if wanted.effort in {"none", "minimal"}:
        return (limit, wire.ThinkingConfig("disabled"), "low") if takes_effort else (limit, None, None)
    if takes_effort:
        return limit, None, wanted.effort
    budget = _BUDGETS.get(wanted.effort or "", 0)
    if request.max_tokens is None:
        limit += budget
    budget = min(budget, limit - 1)
    if by_budget and budget >= _MIN_BUDGET and _may_think(request):
        return limit, wire.ThinkingConfig("enabled", budget), None
    losses.drop("reasoning_effort")
    return DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens, None, None


def _may_think(request: ChatRequest) -> bool:
    """Whether the API accepts a budget beside the rest of the request.

    It refuses other sampling, a forced tool, and history with calls whose thinking is missing, as it is in every
    history that came over another wire.
    """
    sampled = request.temperature not in {None, 1} or request.top_p is not None or request.top_k is not None
    forced = request.tool_choice is not None and request.tool_choice.mode in {"any", "tool", "subset"}
    called = any(isinstance(part, ToolCall) for message in request.messages for part in message.content)
    return not (sampled or forced or called)
