"""Where a due job stands in line: lanes by urgency, and within a lane a fair turn for every owner.

The Lua below is shared by the scripts of `shared/queue.py` and `worker/leases.py`. Keys:

    hermod:due:<lane>:<owner>  list of due job ids; the left end is next
    hermod:ring:<lane>         sorted set of the owners with due jobs; score = start tag: the lowest is served next
    hermod:tags:<lane>         hash owner → tag at which its next job starts, kept while the lane is busy
    hermod:clock:<lane>        start tag served last: where an owner that comes (back) begins
    hermod:later               sorted set, score = Unix ms: ends of leases, and times of deferred jobs
    hermod:unfinished          hash owner → jobs queued, deferred or running
    hermod:running             hash owner → jobs running, for owners with a cap on them
    hermod:parked              set of owners at that cap, out of every ring until one of their jobs ends
    hermod:wake:<lane>         list of at most one token: work is due, or due earlier than the waiting workers know.
                               Only workers with room for the lane wait for it, so none takes one it has no use for

Each job moves its owner's tag on by 1/weight (start-time fair queueing, Goyal, Vin and Cheng, 1996), so a caller with
50,000 jobs in line and one with a single job take turns, whoever was first.
"""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """The order in which due jobs are claimed; the lower ones have a reserved share, so that none starves.

    Chores are the gateway's own short jobs, which call no provider: webhooks, the starts and ends of batches.
    """

    INTERACTIVE = "interactive"
    CHORES = "chores"
    ASYNC = "async"
    BATCH = "batch"


QUEUE = "arq:queue"
"""arq's own sorted set. Our jobs have scores below 1, so that what other arq clients enqueue (its time) stands out."""
LATER = "hermod:later"
WAKE = "hermod:wake:"
"""And a lane."""

CLOCK = """
local function clock_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
"""

LANES = f"local LANES = {{{', '.join(repr(lane.value) for lane in Lane)}}}\n"

LUA = (
    CLOCK
    + LANES
    + """
-- One token is enough: whoever takes it and leaves due jobs of the lane behind puts the next one in.
local function wake(lane)
  local token = 'hermod:wake:' .. lane
  if redis.call('LLEN', token) == 0 then redis.call('LPUSH', token, '1') end
end

local function enter(lane, owner)
  local ring = 'hermod:ring:' .. lane
  if redis.call('ZSCORE', ring, owner) then return end
  local tag = tonumber(redis.call('HGET', 'hermod:tags:' .. lane, owner) or 0)
  local clock = tonumber(redis.call('GET', 'hermod:clock:' .. lane) or 0)
  redis.call('ZADD', ring, math.max(tag, clock), owner)
end

local function line_up(id, lane, owner, at_front)
  redis.call(at_front and 'LPUSH' or 'RPUSH', 'hermod:due:' .. lane .. ':' .. owner, id)
  if at_front then redis.call('HSET', 'hermod:job:' .. id, 'due', clock_ms()) end
  if redis.call('SISMEMBER', 'hermod:parked', owner) == 0 then enter(lane, owner) end
  wake(lane)
end

-- The owner's due jobs may be claimed again.
local function unpark(owner)
  for _, lane in ipairs(LANES) do
    if redis.call('EXISTS', 'hermod:due:' .. lane .. ':' .. owner) == 1 then
      enter(lane, owner)
      wake(lane)
    end
  end
end

-- A running job of the owner ended or went back: one that waits behind the owner's cap may run.
local function release(owner, cap)
  if cap == '0' then return end
  redis.call('HINCRBY', 'hermod:running', owner, -1)
  if redis.call('SREM', 'hermod:parked', owner) == 1 then unpark(owner) end
end

local function tell(waiters, message)
  for waiter in string.gmatch(waiters or '', '%S+') do redis.call('PUBLISH', waiter, message) end
end

-- What ended in this batch: its traces outside the record are removed together.
local gone, ended = {}, {}

local function forget(id, owner)
  gone[#gone + 1] = id
  ended[owner] = (ended[owner] or 0) + 1
end

local function settle()
  if #gone == 0 then return end
  local keys = {}
  for _, id in ipairs(gone) do
    keys[#keys + 1] = 'arq:job:' .. id
    keys[#keys + 1] = 'arq:in-progress:' .. id
  end
  redis.call('DEL', unpack(keys))
  redis.call('ZREM', 'arq:queue', unpack(gone))
  redis.call('ZREM', 'hermod:later', unpack(gone))
  for owner, count in pairs(ended) do
    if redis.call('HINCRBY', 'hermod:unfinished', owner, -count) <= 0 then
      redis.call('HDEL', 'hermod:unfinished', owner)
    end
  end
end
"""
)
