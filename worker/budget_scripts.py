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

# A hold is {meters, amounts}; an amount is {reserved, charged when nobody can know}. Requests are counted, never held.
_BOOKS = """
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

local function lose(worker, now)
  local holds, lost = 'hermod:holds:' .. worker, 'hermod:lost:' .. worker
  local all = redis.call('HGETALL', holds)
  for at = 1, #all, 2 do
    local meters, amounts = unpack(cmsgpack.unpack(all[at + 1]))
    for index, meter in ipairs(meters) do charge(meter, amounts[index], now, nil, false) end
    redis.call('HSET', lost, all[at], all[at + 1])
  end
  redis.call('EXPIRE', lost, LOST_S)
  redis.call('DEL', holds)
  redis.call('SREM', 'hermod:holders', worker)
  return #all / 2
end

-- How many holds of workers that have not said for a whole lease that they are alive, of `most` workers.
local function reclaim(now, most)
  local count = 0
  for _, worker in ipairs(redis.call('SRANDMEMBER', 'hermod:holders', most)) do
    if tonumber(redis.call('ZSCORE', 'hermod:workers', worker) or 0) < now then count = count + lose(worker, now) end
  end
  return count
end
""".replace("LOST_S", str(LOST_S))

RESERVE = Script(
    CLOCK
    + METERS
    + _BOOKS
    + """
local function one(worker, hold, packed)
  local holds, now = 'hermod:holds:' .. worker, clock_ms()
  if redis.call('HEXISTS', holds, hold) == 1 then return {'held'} end
  local meters, amounts = unpack(cmsgpack.unpack(packed))
  local index, spent, wait = judge(meters, now)
  if index and not spent and reclaim(now, MOST_WORKERS) > 0 then index, spent, wait = judge(meters, now) end
  if index then return {'refused', index, spent and 1 or 0, math.ceil(wait)} end
  for at, meter in ipairs(meters) do
    add(opened(meter, now), meter[2] == 'requests' and 'used' or 'held', amounts[at][1])
  end
  redis.call('HSET', holds, hold, packed)
  redis.call('SADD', 'hermod:holders', worker)
  return {'held'}
end
""".replace("MOST_WORKERS", str(MOST_WORKERS))
)

# `cost` is empty when the price is unknown; `known` is 0 when what the call came to is. Settled twice counts once.
SETTLE = Script(
    CLOCK
    + METERS
    + _BOOKS
    + """
local function one(worker, hold, known, cost, tokens)
  local holds, lost = 'hermod:holds:' .. worker, false
  local packed = redis.call('HGET', holds, hold)
  if not packed then
    holds, lost = 'hermod:lost:' .. worker, true
    packed = redis.call('HGET', holds, hold)
  end
  if not packed then return 0 end
  redis.call('HDEL', holds, hold)
  local now = clock_ms()
  local meters, amounts = unpack(cmsgpack.unpack(packed))
  for index, meter in ipairs(meters) do
    local actual = meter[2] == 'cost' and (tonumber(cost) or 0) or tonumber(tokens)
    charge(meter, amounts[index], now, known == '1' and actual or nil, lost)
    if meter[2] == 'cost' and known == '1' and cost == '' then add(opened(meter, now), 'unpriced', 1) end
  end
  return 1
end
""",
    even_when_full=True,
)

RECLAIM = Script(
    CLOCK
    + METERS
    + _BOOKS
    + """
local function one(most) return reclaim(clock_ms(), tonumber(most)) end
""",
    even_when_full=True,
)
