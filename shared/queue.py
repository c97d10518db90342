"""Submitting, cancelling and watching jobs: the client's half of the queue. Workers hold the other, `leases.py`.

Keys (one Redis, not Redis Cluster: arq's key names carry no hash tag):

    hermod:job:<id>     hash: spec body state attempts outcome waiters crashes cancel
    hermod:events:<id>  stream: the SSE pieces of a streamed answer, ids 1-0, 2-0, …
    hermod:queue        sorted set of every unfinished job; score = Unix ms when it may be claimed: submit time,
                        retry time, or the end of the running worker's lease
    hermod:wake         list of at most one token: work is due
    hermod:workers      sorted set of worker processes; score = Unix ms until which each counts as alive
    hermod:cancels      channel: ids of running jobs to cancel
    arq:job:<id>        arq's own record (function and argument), so that arq's Job API reads our queue
    arq:in-progress:<id>  the running worker's fence, see `worker/leases.py`
    hermod:same:<d>, hermod:idem:<d>  which job an identical or same-keyed request became
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared.errors import Conflict, NotFound
from shared.ids import digest, now_ms
from shared.jobs import Attempt, Job, Notice, Outcome, Snapshot, State
from shared.stores.redis import RedisStore, Script

QUEUE = "hermod:queue"
WAKE = "hermod:wake"
CANCELS = "hermod:cancels"
JOB = "hermod:job:"
EVENTS = "hermod:events:"
WORKERS = "hermod:workers"

SAME_REQUEST_S = 600
"""How long an SDK's automatic retry finds the job its lost first try became (SDK read timeout: 600 s)."""
IDEMPOTENCY_S = 86_400

_packer = msgspec.msgpack.Encoder()
pack = _packer.encode
_unpack_job = msgspec.msgpack.Decoder(Job).decode
_unpack_outcome = msgspec.msgpack.Decoder(Outcome).decode
_unpack_attempts = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode
unpack_notice = msgspec.msgpack.Decoder(Notice).decode

NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""
WAKE_ONE = """
local function wake(key)
  if redis.call('LLEN', key) == 0 then redis.call('LPUSH', key, '1') end
end
"""

# A retry of a request that already became a job joins that job, unless it was cancelled: the client that
# gave up and cancelled is the very one that asks again.
_SUBMIT = Script(
    NOW
    + WAKE_ONE
    + """
local record, payload, queue, wake_key, same, idem = unpack(KEYS)
local id, spec, body, arq_job, waiter, digest, look, named, same_s, idem_s, detached = unpack(ARGV)
local function join(other)
  local state = redis.call('HGET', 'hermod:job:' .. other, 'state')
  if not state or state == 'cancelled' or redis.call('HEXISTS', 'hermod:job:' .. other, 'cancel') == 1 then
    return nil
  end
  if waiter ~= '' and (state == 'queued' or state == 'running') then
    local list = redis.call('HGET', 'hermod:job:' .. other, 'waiters') or ''
    redis.call('HSET', 'hermod:job:' .. other, 'waiters', list .. waiter .. ' ')
  end
  return {'joined', other}
end
if redis.call('EXISTS', record) == 1 then return {'new', id} end
if named == '1' then
  local held = redis.call('GET', idem)
  if held then
    local other, held_digest = string.match(held, '^(%S+) (%S+)$')
    if held_digest ~= digest then return {'conflict', other} end
    local joined = join(other)
    if joined then return joined end
  end
  redis.call('SET', idem, id .. ' ' .. digest, 'EX', idem_s)
elseif look == '1' then
  local other = redis.call('GET', same)
  local joined = other and join(other)
  if joined then return joined end
end
redis.call('SET', same, id, 'EX', same_s)
redis.call('HSET', record, 'spec', spec, 'body', body, 'state', 'queued',
           'waiters', waiter == '' and '' or waiter .. ' ', 'detached', detached)
redis.call('SET', payload, arq_job)
redis.call('ZADD', queue, now, id)
wake(wake_key)
return {'new', id}
"""
)

_CANCEL = Script(
    """
local record, payload, queue, cancels, events = unpack(KEYS)
local id, outcome, done, ttl, leaving = unpack(ARGV)
local state = redis.call('HGET', record, 'state')
if leaving ~= '' then
  local others = redis.call('HGET', record, 'waiters') or ''
  local from, to = string.find(others, leaving .. ' ', 1, true)
  if from then others = string.sub(others, 1, from - 1) .. string.sub(others, to + 1) end
  if state then redis.call('HSET', record, 'waiters', others) end
  if others ~= '' or redis.call('HGET', record, 'detached') == '1' then return state end
end
if state == 'queued' then
  redis.call('ZREM', queue, id)
  redis.call('DEL', payload)
  redis.call('HSET', record, 'state', 'cancelled', 'outcome', outcome)
  redis.call('HDEL', record, 'body')
  redis.call('EXPIRE', record, ttl)
  redis.call('EXPIRE', events, ttl)
  for waiter in string.gmatch(redis.call('HGET', record, 'waiters') or '', '%S+') do
    redis.call('PUBLISH', waiter, done)
  end
  return 'cancelled'
elseif state == 'running' then
  redis.call('HSET', record, 'cancel', '1')
  redis.call('PUBLISH', cancels, id)
end
return state
"""
)

_LOOK = Script(
    """
local record = KEYS[1]
local waiter = ARGV[1]
local fields = redis.call('HMGET', record, 'spec', 'state', 'outcome', 'attempts', 'waiters')
if waiter ~= '' and (fields[2] == 'queued' or fields[2] == 'running')
   and not string.find(fields[5] or '', waiter, 1, true) then
  redis.call('HSET', record, 'waiters', (fields[5] or '') .. waiter .. ' ')
end
return fields
"""
)


class Submission(NamedTuple):
    """Which job a request became; `new` is False when it joined an earlier one."""

    job_id: str
    new: bool


def cancelled_outcome() -> Outcome:
    """499 is what the Anthropic SDK maps to its ClientClosedRequestError; both SDKs leave it alone."""
    return Outcome(status=499)


class Queue:
    """The client's half of the queue."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def submit(
        self,
        job: Job,
        body: bytes,
        *,
        waiter: str,
        detached: bool = False,
        look_for_same: bool = False,
        idempotency_key: str = "",
    ) -> Submission:
        """Write the record and make it due: one atomic step, one round trip.

        `waiter` is the channel told about the outcome, empty for none. A `detached` job goes on when nobody waits.
        `look_for_same` joins a job with the same owner, dialect, operation and body of the last ten minutes.

        Raises:
            Conflict: the idempotency key was used with another body within 24 hours.
            StoreError: nothing can be said about acceptance; a retry with the same headers is safe.
        """
        what = digest(job.owner.encode(), job.dialect.encode(), job.operation.encode(), body)
        named = digest(job.owner.encode(), idempotency_key.encode()) if idempotency_key else ""
        payload = pack({"t": None, "f": "run_job", "a": [job.id], "k": {}, "et": now_ms()})
        verdict, job_id = await self._store.run(
            _SUBMIT,
            [JOB + job.id, "arq:job:" + job.id, QUEUE, WAKE, "hermod:same:" + what, "hermod:idem:" + named],
            job.id,
            pack(job),
            body,
            payload,
            waiter,
            what,
            int(look_for_same),
            int(bool(named)),
            SAME_REQUEST_S,
            IDEMPOTENCY_S,
            int(detached),
        )
        if verdict == b"conflict":
            raise Conflict(
                "Idempotency-Key: this key was used with another body in the last 24 hours; use a new key.",
                param="Idempotency-Key",
                code="idempotency_conflict",
                should_retry=False,
            )
        return Submission(job_id.decode(), verdict == b"new")

    async def cancel(self, job: Job, leaving: str = "") -> None:
        """Cancel: a queued job at once, a running one as soon as its worker hears of it; a finished one stays.

        With `leaving`, the channel of a client that went away, only when nobody else waits and the job is not
        detached.
        """
        outcome = cancelled_outcome()
        done = Notice(job.id, 0, outcome=outcome, state=State.CANCELLED)
        keys = [JOB + job.id, "arq:job:" + job.id, QUEUE, CANCELS, EVENTS + job.id]
        await self._store.run(_CANCEL, keys, job.id, pack(outcome), pack(done), job.ttl_s, leaving)

    async def look(self, job_id: str, waiter: str = "") -> Snapshot:
        """The job as it stands; an unfinished one tells `waiter` when it ends.

        Raises:
            NotFound: unknown or expired.
        """
        spec, state, outcome, attempts, _ = await self._store.run(_LOOK, [JOB + job_id], waiter)
        if spec is None:
            raise NotFound("No such job: unknown, expired, or not yours.", code="job_not_found")
        return Snapshot(
            job=_unpack_job(spec),
            state=State(state.decode()),
            outcome=_unpack_outcome(outcome) if outcome else None,
            attempts=_unpack_attempts(attempts) if attempts else (),
        )

    async def events(self, job_id: str, after: int = 0) -> list[tuple[int, bytes]]:
        """Pieces of the job's event stream with a number above `after`, as (number, SSE bytes)."""
        entries = await self._store.call("XRANGE", EVENTS + job_id, f"({after}-0" if after else "-", "+")
        return [(int(entry_id.split(b"-")[0]), fields[b"d"]) for entry_id, fields in entries]

    async def ping(self) -> None:
        """Raise StoreError when Redis does not answer."""
        await self._store.call("PING")

    async def workers(self) -> int:
        """Worker processes that were alive within their last lease."""
        return int(await self._store.call("ZCOUNT", WORKERS, now_ms(), "+inf"))
