"""What there is to be done, for all processes: read off the lanes and the open batches in one step of Redis.

Whoever is asked first within KEPT_MS has it counted, and all others are told the same: however many processes are
scraped, Redis counts once. Keys, besides those of `shared/lanes.py`:

    hermod:gauges        what was counted last, for KEPT_MS
    hermod:claims        hash lane → jobs claimed, ever, up to what workers have told last
    hermod:claim-rates   hash: at (Unix ms); for each lane the claims then, and `rate <lane>`, claims a second
    hermod:batches-open  set: batches that were started and have not ended
"""

from __future__ import annotations

import math

import msgspec

from shared import metrics
from shared.errors import StoreError
from shared.lanes import CLOCK, LANES
from shared.stores.redis import RedisStore, Script

KEPT_MS = 2000
LOOKED_AT = 20
"""Most jobs at the front of an owner's line that are looked at for the one that has waited longest. Those that stand
there again (retried, or of a dead worker) come before it; usually it is the first."""
MOST_OVERDUE = 200
RATE_MS = 60_000
"""What "recent" means: a claim so long ago counts 1/e of one just now."""

# A job waits from when it came, or came due again (`due`, see `shared/lanes.py`). Owners at their own limit are not
# looked at for the oldest: no worker more would run their jobs.
_COUNT = Script(
    CLOCK
    + LANES
    + """
local NEVER_DUE = 1e13

local function came(id)
  local score = tonumber(redis.call('ZSCORE', 'arq:queue', id) or 0)
  if score < 0 then return score + NEVER_DUE end
  local spec = redis.call('HGET', 'hermod:job:' .. id, 'spec')
  return spec and cmsgpack.unpack(spec).created_ms
end

local function waits_since(line)
  local oldest
  for _, id in ipairs(redis.call('LRANGE', line, 0, LOOKED_AT - 1)) do
    local state, due = unpack(redis.call('HMGET', 'hermod:job:' .. id, 'state', 'due'))
    if state == 'queued' then
      local since = tonumber(due or came(id) or nil)
      if since and since < (oldest or math.huge) then oldest = since end
      if not due then return oldest end
    end
  end
  return oldest
end

local function count(lane, now)
  local depth, oldest, prefix = 0, now, 'hermod:due:' .. lane .. ':'
  for _, owner in ipairs(redis.call('ZRANGE', 'hermod:ring:' .. lane, 0, -1)) do
    depth = depth + redis.call('LLEN', prefix .. owner)
    oldest = math.min(oldest, waits_since(prefix .. owner) or now)
  end
  for _, owner in ipairs(redis.call('SMEMBERS', 'hermod:parked')) do
    depth = depth + redis.call('LLEN', prefix .. owner)
  end
  return depth, (now - oldest) / 1000
end

-- Deferred jobs whose time has come, and those of dead workers, while no worker is there to put them back into line.
local function overdue(found, now)
  local late = redis.call('ZRANGEBYSCORE', 'hermod:later', '-inf', now, 'WITHSCORES', 'LIMIT', 0, MOST_OVERDUE)
  for index = 1, #late, 2 do
    local state, lane = unpack(redis.call('HMGET', 'hermod:job:' .. late[index], 'state', 'lane'))
    if (state == 'queued' or state == 'running') and found.depth[lane] then
      found.depth[lane] = found.depth[lane] + 1
      found.oldest[lane] = math.max(found.oldest[lane], (now - late[index + 1]) / 1000)
    end
  end
end

local function rate(lane, now, last)
  local claims = tonumber(redis.call('HGET', 'hermod:claims', lane) or 0)
  local before, was = unpack(redis.call('HMGET', 'hermod:claim-rates', lane, 'rate ' .. lane))
  local found = tonumber(was or 0)
  if last and now > last then
    local per_s = math.max(0, claims - tonumber(before or 0)) * 1000 / (now - last)
    found = found + (1 - math.exp((last - now) / RATE_MS)) * (per_s - found)
  end
  redis.call('HSET', 'hermod:claim-rates', lane, claims, 'rate ' .. lane, found)
  return found
end

local ENDINGS = {'succeeded', 'errored', 'canceled', 'expired'}

local function batches()
  local states = {in_progress = 0, finalizing = 0, cancelling = 0}
  local items = {processing = 0, succeeded = 0, errored = 0, canceled = 0, expired = 0}
  for _, id in ipairs(redis.call('SMEMBERS', 'hermod:batches-open')) do
    local found = redis.call('HMGET', 'hermod:batch:' .. id, 'state', 'spec', unpack(ENDINGS))
    if found[1] and states[found[1]] then
      states[found[1]] = states[found[1]] + 1
      local left = cmsgpack.unpack(found[2]).total
      for index, ending in ipairs(ENDINGS) do
        local ended = tonumber(found[index + 2] or 0)
        items[ending], left = items[ending] + ended, left - ended
      end
      items.processing = items.processing + left
    else
      redis.call('SREM', 'hermod:batches-open', id)
    end
  end
  return states, items
end

local function one(kept_ms)
  local kept = redis.call('GET', 'hermod:gauges')
  if kept then return kept end
  local now, found = clock_ms(), {depth = {}, oldest = {}, rate = {}}
  local last = tonumber(redis.call('HGET', 'hermod:claim-rates', 'at') or nil)
  for _, lane in ipairs(LANES) do
    found.depth[lane], found.oldest[lane] = count(lane, now)
    found.rate[lane] = rate(lane, now, last)
  end
  redis.call('HSET', 'hermod:claim-rates', 'at', now)
  overdue(found, now)
  found.batches, found.items = batches()
  found.workers = redis.call('ZCOUNT', 'hermod:workers', now, '+inf')
  found = cmsgpack.pack(found)
  redis.call('SET', 'hermod:gauges', found, 'PX', kept_ms)
  return found
end
""".replace("LOOKED_AT", str(LOOKED_AT))
    .replace("RATE_MS", str(RATE_MS))
    .replace("MOST_OVERDUE", str(MOST_OVERDUE)),
    even_when_full=True,
)


class Counted(msgspec.Struct, frozen=True):
    """What the script counted, by lane or by state."""

    depth: dict[str, float]
    oldest: dict[str, float]
    rate: dict[str, float]
    batches: dict[str, float]
    items: dict[str, float]
    workers: float


_unpack = msgspec.msgpack.Decoder(Counted).decode
_OF_THE_QUEUE = (
    metrics.QUEUE_DEPTH,
    metrics.QUEUE_OLDEST,
    metrics.QUEUE_BACKLOG,
    metrics.BATCHES,
    metrics.BATCH_ITEMS,
    metrics.WORKERS,
)


async def count(store: RedisStore) -> Counted:
    """What there is to be done, as it was up to KEPT_MS ago. Raises StoreError."""
    return _unpack(await store.run(_COUNT, KEPT_MS))


class Scrape:
    """Answers one who asks a process for its metrics."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def text(self) -> bytes:
        """All metrics, in the text format that Prometheus reads."""
        await self.refresh()
        return metrics.exposition()

    async def refresh(self) -> None:
        """Look at the queue; its gauges are empty while Redis is away: an old figure would pass for a new one."""
        try:
            _show(await count(self._store))
        except StoreError:
            for gauge in _OF_THE_QUEUE:
                gauge.clear()


def _show(counted: Counted) -> None:
    for lane, depth in counted.depth.items():
        metrics.QUEUE_DEPTH.of(lane).value = depth
        metrics.QUEUE_OLDEST.of(lane).value = counted.oldest[lane]
        rate = counted.rate[lane]
        metrics.QUEUE_BACKLOG.of(lane).value = depth / rate if rate else math.inf if depth else 0
    for gauge, figures in ((metrics.BATCHES, counted.batches), (metrics.BATCH_ITEMS, counted.items)):
        for state, figure in figures.items():
            gauge.of(state).value = figure
    metrics.WORKERS.of().value = counted.workers
