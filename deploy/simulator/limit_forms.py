"""How each vendor tells of its limits: in which headers, how a 429 says when to come back, in which words.

What the worker reads of it, with the sources, stands in `worker/limit_headers.py`; Google's and AWS's errors in the
adapters'. Pure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec


class Level(NamedTuple):
    """One limit: units of its period, how many are left, seconds until all are there."""

    limit: int
    left: int
    full_s: float


class Hint(msgspec.Struct):
    """What an answer says of limits.

    Attributes:
        headers: by name.
        retry_after_s: what a 429 said, in whatever place; 0 for nothing.
        message: of a 429; empty for the wire's own.
        details: of a 429 in Google's form.
    """

    headers: dict[str, str]
    retry_after_s: float = 0.0
    message: str = ""
    details: list[dict[str, Any]] | None = None


Levels = Mapping[str, Level]
"""By kind: `requests`, `tokens`, `requests-day`, `tokens-day`."""
Form = Callable[[Levels, str, float, str], Hint]
"""(levels, the kind that is used up or nothing, seconds it is missing, model) to a hint."""

_DAY_S = 86_400
_GOOGLE = "type.googleapis.com/google.rpc."
_METRIC = "generativelanguage.googleapis.com/generate_content_"


def _of(levels: Levels, *kinds: str) -> list[tuple[str, Level]]:
    return [(kind, levels[kind]) for kind in kinds if kind in levels]


def _common(named: str, level: Level, reset: str = "") -> dict[str, str]:
    lines = {f"x-ratelimit-limit{named}": str(level.limit), f"x-ratelimit-remaining{named}": str(level.left)}
    return {**lines, **({f"x-ratelimit-reset{named}": reset} if reset else {})}


def _after(missing_s: float) -> dict[str, str]:
    return {"retry-after": str(math.ceil(missing_s))} if missing_s else {}


def _openai(levels: Levels, _: str, missing_s: float, _model: str) -> Hint:
    headers = _after(missing_s)
    for kind, level in _of(levels, "requests", "tokens"):
        headers |= _common(f"-{kind}", level, f"{math.ceil(level.full_s * 1000)}ms")
    return Hint(headers, math.ceil(missing_s))


def _anthropic(levels: Levels, _: str, missing_s: float, _model: str) -> Hint:
    headers = _after(missing_s)
    for kind, level in _of(levels, "requests", "tokens"):
        name = f"anthropic-ratelimit-{kind}"
        reset = datetime.fromtimestamp(time.time() + level.full_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers |= {f"{name}-limit": str(level.limit), f"{name}-remaining": str(level.left), f"{name}-reset": reset}
    return Hint(headers, math.ceil(missing_s))


def _azure(levels: Levels, spent: str, missing_s: float, model: str) -> Hint:
    headers = _after(missing_s)
    if missing_s:
        headers["retry-after-ms"] = str(math.ceil(missing_s * 1000))
    for kind, level in _of(levels, "requests", "tokens"):
        headers |= _common(f"-{kind}", level, "0") | {f"x-ratelimit-renewalperiod-{kind}": "60"}
    message = (
        f"Requests to the deployment {model} have exceeded the {spent.removesuffix('s')} rate limit of your pricing "
        f"tier. Please retry after {math.ceil(missing_s)} seconds."
    )
    return Hint({"x-ratelimit-key": model, **headers}, missing_s, message if spent else "")


def _groq(levels: Levels, _: str, missing_s: float, _model: str) -> Hint:
    headers = _after(missing_s)
    for kind, named in (("requests-day", "-requests"), ("tokens", "-tokens")):
        if level := levels.get(kind):
            period_s = _DAY_S if kind == "requests-day" else 60
            headers |= _common(named, level, f"{(level.limit - level.left) * period_s / level.limit:.3f}s")
    return Hint(headers, math.ceil(missing_s))


def _mistral(levels: Levels, _: str, _missing_s: float, _model: str) -> Hint:
    headers: dict[str, str] = {}
    for kind, named in (("requests", "-req-minute"), ("tokens", "-tokens-minute")):
        if level := levels.get(kind):
            headers |= _common(named, level)
    return Hint(headers)


def _together(levels: Levels, _: str, missing_s: float, _model: str) -> Hint:
    headers = _after(missing_s)
    for kind, start in (("requests", "x-ratelimit"), ("tokens", "x-tokenlimit")):
        if level := levels.get(kind):
            a_second = max(1, level.limit // 60)
            headers |= {f"{start}-limit": str(a_second), f"{start}-remaining": str(level.left)}
            headers["x-ratelimit-reset"] = str(max(1, math.ceil(missing_s)))
    return Hint(headers, math.ceil(missing_s))


def _openrouter(levels: Levels, spent: str, missing_s: float, _model: str) -> Hint:
    if not spent:
        return Hint({})
    back = str(math.ceil((time.time() + missing_s) * 1000))
    per = "day" if spent.endswith("-day") else "min"
    return Hint(_common("", levels[spent], back), missing_s, f"Rate limit exceeded: free-models-per-{per}. ")


def _cerebras(levels: Levels, _: str, missing_s: float, _model: str) -> Hint:
    headers: dict[str, str] = {}
    for kind, named in (("requests", "-minute"), ("tokens", "-minute"), ("requests-day", ""), ("tokens-day", "")):
        if level := levels.get(kind):
            headers |= _common(f"-{kind}{named}", level, f"{level.full_s:.3f}")
    return Hint(headers, missing_s)


def _gemini(levels: Levels, spent: str, missing_s: float, model: str) -> Hint:
    if not spent:
        return Hint({})
    kind, _, day = spent.partition("-")
    name = {"requests": "Requests", "tokens": "InputTokens"}[kind]
    limit, delay_s = levels[spent].limit, min(missing_s, 60.0)  # a day's quota is told with a minute's delay too
    metric = _METRIC + {"requests": "free_tier_requests", "tokens": "free_tier_input_token_count"}[kind]
    quota = f"Generate{name}Per{'Day' if day else 'Minute'}PerProjectPerModel-FreeTier"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(limit),
    }
    message = (
        "You exceeded your current quota, please check your plan and billing details. \n"
        f"* Quota exceeded for metric: {metric}, limit: {limit}, model: {model}\nPlease retry in {delay_s:.9f}s."
    )
    details: list[dict[str, Any]] = [
        {"@type": f"{_GOOGLE}QuotaFailure", "violations": [violation]},
        {"@type": f"{_GOOGLE}RetryInfo", "retryDelay": f"{int(delay_s)}s"},
    ]
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return Hint({"date": now}, delay_s, message, details)


def _vertex(_levels: Levels, spent: str, _: float, _model: str) -> Hint:
    return Hint({}, 0.0, "Resource exhausted. Please try again later." if spent else "", [])


def _bedrock(_levels: Levels, spent: str, _missing_s: float, _model: str) -> Hint:
    kind = spent.replace("-day", " per day")
    return Hint({}, 0.0, f"Too many {kind}, please wait before trying again." if spent else "")


def _bare(_levels: Levels, _spent: str, _: float, _model: str) -> Hint:
    return Hint({}, 0.0, "", [])


FORMS: dict[str, Form] = {
    "anthropic": _anthropic,
    "azure": _azure,
    "bare": _bare,
    "bedrock": _bedrock,
    "cerebras": _cerebras,
    "gemini": _gemini,
    "groq": _groq,
    "mistral": _mistral,
    "openai": _openai,
    "openrouter": _openrouter,
    "together": _together,
    "vertex": _vertex,
}
"""By vendor; `bare` says nothing at all."""
