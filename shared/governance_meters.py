"""Meters in Redis: what was spent, sent and asked in the current window of a budget or a rate limit.

hermod:meter:<name>  hash: end: Unix ms of the window's end; used: in the window, nano-USD, tokens or requests; held:
                     the estimates of the calls in flight; uncertain: of used, what was estimated because nobody can
                     know; unpriced: calls of the window whose price is unknown

Windows and their resets are counted on the server's clock. A meter is open while used + held is below its limit: the
last call let in may take it over the limit, by at most its own cost where estimates hold.
"""

from __future__ import annotations

import msgspec

from shared.errors import BudgetExceeded, GatewayError, LimitExceeded
from shared.governance_settings import PERIOD, Budget, RateLimit
from shared.lanes import CLOCK
from shared.stores.redis import RedisStore, Script

METER = "hermod:meter:"

COST, TOKENS, REQUESTS = "cost", "tokens", "requests"

HELD_RETRY_MS = 1000
"""When to ask again while calls in flight hold the rest: most calls take longer than a second, few take minutes."""

LONGEST_SLEEP_S = 120.0
"""Longer than this no SDK is to sleep before it tries again: some would for hours, and say nothing."""

_CODES = {TOKENS: "token_limited", REQUESTS: "request_limited"}
_NANO = 1_000_000_000


class Meter(msgspec.Struct, frozen=True, array_like=True):
    """One counter and its limit, as the scripts take it.

    Attributes:
        name: of the counter; a change of period is another counter, a change of limit is not.
        kind: COST, TOKENS or REQUESTS.
        limit: nano-USD, tokens or requests.
        count, unit: the length of its window, see PERIOD.
        aligned: the window begins with the calendar's.
        whose: for people, as in `virtual key "a"`.
    """

    name: str
    kind: str
    limit: int
    count: int
    unit: str
    aligned: bool
    whose: str

    @property
    def period(self) -> str:
        """The length of its window, as it was set."""
        return f"{self.count}{self.unit}"


class Limits(msgspec.Struct, frozen=True):
    """Meters that a call must pass, and their bytes as the scripts take them.

    Attributes:
        own: how many of them, the first, are for calls to one provider alone.
    """

    meters: tuple[Meter, ...]
    packed: bytes
    own: int = 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A meter as it stands; `resets_ms` is None while nothing was counted, or its window is over."""

    meter: Meter
    used: int = 0
    held: int = 0
    uncertain: int = 0
    unpriced: int = 0
    resets_ms: int | None = None


_pack = msgspec.msgpack.Encoder().encode


def limits(meters: tuple[Meter, ...], own: tuple[Meter, ...] = ()) -> Limits | None:
    """Of meters for one provider alone and the others; None when there is nothing to pass."""
    both = (*own, *meters)
    return Limits(both, _pack(both), len(own)) if both else None


def meters_of(scope: str, whose: str, budgets: tuple[Budget, ...], rate_limit: RateLimit | None) -> tuple[Meter, ...]:
    """The meters of one link of the chain; `scope` is unique among them, as `vk:<id>`."""
    found = [
        _meter(scope, COST, each.max_limit, each.reset_duration, whose, aligned=each.calendar_aligned)
        for each in budgets
    ]
    if rate_limit is not None:
        windows = (
            (TOKENS, rate_limit.token_max_limit, rate_limit.token_reset_duration),
            (REQUESTS, rate_limit.request_max_limit, rate_limit.request_reset_duration),
        )
        found += [_meter(scope, kind, most, period, whose) for kind, most, period in windows if most is not None]
    return tuple(found)


def _meter(scope: str, kind: str, limit: int, period: str, whose: str, *, aligned: bool = False) -> Meter:
    parts = PERIOD.fullmatch(period)
    assert parts is not None, "checked when it was read"  # noqa: S101 - config_governance, admin_bodies
    name = f"{scope}:{kind}:{period}{'/calendar' if aligned else ''}"
    return Meter(name, kind, limit, int(parts[1]), parts[2], aligned, whose)


def refusal(meter: Meter, wait_ms: int, *, spent: bool) -> GatewayError:
    """Why a call may not be made now: the meter is used up, or its rest is held by calls in flight."""
    wait_s = wait_ms / 1000
    if not spent:
        return LimitExceeded(
            f"Calls in flight hold the rest of the {_what(meter)} of {meter.whose}; try again when they have ended.",
            code="rate_limited",
            retry_after_s=wait_s,
        )
    raised = "unless whoever issued the key raises it"
    message = f"The {_what(meter)} of {meter.whose} is used up; it begins anew in {_words(wait_s)}, {raised}."
    if meter.kind == COST:
        return BudgetExceeded(message, code="budget_exceeded", should_retry=False)
    again = False if wait_s > LONGEST_SLEEP_S else None
    return LimitExceeded(message, code=_CODES[meter.kind], retry_after_s=wait_s, should_retry=again)


def _what(meter: Meter) -> str:
    if meter.kind == COST:
        return f"budget of ${meter.limit / _NANO:.9g} per {meter.period}"
    return f"limit of {meter.limit} {meter.kind} per {meter.period}"


def _words(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


WINDOWS = """
local LENGTHS = {s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000, M = 2592000000, Q = 7776000000,
                 Y = 31536000000}
local MONTHS = {M = 1, Q = 3, Y = 12}
local DAY = 86400000

-- Days of the civil calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"): months since year 0 of the
-- day that is so many days after 1970-01-01, and the other way for the first of a month.
local function month_of(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local day = z - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  return (era * 400 + year) * 12 + math.floor((5 * of_year + 2) / 153) + 2
end

local function first_of(month)
  local shifted = month - 2
  local year = math.floor(shifted / 12)
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (shifted - year * 12) + 2) / 5)
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function window_end(now, count, unit, aligned)
  if not aligned then return now + count * LENGTHS[unit] end
  if MONTHS[unit] then
    local size = count * MONTHS[unit]
    return first_of((math.floor(month_of(math.floor(now / DAY)) / size) + 1) * size) * DAY
  end
  local size, monday = count * LENGTHS[unit], unit == 'w' and 4 * DAY or 0
  return (math.floor((now - monday) / size) + 1) * size + monday
end
"""
"""Lua: when a window that begins now ends. Months, quarters and years that are not the calendar's have 30, 90 and 365
days."""

METERS = (
    WINDOWS
    + """
-- Lua writes large numbers as 1e+15 and knows a -0, neither of which Redis reads as a number to count with.
local function whole(number) return string.format('%.0f', number + 0) end

local function read(meter, now)
  local ends, used, held = unpack(redis.call('HMGET', 'hermod:meter:' .. meter[1], 'end', 'used', 'held'))
  ends = tonumber(ends or 0)
  if ends <= now then return 0, tonumber(held or 0), window_end(now, meter[4], meter[5], meter[6]) end
  return tonumber(used or 0), tonumber(held or 0), ends
end

-- Which meter refuses, whether it is used up or only held, and for how long: a spent budget before all, for waiting
-- does not help soon; else the one that refuses longest. Nil when all are open. `passed`: which are not asked.
local function judge(meters, now, passed)
  local found, spent, wait = nil, false, 0
  for index, meter in ipairs(meters) do
    local used, held, ends = read(meter, now)
    if passed and passed[index] then
      -- not asked
    elseif used >= meter[3] then
      if meter[2] == 'cost' then return index, true, ends - now end
      if not spent or ends - now > wait then found, spent, wait = index, true, ends - now end
    elseif used + held >= meter[3] and not found then
      found, wait = index, HELD_RETRY_MS
    end
  end
  return found, spent, wait
end
""".replace("HELD_RETRY_MS", str(HELD_RETRY_MS))
)
"""Lua: reading meters, and whether a call may pass them. Meters are arrays as in Meter."""

_READ = Script(
    CLOCK
    + """
local function one(name)
  local fields = redis.call('HMGET', 'hermod:meter:' .. name, 'end', 'used', 'held', 'uncertain', 'unpriced')
  local over = tonumber(fields[1] or 0) <= clock_ms()
  if over then return {false, '0', fields[3] or '0', '0', '0'} end
  return {fields[1], fields[2] or '0', fields[3] or '0', fields[4] or '0', fields[5] or '0'}
end
""",
    even_when_full=True,
)


async def read_meter(store: RedisStore, meter: Meter) -> Reading:
    """The meter as it stands. Raises StoreError."""
    ends, used, held, uncertain, unpriced = await store.run(_READ, meter.name)
    return Reading(
        meter=meter,
        used=int(used),
        held=int(held),
        uncertain=int(uncertain),
        unpriced=int(unpriced),
        resets_ms=int(ends) if ends else None,
    )
