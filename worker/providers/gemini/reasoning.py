"""How hard to think, as the asked model understands it: a level, or on Gemini 2.5 a budget of tokens."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from shared.chat import ChatRequest, Reasoning
from shared.wire import gemini as wire
from worker.providers.losses import Losses

_Level: TypeAlias = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"]

FROM_3 = re.compile(r"(?:models/)?gemini-(?![12][.-]|pro-vision)")
"""Gemini 3 and later, and the names that mean the latest: they take a level, and check signatures."""

_WITH_BUDGET = re.compile(r"(?:models/)?gemini-2\.5")
"""Models that take a budget; the ones before think of their own accord or not at all, and refuse to be told."""

_MINIMAL = re.compile(r"gemini-(?:3(?:\.[1-6])?-flash|flash-lite)")
"""Models that know the level MINIMAL; the least of the others is LOW."""

_NO_MEDIUM = re.compile(r"gemini-3-pro")
"""Models that know LOW and HIGH alone."""

_LEVELS: dict[str, _Level] = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
_BUDGET_LEVELS: tuple[tuple[int, _Level], ...] = ((2_048, "LOW"), (8_192, "MEDIUM"))
"""Largest budget, in tokens, that counts as a level; more is HIGH."""

_EFFORT_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}
"""Tokens that stand for an effort; the first four are Google's own: https://ai.google.dev/gemini-api/docs/openai."""

_BUDGETS = (("pro", 128, 32_768), ("flash-lite", 512, 24_576), ("", 1, 24_576))
"""(part of the name, least, most): https://ai.google.dev/gemini-api/docs/thinking#set-budget."""
_DYNAMIC = -1
"""As many tokens as the model thinks fit."""


def thinking_config(request: ChatRequest, losses: Losses) -> wire.ThinkingConfig | None:
    """`thinkingConfig`; whoever asks for reasoning is shown the thoughts."""
    wanted = request.reasoning
    if wanted is None:
        return None
    if wanted.mode == "between_tools":
        losses.drop("reasoning")
    path = "reasoning" if wanted.mode else "reasoning.effort"
    off = wanted.mode == "disabled" or (wanted.mode is None and wanted.effort == "none")
    if FROM_3.match(request.model):
        if off:  # they always think; this is the least of it
            return wire.ThinkingConfig(thinking_level=_known(request.model, "MINIMAL", path, losses))
        return _levelled(request.model, wanted, losses)
    if _WITH_BUDGET.match(request.model):
        return _no_budget(request.model, path, losses) if off else _budgeted(request.model, wanted, losses)
    if not off:
        losses.drop(path)
    return None


def _levelled(model: str, wanted: Reasoning, losses: Losses) -> wire.ThinkingConfig:
    level: _Level | None = None
    if wanted.effort in {"xhigh", "max"}:
        losses.drop("reasoning.effort")
        level = "HIGH"
    elif wanted.effort is not None:
        level = _known(model, _LEVELS.get(wanted.effort) or "LOW", "reasoning.effort", losses)
    if wanted.budget_tokens is not None:
        losses.drop("reasoning.budget_tokens")
        level = level or _level_for(model, wanted.budget_tokens, losses)
    return wire.ThinkingConfig(include_thoughts=True, thinking_level=level)


def _level_for(model: str, budget: int, losses: Losses) -> _Level:
    level: _Level = next((level for most, level in _BUDGET_LEVELS if budget <= most), "HIGH")
    return _known(model, level, "reasoning.budget_tokens", losses)


def _known(model: str, level: _Level, path: str, losses: Losses) -> _Level:
    """The level, or the next higher one that the model knows."""
    if level == "MINIMAL" and not _MINIMAL.search(model):
        losses.drop(path)
        return "LOW"
    if level == "MEDIUM" and _NO_MEDIUM.search(model):
        losses.drop(path)
        return "HIGH"
    return level


def _no_budget(model: str, path: str, losses: Losses) -> wire.ThinkingConfig:
    if "pro" not in model:
        return wire.ThinkingConfig(thinking_budget=0)
    losses.drop(path)
    return wire.ThinkingConfig(thinking_budget=_limits(model)[0])


def _budgeted(model: str, wanted: Reasoning, losses: Losses) -> wire.ThinkingConfig:
    least, most = _limits(model)
    if wanted.budget_tokens is not None:
        budget = min(max(wanted.budget_tokens, least), most)
        if budget != wanted.budget_tokens:
            losses.drop("reasoning.budget_tokens")
        if wanted.effort is not None:
            losses.drop("reasoning.effort")
        return wire.ThinkingConfig(include_thoughts=True, thinking_budget=budget)
    effort = _EFFORT_BUDGETS.get(wanted.effort or "")
    return wire.ThinkingConfig(include_thoughts=True, thinking_budget=min(effort, most) if effort else _DYNAMIC)


def _limits(model: str) -> tuple[int, int]:
    return next((least, most) for name, least, most in _BUDGETS if name in model)
