"""The Lua that lets calls in: whether a call may be made now, when it is its turn, or when it is to ask again."""

from __future__ import annotations

from shared.stores.redis import Script
from worker.limit_scripts import BURST, GATE, LONGEST_TOLD_MS

SPREAD_MS = 30_000
"""How far apart those who wait for the same are told to ask again at most."""
SEARCHED = 5
"""Turns at a rate that is searched for are promised for a part of the time, one in so many: they go at the rate of when
they were promised, which by then has grown."""

# `gates` holds the choice, a line each: `gate provider requests tokens calls`, with the configured limits of a minute
# and of calls at once, 0 for none. The first through which the job may go now is taken; else a turn at the one with
# the shortest wait, if that is within `horizon`; else it is told when to ask again, unless its `lane` is `-`.
#
# Replies {1, number of the gate} or {0, number of the gate, ms to wait, why}.
ADMIT = Script(
    GATE
    + """
local function configure(gate, state, requests, tokens)
  for kind, limit in pairs({['own-requests'] = tonumber(requests), ['own-tokens'] = tonumber(tokens)}) do
    local interval = limit > 0 and 60000 / limit or nil
    if interval ~= state[kind .. ':interval'] then
      if interval then
        local most = math.max(1, limit / BURST)
        write(gate, kind .. ':interval', interval, kind .. ':most', most, kind .. ':limit', limit)
        state[kind .. ':interval'], state[kind .. ':most'], state[kind .. ':limit'] = interval, most, limit
      else
        redis.call('HDEL', 'hermod:gate:' .. gate, kind .. ':interval', kind .. ':most', kind .. ':limit',
                   kind .. ':tat')
        state[kind .. ':interval'] = nil
      end
    end
  end
end

local function calls_of(name, now)
  local key = 'hermod:calls:' .. name
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return redis.call('ZCARD', key)
end

-- ms until the buckets hold what a call costs, and until that is so for what has been promised before it; ms in which
-- that much comes back. What costs more than a bucket holds goes when that is full.
local function bucket_wait(state, now, input, output)
  local longest, ahead, spacing, searched = 0, 0, 0, false
  for _, kind in ipairs(KINDS) do
    local interval, most = state[kind .. ':interval'], state[kind .. ':most']
    if interval then
      local cost = cost_of(kind, state, input, output)
      local before = math.max(state[kind .. ':tat'] or 0, now) - now - most * interval
      local whole = before + math.min(cost, most) * interval
      if whole > longest then longest, searched = whole, kind == 'found' end
      ahead = math.max(ahead, before)
      spacing = math.max(spacing, cost * interval)
    end
  end
  if searched then spacing = found_spacing(state) end
  return longest, ahead, spacing, searched
end

-- {wait, ahead, why, spacing, searched, turn, probe}; `ahead`: ms of the wait that are others'; `spacing`: ms between
-- two who wait; `searched`: it is for a rate that is still searched for; `turn`: one is reserved; `probe`: the call
-- would be the one that tries.
local function look(gate, provider, cap, state, job, now, input, output)
  local found = {wait = 0, why = '', spacing = 5}
  if state.open then
    local probing = state.probe and tonumber(redis.call('ZSCORE', 'hermod:calls:' .. gate, state.probe) or 0) > now
    found.wait, found.why = math.max(state.open - now, probing and 500 or 0), state.open_why
    found.probe = found.wait <= 0
    if found.wait > 0 then return found end
  end
  if (state.pause or 0) > now then
    found.wait, found.why, found.spacing = state.pause - now, state.pause_why, state.spacing or 5
    return found
  end
  local window = math.min(state.window or 1e9, cap > 0 and cap or 1e9)
  local here = calls_of(gate, now)
  if here >= math.floor(window) or cap > 0 and calls_of(provider, now) >= cap then
    found.why = 'provider_busy'
    found.spacing = math.max(5, (state.latency or 500) / math.max(1, math.min(window, 1000)))
    found.wait = found.spacing
    return found
  end
  local turn = redis.call('ZSCORE', 'hermod:turns:' .. gate, job)
  if turn then
    found.turn, found.wait, found.why = true, math.max(0, turn - now - 1), 'rate_limited'
    return found
  end
  found.wait, found.ahead, found.spacing, found.searched = bucket_wait(state, now, input, output)
  found.why = 'rate_limited'
  return found
end

local function enter(gate, provider, found, state, job, call, now, lease, input, output)
  if found.turn then redis.call('ZREM', 'hermod:turns:' .. gate, job) else charge(gate, state, now, input, output) end
  if found.probe then write(gate, 'probe', call) end
  if state['found:rate'] then redis.call('HINCRBY', 'hermod:gate:' .. gate, 'found:calls', 1) end
  hold(gate, provider, call, now, lease)
end

local function reserve(gate, found, state, job, now, input, output)
  charge(gate, state, now, input, output)
  redis.call('ZADD', 'hermod:turns:' .. gate, now + found.wait, job)
  redis.call('ZREMRANGEBYSCORE', 'hermod:turns:' .. gate, '-inf', now - 60000)
  redis.call('PEXPIRE', 'hermod:turns:' .. gate, math.ceil(found.wait) + LONGEST_TOLD_MS)
end

-- When to ask again, for one who got no turn: one after another, from when there may be room on.
local function line_up(gate, found, state, job, lane, now, earliest)
  local from, field = now + math.max(0, earliest), 'line:' .. lane
  local at = math.max(state[field] or 0, from)
  if at - from < SPREAD_MS then
    write(gate, field, at + math.max(found.spacing, 1))
    return at - now
  end
  local drawn = tonumber(string.sub(job, 1, 4), 16) or 32768
  return from - now + SPREAD_MS * (0.5 + drawn / 131072)
end

local function one(job, call, lane, horizon, lease, input, output, gates)
  local now, number, best = clock(), 0, nil
  horizon, lease, input, output = tonumber(horizon), tonumber(lease), tonumber(input), tonumber(output)
  for gate, provider, requests, tokens, calls in string.gmatch(gates, '(%S+) (%S+) (%S+) (%S+) (%S+)') do
    number = number + 1
    -- The reply to this very call was lost, and it was sent again.
    if redis.call('ZSCORE', 'hermod:calls:' .. gate, call) then return {1, number} end
    local state = read(gate, now)
    configure(gate, state, requests, tokens)
    local found = look(gate, provider, tonumber(calls), state, job, now, input, output)
    if found.wait <= 0 then
      enter(gate, provider, found, state, job, call, now, lease, input, output)
      return {1, number}
    end
    found.number, found.gate, found.state = number, gate, state
    if not best or found.wait < best.wait then best = found end
  end
  if best.searched then horizon = horizon / SEARCHED end
  local wait, line = best.wait, best.why == 'rate_limited' and (best.state.pause or 0) <= now
  -- By what is promised to others: by its own cost, a large call would have to stand back behind every small one.
  local ahead = lane ~= '-' and best.ahead or wait
  if best.turn then
    wait = best.wait
  elseif line and ahead <= horizon then
    reserve(best.gate, best, best.state, job, now, input, output)
  elseif lane ~= '-' then
    wait = line_up(best.gate, best, best.state, job, lane, now, line and ahead - horizon or wait)
  end
  return {0, best.number, math.ceil(wait), best.why}
end
""".replace("SPREAD_MS", str(SPREAD_MS))
    .replace("SEARCHED", str(SEARCHED))
    .replace("LONGEST_TOLD_MS", str(LONGEST_TOLD_MS))
    .replace("BURST", str(BURST)),
    even_when_full=True,
)
