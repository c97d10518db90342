"""Submitting, cancelling and watching jobs: the client's half of the queue. Workers hold the other, `leases.py`.

Keys (one Redis, not Redis Cluster: arq's key names carry no hash tag), besides those of `shared/lanes.py`:

    hermod:job:<id>     hash: spec body state attempts outcome waiters detached store lane owner weight cap deadline
                        crashes cancel ended_by why hooks hit; Unix ms of the first claim, of when it came due again,
                        and of the end: started due ended
    hermod:owned:<owner>  sorted set of the owner's detached jobs, for listing them; score = Unix ms of creation
    hermod:recent       sorted set of all owners' newest detached jobs, for operators; score = Unix ms of creation
    hermod:failures     the same of the jobs that last failed or expired, detached or not; score = Unix ms of the end
    hermod:events:<id>  stream: the SSE pieces of a streamed answer, ids 1-0, 2-0, …
    hermod:wake         list of at most one token: work is due, or due earlier than the waiting workers know
    hermod:workers      sorted set of worker processes; score = Unix ms until which each counts as alive
    hermod:cancels      channel: ids of running jobs to cancel
    arq:queue           every unfinished job, so that arq's Job API reads our queue
    arq:job:<id>        arq's own record: function and arguments
    arq:in-progress:<id>  the running worker's fence, see `worker/leases.py`
    hermod:same:<d>, hermod:idem:<d>  which job an identical or same-keyed request became
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared.errors import Conflict, LimitExceeded, NotFound
from shared.governance_meters import METERS, Limits, refusal
from shared.ids import digest, now_ms
from shared.jobs import Attempt, Job, Notice, Outcome, Snapshot, State
from shared.lanes import LUA, Lane
from shared.metrics import job_ended
from shared.stores.redis import RedisStore, Script
from shared.webhook_scripts import TELL

CANCELS = "hermod:cancels"
JOB = "hermod:job:"
EVENTS = "hermod:events:"
WORKERS = "hermod:workers"

SAME_REQUEST_S = 600
"""How long an SDK's automatic retry finds the job its lost first try became (SDK read timeout: 600 s)."""
IDEMPOTENCY_S = 86_400
FULL_RETRY_S = 2.0
"""`retry-after` when an owner's queue is full: short enough for an SDK to wait, long enough to spare the gateway."""

LISTED = 10_000
"""Newest jobs of an owner that its listing reaches, give or take the few that await the next trim."""
LISTED_S = 30 * 86_400
"""How long the listing of an owner who has submitted nothing since is kept: beyond any outcome's usual time."""
RECENT = 100_000
"""Newest detached jobs of all owners that operators are shown, about 10 MB; trimmed a thousand at a time."""
KEPT_BODY_BYTES = 16_384
"""Largest request of a detached job that is kept with it when it did not succeed, so that it can be run again: a
provider's outage must not fill the memory with what was asked meanwhile."""

_packer = msgspec.msgpack.Encoder()
pack = _packer.encode
unpack_job = msgspec.msgpack.Decoder(Job).decode
unpack_outcome = msgspec.msgpack.Decoder(Outcome).decode
unpack_attempts = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode
unpack_notice = msgspec.msgpack.Decoder(Notice).decode
_unpack_headers = msgspec.msgpack.Decoder(dict[str, str]).decode

# A retry of a request that already became a job joins that job, unless it was cancelled: the client that
# gave up and cancelled is the very one that asks again.
#
# A listing is trimmed, and given its time to live anew, by an owner's only job in hand and by every 16th of a busy one
# (ids are random): on a busy gateway it costs a submit little more than the one ZADD.
#
# Whose budget is spent is refused at once; whose window is, only when it waits in person: other jobs wait for the next.
#
# A request whose answer the cache has becomes no job, and costs no budget.
_SUBMIT = Script(
    LUA
    + METERS
    + """
-- Rising scores are the cheapest to insert, and negative ones are never taken for the due time of another client's.
local NEVER_DUE = 1e13
local accepted, payloads, recent = {}, {}, {}

local function settle()
  if #accepted == 0 then return end
  redis.call('MSET', unpack(payloads))
  redis.call('ZADD', 'arq:queue', unpack(accepted))
  if #recent == 0 then return end
  redis.call('ZADD', 'hermod:recent', unpack(recent))
  if redis.call('ZCARD', 'hermod:recent') >= RECENT_MOST + 1000 then
    redis.call('ZREMRANGEBYRANK', 'hermod:recent', 0, -RECENT_MOST - 1)
  end
end

local function join(other, waiter)
  local record = 'hermod:job:' .. other
  local state, cancel, waiters = unpack(redis.call('HMGET', record, 'state', 'cancel', 'waiters'))
  if not state or state == 'cancelled' or cancel then return nil end
  if waiter ~= '' and (state == 'queued' or state == 'running') then
    redis.call('HSET', record, 'waiters', (waiters or '') .. waiter .. ' ')
  end
  return {'joined', other}
end

local function named_before(idem, what, waiter)
  local held = redis.call('GET', idem)
  if not held then return nil end
  local other, held_what = string.match(held, '^(%S+) (%S+)$')
  if held_what ~= what then return {'conflict', other} end
  return join(other, waiter)
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
                   lane, owner, weight, cap, most, deadline, created, limits, hooks, cached)
  local record, same, idem = 'hermod:job:' .. id, 'hermod:same:' .. what, 'hermod:idem:' .. name
  if redis.call('EXISTS', record) == 1 then return {'new', id} end
  local earlier
  if name ~= '' then
    earlier = named_before(idem, what, waiter)
  elseif look == '1' then
    local other = redis.call('GET', same)
    earlier = other and join(other, waiter)
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
  accepted[#accepted + 1] = tonumber(created) - NEVER_DUE
  accepted[#accepted + 1] = id
  payloads[#payloads + 1] = 'arq:job:' .. id
  payloads[#payloads + 1] = arq_job
  if detached == '1' then
    local owned = 'hermod:owned:' .. owner
    redis.call('ZADD', owned, created, id)
    recent[#recent + 1] = created
    recent[#recent + 1] = id
    if unfinished == 1 or string.sub(id, 1, 1) == '0' then
      redis.call('ZREMRANGEBYRANK', owned, 0, -LISTED_MOST - 1)
      redis.call('EXPIRE', owned, LISTED_S)
    end
  end
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
_CANCEL = Script(
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

_LOOK = Script(
    """
local function one(id, waiter)
  local record = 'hermod:job:' .. id
  local fields = redis.call('HMGET', record, 'spec', 'state', 'outcome', 'attempts', 'waiters', 'ended')
  local unfinished = fields[2] == 'queued' or fields[2] == 'running'
  if waiter ~= '' and unfinished and not string.find(fields[5] or '', waiter, 1, true) then
    redis.call('HSET', record, 'waiters', (fields[5] or '') .. waiter .. ' ')
  end
  return fields
end
""",
    even_when_full=True,
)


_FORGET = Script(
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


class Share(msgspec.Struct, frozen=True):
    """What an owner may have of the gateway.

    Attributes:
        weight: turns it gets in line for one of an owner with weight 1.
        max_running: jobs running at once, over all workers; 0 for no limit.
        max_unfinished: jobs queued, deferred or running; one more is a 429.
        limits: the meters of its budgets and rate limits; None for none.
    """

    weight: float = 1.0
    max_running: int = 0
    max_unfinished: int = 100_000
    limits: Limits | None = None


DEFAULT_SHARE = Share()


class Submission(NamedTuple):
    """Which job a request became; `new` is False when it joined an earlier one, or became none.

    `cached` is what the response cache had, packed; None for nothing.
    """

    job_id: str
    new: bool
    cached: bytes | None = None


def no_such_job() -> NotFound:
    """One message, whether a job is unknown, expired or another's: ids of others cannot be tried out."""
    return NotFound("No such job: unknown, expired, or not yours.", code="job_not_found")


def unpack_events(entries: list[tuple[bytes, list[bytes]]]) -> list[tuple[int, bytes]]:
    """Entries of an event stream as (number, SSE bytes)."""
    return [(int(entry_id.split(b"-")[0]), fields[1]) for entry_id, fields in entries]


def _cached_as(job: Job) -> str:
    """Id of the answer that would do instead of the job; empty when the job itself is needed."""
    plan = job.cache
    needed = plan is None or not plan.direct or job.store or job.lane is not Lane.INTERACTIVE
    return "" if plan is None or needed else plan.id


def arq_record(job_id: str, created_ms: int) -> bytes:
    """What arq keeps about a job: call `run_job` with its id."""
    return pack({"t": None, "f": "run_job", "a": [job_id], "k": {}, "et": created_ms})


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
        share: Share = DEFAULT_SHARE,
        hooks: bytes = b"",
    ) -> Submission:
        """Write the record and make it due: one atomic step, one round trip.

        `waiter` is the channel told about the outcome, empty for none. A `detached` job goes on when nobody waits.
        `look_for_same` joins a job with the same owner, dialect, operation and body of the last ten minutes.
        `body` is the real one even when it has been saved as a blob: requests are told apart by it. `hooks` says who is
        to hear of the end, see `shared/webhook_events.py`; empty for nobody. A job whose answer the
        response cache has does not come to be, unless it may be asked for again.

        Raises:
            Conflict: the idempotency key was used with another body within 24 hours.
            LimitExceeded: the owner has too many unfinished jobs, or its rate limit is used up and its client waits.
            BudgetExceeded: a budget of the owner is used up.
            StoreError: nothing can be said about acceptance; a retry with the same headers is safe.
        """
        what = digest(job.owner.encode(), job.dialect.encode(), job.operation.encode(), body)
        verdict, job_id, *why = await self._store.run(
            _SUBMIT,
            job.id,
            pack(job),
            b"" if job.body_blob else body,
            arq_record(job.id, job.created_ms),
            waiter,
            what,
            int(look_for_same),
            digest(job.owner.encode(), idempotency_key.encode()) if idempotency_key else "",
            int(detached),
            int(job.store),
            job.lane,
            job.owner,
            share.weight,
            share.max_running,
            share.max_unfinished,
            job.deadline_ms,
            job.created_ms,
            share.limits.packed if share.limits else b"",
            hooks,
            _cached_as(job),
        )
        if verdict == b"cached":
            return Submission(job.id, new=False, cached=why[0])
        if verdict == b"refused" and share.limits:
            index, spent, wait_ms = why
            raise refusal(share.limits.meters[index - 1], wait_ms, spent=bool(spent))
        if verdict == b"conflict":
            raise Conflict(
                "Idempotency-Key: this key was used with another body in the last 24 hours; use a new key.",
                param="Idempotency-Key",
                code="idempotency_conflict",
                should_retry=False,
            )
        if verdict == b"full":
            raise LimitExceeded(
                f"{share.max_unfinished} jobs of this key are unfinished; wait for some to end.",
                code="queue_full",
                retry_after_s=FULL_RETRY_S,
            )
        return Submission(job_id.decode(), verdict == b"new")

    async def cancel(self, job: Job, leaving: str = "") -> None:
        """Cancel: a queued job at once, a running one as soon as its worker hears of it; a finished one stays.

        With `leaving`, the channel of a client that went away, only when nobody else waits and the job is not
        detached.
        """
        outcome = cancelled_outcome()
        done = Notice(job.id, 0, outcome=outcome, state=State.CANCELLED)
        written = (pack(outcome), pack(done), job.ttl_s, leaving, outcome.status)
        if await self._store.run(_CANCEL, job.id, *written) == b"ended":
            job_ended(job, State.CANCELLED)

    async def look(self, job_id: str, waiter: str = "") -> Snapshot:
        """The job as it stands; an unfinished one tells `waiter` when it ends.

        Raises:
            NotFound: unknown or expired.
        """
        spec, state, outcome, attempts, _, ended = await self._store.run(_LOOK, job_id, waiter)
        if spec is None:
            raise no_such_job()
        return Snapshot(
            job=unpack_job(spec),
            state=State(state.decode()),
            outcome=unpack_outcome(outcome) if outcome else None,
            attempts=unpack_attempts(attempts) if attempts else (),
            ended_ms=int(ended) if ended else None,
        )

    async def events(self, job_id: str, after: int = 0) -> list[tuple[int, bytes]]:
        """Pieces of the job's event stream with a number above `after`, as (number, SSE bytes)."""
        return unpack_events(await self._store.call("XRANGE", EVENTS + job_id, f"({after}-0" if after else "-", "+"))

    async def request(self, job_id: str) -> bytes:
        """The body of a request as the job's record holds it: empty when it is a blob, or not kept beyond the end."""
        return await self._store.call("HGET", JOB + job_id, "body") or b""

    async def served_from_cache(self, job: Job) -> dict[str, str]:
        """The headers of a streamed answer that the response cache gave, once it has begun; none for another."""
        packed = await self._store.call("HGET", JOB + job.id, "hit")
        return _unpack_headers(packed) if packed else {}

    async def forget(self, job: Job) -> bool:
        """Delete a finished job's record, with request, answer and event stream; False when it has not finished."""
        return bool(await self._store.run(_FORGET, job.id, job.owner))

    async def workers(self) -> int:
        """Worker processes that were alive within their last lease."""
        return int(await self._store.call("ZCOUNT", WORKERS, now_ms(), "+inf"))
