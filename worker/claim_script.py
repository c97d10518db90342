"""The Lua that claims due jobs: whose turn it is, under which lease and fence, with what is reserved for the call."""

from __future__ import annotations

from shared.governance_meters import METERS
from shared.lanes import LUA
from shared.stores.redis import Script
from worker.budget_scripts import BOOKS

# Nobody was alive for an instant: Redis was away for a whole lease, or every worker was. What workers hold is theirs
# for another lease then, rather than run a second time by whoever comes back first.
SPARE = """
local function spare(now, lease, worker)
  if redis.call('ZCOUNT', 'hermod:workers', now, '+inf') > 0 then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'hermod:later', '-inf', now)) do
    if redis.call('HGET', 'hermod:job:' .. id, 'state') == 'running' then
      redis.call('ZADD', 'hermod:later', now + lease, id)
    end
  end
  redis.call('ZADD', 'hermod:workers', now + lease, worker)
end
"""

# The fence is new for every claim, not only for every worker: a worker may lose a job and claim it again, and what
# its first run still has in hand must not pass for the second's.
#
# A visit takes up to 16 jobs of one owner, fewer when many owners share the room. Every 16th visit serves the batch
# lane first, another the chores and two the async lane: the reserved share. Of `count` jobs at most so many come from
# each lower lane, from async and batch lane together, and from all lower ones, as are given (any number where none is):
# see `worker/lane_slots.py`. What is left of a lane that this worker has no room for is another's: its token says so
# to those that have, and only they wait for it, or two such workers would wake each other for ever.
#
# What the first call of a job may cost is reserved here, where the client waits for it in person; where that is refused
# the worker asks again, and hears why. When such a lease runs out, what it holds is charged as a dead worker's is.
CLAIM = Script(
    LUA
    + METERS
    + BOOKS
    + SPARE
    + """
local function first(lane)
  local order = {lane}
  for _, other in ipairs(LANES) do
    if other ~= lane then order[#order + 1] = other end
  end
  return order
end

local FIRST = {[0] = first('batch'), [5] = first('async'), [8] = first('chores'), [11] = first('async')}

-- Leases that ran out (their worker died or froze) and deferred jobs whose time has come stand first in their line.
-- How many leases did.
local function line_up_again(now, lease, worker)
  local ran_out = 0
  if redis.call('ZCOUNT', 'hermod:later', '-inf', now) > 0 then spare(now, lease, worker) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'hermod:later', '-inf', now, 'LIMIT', 0, 200)) do
    redis.call('ZREM', 'hermod:later', id)
    local record = 'hermod:job:' .. id
    local state, lane, owner, cap, holder = unpack(redis.call(
      'HMGET', record, 'state', 'lane', 'owner', 'cap', 'holder'))
    if state == 'running' then
      if holder then lose_hold(holder, id, now) end
      redis.call('DEL', 'arq:in-progress:' .. id)
      redis.call('HSET', record, 'state', 'queued')
      redis.call('HINCRBY', record, 'crashes', 1)
      release(owner, cap)
      ran_out = ran_out + 1
    end
    if state == 'running' or state == 'queued' then line_up(id, lane, owner, true) end
  end
  return ran_out
end

-- What other arq clients enqueued, and arq's own cron jobs.
local function adopt(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'arq:queue', '(1', now, 'LIMIT', 0, 20)) do
    redis.call('ZADD', 'arq:queue', 1, id)
    redis.call('HSET', 'hermod:job:' .. id, 'state', 'queued', 'lane', 'interactive', 'owner', 'arq', 'cap', 0,
               'weight', 1)
    redis.call('HINCRBY', 'hermod:unfinished', 'arq', 1)
    line_up(id, 'interactive', 'arq')
  end
end

local function leave_ring(lane, owner, tag)
  local ring = 'hermod:ring:' .. lane
  redis.call('ZREM', ring, owner)
  if redis.call('ZCARD', ring) == 0 then
    redis.call('DEL', 'hermod:tags:' .. lane, 'hermod:clock:' .. lane)
  else
    redis.call('HSET', 'hermod:tags:' .. lane, owner, tag)
  end
end

local function visit(lane, room)
  local ring = 'hermod:ring:' .. lane
  local owner, start = unpack(redis.call('ZRANGE', ring, 0, 0, 'WITHSCORES'))
  if not owner then return nil end
  local due = 'hermod:due:' .. lane .. ':' .. owner
  local first = redis.call('LINDEX', due, 0)
  if not first then leave_ring(lane, owner, start) return {} end
  local state, weight, cap = unpack(redis.call('HMGET', 'hermod:job:' .. first, 'state', 'weight', 'cap'))
  -- A cancelled job's place: it costs no turn, and its record, which alone knows the cap, may have expired.
  if state ~= 'queued' then redis.call('LPOP', due) return {} end
  local most = math.min(16, math.ceil(room / redis.call('ZCARD', ring)))
  if cap and cap ~= '0' then
    most = math.min(most, tonumber(cap) - tonumber(redis.call('HGET', 'hermod:running', owner) or 0))
    if most <= 0 then
      redis.call('SADD', 'hermod:parked', owner)
      leave_ring(lane, owner, start)
      return {}
    end
  end
  local ids = redis.call('LPOP', due, most)
  redis.call('SET', 'hermod:clock:' .. lane, start)
  local tag = start + #ids / (tonumber(weight) or 1)
  if redis.call('EXISTS', due) == 0 then leave_ring(lane, owner, tag) else redis.call('ZADD', ring, tag, owner) end
  return ids
end

local fences, leases = {}, {}

local function hold_first(worker, id, record, reserves, now)
  if reserve(worker, id, reserves, record, id, now) then return '' end
  redis.call('HSET', record, 'holder', worker)
  return reserves
end

local function take(id, payload, worker, fence, now, lease)
  local record = 'hermod:job:' .. id
  local fields = redis.call('HMGET', record, 'state', 'owner', 'cap', 'spec', 'body', 'attempts', 'crashes', 'deadline',
                            'started', 'reserves', 'cancel')
  if fields[1] ~= 'queued' then return nil end
  if not payload then
    forget(id, fields[2])
    redis.call('DEL', record)
    return nil
  end
  fences[#fences + 1] = 'arq:in-progress:' .. id
  fences[#fences + 1] = fence
  leases[#leases + 1] = now + lease
  leases[#leases + 1] = id
  redis.call('HSET', record, 'state', 'running', 'started', fields[9] or now)
  if fields[3] ~= '0' then redis.call('HINCRBY', 'hermod:running', fields[2], 1) end
  local late = fields[8] and tonumber(fields[8]) < now
  local first = not fields[9] and not late
  local held = first and fields[10] and hold_first(worker, id, record, fields[10], now) or ''
  return {id, fence, payload, fields[4] or '', fields[5] or '', fields[6] or '', fields[7] or '0', late and '1' or '0',
          fields[9] and '1' or '0', fields[11] and '1' or '0', held}
end

local function one(count, lease, worker, chores, async, batch, detached, lower)
  local now = clock_ms()
  count, lease = tonumber(count), tonumber(lease)
  detached, lower = tonumber(detached or count), tonumber(lower or count)
  local most = {chores = tonumber(chores or count), async = tonumber(async or count), batch = tonumber(batch or count)}
  local ran_out = line_up_again(now, lease, worker)
  adopt(now)
  local turn = tonumber(redis.call('GET', 'hermod:turn') or 0)
  local fence = redis.call('INCRBY', 'hermod:fences', count)
  local claimed = {}
  local function room(lane)
    local left = count - #claimed
    if lane == 'interactive' then return left end
    left = math.min(left, most[lane], lower)
    return lane == 'chores' and left or math.min(left, detached)
  end
  while #claimed < count do
    local ids, from
    for _, lane in ipairs(FIRST[turn % 16] or LANES) do
      local left = room(lane)
      ids, from = left > 0 and visit(lane, left), lane
      if ids then break end
    end
    if not ids then break end
    turn = turn + 1
    local records = {}
    for index, id in ipairs(ids) do records[index] = 'arq:job:' .. id end
    local payloads = #ids > 0 and redis.call('MGET', unpack(records)) or {}
    for index, id in ipairs(ids) do
      local job = take(id, payloads[index], worker, worker .. ':' .. fence - #claimed, now, lease)
      if job then
        claimed[#claimed + 1] = job
        if from ~= 'interactive' then most[from], lower = most[from] - 1, lower - 1 end
        if from == 'async' or from == 'batch' then detached = detached - 1 end
      end
    end
  end
  if #fences > 0 then
    redis.call('MSET', unpack(fences))
    redis.call('ZADD', 'hermod:later', unpack(leases))
  end
  redis.call('SET', 'hermod:turn', turn)
  local next = redis.call('ZRANGE', 'hermod:later', 0, 0, 'WITHSCORES')[2]
  for _, lane in ipairs(LANES) do
    if room(lane) <= 0 and redis.call('EXISTS', 'hermod:ring:' .. lane) == 1 then wake(lane) end
  end
  -- This worker is full: another one must know when the next deferred job is due.
  if #claimed == count then wake('interactive') end
  return {claimed, next and math.max(0, next - now) or -1, ran_out}
end
""",
    even_when_full=True,
)
