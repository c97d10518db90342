"""What an answer's headers tell of the provider's rate limits, in the vendors' own names. Pure.

    vendor             names                                                   `reset` is
    -----------------  ------------------------------------------------------  ---------------------------------------
    OpenAI, xAI,       x-ratelimit-{limit,remaining,reset}-{requests,tokens}   a duration (`6m0s`, `26ms`) or seconds
    Azure                ; Azure: x-ratelimit-renewalperiod-* is the period,   until all is there again
                         in seconds, and -1 means nothing
    Anthropic          anthropic-ratelimit-{requests,tokens,input-tokens,      not read: a time by Anthropic's clock,
                         output-tokens}-{limit,remaining}, a minute's          not ours
    Groq               OpenAI's; `requests` are a day's, `tokens` a minute's   a duration, as OpenAI's
    Mistral            x-ratelimit-{limit,remaining}-{req-minute,              not told
                         req-10-second,tokens-minute}
    Cerebras           x-ratelimit-{limit,remaining,reset}-{requests,tokens}-  seconds to the end of the window
                         {minute,hour,day}
    Fireworks          x-ratelimit-{limit,remaining}-tokens-{prompt,           not told
                         generated}, a minute's
    Together           x-ratelimit-{limit,remaining,reset},                    seconds after which to try again
                         x-ratelimit-{limit,remaining}-tokens,
                         x-tokenlimit-{limit,remaining}, all of a second;
                         more than the limit may remain
    OpenRouter         x-ratelimit-{limit,remaining,reset}                     Unix ms at which the window ends
    Gemini, Vertex,    none: Google's 429 tells it in its body
    Bedrock, DeepSeek    (`worker/providers/gemini/errors.py`), the others
    and others           not at all (`worker/limit_search.py`)

Seen in recorded answers of OpenAI, Azure, Anthropic, Groq, Mistral, Together and xAI; else the vendors' pages:
https://console.groq.com/docs/rate-limits, https://inference-docs.cerebras.ai/support/rate-limits,
https://docs.together.ai/docs/rate-limits, https://docs.x.ai/developers/rate-limits,
https://openrouter.ai/docs/api/reference/limits, https://docs.anthropic.com/en/api/rate-limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from shared.errors import Quota

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH, _EPOCH_MS = 1e9, 1e12
"""From here on a number is a time, in seconds or milliseconds, not a duration."""
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
_PERIODS_S = ((10 * _MINUTE, _MINUTE), (10 * _HOUR, _HOUR), (float("inf"), _DAY))
"""Limits are a minute's, an hour's or a day's: up to what a measured period is taken for which."""
_LONGEST = 15
"""Digits of a number of units: more are no limit, and beyond what is reckoned with exactly."""
_SUFFIXES = {_MINUTE: "", _HOUR: "-hour", _DAY: "-day"}


class Told(NamedTuple):
    """What one limit's headers say.

    Attributes:
        kind: of units: `requests`, `tokens`, `input` or `output` tokens; of another period than a minute with
            `-burst`, `-hour` or `-day` behind it, for each period's limit stands by itself.
        limit: units a period, and at once.
        used: units that are not there now.
        interval_ms: in which one comes back.
    """

    kind: str
    limit: int
    used: int
    interval_ms: float


class _Names(NamedTuple):
    """One limit's headers.

    Attributes:
        period_s: of the limit; None where `period`, or `reset` measured by what is used, tells it.
        window: nothing comes back before `reset`.
    """

    kind: str
    limit: str
    remaining: str
    reset: str = ""
    period: str = ""
    period_s: float | None = None
    window: bool = False


def _common(name: str, *, kind: str = "", period_s: float | None = None, window: bool = False) -> _Names:
    of = f"-{name}" if name else ""
    start = "x-ratelimit"
    names = (f"{start}-limit{of}", f"{start}-remaining{of}", f"{start}-reset{of}", f"{start}-renewalperiod{of}")
    return _Names(kind or name, *names, period_s, window)


def _anthropic(kind: str, name: str) -> _Names:
    start = f"anthropic-ratelimit-{name}"
    return _Names(kind, f"{start}-limit", f"{start}-remaining", period_s=_MINUTE)


_ANY = (
    _common("requests"),
    _common("tokens"),
    _anthropic("requests", "requests"),
    _anthropic("tokens", "tokens"),
    _anthropic("input", "input-tokens"),
    _anthropic("output", "output-tokens"),
    _common("req-10-second", kind="requests-burst", period_s=10.0),
    _common("req-minute", kind="requests", period_s=_MINUTE),
    *(
        _common(f"{kind}{period}", kind=f"{kind}{_SUFFIXES[seconds]}", period_s=seconds, window=True)
        for kind in ("requests", "tokens")
        for period, seconds in (("-minute", _MINUTE), ("-hour", _HOUR), ("-day", _DAY))
    ),
    _common("tokens-prompt", kind="input", period_s=_MINUTE),
    _common("tokens-generated", kind="output", period_s=_MINUTE),
)
"""Names that mean the same wherever they occur; servers of the config's own are read by them."""
_OWN: dict[str, tuple[_Names, ...]] = {
    "groq": (_common("requests", kind="requests-day", period_s=_DAY), _common("tokens", period_s=_MINUTE)),
    "openrouter": (_common("", kind="requests", window=True),),
    "together": (
        _common("", kind="requests-burst", period_s=1.0, window=True),
        _common("tokens", kind="tokens-burst", period_s=1.0),
        _Names("tokens-burst", "x-tokenlimit-limit", "x-tokenlimit-remaining", period_s=1.0),
    ),
}
"""Of the vendors where such a name means something else."""
_REMAINING = frozenset(names.remaining for rows in (_ANY, *_OWN.values()) for names in rows)


def scarce(provider: str, headers: Mapping[str, str], now_s: float) -> list[Told]:
    """The limits of which less than half is left; headers that cannot be read tell nothing."""
    if not any(map(headers.__contains__, _REMAINING)):
        return []
    found = (_read(names, headers, now_s) for names in _OWN.get(provider, _ANY) if names.remaining in headers)
    return [told for told in found if told]


def used_up(quotas: Iterable[Quota]) -> list[Told]:
    """Limits a minute of which the answer's body says that nothing is left."""
    return [Told(quota.kind, quota.limit, quota.limit, 1000 * _MINUTE / quota.limit) for quota in quotas]


def spent_s(provider: str, headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds to the end of the last window of which nothing is left; None where none is told of."""
    ends = [
        _seconds(headers[names.reset], now_s)
        for names in _OWN.get(provider, _ANY)
        if names.window and names.reset in headers and headers.get(names.remaining) == "0"
    ]
    return max((seconds for seconds in ends if seconds is not None), default=None)


def untouched(provider: str, headers: Mapping[str, str]) -> list[tuple[str, int]]:
    """Kind and units of the limits of which nothing is used."""
    return [
        (names.kind, units)
        for names in _OWN.get(provider, _ANY)
        if (units := _units(headers.get(names.limit, ""))) and headers[names.limit] == headers.get(names.remaining)
    ]


def _read(names: _Names, headers: Mapping[str, str], now_s: float) -> Told | None:
    most, left = _units(headers.get(names.limit, "")), _units(headers[names.remaining])
    if not most or left is None or left * 2 >= most:
        return None
    used = most - left
    period_s = names.period_s
    kind = names.kind
    if period_s is None:
        period_s = _told_period(headers.get(names.period, "")) or _measured(names, headers, most / used, now_s)
        kind += _SUFFIXES.get(period_s, "")
    if names.window and period_s > _MINUTE:
        return None  # all of it comes back at once, and nothing before: no bucket
    return Told(kind, most, used, period_s * 1000 / most)


def _units(text: str) -> int | None:
    """Not below 0; None for what is no number, or no limit's."""
    try:
        return max(0, int(text)) if len(text) <= _LONGEST else None
    except ValueError:
        return None


def _told_period(text: str) -> float | None:
    seconds = _units(text)
    return float(seconds) if seconds else None


def _measured(names: _Names, headers: Mapping[str, str], whole: float, now_s: float) -> float:
    """The period, by the time in which what is used comes back; `whole` is the limit in units of that."""
    reset_s = _seconds(headers.get(names.reset, ""), now_s) or 0.0
    if names.window:
        return _MINUTE if reset_s <= _MINUTE else _DAY
    measured_s = reset_s * whole
    return next(period for longest, period in _PERIODS_S if measured_s <= longest)


def _seconds(reset: str, now_s: float) -> float | None:
    """Seconds from now; None for what cannot be read."""
    seconds = _from(reset, now_s)
    return None if seconds is None or not math.isfinite(seconds) else max(0.0, seconds)


def _from(reset: str, now_s: float) -> float | None:
    parts = _DURATION.findall(reset)
    if parts and "".join(number + unit for number, unit in parts) == reset:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        number = float(reset)
    except ValueError:
        return _until(reset, now_s)
    if number > _EPOCH_MS:
        return number / 1000 - now_s
    return number - now_s if number > _EPOCH else number


def _until(time: str, now_s: float) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
