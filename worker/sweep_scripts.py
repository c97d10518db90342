"""The Lua that heals what records and queue disagree on: `HEAL` one job, `RECOUNT` the counters of all."""

from __future__ import annotations

from shared.lanes import LUA
from shared.stores.redis import Script

LINE_WALK = 1000
"""Longest line in which a job is looked for; in a longer one it is believed to stand."""

HEAL = Script(
    LUA
    + """
local function remove(id)
  if tonumber(redis.call('ZSCORE', 'arq:queue', id) or 2) > 1 then return nil end
  redis.call('ZREM', 'arq:queue', id)
  redis.call('ZREM', 'hermod:later', id)
  redis.call('DEL', 'arq:job:' .. id, 'arq:in-progress:' .. id)
  return 'removed'
end

-- The worker, should it live, is refused from now on. For a stream this counts as the worker's death: what it has
-- told the client cannot be told again.
local function take_away(id, record, lane, owner, cap)
  redis.call('DEL', 'arq:in-progress:' .. id)
  redis.call('HSET', record, 'state', 'queued')
  redis.call('HINCRBY', record, 'crashes', 1)
  release(owner, cap or '0')
  line_up(id, lane, owner, true)
end

local function is_late(record, deadline)
  return deadline and tonumber(deadline) < clock_ms() and redis.call('HSETNX', record, 'hurried', 1) == 1
end

local function stand(id, record, state, lane, owner, cap, deadline)
  local due = 'hermod:due:' .. lane .. ':' .. owner
  if not redis.call('ZSCORE', 'hermod:later', id) then
    if state == 'running' then
      take_away(id, record, lane, owner, cap)
      return 'taken from a worker without a lease'
    end
    if redis.call('LLEN', due) <= LINE_WALK and not redis.call('LPOS', due, id) then
      line_up(id, lane, owner, true)
      return 'lined up'
    end
    if is_late(record, deadline) then
      line_up(id, lane, owner, true)
      return 'lined up to expire'
    end
  end
  if redis.call('EXISTS', due) == 1 and redis.call('SISMEMBER', 'hermod:parked', owner) == 0
     and not redis.call('ZSCORE', 'hermod:ring:' .. lane, owner) then
    enter(lane, owner)
    wake(lane)
    return 'owner let in'
  end
end

local function one(id, arq_job)
  local record = 'hermod:job:' .. id
  local state, lane, owner, cap, deadline, spec =
    unpack(redis.call('HMGET', record, 'state', 'lane', 'owner', 'cap', 'deadline', 'spec'))
  if state ~= 'queued' and state ~= 'running' then return remove(id) end
  if not lane or not owner then return nil end
  local added = redis.call('ZADD', 'arq:queue', 'NX', 1, id) == 1
  if spec and redis.call('SET', 'arq:job:' .. id, arq_job, 'NX') then added = true end
  return stand(id, record, state, lane, owner, cap, deadline) or (added and 'put back into the queue')
end
""".replace("LINE_WALK", str(LINE_WALK)),
    even_when_full=True,
)

RECOUNT = Script(
    LUA
    + """
local function count(ids, counts)
  local counted = {}
  for _, id in ipairs(ids) do
    local state, owner, cap = unpack(redis.call('HMGET', 'hermod:job:' .. id, 'state', 'owner', 'cap'))
    if owner and counts(state, cap) then counted[owner] = (counted[owner] or 0) + 1 end
  end
  return counted
end

local function correct(key, counted)
  local wrong, kept = 0, redis.call('HGETALL', key)
  for at = 1, #kept, 2 do
    local owner, number = kept[at], tonumber(kept[at + 1])
    if not counted[owner] then
      redis.call('HDEL', key, owner)
      if number ~= 0 then wrong = wrong + 1 end
    elseif counted[owner] == number then
      counted[owner] = nil
    end
  end
  for owner, number in pairs(counted) do
    redis.call('HSET', key, owner, number)
    wrong = wrong + 1
  end
  return wrong
end

local function unpark_all(running)
  local freed = 0
  for _, owner in ipairs(redis.call('SMEMBERS', 'hermod:parked')) do
    if not running[owner] then
      redis.call('SREM', 'hermod:parked', owner)
      unpark(owner)
      freed = freed + 1
    end
  end
  return freed
end

local function unfinished(state) return state == 'queued' or state == 'running' end
local function capped(state, cap) return state == 'running' and cap and cap ~= '0' end

local function one(most)
  most = tonumber(most)
  local wrong, freed = 0, 0
  if redis.call('ZCARD', 'arq:queue') <= most then
    local ours = redis.call('ZRANGEBYSCORE', 'arq:queue', '-inf', 1)
    wrong = correct('hermod:unfinished', count(ours, unfinished))
  end
  if redis.call('ZCARD', 'hermod:later') <= most then
    local leased = redis.call('ZRANGE', 'hermod:later', 0, -1)
    wrong = wrong + correct('hermod:running', count(leased, capped))
    freed = unpark_all(count(leased, capped))
  end
  return {wrong, freed}
end
""",
    even_when_full=True,
)
