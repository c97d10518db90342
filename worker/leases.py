"""Claiming jobs under leases, keeping them and ending them, in place of arq's own way.

Stock arq leaves running jobs at the head of its queue (past a few hundred in flight a further worker finds no work),
keeps a dead worker's jobs until the longest timeout and polls. Here due jobs stand in line (`shared/lanes.py`), and a
claimed one is in `hermod:later` with the end of its lease: an expired lease is due again by itself. Everything a
worker writes about a job carries the fence it got with the claim; a fence that is no longer the job's is refused, so
a worker that was frozen and woke up cannot overwrite anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from datetime import datetime
from enum import Enum
from typing import Any, cast

import msgspec
from arq.connections import ArqRedis
from arq.cron import CronJob
from arq.jobs import serialize_result
from arq.worker import Retry, Worker
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.errors import StoreError
from shared.ids import now_ms
from shared.jobs import Attempt, Job, Notice, Outcome, State
from shared.lanes import LUA, QUEUE, WAKE
from shared.logs import where
from shared.queue import CANCELS, EVENTS, WORKERS, cancelled_outcome, pack
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore, Script, connect, listen
from worker.failpoints import reach

log = logging.getLogger("hermod.worker")

IDLE_S = 1.0
"""Longest wait for a wake-up: bounds what a token costs that was popped by a worker that then died."""
AGAIN_S = 0.2
"""Pause between tries while Redis is away: all workers are back long before a lease could run out."""
PERSIST_S = 60.0
"""How long a finished call's outcome is kept in memory while Redis is away."""
REFUSED_TTL_S = 3600
"""How long the refusal of an unreadable job is kept; its own figure cannot be read."""
MAX_CRASHES = 3
"""A job that took its worker down this often is not given to a fourth."""

# Nobody was alive for an instant: Redis was away for a whole lease, or every worker was. What workers hold is theirs
# for another lease then, rather than run a second time by whoever comes back first.
_SPARE = """
local function spare(now, lease, worker)
  if redis.call('ZCOUNT', 'hermod:workers', now, '+inf') > 0 then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'hermod:later', '-inf', now)) do
    if redis.call('HGET', 'hermod:job:' .. id, 'state') == 'running' then
      redis.call('ZADD', 'hermod:later', now + lease, id)
    end
  end
  redis.call('ZADD', 'hermod:workers', now + lease, worker)
end
"""

# The fence is new for every claim, not only for every worker: a worker may lose a job and claim it again, and what
# its first run still has in hand must not pass for the second's.
#
# A visit takes up to 16 jobs of one owner, fewer when many owners share the room. Every 16th visit serves the batch
# lane first and two more the async lane: the reserved share.
_CLAIM = Script(
    LUA
    + _SPARE
    + """
local FIRST_BATCH, FIRST_ASYNC = {'batch', 'async', 'interactive'}, {'async', 'interactive', 'batch'}
local function order(turn)
  local place = turn % 16
  if place == 0 then return FIRST_BATCH elseif place == 5 or place == 11 then return FIRST_ASYNC end
  return LANES
end

-- Leases that ran out (their worker died or froze) and deferred jobs whose time has come stand first in their line.
local function line_up_again(now, lease, worker)
  if redis.call('ZCOUNT', 'hermod:later', '-inf', now) > 0 then spare(now, lease, worker) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'hermod:later', '-inf', now, 'LIMIT', 0, 200)) do
    redis.call('ZREM', 'hermod:later', id)
    local record = 'hermod:job:' .. id
    local state, lane, owner, cap = unpack(redis.call('HMGET', record, 'state', 'lane', 'owner', 'cap'))
    if state == 'running' then
      redis.call('DEL', 'arq:in-progress:' .. id)
      redis.call('HSET', record, 'state', 'queued')
      redis.call('HINCRBY', record, 'crashes', 1)
      release(owner, cap)
    end
    if state == 'running' or state == 'queued' then line_up(id, lane, owner, true) end
  end
end

-- What other arq clients enqueued, and arq's own cron jobs.
local function adopt(now)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'arq:queue', '(1', now, 'LIMIT', 0, 20)) do
    redis.call('ZADD', 'arq:queue', 1, id)
    redis.call('HSET', 'hermod:job:' .. id, 'state', 'queued', 'lane', 'interactive', 'owner', 'arq', 'cap', 0,
               'weight', 1)
    redis.call('HINCRBY', 'hermod:unfinished', 'arq', 1)
    line_up(id, 'interactive', 'arq')
  end
end

local function leave_ring(lane, owner, tag)
  local ring = 'hermod:ring:' .. lane
  redis.call('ZREM', ring, owner)
  if redis.call('ZCARD', ring) == 0 then
    redis.call('DEL', 'hermod:tags:' .. lane, 'hermod:clock:' .. lane)
  else
    redis.call('HSET', 'hermod:tags:' .. lane, owner, tag)
  end
end

local function visit(lane, room)
  local ring = 'hermod:ring:' .. lane
  local owner, start = unpack(redis.call('ZRANGE', ring, 0, 0, 'WITHSCORES'))
  if not owner then return nil end
  local due = 'hermod:due:' .. lane .. ':' .. owner
  local first = redis.call('LINDEX', due, 0)
  if not first then leave_ring(lane, owner, start) return {} end
  local state, weight, cap = unpack(redis.call('HMGET', 'hermod:job:' .. first, 'state', 'weight', 'cap'))
  -- A cancelled job's place: it costs no turn, and its record, which alone knows the cap, may have expired.
  if state ~= 'queued' then redis.call('LPOP', due) return {} end
  local most = math.min(16, math.ceil(room / redis.call('ZCARD', ring)))
  if cap and cap ~= '0' then
    most = math.min(most, tonumber(cap) - tonumber(redis.call('HGET', 'hermod:running', owner) or 0))
    if most <= 0 then
      redis.call('SADD', 'hermod:parked', owner)
      leave_ring(lane, owner, start)
      return {}
    end
  end
  local ids = redis.call('LPOP', due, most)
  redis.call('SET', 'hermod:clock:' .. lane, start)
  local tag = start + #ids / (tonumber(weight) or 1)
  if redis.call('EXISTS', due) == 0 then leave_ring(lane, owner, tag) else redis.call('ZADD', ring, tag, owner) end
  return ids
end

local function take(id, fence, now, lease)
  local record = 'hermod:job:' .. id
  local fields = redis.call('HMGET', record, 'state', 'owner', 'cap', 'spec', 'body', 'attempts', 'crashes', 'deadline',
                            'started')
  local payload = redis.call('GET', 'arq:job:' .. id)
  if fields[1] ~= 'queued' then return nil end
  if not payload then
    forget(id, fields[2])
    redis.call('DEL', record)
    return nil
  end
  redis.call('SET', 'arq:in-progress:' .. id, fence)
  redis.call('ZADD', 'hermod:later', now + lease, id)
  redis.call('HSET', record, 'state', 'running', 'started', fields[9] or now)
  if fields[3] ~= '0' then redis.call('HINCRBY', 'hermod:running', fields[2], 1) end
  local late = fields[8] and tonumber(fields[8]) < now and '1' or '0'
  return {id, fence, payload, fields[4] or '', fields[5] or '', fields[6] or '', fields[7] or '0', late,
          fields[9] and '1' or '0'}
end

local function one(count, lease, worker)
  local now = clock_ms()
  count, lease = tonumber(count), tonumber(lease)
  line_up_again(now, lease, worker)
  adopt(now)
  local turn = redis.call('INCR', 'hermod:turn')
  local fence = redis.call('INCRBY', 'hermod:fences', count)
  local claimed = {}
  while #claimed < count do
    local ids
    for _, lane in ipairs(order(turn)) do
      ids = visit(lane, count - #claimed)
      if ids then break end
    end
    if not ids then break end
    turn = turn + 1
    for _, id in ipairs(ids) do
      local job = take(id, worker .. ':' .. fence - #claimed, now, lease)
      if job then claimed[#claimed + 1] = job end
    end
  end
  redis.call('SET', 'hermod:turn', turn)
  local next = redis.call('ZRANGE', 'hermod:later', 0, 0, 'WITHSCORES')[2]
  -- This worker is full: another one must know when the next deferred job is due.
  if #claimed == count then wake() end
  return {claimed, next and math.max(0, next - now) or -1}
end
""",
    even_when_full=True,
)

_RENEW = Script(
    """
local function one(id, fence, lease)
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return 'lost' end
  local t = redis.call('TIME')
  redis.call('ZADD', 'hermod:later', 'XX', t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(lease), id)
  return redis.call('HEXISTS', 'hermod:job:' .. id, 'cancel') == 1 and 'cancelled' or 'held'
end
""",
    even_when_full=True,
)

_ALIVE = Script(
    LUA
    + _SPARE
    + """
local function one(worker, lease)
  local now = clock_ms()
  spare(now, tonumber(lease), worker)
  redis.call('ZREMRANGEBYSCORE', 'hermod:workers', '-inf', now)
  return redis.call('ZADD', 'hermod:workers', now + tonumber(lease), worker)
end
""",
    even_when_full=True,
)

# A reply that was lost after the commit makes us ask again: `ended_by` says that this very fence did it.
_FINISH = Script(
    LUA
    + """
local function one(id, fence, state, outcome, attempts, ttl, done, arq_result)
  local record = 'hermod:job:' .. id
  local owner, cap, waiters, ended_by = unpack(redis.call('HMGET', record, 'owner', 'cap', 'waiters', 'ended_by'))
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return ended_by == fence and 1 or 0 end
  forget(id, owner)
  release(owner, cap)
  redis.call('HDEL', record, 'body', 'cancel')
  redis.call('HSET', record, 'state', state, 'outcome', outcome, 'attempts', attempts, 'ended_by', fence,
             'ended', clock_ms())
  redis.call('EXPIRE', record, ttl)
  redis.call('EXPIRE', 'hermod:events:' .. id, ttl)
  if arq_result ~= '' then redis.call('SET', 'arq:result:' .. id, arq_result, 'EX', ttl) end
  tell(waiters, done)
  return 1
end
""",
    even_when_full=True,
)

_DEFER = Script(
    LUA
    + """
local function one(id, fence, delay, attempts)
  local record = 'hermod:job:' .. id
  local lane, owner, cap, ended_by = unpack(redis.call('HMGET', record, 'lane', 'owner', 'cap', 'ended_by'))
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return ended_by == fence and 1 or 0 end
  if redis.call('HEXISTS', record, 'cancel') == 1 then return 'cancelled' end
  redis.call('DEL', 'arq:in-progress:' .. id)
  redis.call('HSET', record, 'state', 'queued', 'attempts', attempts, 'ended_by', fence)
  release(owner, cap)
  if delay == '0' then
    redis.call('ZREM', 'hermod:later', id)
    line_up(id, lane, owner, true)
  else
    redis.call('ZADD', 'hermod:later', clock_ms() + tonumber(delay), id)
    wake()
  end
  return 1
end
""",
    even_when_full=True,
)

_APPEND = Script(
    LUA
    + """
local function one(id, fence, seq, data, notice)
  if redis.call('GET', 'arq:in-progress:' .. id) ~= fence then return 0 end
  local events, number = 'hermod:events:' .. id, seq .. '-0'
  local added = redis.pcall('XADD', events, number, 'd', data)
  if type(added) == 'table' and added.err then return #redis.call('XRANGE', events, number, number) end
  tell(redis.call('HGET', 'hermod:job:' .. id, 'waiters'), notice)
  return 1
end
""",
    even_when_full=True,
)


class LeaseLost(Exception):
    """A write was refused: the job is someone else's by now."""


class Ending(Enum):
    """Why a running job's task was cancelled."""

    LOST = "lost"
    CANCELLED = "cancelled"
    LEAVING = "leaving"


class ArqRecord(msgspec.Struct):
    """What arq wrote about a job: function, arguments. A pickle does not decode to this and is refused."""

    f: str
    a: list[Any]
    k: dict[str, Any]
    et: int
    t: int | None = None


_unpack_arq = msgspec.msgpack.Decoder(ArqRecord).decode
_unpack_job = msgspec.msgpack.Decoder(Job).decode
_unpack_any = msgspec.msgpack.Decoder().decode
_unpack_attempts = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode


class Lease:
    """A claimed job and the right to write about it.

    Attributes:
        job: what was asked, set by `read`; absent for what another arq client enqueued.
        body: the request as the client sent it.
        attempts: tries so far, earlier leases included.
        crashes: how many workers died holding it.
        late: it was claimed after its deadline.
        again: it had been claimed before, whatever became of that.
        ending: set before the job's task is cancelled.
    """

    job: Job

    def __init__(self, store: RedisStore, claimed: list[bytes]) -> None:
        job_id, self.fence, self._payload, self._spec, self.body, self._attempts, crashes, late, again = claimed
        self._store = store
        self._ttl_s = REFUSED_TTL_S
        self.id = job_id.decode()
        self.attempts: tuple[Attempt, ...] = ()
        self.crashes = int(crashes)
        self.late = late == b"1"
        self.again = again == b"1"
        self.ending: Ending | None = None

    def read(self) -> ArqRecord:
        """Decode the records: which function to call; raises msgspec.MsgspecError for anything unreadable."""
        if self._spec:
            self.job = _unpack_job(self._spec)
            self._ttl_s = self.job.ttl_s
        if self._attempts:
            self.attempts = _unpack_attempts(self._attempts)
        return _unpack_arq(self._payload)

    async def finish(self, state: State, outcome: Outcome, arq_result: bytes = b"") -> None:
        """End the job and wake whoever waits; `arq_result` is kept for arq's `Job.result()`. Raises LeaseLost."""
        done = pack(Notice(self.id, 0, outcome=outcome, state=state))
        await self._persist(_FINISH, state, pack(outcome), pack(self.attempts), self._ttl_s, done, arq_result)

    async def defer(self, delay_s: float) -> None:
        """Give the job back, due after `delay_s` seconds; end it when it was cancelled meanwhile. Raises LeaseLost."""
        if await self._persist(_DEFER, int(delay_s * 1000), pack(self.attempts)) == b"cancelled":
            await self.finish(State.CANCELLED, cancelled_outcome())

    async def append(self, seq: int, data: bytes) -> None:
        """Add piece `seq` (from 1) to the job's event stream and tell its followers. Raises LeaseLost."""
        await self._persist(_APPEND, seq, data, pack(Notice(self.id, seq, data)))

    async def pieces(self) -> int:
        """Number of the last piece of the job's event stream, 0 when there is none."""
        last = await self._store.call("XREVRANGE", EVENTS + self.id, "+", "-", "COUNT", 1)
        return int(last[0][0].split(b"-")[0]) if last else 0

    async def _persist(self, script: Script, *args: Any) -> Any:
        """Write, and go on trying while Redis is away: what a provider answered is paid for."""
        deadline = asyncio.get_running_loop().time() + PERSIST_S
        while True:
            try:
                accepted = await self._store.run(script, self.id, self.fence, *args)
            except StoreError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                if not accepted:
                    raise LeaseLost(self.id)
                return accepted


class LeaseWorker(Worker):
    """arq's worker with our claim, renew and finish; keeps its functions, hooks and context."""

    def __init__(
        self, store: RedisStore, functions: list[Any], settings: WorkerSettings, cron_jobs: list[CronJob] | None = None
    ) -> None:
        super().__init__(
            functions,
            queue_name=QUEUE,
            redis_pool=_arq_client(store.url),
            cron_jobs=cron_jobs,
            handle_signals=False,
            max_jobs=settings.slots,
            job_serializer=pack,
            job_deserializer=_unpack_any,
        )
        self.id = secrets.token_hex(8)
        self._store = store
        self._lease_ms = int(settings.lease_s * 1000)
        self._renew_s = settings.renew_s
        self._grace_s = settings.grace_s
        self._held: dict[str, Lease] = {}
        self._slot_freed = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; `serve` returns when the calls in hand have ended or were handed back."""
        self._stopping.set()

    async def serve(self) -> None:
        """Work until `stop`."""
        chores = [asyncio.create_task(chore()) for chore in (self._keep_leases, self._hear_cancels, self._ring_bells)]
        claiming = asyncio.create_task(self._claim_for_ever())
        await self._stopping.wait()
        await _end(claiming)
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=self._grace_s)
        for job_id in list(self.tasks):
            self._end_task(job_id, Ending.LEAVING)
        if self.tasks:
            await asyncio.wait(self.tasks.values())
        for chore in chores:
            await _end(chore)
        await self._leave()
        await self.pool.aclose()

    # --- claiming -------------------------------------------------------------------------------------

    async def _claim_for_ever(self) -> None:
        waker = connect(self._store.url)
        try:
            # Not for ever: with a timeout the client sends through asyncio.wait_for, which before Python 3.12 may
            # swallow the cancellation that is to end this.
            while not self._stopping.is_set():
                try:
                    await self._claim_once(waker)
                except StoreError as error:
                    log.warning("%s", error)
                    await asyncio.sleep(AGAIN_S)
                except Exception:
                    # A worker that holds its place and takes no job would be worse than any defect in this.
                    log.exception("claiming failed")
                    await asyncio.sleep(IDLE_S)
        finally:
            await waker.aclose()

    async def _claim_once(self, waker: Redis) -> None:
        free = self.max_jobs - len(self.tasks)
        if free <= 0:
            self._slot_freed.clear()
            await self._slot_freed.wait()
            return
        # Shielded: a claim that is on its way when the worker is told to stop takes jobs all the same.
        claiming = asyncio.ensure_future(self._claim(free))
        try:
            claimed, wait_ms = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):
                await claiming
            raise
        if not claimed:
            await self._wait_for_work(waker, wait_ms)

    async def _claim(self, free: int) -> tuple[int, int]:
        """How many jobs were claimed and begun, and in how many ms the next one is due; -1 for none."""
        claimed, wait_ms = await self._store.run(_CLAIM, free, self._lease_ms, self.id)
        if claimed:
            reach("claimed")
        for fields in claimed:
            self._start(fields)
        return len(claimed), wait_ms

    async def _wait_for_work(self, waker: Redis, wait_ms: int) -> None:
        wait_s = IDLE_S if wait_ms < 0 else min(IDLE_S, max(wait_ms, 1) / 1000)
        try:
            await waker.execute_command("BLPOP", WAKE, wait_s)  # type: ignore[no-untyped-call] # blpop's stub wants whole s
        except Exception as error:  # noqa: BLE001 - whatever the client raises: work is looked for again
            log.warning("waiting for work: %s", type(error).__name__)
            await asyncio.sleep(0.2)

    def _start(self, fields: list[bytes]) -> None:
        lease = Lease(self._store, fields)
        self._end_task(lease.id, Ending.LOST)  # its run under the lease before, which ran out while we were frozen
        self._held[lease.id] = lease
        task = asyncio.create_task(self._run(lease))
        self.tasks[lease.id] = task
        task.add_done_callback(lambda _: self._ended(lease))

    def _ended(self, lease: Lease) -> None:
        if self._held.get(lease.id) is lease:
            del self.tasks[lease.id]
            del self._held[lease.id]
        self._slot_freed.set()

    async def _run(self, lease: Lease) -> None:
        try:
            call = lease.read()
            task = self.functions[call.f].coroutine
        except (msgspec.MsgspecError, KeyError) as error:
            # Not the text of the error, here and below: it may quote a prompt.
            log.error("refused: not a job of ours (%s)", type(error).__name__, extra={"job_id": lease.id})  # noqa: TRY400
            await self._refuse(lease)
            return
        try:
            if hasattr(lease, "job"):
                await task({**self.ctx, "lease": lease}, *call.a, **call.k)
            else:
                await self._run_arq(lease, call)
        except asyncio.CancelledError:
            await self._ended_early(lease)
        except LeaseLost:
            log.info("lease lost; another worker has the job", extra={"job_id": lease.id})
        except StoreError as error:
            log.warning("%s", error, extra={"job_id": lease.id})
        except Exception as error:  # noqa: BLE001 - the lease runs out, the job is tried again, MAX_CRASHES bounds it
            log.error("a job's task failed: %s", where(error), extra={"job_id": lease.id})  # noqa: TRY400

    async def _run_arq(self, lease: Lease, call: ArqRecord) -> None:
        """What another arq client enqueued, or a cron job: run as arq would, its result kept where arq looks."""
        started_ms, result, success = now_ms(), None, True
        ctx = {**self.ctx, "job_id": lease.id, "job_try": lease.crashes + 1}
        try:
            result = await self.functions[call.f].coroutine(ctx, *call.a, **call.k)
        except Retry as again:
            await lease.defer((again.defer_score or 0) / 1000)
            return
        except Exception as error:
            log.exception("%s failed", call.f, extra={"job_id": lease.id})
            result, success = f"{type(error).__name__}: {error}", False
        kept = serialize_result(
            call.f,
            tuple(call.a),
            call.k,
            lease.crashes + 1,
            call.et,
            success,
            result,
            started_ms,
            now_ms(),
            lease.id,
            QUEUE,
            lease.id,
            serializer=pack,
        )
        await lease.finish(State.SUCCEEDED if success else State.FAILED, Outcome(status=200), kept or b"")

    async def _refuse(self, lease: Lease) -> None:
        try:
            await lease.finish(State.FAILED, Outcome(status=500))
        except (LeaseLost, StoreError) as error:
            log.warning("%s", error, extra={"job_id": lease.id})

    async def _ended_early(self, lease: Lease) -> None:
        try:
            if lease.ending is Ending.CANCELLED:
                await lease.finish(State.CANCELLED, cancelled_outcome())
            elif lease.ending is Ending.LEAVING:
                reach("handing-back")
                await lease.defer(0)
        except (LeaseLost, StoreError) as error:
            log.warning("%s", error, extra={"job_id": lease.id})

    # --- keeping --------------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        while True:
            heard, *_ = await asyncio.gather(self._say_alive(), *map(self._renew, list(self._held.values())))
            await asyncio.sleep(self._renew_s if heard else AGAIN_S)

    async def _say_alive(self) -> bool:
        try:
            await self._store.run(_ALIVE, self.id, self._lease_ms)
        except StoreError:
            return False  # claiming has said so
        return True

    async def _renew(self, lease: Lease) -> None:
        reach("renewing")
        try:
            verdict = await self._store.run(_RENEW, lease.id, lease.fence, self._lease_ms)
        except StoreError:
            return  # the fence tells later whether the lease outlived the outage
        if verdict != b"held" and self._held.get(lease.id) is lease:
            self._end_task(lease.id, Ending(verdict.decode()))

    async def _ring_bells(self) -> None:
        """Enqueue arq's cron jobs when their time comes; of all workers' tries arq keeps one."""
        while self.cron_jobs:
            try:
                await self.run_cron(datetime.now(tz=self.timezone), IDLE_S)
            except (RedisError, OSError) as error:
                log.warning("cron: %s", type(error).__name__)
            await asyncio.sleep(IDLE_S)

    async def _hear_cancels(self) -> None:
        async for message in listen(self._store.url, CANCELS):
            if message is not None:
                self._end_task(message.decode(), Ending.CANCELLED)

    def _end_task(self, job_id: str, ending: Ending) -> None:
        lease, task = self._held.get(job_id), self.tasks.get(job_id)
        if lease and task and lease.ending is None:
            lease.ending = ending
            task.cancel()

    async def _leave(self) -> None:
        """A token this worker popped while it was told to stop belongs to the others."""
        try:
            await self._store.call("ZREM", WORKERS, self.id)
            await self._store.call("LPUSH", WAKE, "1")
        except StoreError as error:
            log.warning("%s", error)


def _arq_client(url: str) -> ArqRedis:
    client = ArqRedis.from_url(url)
    client.job_serializer, client.job_deserializer, client.default_queue_name = pack, _unpack_any, QUEUE
    return cast("ArqRedis", client)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
