"""What is learnt from how calls ended, in Lua: what they cost, what the provider told, what went wrong."""

from __future__ import annotations

from shared.errors import Overloaded, ProviderError, RateLimited, TimedOut
from shared.stores.redis import Script
from worker.limit_scripts import GATE, LONGEST_TOLD_MS, WATCH_MS
from worker.retry import refuses_key

FIRST_PAUSE_MS = 500
LONGEST_PAUSE_MS = 60_000
"""Pauses that the provider gave no figure for double from the first to the longest while it refuses everything."""
FAILS = 10
"""Failures in a row after which a gate is left alone but for single calls."""
SET_ASIDE = {"refused": "key_set_aside", "spent": "key_spent"}
"""Why a key is left alone: the provider refuses it, or its account has nothing left to spend."""

# A call has ended well: `latency` ms; tokens it was taken to cost, and did.
SETTLE = Script(
    GATE
    + """
local function correct(gate, state, input, output, used_input, used_output)
  for _, kind in ipairs(KINDS) do
    local tat, interval = state[kind .. ':tat'], state[kind .. ':interval']
    if tat and interval then
      local more = cost_of(kind, state, used_input, used_output) - cost_of(kind, state, input, output)
      if more ~= 0 then write(gate, kind .. ':tat', tat + more * interval) end
    end
  end
end

local function one(gate, provider, call, latency, input, output, used_input, used_output, told)
  local now = clock()
  local state = read(gate, now)
  local counted = redis.call('ZREM', 'hermod:calls:' .. gate, call) == 1
  redis.call('ZREM', 'hermod:calls:' .. provider, call)
  local usual = state.latency or tonumber(latency)
  write(gate, 'fails', 0, 'latency', usual + (latency - usual) / 8)
  if now - latency >= (state.refused or 0) then write(gate, 'streak', 0) end
  -- Once for each call: what is sent again because its reply was lost corrects nothing.
  if counted then
    if state.window then write(gate, 'window', state.window + 1 / state.window) end
    correct(gate, state, tonumber(input), tonumber(output), tonumber(used_input), tonumber(used_output))
  end
  learn(gate, told, now)
  local known = tonumber(redis.call('ZSCORE', 'hermod:gates', gate) or 0)
  if state.probe == call then
    redis.call('HDEL', 'hermod:gate:' .. gate, 'open', 'open_why', 'opened', 'probe')
    watch(gate, now)
  elseif told ~= '' and known < now + WATCH_MS / 2 then
    watch(gate, now)
  else
    redis.call('PEXPIRE', 'hermod:gate:' .. gate, math.ceil(math.max(known - now, 0)) + LONGEST_TOLD_MS)
  end
  return 1
end
""".replace("WATCH_MS", str(WATCH_MS)).replace("LONGEST_TOLD_MS", str(LONGEST_TOLD_MS)),
    even_when_full=True,
)

# A call has failed. `kind`: `limited` (a 429), `busy` (overloaded), `slow` (no answer in time), `failed`, `refused`
# (the key is), `spent` (its account is), `over` (nothing is known). `told`: ms the provider said to wait, 0 for
# nothing. `flying`: calls through the gate the worker has on their way, for those that were not counted. Replies ms for
# which nothing is to be sent.
#
# Of the calls that were on their way together the first counts. What was promised is void after a pause: whoever held
# a turn asks again, from empty buckets. Overloads and timeouts halve the calls at once, for what the provider lacks is
# room; a 429 of which nothing more is said tells of a rate, and that is searched for.
TROUBLE = Script(
    GATE
    + """
local SET_ASIDE = {WHY_BY_KIND}

local function pause(gate, state, now, why, told)
  local streak = state.streak or 0
  if (state.pause or 0) <= now then
    streak = streak + 1
    write(gate, 'refused', now)
    redis.call('DEL', 'hermod:turns:' .. gate)
  end
  local ours = math.min(FIRST_PAUSE_MS * 2 ^ math.min(streak - 1, 20), LONGEST_PAUSE_MS)
  local till = math.max(state.pause or 0, now + math.max(ours, math.min(told, LONGEST_TOLD_MS)))
  write(gate, 'pause', till, 'pause_why', why, 'streak', streak)
  return till
end

-- At the end of a pause the buckets hold one unit, so that it is not calls in a heap that end it. What is left of an
-- hour or a day a pause takes from nobody: those buckets hold all of their limit.
local function empty(gate, now, till)
  local state = read(gate, now)
  for _, kind in ipairs(KINDS) do
    local interval, most = state[kind .. ':interval'], state[kind .. ':most']
    if interval and (most < state[kind .. ':limit'] or most == 1) then
      local spacing = kind == 'found' and found_spacing(state) or interval
      write(gate, kind .. ':tat', till + (most - 1) * interval, 'spacing', math.max(5, spacing))
    end
  end
end

local function calls_of(gate, flying) return math.max(redis.call('ZCARD', 'hermod:calls:' .. gate), flying) end

local function shrink(gate, state, now, flying)
  if (state.pause or 0) > now then return end
  local here = calls_of(gate, flying)
  write(gate, 'window', math.max(1, math.min(state.window or here, here) / 2))
end

local function open(gate, state, now, why, first, longest)
  if (state.open or 0) > now then return end
  local opened = (state.opened or 0) + 1
  write(gate, 'open', now + math.min(first * 2 ^ math.min(opened - 1, 20), longest), 'open_why', why, 'opened', opened)
  redis.call('HDEL', 'hermod:gate:' .. gate, 'probe')
end

local function one(gate, provider, call, kind, told, flying, learnt)
  local now = clock()
  local state = read(gate, now)
  redis.call('ZREM', 'hermod:calls:' .. gate, call)
  redis.call('ZREM', 'hermod:calls:' .. provider, call)
  if kind == 'over' then return 0 end
  learn(gate, learnt, now)
  if learnt ~= '' then state = read(gate, now) end
  local probed = state.probe == call
  if kind == 'limited' or kind == 'busy' then
    local till = pause(gate, state, now, kind == 'limited' and 'rate_limited' or 'provider_overloaded', tonumber(told))
    if kind == 'busy' then shrink(gate, state, now, tonumber(flying))
    elseif learnt == '' then search(gate, state, now, calls_of(gate, tonumber(flying)), till) end
    empty(gate, now, till)
    if probed then redis.call('HDEL', 'hermod:gate:' .. gate, 'open', 'open_why', 'opened', 'probe') end
  elseif SET_ASIDE[kind] then
    open(gate, state, now, SET_ASIDE[kind], 5000, 300000)
  else
    if kind == 'slow' then shrink(gate, state, now, tonumber(flying)) end
    local fails = redis.call('HINCRBY', 'hermod:gate:' .. gate, 'fails', 1)
    if fails >= FAILS or probed then open(gate, state, now, 'provider_failing', 1000, 5000) end
  end
  watch(gate, now)
  state = read(gate, now)
  return math.max(0, math.ceil(math.max(state.open or 0, state.pause or 0) - now))
end
""".replace("WHY_BY_KIND", ", ".join(f"{kind} = '{why}'" for kind, why in SET_ASIDE.items()))
    .replace("FIRST_PAUSE_MS", str(FIRST_PAUSE_MS))
    .replace("LONGEST_PAUSE_MS", str(LONGEST_PAUSE_MS))
    .replace("LONGEST_TOLD_MS", str(LONGEST_TOLD_MS))
    .replace("FAILS", str(FAILS)),
    even_when_full=True,
)


def kind_of(error: ProviderError) -> str:
    """What TROUBLE calls the failure."""
    match error:
        case _ if refuses_key(error):
            return "spent" if isinstance(error, RateLimited) else "refused"
        case RateLimited():
            return "limited"
        case Overloaded():
            return "busy"
        case TimedOut():
            return "slow"
    return "failed"
