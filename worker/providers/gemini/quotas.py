"""What Google's 429 tells of its quotas, all of it in the body: which are used up, how large they are, for how long.

https://ai.google.dev/gemini-api/docs/rate-limits; the details are those of google.rpc (`error_details.proto`). Vertex
mostly says nothing but that the resource is exhausted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

from shared.errors import Quota
from shared.wire import gemini_answer as answer

_DELAY = re.compile(r"(\d{1,6}(?:\.\d+)?)s")
"""A google.protobuf.Duration as JSON."""
_EXACTLY = re.compile(r"Please retry in (\d{1,6}(?:\.\d+)?)s")
"""The same in the message: there `retryDelay` has lost its fraction, and is too early by it."""
_LIMIT = re.compile(r"[1-9][0-9]{0,14}")
_OF_THE_DAY, _OF_THE_MINUTE = "PerDay", "PerMinute"
"""Parts of quotas' ids, as in `GenerateRequestsPerDayPerProjectPerModel-FreeTier`."""
_DAY_S = 86_400
_RESETS_S = 8 * 3600
"""When a day's quotas come back, in seconds of a UTC day: midnight in California, an hour early in summer."""
_UNDATED_S = 3600.0
"""A day's quota is not asked for sooner, when the answer does not say what time it is."""


def quotas_of(details: Sequence[answer.Detail]) -> tuple[Quota, ...]:
    """The quotas a minute that are used up."""
    return tuple(
        Quota("input" if "InputTokens" in quota_id else "requests", int(value))
        for quota_id, value in _violations(details)
        if _OF_THE_MINUTE in quota_id and _LIMIT.fullmatch(value) and "Output" not in quota_id
    )


def wait_s(details: Sequence[answer.Detail], message: str, headers: Mapping[str, str]) -> float | None:
    """Seconds after which to try again; of a day's quota until the day ends, whatever delay is given with it."""
    if any(_OF_THE_DAY in quota_id for quota_id, _ in _violations(details)):
        return _until_reset_s(headers.get("date", ""))
    told = next((match for each in details if (match := _DELAY.fullmatch(each.retry_delay or ""))), None)
    exactly = _EXACTLY.search(message)
    return max((float(match[1]) for match in (told, exactly) if match), default=None)


def _violations(details: Sequence[answer.Detail]) -> list[tuple[str, str]]:
    return [(each.quota_id or "", each.quota_value or "") for detail in details for each in detail.violations or ()]


def _until_reset_s(date: str) -> float:
    try:
        now = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return _UNDATED_S
    of_the_day = now.hour * 3600 + now.minute * 60 + now.second
    return float((_RESETS_S - of_the_day) % _DAY_S or _DAY_S)
