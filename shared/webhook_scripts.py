"""The Lua that makes an event of an end, within the script that writes the end; to be put behind `shared.lanes.LUA`.

An event is a job for each endpoint that is told: its body begins with a line of facts, which `shared/webhook_events.py`
reads, and goes on with the spec of what has ended. Its owner is the endpoint, so that endpoints take turns, no more of
one endpoint's are sent at once than may be, and its deliveries are listed like any owner's jobs.
"""

from __future__ import annotations

WEBHOOK = "webhook"
"""Operation of the jobs that deliver events."""
AT_ONCE = 10
"""Events on their way to one endpoint at a time, over all workers; Bifrost's figure, there for each node."""
TRIED_MS = 72 * 3_600_000
"""How long it is tried to deliver an event: as long as OpenAI does."""
LISTED = 10_000
"""Newest deliveries of an endpoint that are listed."""

TELL = (
    """
-- The server's msgpack knows no bytes but text.
local function from_hex(text)
  return (string.gsub(text, '..', function(pair) return string.char(tonumber(pair, 16)) end))
end

-- `hook` is what `shared/webhook_events.py` packs; an event that was lined up before stays what it is.
local function deliver(hook, body)
  local spec, arq_job = hook[1], hook[2]
  local id, owner, now = spec.id, spec.owner, clock_ms()
  local record, owned = 'hermod:job:' .. id, 'hermod:owned:' .. owner
  if redis.call('EXISTS', record) == 1 then return end
  spec.created_ms, spec.deadline_ms = now, now + TRIED_MS
  redis.call('HSET', record, 'spec', cmsgpack.pack(spec), 'body', body, 'state', 'queued', 'detached', '1',
             'waiters', '', 'lane', spec.lane, 'owner', owner, 'weight', 1, 'cap', AT_ONCE,
             'deadline', spec.deadline_ms, 'store', '1')
  redis.call('ZADD', 'arq:queue', now - 1e13, id)
  redis.call('SET', 'arq:job:' .. id, from_hex(arq_job))
  redis.call('HINCRBY', 'hermod:unfinished', owner, 1)
  redis.call('ZADD', owned, now, id)
  redis.call('ZREMRANGEBYRANK', owned, 0, -LISTED - 1)
  redis.call('EXPIRE', owned, spec.ttl_s + TRIED_MS / 1000)
  line_up(id, spec.lane, owner)
end

-- Tells of an end whoever is to hear of this one; `record` is that of what has ended.
local function announce(hooks, kind, state, status, record)
  if not hooks then return end
  local spec = redis.call('HGET', record, 'spec')
  for _, hook in ipairs(cmsgpack.unpack(hooks)) do
    local wanted = hook[3]
    if wanted == '*' or string.find(wanted, state, 1, true) then
      local facts = {kind, state, status, string.format('%.0f', clock_ms()), wanted}
      deliver(hook, table.concat(facts, ' ') .. '\\n' .. spec)
    end
  end
end
""".replace("AT_ONCE", str(AT_ONCE))
    .replace("-LISTED", f"-{LISTED}")
    .replace("TRIED_MS", str(TRIED_MS))
)
