"""The Lua that creates, moves, cancels, ends and forgets batches; `batch_records.py` tells what is where."""

from __future__ import annotations

from shared.lanes import CLOCK, LUA
from shared.repeats import REPEATS
from shared.stores.redis import Script
from shared.webhook_scripts import TELL

KEPT_S = 29 * 86_400
"""How long an ended batch and its results are kept: as long as Anthropic keeps its own."""
UNSTARTED_S = 2 * 86_400
"""How long the record of a batch is kept that nobody has started: twice its window, for of a batch that was promised
and came to nothing because no worker ran the client must still hear. (One that was never promised is kept as long.)"""
LISTED = 10_000
"""Newest batches of an owner that its listing reaches."""

# As with a job, a request that already became a batch joins it, unless that was cancelled. Two looks at random for
# each batch: while batches are made, at most about half of those that are listed are gone.
CREATE = Script(
    REPEATS
    + """
local function is_alive(id)
  local state, cancelled = unpack(redis.call('HMGET', 'hermod:batch:' .. id, 'state', 'cancelling'))
  return state and not cancelled
end

local function one(id, spec, firsts, owned, created, hooks, what, began, retried, name)
  local record = 'hermod:batch:' .. id
  if redis.call('EXISTS', record) == 1 then return id end
  local other = became_before('batch', what, began, retried, name, is_alive)
  if other then return other end
  remember('batch', id, created, what, retried, name)
  redis.call('HSET', record, 'spec', spec, 'firsts', firsts, 'state', 'validating')
  if hooks ~= '' then redis.call('HSET', record, 'hooks', hooks) end
  redis.call('EXPIRE', record, UNSTARTED_S)
  for _, list in ipairs({owned, 'hermod:batches'}) do
    redis.call('ZADD', list, created, id)
    redis.call('ZREMRANGEBYRANK', list, 0, -LISTED - 1)
    for _, other in ipairs(redis.call('ZRANDMEMBER', list, 2)) do
      if redis.call('EXISTS', 'hermod:batch:' .. other) == 0 then redis.call('ZREM', list, other) end
    end
  end
  return id
end
""".replace("UNSTARTED_S", str(UNSTARTED_S)).replace("-LISTED", f"-{LISTED}")
)

START = Script(
    CLOCK
    + """
local function one(id)
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if not state then return nil end
  if redis.call('HEXISTS', record, 'ended') == 0 then
    redis.call('PERSIST', record)
    redis.call('SADD', 'hermod:batches-open', id)
  end
  if state == 'validating' then redis.call('HSET', record, 'state', 'in_progress', 'started', clock_ms()) end
  return 1
end
"""
)

MOVE = Script(
    CLOCK
    + """
local function one(id, first, second, to)
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if state == first or state == second then redis.call('HSET', record, 'state', to, to, clock_ms()) end
  return 1
end
""",
    even_when_full=True,
)

# In one step, for who dies between two would leave jobs waiting that could end the batch. A job that waits is due now;
# of one that runs, the next delay is left out: it may have looked a moment too early.
CANCEL = Script(
    LUA
    + """
local function hurry(job)
  local record = 'hermod:job:' .. job
  local state = redis.call('HGET', record, 'state')
  if state == 'running' then
    redis.call('HSET', record, 'hurry', 1)
  elseif state == 'queued' and redis.call('ZADD', 'hermod:later', 'XX', 'CH', 'LT', clock_ms(), job) == 1 then
    wake(redis.call('HGET', record, 'lane'))
  end
end

local function one(id, jobs)
  local record = 'hermod:batch:' .. id
  local state = redis.call('HGET', record, 'state')
  if state == 'validating' or state == 'in_progress' then
    redis.call('HSET', record, 'state', 'cancelling', 'cancelling', clock_ms())
  elseif state ~= 'cancelling' then
    return 0
  end
  for job in string.gmatch(jobs, '%S+') do hurry(job) end
  return 1
end
""",
    even_when_full=True,
)

END = Script(
    LUA
    + TELL
    + """
local function one(id, state, output, errors)
  local record = 'hermod:batch:' .. id
  if redis.call('HGET', record, 'state') ~= 'finalizing' then return 0 end
  redis.call('HSET', record, 'state', state, 'ended', clock_ms(), 'output', output, 'error', errors)
  redis.call('EXPIRE', record, KEPT_S)
  redis.call('EXPIRE', 'hermod:batch-done:' .. id, KEPT_S)
  redis.call('SREM', 'hermod:batches-open', id)
  announce(redis.call('HGET', record, 'hooks'), 'batch', state, 200, record)
  return 1
end
""".replace("KEPT_S", str(KEPT_S)),
    even_when_full=True,
)

FORGET = Script(
    """
local function one(id)
  redis.call('DEL', 'hermod:batch:' .. id, 'hermod:batch-done:' .. id)
  redis.call('ZREM', 'hermod:batches', id)
  return 1
end
""",
    even_when_full=True,
)
