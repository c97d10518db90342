"""The Lua of leases: each script is one atomic step of keeping a job or ending it. `claim_script.py` has the first."""

from __future__ import annotations

from shared.lanes import CLOCK, LUA
from shared.queue_scripts import STAYS
from shared.stores.redis import Script
from shared.webhook_scripts import TELL
from worker.claim_script import SPARE

FOLLOWED_S = 300
"""How long the events of a stream that was followed are kept: its reader may be slow, its SDK may ask again."""
FAILURES_MOST = 10_000
"""Newest failures of all owners that operators are shown."""
MOST_PIECES = 65_536
"""Pieces kept of one stream, about 16 MiB of tokens sent one by one: no provider can fill Redis with one answer."""

RENEW = Script(
    CLOCK
    + """
local function one(id, fence, lease)
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return 'lost' end
  redis.call('ZADD', 'hermod:later', 'XX', clock_ms() + tonumber(lease), id)
  return redis.call('HEXISTS', 'hermod:job:' .. id, 'cancel') == 1 and 'cancelled' or 'held'
end
""",
    even_when_full=True,
)

# With what it has claimed of each lane since it last said so: counted here, it costs a claim nothing.
ALIVE = Script(
    LUA
    + SPARE
    + """
local function one(worker, lease, ...)
  local now = clock_ms()
  spare(now, tonumber(lease), worker)
  redis.call('ZREMRANGEBYSCORE', 'hermod:workers', '-inf', now)
  for index, claims in ipairs({...}) do
    if claims ~= '0' then redis.call('HINCRBY', 'hermod:claims', LANES[index], claims) end
  end
  return redis.call('ZADD', 'hermod:workers', now + tonumber(lease), worker)
end
""",
    even_when_full=True,
)

# A reply that was lost after the commit makes us ask again: `ended_by` says that this very fence did it.
FINISH = Script(
    LUA
    + STAYS
    + TELL
    + """
-- Listed for operators; those that an outage of a provider failed are more than anybody reads.
local function note_failure(id)
  redis.call('ZADD', 'hermod:failures', clock_ms(), id)
  redis.call('ZREMRANGEBYRANK', 'hermod:failures', 0, -FAILURES_MOST - 1)
end

local function one(id, fence, state, outcome, attempts, ttl, done, arq_result, stream, status)
  local record = 'hermod:job:' .. id
  local owner, cap, waiters, ended_by, detached, store, hooks = unpack(redis.call(
    'HMGET', record, 'owner', 'cap', 'waiters', 'ended_by', 'detached', 'store', 'hooks'))
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return ended_by == fence and 1 or 0 end
  forget(id, owner)
  release(owner, cap)
  local failed = state == 'failed' or state == 'expired'
  local kept = store == '1' or state ~= 'succeeded' and stays(record, detached)
  redis.call('HDEL', record, 'cancel', kept and 'cancel' or 'body')
  if failed then note_failure(id) end
  redis.call('HSET', record, 'state', state, 'outcome', outcome, 'attempts', attempts, 'ended_by', fence,
             'ended', clock_ms())
  -- A client's key names a plain request's answer for a day, but not that there was none.
  if failed and detached ~= '1' and store ~= '1' then ttl = math.min(ttl, FOLLOWED_S) end
  redis.call('EXPIRE', record, ttl)
  if stream == '1' then
    redis.call('EXPIRE', 'hermod:events:' .. id, detached == '1' and ttl or math.min(ttl, FOLLOWED_S))
  end
  if arq_result ~= '' then redis.call('SET', 'arq:result:' .. id, arq_result, 'EX', ttl) end
  tell(waiters, done)
  announce(hooks, 'job', state, status, record)
  return 1
end
""".replace("FOLLOWED_S", str(FOLLOWED_S)).replace("FAILURES_MOST", str(FAILURES_MOST)),
    even_when_full=True,
)

DEFER = Script(
    LUA
    + """
local function one(id, fence, delay, attempts, why)
  local record = 'hermod:job:' .. id
  local lane, owner, cap, ended_by = unpack(redis.call('HMGET', record, 'lane', 'owner', 'cap', 'ended_by'))
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return ended_by == fence and 1 or 0 end
  if redis.call('HEXISTS', record, 'cancel') == 1 then return 'cancelled' end
  if redis.call('HDEL', record, 'hurry') == 1 then delay = '0' end
  redis.call('DEL', 'arq:in-progress:' .. id)
  redis.call('HSET', record, 'state', 'queued', 'attempts', attempts, 'ended_by', fence, 'why', why)
  release(owner, cap)
  if delay == '0' then
    redis.call('ZREM', 'hermod:later', id)
    line_up(id, lane, owner, true)
  else
    redis.call('ZADD', 'hermod:later', clock_ms() + tonumber(delay), id)
    wake(lane)
  end
  return 1
end
""",
    even_when_full=True,
)

APPEND = Script(
    LUA
    + """
local function one(id, fence, seq, data, notice)
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return 0 end
  local events, number = 'hermod:events:' .. id, seq .. '-0'
  local added = redis.pcall('XADD', events, 'MAXLEN', '~', MOST_PIECES, number, 'd', data)
  if type(added) == 'table' and added.err then return #redis.call('XRANGE', events, number, number) end
  tell(redis.call('HGET', 'hermod:job:' .. id, 'waiters'), notice)
  return 1
end
""".replace("MOST_PIECES", str(MOST_PIECES)),
    even_when_full=True,
)
