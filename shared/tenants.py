"""Who has how many jobs waiting, for operators. Reads the keys of `shared/lanes.py`."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

import msgspec

from shared.lanes import CLOCK, LANES, Lane
from shared.stores.redis import RedisStore, Script

MOST_OWNERS = 5000
"""Owners among whom the busiest are looked for: about 1 ms of the server."""

# The first in line is the oldest, but for those that stand there again: retried, or of a dead worker.
_LINES = Script(
    CLOCK
    + LANES
    + """
local function one(owner)
  local now, lines = clock_ms(), {}
  for index, lane in ipairs(LANES) do
    local due = 'hermod:due:' .. lane .. ':' .. owner
    local first = redis.call('LINDEX', due, 0)
    local score = first and tonumber(redis.call('ZSCORE', 'arq:queue', first) or 0) or 0
    lines[index] = {redis.call('LLEN', due), score < 0 and math.max(0, now - score - 1e13) or 0}
  end
  return {lines, redis.call('SISMEMBER', 'hermod:parked', owner)}
end
""",
    even_when_full=True,
)


class Line(msgspec.Struct, frozen=True):
    """An owner's due jobs in one lane, and how long the first of them has waited, in milliseconds."""

    depth: int
    oldest_ms: int


class Tenant(msgspec.Struct, frozen=True):
    """An owner with unfinished jobs.

    Attributes:
        unfinished: waiting, deferred or running.
        lines: its due jobs, by lane.
        at_cap: as many of its jobs run as may, and others wait for their end.
    """

    owner: str
    unfinished: int
    lines: dict[Lane, Line]
    at_cap: bool

    @property
    def due(self) -> int:
        """Jobs that wait for a worker, or for its cap."""
        return sum(line.depth for line in self.lines.values())


async def busiest(store: RedisStore, count: int) -> tuple[int, list[Tenant]]:
    """How many owners have unfinished jobs, and those with most. Raises StoreError.

    Of more than MOST_OWNERS, the busiest among that many.
    """
    owners = int(await store.call("HLEN", "hermod:unfinished"))
    _, found = await store.call("HSCAN", "hermod:unfinished", 0, "COUNT", MOST_OWNERS)
    busy = nlargest(count, zip(map(int, found[1::2]), found[::2], strict=True))
    return owners, [
        _tenant(owner.decode(), number, *await store.run(_LINES, owner)) for number, owner in busy if number > 0
    ]


def _tenant(owner: str, unfinished: int, lines: Iterable[tuple[int, int]], at_cap: int) -> Tenant:
    by_lane = {lane: Line(*line) for lane, line in zip(Lane, lines, strict=True)}
    return Tenant(owner, unfinished, by_lane, bool(at_cap))
