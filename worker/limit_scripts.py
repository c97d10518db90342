"""The Lua of limits: what all workers know together of one gate, the calls to one model with one key.

Here is what its scripts share, and those that keep it alive; `limit_admit.py` lets calls in, `limit_endings.py` learns
from how they ended, `limit_search.py` finds the rate that a provider does not tell.

Keys, times in Unix ms of the Redis server:

    hermod:gate:<gate>   hash; forgotten some minutes after the last trouble
        pause, pause_why, streak       until when nothing is sent and why; pauses in a row without a success between
        refused                        when the last pause began: an answer to what was sent before ends no streak
        open, open_why, opened, probe  from when on a single call may try whether the trouble is over, and why; how
                                       often in a row; the call that tries. Present only while the trouble lasts.
        fails                          calls in a row that failed
        window                         calls at once; absent without trouble
        <kind>:tat, :interval, :most, :limit   a bucket of that kind of units: when it will be full again, ms in which
                                       a unit comes back, how many it holds, how many come back in its period
        found:…                        a rate that was found by trial, see `limit_search.py`
        line:<lane>, latency           when the next that waits in this lane is to ask again; ms a call takes
    hermod:turns:<gate>  sorted set of jobs whose turn has been reserved, and paid from the buckets; score = when
    hermod:calls:<gate>, hermod:calls:<provider>  sorted sets of the calls on their way; score = end of lease
    hermod:gates         sorted set of the gates about which something is known; score = until when
    hermod:fitness       hash: gate → `<ms a call takes> <share of calls that fail> <when it was noted>`
    hermod:gate-news     channel: `<gate> <ms it is known for> <ms it is shut for> <why>`

The buckets are the generic cell rate algorithm (ITU-T I.371, annex A): one number, the time at which the bucket will
be full, holds its level. A turn that lies ahead is taken from the bucket when it is promised, so that those who come
back for theirs need not race.
"""

from __future__ import annotations

from shared.stores.redis import Script
from worker.limit_search import SEARCH

LONGEST_TOLD_MS = 600_000
"""A provider that says a longer `retry-after` is asked again all the same: one call in ten minutes is no burden."""
WATCH_MS = 120_000
"""How long a gate is watched after the last trouble."""
BURST = 6
"""The part of a limit that may be used at once after a rest, one in so many: ten seconds' worth of a minute's.

Of an hour's or a day's, all that is left: nobody means to use it evenly.
"""
MINUTE_MS = 60_000
GATE = (
    """
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + t[2] / 1000
end

local KINDS = {'own-requests', 'own-tokens', 'found', 'requests', 'requests-burst', 'requests-hour', 'requests-day',
               'tokens', 'tokens-burst', 'tokens-hour', 'tokens-day', 'input', 'output'}

local function write(gate, ...) redis.call('HSET', 'hermod:gate:' .. gate, ...) end
"""
    + SEARCH
    + """

-- A time further ahead than any is set was set by a clock that has been put back since: it would hold for as long.
local function forget_impossible(state, now)
  for _, field in ipairs({'pause', 'open'}) do
    if (state[field] or 0) > now + LONGEST_TOLD_MS then state[field] = now end
  end
  for _, kind in ipairs(KINDS) do
    local tat, interval = state[kind .. ':tat'], state[kind .. ':interval']
    if tat and interval and tat > now + LONGEST_TOLD_MS + 3 * state[kind .. ':limit'] * interval then
      state[kind .. ':tat'] = now
    end
  end
end

local function read(gate, now)
  local state, flat = {}, redis.call('HGETALL', 'hermod:gate:' .. gate)
  for i = 1, #flat, 2 do state[flat[i]] = tonumber(flat[i + 1]) or flat[i + 1] end
  found_bucket(state, now)
  forget_impossible(state, now)
  return state
end

-- Units of a bucket that a call is taken to cost: a period's at most, for a body's size may be that of an image.
local function cost_of(kind, state, input, output)
  local units = input + output
  if kind == 'found' or string.find(kind, 'requests', 1, true) then units = 1
  elseif kind == 'input' then units = input
  elseif kind == 'output' then units = output end
  return math.min(units, state[kind .. ':limit'])
end

local function charge(gate, state, now, input, output)
  for _, kind in ipairs(KINDS) do
    local interval = state[kind .. ':interval']
    if interval then
      local cost = cost_of(kind, state, input, output)
      write(gate, kind .. ':tat', math.max(state[kind .. ':tat'] or 0, now) + cost * interval)
    end
  end
end

-- A call is on its way, or with 'XX' still is.
local function hold(gate, provider, call, now, lease, only)
  for _, name in ipairs({gate, provider}) do
    redis.call('ZADD', 'hermod:calls:' .. name, only or 'CH', now + lease, call)
    redis.call('PEXPIRE', 'hermod:calls:' .. name, 2 * lease)
  end
end

local function shut_for(state, now)
  local left = (state.open or 0) - now
  return math.max(0, math.ceil(left)), state.open_why or '-'
end

-- Tells every worker what is known about the gate, or that nothing is wrong with it any more.
local function watch(gate, now)
  local state = read(gate, now)
  local till = math.max(now, state.open or 0, state.pause or 0) + WATCH_MS
  local shut, why = shut_for(state, now)
  redis.call('ZADD', 'hermod:gates', till, gate)
  redis.call('PEXPIRE', 'hermod:gate:' .. gate, math.ceil(till - now) + LONGEST_TOLD_MS)
  redis.call('PUBLISH', 'hermod:gate-news', table.concat({gate, math.ceil(till - now), shut, why}, ' '))
end

-- What the provider says of its buckets: `kind interval limit used`, a line each. Never more than we believe is left.
-- Of a limit only a part is taken to be there at once: what a bucket holds after a rest no provider tells.
local function learn(gate, told, now)
  for kind, interval, limit, used in string.gmatch(told, '(%S+) (%S+) (%S+) (%S+)') do
    local tat = tonumber(redis.call('HGET', 'hermod:gate:' .. gate, kind .. ':tat') or 0)
    local most = interval * limit > MINUTE_MS * 1.1 and tonumber(limit) or math.max(1, limit / BURST)
    write(gate, kind .. ':interval', interval, kind .. ':limit', limit, kind .. ':most', most,
          kind .. ':tat', math.max(tat, now + math.max(0, most - (limit - used)) * interval))
  end
end
""".replace("WATCH_MS", str(WATCH_MS))
    .replace("LONGEST_TOLD_MS", str(LONGEST_TOLD_MS))
    .replace("BURST", str(BURST))
    .replace("MINUTE_MS", str(MINUTE_MS))
)

# A call that began before anything was known of its gate: from now on it counts like any other.
JOIN = Script(
    GATE
    + """
local function one(gate, provider, call, lease, input, output)
  local now = clock()
  local state = read(gate, now)
  -- In a pause the buckets are empty already, and what is on its way will be refused.
  if (state.pause or 0) <= now then charge(gate, state, now, tonumber(input), tonumber(output)) end
  hold(gate, provider, call, now, lease)
  return 1
end
""",
    even_when_full=True,
)

RENEW = Script(
    GATE
    + """
local function one(gate, provider, call, lease)
  hold(gate, provider, call, clock(), lease, 'XX')
  return 1
end
""",
    even_when_full=True,
)

# What is known, as lines of the channel; what is not known any more is dropped on the way.
KNOWN = Script(
    GATE
    + """
local function one(gates)
  local now, lines = clock(), {}
  redis.call('ZREMRANGEBYSCORE', gates, '-inf', now)
  local found = redis.call('ZRANGE', gates, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local shut, why = shut_for(read(found[i], now), now)
    lines[#lines + 1] = table.concat({found[i], math.ceil(found[i + 1] - now), shut, why}, ' ')
  end
  return lines
end
""",
    even_when_full=True,
)
