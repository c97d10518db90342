"""What an owner may see of its jobs: where one stands and what it waits for, and which there are.

Reads the keys of `shared/queue.py` and `shared/lanes.py`. Bodies and events stay where they are; the outcome is read of
one job that has ended, for it says why, or what it cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from shared.batches import OPERATIONS
from shared.job_values import JobValues, unpack_job
from shared.jobs import Attempt, Job, Outcome, State
from shared.queue import no_such_job
from shared.stores.redis import RedisStore, Script

POSITION_MOST = 10_000
"""How far along a line a job is looked for: bounds the walk (about 0.1 ms)."""


# `hermod:later` also holds the leases of running jobs, hence the look at the state first.
_STAND = Script(
    """
local function waiting(id, lane, owner, cap)
  local due_ms = redis.call('ZSCORE', 'hermod:later', id)
  if due_ms then return due_ms, false, false end
  local place = redis.call('LPOS', 'hermod:due:' .. lane .. ':' .. owner, id, 'MAXLEN', POSITION_MOST)
  local running = cap ~= '0' and tonumber(redis.call('HGET', 'hermod:running', owner) or 0)
  return false, place and place + 1, running and running >= tonumber(cap) and 1
end

local function one(id)
  local record = 'hermod:job:' .. id
  local spec, state, attempts, started, ended, lane, owner, cap, why = unpack(redis.call(
    'HMGET', record, 'spec', 'state', 'attempts', 'started', 'ended', 'lane', 'owner', 'cap', 'why'))
  if not spec then return nil end
  local due_ms, position, capped, outcome = false, false, false, false
  if state == 'queued' then
    due_ms, position, capped = waiting(id, lane, owner, cap)
  elseif state == 'succeeded' or state == 'failed' or state == 'expired' then
    outcome = redis.call('HGET', record, 'outcome')
  end
  return {spec, state, attempts, started, ended, due_ms, position, capped, outcome, why}
end
""".replace("POSITION_MOST", str(POSITION_MOST))
)

# One call looks at 200 jobs at most, so that a rare status does not keep the server from others for long. What has
# expired is taken off the set on the way.
_LIST = Script(
    """
local function rank_after(owned, score, before)
  if score == '' then return 0 end
  local rank = redis.call('ZCOUNT', owned, '(' .. score, '+inf')
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', owned, score, score)) do
    if id >= before then rank = rank + 1 end
  end
  return rank
end

local function one(owner, score, before, state, count)
  local owned, rows, gone, last = 'hermod:owned:' .. owner, {}, {}, 0
  local rank = rank_after(owned, score, before)
  local found = redis.call('ZREVRANGE', owned, rank, rank + 199, 'WITHSCORES')
  while last < #found and #rows < tonumber(count) do
    local id = found[last + 1]
    local fields = redis.call('HMGET', 'hermod:job:' .. id, 'spec', 'state', 'attempts', 'started', 'ended')
    if not fields[1] then gone[#gone + 1] = id
    elseif state == '' or fields[2] == state then rows[#rows + 1] = fields end
    last = last + 2
  end
  if #gone > 0 then redis.call('ZREM', owned, unpack(gone)) end
  return {rows, #found == 0 and '' or found[last], #found == 0 and '' or found[last - 1], last == 400 and 1 or 0}
end
"""
)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why a queued job is not running.

    Attributes:
        due_ms: it was put off until then, Unix milliseconds; None when it is due.
        position: its place among its owner's due jobs of its lane, from 1, counting cancelled ones that still stand
            there; None when put off, or further back than POSITION_MOST.
        capped: as many jobs of its owner run as may.
        why: what it was put off for: a reason, and after a space the target; empty when not put off, or for neither.
    """

    due_ms: int | None = None
    position: int | None = None
    capped: bool = False
    why: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its owner sees it.

    Attributes:
        attempts: tries so far.
        started_ms: when it was first claimed; None before.
        ended_ms: when it became final; None before.
        waiting: set while it is queued; never in a listing.
        outcome: set when it succeeded, failed or expired; never in a listing.
    """

    job: Job
    state: State
    attempts: tuple[Attempt, ...] = ()
    started_ms: int | None = None
    ended_ms: int | None = None
    waiting: Waiting | None = None
    outcome: Outcome | None = None


class Cursor(NamedTuple):
    """A job's place in the listing, newest first; it stays one when the job is forgotten."""

    created_ms: int
    job_id: str


class JobIndex:
    """Looks jobs up for their owners."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._values = JobValues(store.seal)

    async def stand(self, job_id: str, owner: str) -> Standing:
        """The owner's job as it stands.

        Raises:
            NotFound: unknown, expired, another owner's, or one of those that advance a batch, which is no job of his.
        """
        standing = await self.find(job_id)
        if standing.job.owner != owner or standing.job.operation in OPERATIONS:
            raise no_such_job()
        return standing

    async def find(self, job_id: str) -> Standing:
        """Any owner's job as it stands, for operators. Raises NotFound, GatewayError for an unreadable outcome."""
        fields = await self._store.run(_STAND, job_id)
        if fields is None:
            raise no_such_job()
        due_ms, position, capped, outcome, why = fields[5:]
        standing = standing_of(fields[:5], self._values)
        if standing.state is State.QUEUED:
            reason = why.decode() if due_ms and why else ""
            waiting = Waiting(due_ms=_number(due_ms), position=position, capped=bool(capped), why=reason)
            return msgspec.structs.replace(standing, waiting=waiting)
        return msgspec.structs.replace(standing, outcome=self._values.read_outcome(standing.job, outcome))

    async def owned(self, owner: str, *, after: Cursor | None, state: State | None, count: int) -> list[Standing]:
        """Up to `count` of the owner's detached jobs older than `after`, newest first, in one state unless None."""
        standings: list[Standing] = []
        score, before, more = (str(after.created_ms), after.job_id, 1) if after else ("", "", 1)
        while more and len(standings) < count:
            rows, score, before, more = await self._store.run(
                _LIST, owner, score, before, state or "", count - len(standings)
            )
            standings += [standing_of(row, self._values) for row in rows]
        return standings


def standing_of(fields: list[Any], values: JobValues) -> Standing:
    """The fields `spec`, `state`, `attempts`, `started` and `ended` of a job's record."""
    spec, state, attempts, started, ended = fields
    job = unpack_job(spec)
    return Standing(
        job=job,
        state=State(state.decode()),
        attempts=values.listed_attempts(job, attempts),
        started_ms=_number(started),
        ended_ms=_number(ended),
    )


def _number(text: bytes | None) -> int | None:
    return None if text is None else int(text)
