"""The Lua of budgets: reserving before a call, settling after it, and what becomes of a dead worker's reservations.

hermod:holds:<worker>  hash: hold → its meters and amounts: the calls a worker has in flight
hermod:lost:<worker>   the same of a worker that was taken for dead: charged by estimate, and corrected should it live
hermod:holders         set of the workers with holds
"""

from __future__ import annotations

from shared.governance_meters import METERS
from shared.lanes import CLOCK
from shared.stores.redis import Script

LOST_S = 86_400
"""How long a worker that was taken for dead may still say what its calls cost."""
MOST_WORKERS = 20
"""Workers looked at in one step: bounds how long the server serves nobody else (about 1 µs a call in flight)."""

# A hold is {meters, amounts}; an amount is {reserved, charged when nobody can know}. Requests are counted, never held,
# and each once by a meter, however often it is tried, and whoever dies of it: the record it belongs to keeps that in
# mind, which is its job's or that of its shard.
BOOKS = """
local function opened(meter, now)
  local key = 'hermod:meter:' .. meter[1]
  if tonumber(redis.call('HGET', key, 'end') or 0) <= now then
    local ends = window_end(now, meter[4], meter[5], meter[6])
    redis.call('HSET', key, 'end', whole(ends), 'used', 0, 'uncertain', 0, 'unpriced', 0)
    redis.call('PEXPIREAT', key, whole(math.max(ends, now + DAY)))
  end
  return key
end

local function add(key, field, number)
  if redis.call('HINCRBY', key, field, whole(number)) < 0 then redis.call('HSET', key, field, 0) end
end

-- `actual` is nil when nobody can know. What was lost has been charged by its estimate before.
local function charge(meter, amount, now, actual, lost)
  if meter[2] == 'requests' then return end
  local key = opened(meter, now)
  if lost then
    if not actual then return end
    add(key, 'used', actual - amount[2])
    add(key, 'uncertain', -amount[2])
    return
  end
  add(key, 'held', -amount[1])
  add(key, 'used', actual or amount[2])
  if not actual then add(key, 'uncertain', amount[2]) end
end

-- What may have been called by a worker that may be dead.
local function lose_hold(worker, hold, now)
  local holds, lost = 'hermod:holds:' .. worker, 'hermod:lost:' .. worker
  local packed = redis.call('HGET', holds, hold)
  if not packed then return end
  local meters, amounts = unpack(cmsgpack.unpack(packed))
  for index, meter in ipairs(meters) do charge(meter, amounts[index], now, nil, false) end
  redis.call('HSET', lost, hold, packed)
  redis.call('EXPIRE', lost, LOST_S)
  redis.call('HDEL', holds, hold)
end

local function lose(worker, now)
  local all = redis.call('HKEYS', 'hermod:holds:' .. worker)
  for _, hold in ipairs(all) do lose_hold(worker, hold, now) end
  redis.call('SREM', 'hermod:holders', worker)
  return #all
end

-- How many holds of workers that have not said for a whole lease that they are alive, of `most` workers.
local function reclaim(now, most)
  local count = 0
  for _, worker in ipairs(redis.call('SRANDMEMBER', 'hermod:holders', most)) do
    if tonumber(redis.call('ZSCORE', 'hermod:workers', worker) or 0) < now then count = count + lose(worker, now) end
  end
  return count
end

local function counted_before(meters, record, asked)
  local found = {}
  for index, meter in ipairs(meters) do
    found[index] = meter[2] == 'requests' and redis.call('HEXISTS', record, 'asked:' .. asked .. ':' .. meter[1]) == 1
  end
  return found
end

-- Nothing when that was done, else what `judge` says. `record` is the key of the record the request belongs to.
local function reserve(worker, hold, packed, record, asked, now)
  local meters, amounts = unpack(cmsgpack.unpack(packed))
  local counted = counted_before(meters, record, asked)
  local index, spent, wait = judge(meters, now, counted)
  if index then return index, spent, wait end
  local kept = redis.call('EXISTS', record) == 1
  for at, meter in ipairs(meters) do
    if meter[2] ~= 'requests' then
      add(opened(meter, now), 'held', amounts[at][1])
    elseif not counted[at] then
      add(opened(meter, now), 'used', 1)
      if kept then redis.call('HSET', record, 'asked:' .. asked .. ':' .. meter[1], '1') end
    end
  end
  redis.call('HSET', 'hermod:holds:' .. worker, hold, packed)
  redis.call('SADD', 'hermod:holders', worker)
end
""".replace("LOST_S", str(LOST_S))

_ENDED = """
-- Its meters, and whether it had been lost with its worker, and charged by its estimate; nothing if it ended before.
local function end_hold(worker, hold, now, known, cost, tokens)
  local holds, lost = 'hermod:holds:' .. worker, false
  local packed = redis.call('HGET', holds, hold)
  if not packed then
    holds, lost = 'hermod:lost:' .. worker, true
    packed = redis.call('HGET', holds, hold)
  end
  if not packed then return end
  redis.call('HDEL', holds, hold)
  local meters, amounts = unpack(cmsgpack.unpack(packed))
  for index, meter in ipairs(meters) do
    local actual = meter[2] == 'cost' and (tonumber(cost) or 0) or tonumber(tokens)
    charge(meter, amounts[index], now, known and actual or nil, lost)
    if meter[2] == 'cost' and known and cost == '' then add(opened(meter, now), 'unpriced', 1) end
  end
  return meters, lost
end

-- No call was made with it: what is `asked` has not been counted either.
local function give_back(worker, hold, record, asked, now)
  local meters, lost = end_hold(worker, hold, now, true, 0, 0)
  for _, meter in ipairs(not lost and meters or {}) do
    if meter[2] == 'requests' and redis.call('HDEL', record, 'asked:' .. asked .. ':' .. meter[1]) == 1 then
      add(opened(meter, now), 'used', -1)
    end
  end
end
"""

# `job` is the record that what is `asked` belongs to; `instead` is a hold that is given back for this one, or empty.
RESERVE = Script(
    CLOCK
    + METERS
    + BOOKS
    + _ENDED
    + """
local function one(worker, hold, packed, job, asked, instead)
  local now, record = clock_ms(), 'hermod:job:' .. job
  if redis.call('HEXISTS', 'hermod:holds:' .. worker, hold) == 1 then return {'held'} end
  if instead ~= '' then give_back(worker, instead, record, asked, now) end
  local index, spent, wait = reserve(worker, hold, packed, record, asked, now)
  if index and not spent and reclaim(now, MOST_WORKERS) > 0 then
    index, spent, wait = reserve(worker, hold, packed, record, asked, now)
  end
  if index then return {'refused', index, spent and 1 or 0, math.ceil(wait)} end
  return {'held'}
end
""".replace("MOST_WORKERS", str(MOST_WORKERS))
)

# `cost` is empty when the price is unknown; `known` is 0 when what the call came to is. Settled twice counts once.
SETTLE = Script(
    CLOCK
    + METERS
    + BOOKS
    + _ENDED
    + """
local function one(worker, hold, known, cost, tokens)
  return end_hold(worker, hold, clock_ms(), known == '1', cost, tokens) and 1 or 0
end
""",
    even_when_full=True,
)

GIVE_BACK = Script(
    CLOCK
    + METERS
    + BOOKS
    + _ENDED
    + """
local function one(worker, hold, job, asked)
  give_back(worker, hold, 'hermod:job:' .. job, asked, clock_ms())
  return 1
end
""",
    even_when_full=True,
)

RECLAIM = Script(
    CLOCK
    + METERS
    + BOOKS
    + """
local function one(most) return reclaim(clock_ms(), tonumber(most)) end
""",
    even_when_full=True,
)
