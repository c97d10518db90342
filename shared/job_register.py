"""All owners' jobs, for operators: those that wait or run, the newest of the detached, the latest that failed.

Reads the keys of `shared/queue.py`; bodies and outcomes stay where they are. A plain request that succeeded or was
cancelled is in none of these lists.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from shared.job_index import Standing, standing_of
from shared.job_values import JobValues
from shared.jobs import State
from shared.lanes import QUEUE
from shared.queue import JOB
from shared.stores.redis import RedisStore, Script

STEP = 200
"""Jobs looked at in one step: about 1 ms of the server."""
MOST_LOOKED_AT = 2000
"""Jobs looked at for one page: a rare one may be on a later page, the pages before it empty."""


class Register(StrEnum):
    """A list of jobs: a sorted set, the newest with the highest score."""

    RECENT = "hermod:recent"
    UNFINISHED = QUEUE
    FAILURES = "hermod:failures"


# What has expired is taken off the set on the way, but never off arq's queue, which is the sweep's.
_ROWS = Script(
    """
local function one(register, score, before, count)
  local rank, rows, gone = 0, {}, {}
  if before ~= '' then
    rank = redis.call('ZREVRANK', register, before)
    rank = rank and rank + 1 or redis.call('ZCOUNT', register, '(' .. score, '+inf')
  end
  local found = redis.call('ZREVRANGE', register, rank, rank + count - 1, 'WITHSCORES')
  for index = 1, #found, 2 do
    local id = found[index]
    local fields = redis.call('HMGET', 'hermod:job:' .. id, 'spec', 'state', 'attempts', 'started', 'ended')
    if fields[1] then rows[#rows + 1] = {id, found[index + 1], unpack(fields, 1, 5)} else gone[#gone + 1] = id end
  end
  if #gone > 0 and register ~= 'arq:queue' then redis.call('ZREM', register, unpack(gone)) end
  return {rows, #found / 2, found[#found - 1] or '', found[#found] or ''}
end
""",
    even_when_full=True,
)


class Place(NamedTuple):
    """A job's place in a register; it stays one when the job is forgotten."""

    score: str
    job_id: str


class Page(msgspec.Struct, frozen=True):
    """Jobs of a register, newest first.

    Attributes:
        rows: those that were wanted.
        next: where the next page begins; None at the end.
        looked_at: jobs that were looked at for it.
    """

    rows: list[Standing]
    next: Place | None
    looked_at: int


class JobRegister:
    """Lists jobs of all owners. Every method may raise StoreError."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._values = JobValues(store.seal)

    async def page(
        self, register: Register, *, after: Place | None, count: int, wanted: Callable[[Standing], bool]
    ) -> Page:
        """Up to `count` jobs that are wanted, older than `after`; fewer when MOST_LOOKED_AT hold no more."""
        rows: list[Standing] = []
        place, looked_at, at_end = after or Place("", ""), 0, False
        while not at_end and looked_at < MOST_LOOKED_AT:
            found, seen, last_id, last_score = await self._store.run(_ROWS, register, place.score, place.job_id, STEP)
            at_end, looked_at = seen < STEP, looked_at + seen
            for job_id, score, *fields in found:
                standing = standing_of(fields, self._values)
                if wanted(standing):
                    rows.append(standing)
                    if len(rows) == count:
                        return Page(rows, Place(score.decode(), job_id.decode()), looked_at)
            if seen:
                place = Place(last_score.decode(), last_id.decode())
        return Page(rows, None if at_end else place, looked_at)

    async def keeps_request(self, job_id: str) -> bool:
        """Whether the body of its request lies in the job's record."""
        return bool(await self._store.call("HSTRLEN", JOB + job_id, "body"))

    async def sizes(self) -> dict[Register, int]:
        """Jobs in each register, those that have expired since included."""
        return {register: int(await self._store.call("ZCARD", register)) for register in Register}

    async def by_minute(self, register: Register, now_ms: int, minutes: int) -> list[int]:
        """Jobs by the minute of their score, the oldest minute first; the last one is not over."""
        first = now_ms // 60_000 - minutes + 1
        return [
            int(await self._store.call("ZCOUNT", register, minute * 60_000, f"({(minute + 1) * 60_000}"))
            for minute in range(first, first + minutes)
        ]


def in_state(state: State) -> Register:
    """The register with the jobs in that state."""
    if not state.final:
        return Register.UNFINISHED
    return Register.FAILURES if state in {State.FAILED, State.EXPIRED} else Register.RECENT
