"""How hard a Claude is to think, whoever serves it, as the model understands it: an effort, or a budget."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from shared.chat import ChatRequest, ToolCall
from shared.wire import anthropic as wire
from worker.providers.losses import Losses

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

_ADAPTIVE_IF_ASKED = re.compile(r"claude-(?:opus|sonnet)-4-[6-8](?!\d)")
"""Models that think as hard as the effort says, but only when told to; the later ones need no telling."""

_MAY_BE_DISABLED = re.compile(r"claude-(?:(?:opus|sonnet)-(?:4|5(?!-\d))|haiku-5)")
"""Models whose thinking can be disabled. Opus 5.5, Fable and Mythos always think and refuse to be told otherwise."""

_BETWEEN_TOOLS_AT_LEAST = re.compile(r"claude-sonnet-5-5")
"""Models whose least thinking is `between_tools`."""

_Plan: TypeAlias = tuple[int, wire.ThinkingConfig | None, str | None]
"""`max_tokens`, `thinking` and `output_config.effort`."""


def plan(request: ChatRequest, losses: Losses) -> _Plan:
    """`max_tokens`, `thinking` and `output_config.effort` for the request."""
    limit = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    wanted = request.reasoning
    if wanted is None:
        return limit, None, None
    if wanted.mode is not None:
        return limit, wire.ThinkingConfig(wanted.mode, wanted.budget_tokens), wanted.effort
    by_budget = _WITH_BUDGET.search(request.model) is not None
    takes_effort = not by_budget and _WITHOUT_THINKING.search(request.model) is None
    if wanted.effort in {"none", "minimal"}:
        return (limit, _least(request.model, losses), "low") if takes_effort else (limit, None, None)
    budget = _BUDGETS.get(wanted.effort or "", 0)
    roomy = limit + budget if request.max_tokens is None else limit
    if takes_effort:
        return roomy, _adaptive(request, losses), wanted.effort
    budget = min(budget, roomy - 1)
    if by_budget and budget >= _MIN_BUDGET and _may_think(request) and not _has_called(request):
        return roomy, wire.ThinkingConfig("enabled", budget), None
    losses.drop("reasoning.effort")
    return limit, None, None


def _least(model: str, losses: Losses) -> wire.ThinkingConfig | None:
    """The least thinking the model can be told."""
    mode: Literal["disabled", "between_tools"] | None = None
    if _MAY_BE_DISABLED.search(model):
        mode = "disabled"
    elif _BETWEEN_TOOLS_AT_LEAST.search(model):
        mode = "between_tools"
    if mode != "disabled":
        losses.drop("reasoning.effort")
    return wire.ThinkingConfig(mode) if mode else None


def _adaptive(request: ChatRequest, losses: Losses) -> wire.ThinkingConfig | None:
    """What makes the model think that would not by itself; the effort alone where that cannot be."""
    if not _ADAPTIVE_IF_ASKED.search(request.model):
        return None
    if _may_think(request):
        return wire.ThinkingConfig("adaptive")
    losses.drop("reasoning.effort")
    return None


def _may_think(request: ChatRequest) -> bool:
    """Whether the API accepts thinking beside the rest of the request: it refuses other sampling and a forced tool."""
    sampled = request.temperature not in {None, 1} or request.top_p not in {None, 1} or request.top_k is not None
    forced = request.tool_choice is not None and request.tool_choice.mode in {"any", "tool", "subset"}
    return not (sampled or forced)


def _has_called(request: ChatRequest) -> bool:
    """Beside a budget the API wants the thinking before each call back, which no history of another wire has."""
    return any(isinstance(part, ToolCall) for message in request.messages for part in message.content)
