"""The Lua of the client's half of the queue: each script is one atomic step of submitting, watching or cancelling."""

from __future__ import annotations

from shared.governance_meters import METERS
from shared.lanes import LUA
from shared.stores.redis import Script
from shared.webhook_scripts import TELL

SAME_REQUEST_S = 600
"""How long an SDK's automatic retry finds the job its lost first try became (SDK read timeout: 600 s)."""
IDEMPOTENCY_S = 86_400

LISTED = 10_000
"""Newest jobs of an owner that its listing reaches, give or take the few that await the next trim."""
LISTED_S = 30 * 86_400
"""How long the listing of an owner who has submitted nothing since is kept: beyond any outcome's usual time."""
RECENT = 100_000
"""Newest detached jobs of all owners that operators are shown, about 10 MB; trimmed a thousand at a time."""
KEPT_BODY_BYTES = 16_384
"""Largest request of a detached job that is kept with it when it did not succeed, so that it can be run again: a
provider's outage must not fill the memory with what was asked meanwhile."""

# A retry of a request that already became a job joins that job, unless it was cancelled: the client that
# gave up and cancelled is the very one that asks again. A detached one that joins a plain request's job detaches it.
#
# A listing is trimmed, and given its time to live anew, by an owner's only job in hand and by every 16th of a busy one
# (ids are random): on a busy gateway it costs a submit little more than the one ZADD. By one that joins, always.
#
# Whose budget is spent is refused at once; whose window is, only when it waits in person: other jobs wait for the next.
#
# A request whose answer the cache has becomes no job, and costs no budget.
SUBMIT = Script(
    LUA
    + METERS
    + """
-- Rising scores are the cheapest to insert, and negative ones are never taken for the due time of another client's.
local NEVER_DUE = 1e13
local accepted, payloads, recent = {}, {}, {}

local function settle()
  if #accepted > 0 then
    redis.call('MSET', unpack(payloads))
    redis.call('ZADD', 'arq:queue', unpack(accepted))
  end
  if #recent == 0 then return end
  redis.call('ZADD', 'hermod:recent', unpack(recent))
  if redis.call('ZCARD', 'hermod:recent') >= RECENT_MOST + 1000 then
    redis.call('ZREMRANGEBYRANK', 'hermod:recent', 0, -RECENT_MOST - 1)
  end
end

local function list(id, owner, created, trim)
  local owned = 'hermod:owned:' .. owner
  redis.call('ZADD', owned, created, id)
  recent[#recent + 1] = created
  recent[#recent + 1] = id
  if not trim then return end
  redis.call('ZREMRANGEBYRANK', owned, 0, -LISTED_MOST - 1)
  redis.call('EXPIRE', owned, LISTED_S)
end

local function join(other, waiter, detached)
  local record = 'hermod:job:' .. other
  local state, cancel, waiters, before, owner, spec = unpack(redis.call(
    'HMGET', record, 'state', 'cancel', 'waiters', 'detached', 'owner', 'spec'))
  if not state or state == 'cancelled' or cancel then return nil end
  if state == 'queued' or state == 'running' then
    if waiter ~= '' then redis.call('HSET', record, 'waiters', (waiters or '') .. waiter .. ' ') end
    if detached == '1' and before ~= '1' then
      redis.call('HSET', record, 'detached', '1')
      list(other, owner, cmsgpack.unpack(spec).created_ms, true)
    end
  end
  return {'joined', other}
end

local function named_before(idem, what, waiter, detached)
  local held = redis.call('GET', idem)
  if not held then return nil end
  local other, held_what = string.match(held, '^(%S+) (%S+)$')
  if held_what ~= what then return {'conflict', other} end
  return join(other, waiter, detached)
end

local function refused(id, lane, limits)
  if limits == '' then return nil end
  local meters = cmsgpack.unpack(limits)
  local index, spent, wait = judge(meters, clock_ms())
  if index and (lane == 'interactive' or spent and meters[index][2] == 'cost') then
    return {'refused', id, index, spent and 1 or 0, math.ceil(wait)}
  end
end

local function one(id, spec, body, arq_job, waiter, what, look, name, detached, store,
                   lane, owner, weight, cap, most, deadline, created, limits, hooks, cached, reserves)
  local record, same, idem = 'hermod:job:' .. id, 'hermod:same:' .. what, 'hermod:idem:' .. name
  if redis.call('EXISTS', record) == 1 then return {'new', id} end
  local earlier
  if name ~= '' then
    earlier = named_before(idem, what, waiter, detached)
  elseif look == '1' then
    local other = redis.call('GET', same)
    earlier = other and join(other, waiter, detached)
  end
  if earlier then return earlier end
  local answer = cached ~= '' and redis.call('GET', 'hermod:cached:' .. cached)
  if answer then return {'cached', id, answer} end
  local no = refused(id, lane, limits)
  if no then return no end
  local unfinished = redis.call('HINCRBY', 'hermod:unfinished', owner, 1)
  if unfinished > tonumber(most) then
    redis.call('HINCRBY', 'hermod:unfinished', owner, -1)
    return {'full', id}
  end
  if name ~= '' then redis.call('SET', idem, id .. ' ' .. what, 'EX', IDEMPOTENCY_S) end
  redis.call('SET', same, id, 'EX', SAME_REQUEST_S)
  redis.call('HSET', record, 'spec', spec, 'body', body, 'state', 'queued', 'detached', detached,
             'waiters', waiter == '' and '' or waiter .. ' ', 'lane', lane, 'owner', owner, 'weight', weight,
             'cap', cap, 'deadline', deadline, 'store', store)
  if hooks ~= '' then redis.call('HSET', record, 'hooks', hooks) end
  if reserves ~= '' then redis.call('HSET', record, 'reserves', reserves) end
  accepted[#accepted + 1] = tonumber(created) - NEVER_DUE
  accepted[#accepted + 1] = id
  payloads[#payloads + 1] = 'arq:job:' .. id
  payloads[#payloads + 1] = arq_job
  if detached == '1' then list(id, owner, created, unfinished == 1 or string.sub(id, 1, 1) == '0') end
  line_up(id, lane, owner)
  return {'new', id}
end
""".replace("IDEMPOTENCY_S", str(IDEMPOTENCY_S))
    .replace("SAME_REQUEST_S", str(SAME_REQUEST_S))
    .replace("LISTED_MOST", str(LISTED))
    .replace("LISTED_S", str(LISTED_S))
    .replace("RECENT_MOST", str(RECENT))
)

STAYS = """
local function stays(record, detached)
  return detached == '1' and redis.call('HSTRLEN', record, 'body') <= KEPT_BODY_BYTES
end
""".replace("KEPT_BODY_BYTES", str(KEPT_BODY_BYTES))
"""Lua: whether the request of a job that did not succeed is kept, to be run again."""

# The id of a cancelled job stays in its line: removing it from the middle would cost a walk; a claim skips it.
CANCEL = Script(
    LUA
    + STAYS
    + TELL
    + """
local function one(id, outcome, done, ttl, leaving, status)
  local record = 'hermod:job:' .. id
  local state, waiters, detached, owner, store, hooks = unpack(redis.call(
    'HMGET', record, 'state', 'waiters', 'detached', 'owner', 'store', 'hooks'))
  if not state then return nil end
  if leaving ~= '' then
    local from, to = string.find(waiters, leaving .. ' ', 1, true)
    if from then waiters = string.sub(waiters, 1, from - 1) .. string.sub(waiters, to + 1) end
    redis.call('HSET', record, 'waiters', waiters)
    if waiters ~= '' or detached == '1' then return state end
  end
  if state == 'queued' then
    forget(id, owner)
    redis.call('HSET', record, 'state', 'cancelled', 'outcome', outcome, 'ended', clock_ms())
    if store ~= '1' and not stays(record, detached) then redis.call('HDEL', record, 'body') end
    redis.call('EXPIRE', record, ttl)
    redis.call('EXPIRE', 'hermod:events:' .. id, ttl)
    tell(waiters, done)
    announce(hooks, 'job', 'cancelled', status, record)
    return 'ended'
  elseif state == 'running' then
    redis.call('HSET', record, 'cancel', '1')
    redis.call('PUBLISH', 'hermod:cancels', id)
  end
  return state
end
""",
    even_when_full=True,
)

LOOK = Script(
    """
local function one(id, waiter)
  local record = 'hermod:job:' .. id
  local fields = redis.call('HMGET', record, 'spec', 'state', 'outcome', 'waiters', 'ended')
  local unfinished = fields[2] == 'queued' or fields[2] == 'running'
  if waiter ~= '' and unfinished and not string.find(fields[4] or '', waiter, 1, true) then
    redis.call('HSET', record, 'waiters', (fields[4] or '') .. waiter .. ' ')
  end
  return fields
end
""",
    even_when_full=True,
)

FORGET = Script(
    """
local function one(id, owner)
  local record = 'hermod:job:' .. id
  local state = redis.call('HGET', record, 'state')
  if state == 'queued' or state == 'running' then return 0 end
  redis.call('DEL', record, 'hermod:events:' .. id)
  redis.call('ZREM', 'hermod:owned:' .. owner, id)
  return 1
end
""",
    even_when_full=True,
)
