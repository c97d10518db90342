"""What an answer's headers tell of the provider's rate limits: OpenAI's and Anthropic's names. Pure.

    x-ratelimit-{limit,remaining,reset}-{requests,tokens}
    anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}

`reset` is a duration (`6m0s`, `26ms`, seconds), a time (RFC 3339) or Unix seconds, after which all is there again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH = 1e9
"""From here on a number is a time, not a duration."""
_PERIODS_S = ((600.0, 60.0), (36_000.0, 3600.0), (float("inf"), 86_400.0))
"""Limits are a minute's, an hour's or a day's: up to what a measured period is taken for which."""


class Told(NamedTuple):
    """What one limit's headers say.

    Attributes:
        kind: of units: `requests`, `tokens`, `input` or `output` tokens.
        limit: units a period, and at once.
        used: units that are not there now.
        interval_ms: in which one comes back.
    """

    kind: str
    limit: int
    used: int
    interval_ms: float


def _openai(kind: str) -> tuple[str, str, str, str]:
    return kind, f"x-ratelimit-limit-{kind}", f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}"


def _anthropic(kind: str, name: str) -> tuple[str, str, str, str]:
    start = f"anthropic-ratelimit-{name}"
    return kind, f"{start}-limit", f"{start}-remaining", f"{start}-reset"


_NAMES = (
    _openai("requests"),
    _openai("tokens"),
    _anthropic("requests", "requests"),
    _anthropic("tokens", "tokens"),
    _anthropic("input", "input-tokens"),
    _anthropic("output", "output-tokens"),
)


def scarce(headers: Mapping[str, str], now_s: float) -> list[Told]:
    """The limits of which less than half is left; headers that cannot be read tell nothing."""
    return [
        told
        for kind, limit, remaining, reset in _NAMES
        if remaining in headers and (told := _read(kind, headers, limit, remaining, headers.get(reset, ""), now_s))
    ]


def untouched(headers: Mapping[str, str]) -> list[tuple[str, int]]:
    """Kind and units of the limits of which nothing is used."""
    return [
        (kind, int(headers[limit]))
        for kind, limit, remaining, _ in _NAMES
        if headers.get(limit, "").isdecimal() and headers[limit] == headers.get(remaining)
    ]


def _read(kind: str, headers: Mapping[str, str], limit: str, remaining: str, reset: str, now_s: float) -> Told | None:
    try:
        most, left = int(headers.get(limit, "0")), max(0, int(headers[remaining]))
    except ValueError:
        return None
    if most <= 0 or left * 2 >= most:
        return None
    used = most - left
    reset_s = _seconds(reset, now_s)
    measured_s = reset_s * most / used if reset_s else 0.0
    period_s = next(period for longest, period in _PERIODS_S if measured_s <= longest)
    return Told(kind, most, used, period_s * 1000 / most)


def _seconds(reset: str, now_s: float) -> float | None:
    """Seconds from now; None for what cannot be read."""
    parts = _DURATION.findall(reset)
    if parts and "".join(number + unit for number, unit in parts) == reset:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        number = float(reset)
    except ValueError:
        return _until(reset, now_s)
    return max(0.0, number - now_s) if number > _EPOCH else number


def _until(time: str, now_s: float) -> float | None:
    try:
        return max(0.0, datetime.fromisoformat(time).timestamp() - now_s)
    except ValueError:
        return None
