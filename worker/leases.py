"""Claiming jobs under leases, keeping them and ending them, in place of arq's own way.

Stock arq leaves running jobs at the head of its queue (past a few hundred in flight a further worker finds no work),
keeps a dead worker's jobs until the longest timeout and polls. Here a claimed job *stays* in the queue's sorted set
with its score moved to the end of the lease: an expired lease is due again by itself, and running jobs are never in
the way. Everything a worker writes about a job carries the fence it got with the claim; a fence that is no longer
the job's is refused, so a worker that was frozen and woke up cannot overwrite anything.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from enum import Enum
from typing import Any

import msgspec
from arq.worker import Worker
from redis.asyncio import Redis

from shared.errors import StoreError
from shared.jobs import Attempt, Job, Notice, Outcome, State
from shared.queue import (
    CANCELS,
    EVENTS,
    JOB,
    NOW,
    QUEUE,
    WAKE,
    WAKE_ONE,
    WORKERS,
    cancelled_outcome,
    pack,
)
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore, Script, connect, listen

log = logging.getLogger("hermod.worker")

IDLE_S = 1.0
"""Longest wait for a wake-up: bounds what a token costs that was popped by a worker that then died."""
PERSIST_S = 60.0
"""How long a finished call's outcome is kept in memory while Redis is away."""
REFUSED_TTL_S = 3600
"""How long the refusal of an unreadable job is kept; its own figure cannot be read."""
MAX_CRASHES = 3
"""A job that took its worker down this often is not given to a fourth."""

# The fence is new for every claim, not only for every worker: a worker may lose a job and claim it again, and what
# its first run still has in hand must not pass for the second's.
_CLAIM = Script(
    NOW
    + WAKE_ONE
    + """
local queue, wake_key = KEYS[1], KEYS[2]
local count, lease, worker = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local claimed = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, count)) do
  local payload = redis.call('GET', 'arq:job:' .. id)
  local record = 'hermod:job:' .. id
  local state = redis.call('HGET', record, 'state')
  if not payload or not (state == 'queued' or state == 'running') then
    redis.call('ZREM', queue, id)
  else
    if state == 'running' then redis.call('HINCRBY', record, 'crashes', 1) end
    local fence = worker .. ':' .. redis.call('INCR', 'hermod:fences')
    redis.call('SET', 'arq:in-progress:' .. id, fence, 'PX', lease * 2)
    redis.call('ZADD', queue, now + lease, id)
    redis.call('HSET', record, 'state', 'running')
    local fields = redis.call('HMGET', record, 'spec', 'body', 'attempts', 'crashes')
    claimed[#claimed + 1] = {id, fence, payload, fields[1] or '', fields[2] or '', fields[3] or '', fields[4] or '0'}
  end
end
local next = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
local wait = -1
if next[2] then wait = math.max(0, next[2] - now) end
if wait == 0 then wake(wake_key) end
return {claimed, wait}
"""
)

_RENEW = Script(
    NOW
    + """
local queue, workers = KEYS[1], KEYS[2]
local lease, worker = tonumber(ARGV[1]), ARGV[2]
redis.call('ZADD', workers, now + lease, worker)
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
local verdicts = {}
for i = 3, #ARGV, 2 do
  local id, held = ARGV[i], 'arq:in-progress:' .. ARGV[i]
  if redis.call('GET', held) ~= ARGV[i + 1] then
    verdicts[#verdicts + 1] = 'lost'
  else
    redis.call('PEXPIRE', held, lease * 2)
    redis.call('ZADD', queue, 'XX', now + lease, id)
    verdicts[#verdicts + 1] = redis.call('HGET', 'hermod:job:' .. id, 'cancel') and 'cancelled' or 'held'
  end
end
return verdicts
"""
)

# A reply that was lost after the commit makes us ask again: `ended_by` says that this very fence did it.
_FINISH = Script(
    """
local record, held, payload, events, queue = unpack(KEYS)
local id, fence, state, outcome, attempts, ttl, done = unpack(ARGV)
if redis.call('GET', held) ~= fence then
  return redis.call('HGET', record, 'ended_by') == fence and 1 or 0
end
redis.call('DEL', held, payload)
redis.call('ZREM', queue, id)
redis.call('HDEL', record, 'body', 'cancel')
redis.call('HSET', record, 'state', state, 'outcome', outcome, 'attempts', attempts, 'ended_by', fence)
redis.call('EXPIRE', record, ttl)
redis.call('EXPIRE', events, ttl)
for waiter in string.gmatch(redis.call('HGET', record, 'waiters') or '', '%S+') do
  redis.call('PUBLISH', waiter, done)
end
return 1
"""
)

_DEFER = Script(
    NOW
    + WAKE_ONE
    + """
local record, held, queue, wake_key = unpack(KEYS)
local id, fence, delay, attempts = unpack(ARGV)
if redis.call('GET', held) ~= fence then
  return redis.call('HGET', record, 'ended_by') == fence and 1 or 0
end
redis.call('DEL', held)
redis.call('ZADD', queue, now + tonumber(delay), id)
redis.call('HSET', record, 'state', 'queued', 'attempts', attempts, 'ended_by', fence)
wake(wake_key)
return 1
"""
)

_APPEND = Script(
    """
local record, held, events = unpack(KEYS)
local fence, seq, data, notice = unpack(ARGV)
if redis.call('GET', held) ~= fence then return 0 end
local added = redis.pcall('XADD', events, seq .. '-0', 'd', data)
if type(added) == 'table' and added.err then
  return #redis.call('XRANGE', events, seq .. '-0', seq .. '-0')
end
for waiter in string.gmatch(redis.call('HGET', record, 'waiters') or '', '%S+') do
  redis.call('PUBLISH', waiter, notice)
end
return 1
"""
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
_unpack_attempts = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode


class Lease:
    """A claimed job and the right to write about it.

    Attributes:
        job: what was asked; set by `read`.
        body: the request as the client sent it.
        attempts: tries so far, earlier leases included.
        crashes: how many workers died holding it.
        ending: set before the job's task is cancelled.
    """

    job: Job

    def __init__(self, store: RedisStore, claimed: list[bytes]) -> None:
        job_id, self.fence, self._payload, self._spec, self.body, self._attempts, crashes = claimed
        self._store = store
        self._ttl_s = REFUSED_TTL_S
        self.id = job_id.decode()
        self.attempts: tuple[Attempt, ...] = ()
        self.crashes = int(crashes)
        self.ending: Ending | None = None

    def read(self) -> ArqRecord:
        """Decode the records: which function to call; raises msgspec.MsgspecError for anything not ours."""
        self.job = _unpack_job(self._spec)
        self._ttl_s = self.job.ttl_s
        if self._attempts:
            self.attempts = _unpack_attempts(self._attempts)
        return _unpack_arq(self._payload)

    async def finish(self, state: State, outcome: Outcome) -> None:
        """End the job and wake whoever waits. Raises LeaseLost."""
        done = pack(Notice(self.id, 0, outcome=outcome, state=state))
        keys = [JOB + self.id, "arq:in-progress:" + self.id, "arq:job:" + self.id, EVENTS + self.id, QUEUE]
        told = (state, pack(outcome), pack(self.attempts), self._ttl_s, done)
        await self._persist(_FINISH, keys, self.id, self.fence, *told)

    async def defer(self, delay_s: float) -> None:
        """Give the job back, due after `delay_s` seconds. Raises LeaseLost."""
        keys = [JOB + self.id, "arq:in-progress:" + self.id, QUEUE, WAKE]
        await self._persist(_DEFER, keys, self.id, self.fence, int(delay_s * 1000), pack(self.attempts))

    async def append(self, seq: int, data: bytes) -> None:
        """Add piece `seq` (from 1) to the job's event stream and tell its followers. Raises LeaseLost."""
        keys = [JOB + self.id, "arq:in-progress:" + self.id, EVENTS + self.id]
        await self._persist(_APPEND, keys, self.fence, seq, data, pack(Notice(self.id, seq, data)))

    async def pieces(self) -> int:
        """Number of the last piece of the job's event stream, 0 when there is none."""
        last = await self._store.call("XREVRANGE", EVENTS + self.id, "+", "-", "COUNT", 1)
        return int(last[0][0].split(b"-")[0]) if last else 0

    async def _persist(self, script: Script, keys: list[str], *args: Any) -> None:
        """Write, and go on trying while Redis is away: what a provider answered is paid for."""
        deadline = asyncio.get_running_loop().time() + PERSIST_S
        while True:
            try:
                accepted = await self._store.run(script, keys, *args)
            except StoreError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                if not accepted:
                    raise LeaseLost(self.id)
                return


class LeaseWorker(Worker):
    """arq's worker with our claim, renew and finish; keeps its functions, hooks and context."""

    def __init__(self, store: RedisStore, functions: list[Any], settings: WorkerSettings) -> None:
        super().__init__(functions, queue_name=QUEUE, handle_signals=False, max_jobs=settings.slots)
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
        chores = [asyncio.create_task(self._keep_leases()), asyncio.create_task(self._hear_cancels())]
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

    # --- claiming -------------------------------------------------------------------------------------

    async def _claim_for_ever(self) -> None:
        waker = connect(self._store.url, timeout_s=None)
        try:
            while True:
                try:
                    await self._claim_once(waker)
                except StoreError as error:
                    log.warning("%s", error)
                    await asyncio.sleep(0.2)
        finally:
            await waker.aclose()

    async def _claim_once(self, waker: Redis) -> None:
        free = self.max_jobs - len(self.tasks)
        if free <= 0:
            self._slot_freed.clear()
            await self._slot_freed.wait()
            return
        claimed, wait_ms = await self._store.run(_CLAIM, [QUEUE, WAKE], free, self._lease_ms, self.id)
        for fields in claimed:
            self._start(fields)
        if not claimed:
            await self._wait_for_work(waker, wait_ms)

    async def _wait_for_work(self, waker: Redis, wait_ms: int) -> None:
        wait_s = IDLE_S if wait_ms < 0 else min(IDLE_S, max(wait_ms, 1) / 1000)
        try:
            await waker.execute_command("BLPOP", WAKE, wait_s)  # type: ignore[no-untyped-call] # blpop's stub wants whole s
        except Exception as error:  # noqa: BLE001 - whatever the client raises: work is looked for again
            log.warning("waiting for work: %s", type(error).__name__)
            await asyncio.sleep(0.2)

    def _start(self, fields: list[bytes]) -> None:
        lease = Lease(self._store, fields)
        self._held[lease.id] = lease
        task = asyncio.create_task(self._run(lease))
        self.tasks[lease.id] = task
        task.add_done_callback(lambda _: self._ended(lease.id))

    def _ended(self, job_id: str) -> None:
        del self.tasks[job_id]
        del self._held[job_id]
        self._slot_freed.set()

    async def _run(self, lease: Lease) -> None:
        try:
            call = lease.read()
            await self.functions[call.f].coroutine({**self.ctx, "lease": lease}, *call.a, **call.k)
        except asyncio.CancelledError:
            await self._ended_early(lease)
        except (msgspec.MsgspecError, KeyError):
            log.error("refused: not a job of ours", extra={"job_id": lease.id})  # noqa: TRY400 - may hold a prompt
            await self._refuse(lease)
        except LeaseLost:
            log.info("lease lost; another worker has the job", extra={"job_id": lease.id})
        except StoreError as error:
            log.warning("%s", error, extra={"job_id": lease.id})
        except Exception:
            # The lease runs out and the job is tried again; MAX_CRASHES bounds how often.
            log.exception("a job's task failed", extra={"job_id": lease.id})

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
                await lease.defer(0)
        except (LeaseLost, StoreError) as error:
            log.warning("%s", error, extra={"job_id": lease.id})

    # --- keeping --------------------------------------------------------------------------------------

    async def _keep_leases(self) -> None:
        while True:
            held = list(self._held.values())
            pairs = [word for lease in held for word in (lease.id, lease.fence)]
            try:
                verdicts = await self._store.run(_RENEW, [QUEUE, WORKERS], self._lease_ms, self.id, *pairs)
            except StoreError as error:
                log.warning("%s", error)
            else:
                for lease, verdict in zip(held, verdicts, strict=True):
                    if verdict != b"held" and self._held.get(lease.id) is lease:
                        self._end_task(lease.id, Ending(verdict.decode()))
            await asyncio.sleep(self._renew_s)

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


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
