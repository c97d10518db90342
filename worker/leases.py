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
from collections import Counter
from datetime import datetime
from functools import partial
from typing import Any

from arq.cron import CronJob
from arq.worker import Worker
from redis.exceptions import RedisError

from shared import metrics
from shared.errors import StoreError
from shared.job_values import pack
from shared.jobs import Outcome, State
from shared.lanes import QUEUE, WAKE, Lane
from shared.logs import where
from shared.queue import CANCELS, WORKERS, cancelled_outcome
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore, listen
from worker import arq_jobs
from worker.claim_script import CLAIM
from worker.failpoints import reach
from worker.lane_slots import LaneSlots
from worker.lease import AGAIN_S, ArqRecord, Ending, Lease, LeaseLost
from worker.lease_scripts import ALIVE, RENEW
from worker.waker import IDLE_S, Waker
from worker.watched_run import watched_run

log = logging.getLogger("hermod.worker")

CLAIM_MOST = 500
"""Jobs taken in one step: bounds how long the server serves nobody else, and Lua's `unpack` at 8,000 values."""
MAX_CRASHES = 3
"""A job that took its worker down this often is not given to a fourth."""


class LeaseWorker(Worker):
    """arq's worker with our claim, renew and finish; keeps its functions, hooks and context.

    Attributes:
        leaving: set by `stop`: a task that can end early, and be gone on with elsewhere, may do so.
    """

    def __init__(
        self, store: RedisStore, functions: list[Any], settings: WorkerSettings, cron_jobs: list[CronJob] | None = None
    ) -> None:
        super().__init__(
            functions,
            queue_name=QUEUE,
            redis_pool=arq_jobs.client(store.url),
            cron_jobs=cron_jobs,
            handle_signals=False,
            max_jobs=settings.slots,
            job_serializer=pack,
            job_deserializer=arq_jobs.unpack_any,
        )
        self.id = secrets.token_hex(8)
        self._store = store
        self._lease_ms = int(settings.lease_s * 1000)
        self._renew_s = settings.renew_s
        self._grace_s = settings.grace_s
        self._lane_slots = LaneSlots(settings.slots, settings.batch_slots)
        self._held: dict[str, Lease] = {}
        self._claims: Counter[Lane] = Counter()
        self._slot_freed = asyncio.Event()
        self.leaving = asyncio.Event()

    def stop(self) -> None:
        """Claim nothing more; `serve` returns when the calls in hand have ended or were handed back."""
        self.leaving.set()

    async def serve(self) -> None:
        """Work until `stop`."""
        self._show_slots()
        chores = [asyncio.create_task(chore()) for chore in (self._keep_leases, self._hear_cancels, self._ring_bells)]
        waker = Waker(self._store.url)
        claiming = asyncio.create_task(self._claim_for_ever(waker))
        await self.leaving.wait()
        await _end(claiming)
        await waker.close()  # not by the task that ends: a cancellation would leave the connection open
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

    async def _claim_for_ever(self, waker: Waker) -> None:
        # Not for ever: with a timeout the client sends through asyncio.wait_for, which before Python 3.12 may
        # swallow the cancellation that is to end this.
        while not self.leaving.is_set():
            try:
                await self._claim_once(waker)
            except StoreError:  # the store has said so, once
                await asyncio.sleep(AGAIN_S)
            except Exception as error:  # noqa: BLE001 - a worker that takes no job would be worse than any defect
                log.error("claiming failed: %s", where(error))  # noqa: TRY400 - the text may quote a prompt
                await asyncio.sleep(IDLE_S)

    async def _claim_once(self, waker: Waker) -> None:
        free = max(0, self.max_jobs - len(self.tasks))
        # A full worker has no use for a token. Where it may have taken one, a claim of nothing hands it on.
        if not free and not await waker.end():
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
        if free and not claimed:
            await waker.wait(self._lane_slots.open_lanes(), self._lane_slots.freed, wait_ms)

    async def _claim(self, free: int) -> tuple[int, int]:
        """How many jobs were claimed and begun, and in how many ms the next one is due; -1 for none."""
        claimed, wait_ms, ran_out = await self._store.run(
            CLAIM, min(free, CLAIM_MOST), self._lease_ms, self.id, *self._lane_slots.room()
        )
        metrics.LEASE_TAKEOVERS.inc(ran_out)
        if claimed:
            reach("claimed")
        for fields in claimed:
            self._start(fields)
        return len(claimed), wait_ms

    def _start(self, fields: list[bytes]) -> None:
        lease = Lease(self._store, fields)
        self._end_task(lease.id, Ending.LOST)  # its run under the lease before, which ran out while we were frozen
        self._held[lease.id] = lease
        task = asyncio.create_task(watched_run(lease, partial(self._run, lease, self._read(lease))))
        self.tasks[lease.id] = task
        task.add_done_callback(lambda _: self._ended(lease))
        self._show_slots()

    def _read(self, lease: Lease) -> ArqRecord | None:
        """Which function to call; None for what is no job of ours."""
        try:
            call = lease.read()
        except ValueError as error:  # msgspec's, or text that is not UTF-8
            # Not the text of the error, here and below: it may quote a prompt.
            log.error("refused: unreadable (%s)", type(error).__name__, extra={"job_id": lease.id})  # noqa: TRY400
            return None
        if hasattr(lease, "job"):
            self._claims[lease.job.lane] += 1
            self._lane_slots.take(lease.id, lease.job.lane)
            if lease.job.lane is Lane.BATCH:
                lease.give_up_slot = partial(self._lane_slots.wind_up, lease.id)
        if call.f in self.functions:
            return call
        log.error("refused: no function of ours", extra={"job_id": lease.id})
        return None

    def _ended(self, lease: Lease) -> None:
        if self._held.get(lease.id) is lease:
            del self.tasks[lease.id]
            del self._held[lease.id]
            self._lane_slots.give(lease.id)
        self._slot_freed.set()
        self._show_slots()

    def _show_slots(self) -> None:
        held = len(self._held)
        metrics.LEASES.of().value = metrics.SLOTS.of("busy").value = held
        metrics.SLOTS.of("free").value = self.max_jobs - held

    async def _run(self, lease: Lease, call: ArqRecord | None) -> None:
        if call is None:
            await self._refuse(lease)
            return
        if lease.ending:
            await self._ended_early(lease)
            return
        try:
            if hasattr(lease, "job"):
                await self.functions[call.f].coroutine({**self.ctx, "lease": lease}, *call.a, **call.k)
            else:
                await arq_jobs.run(lease, call, self.functions[call.f].coroutine, self.ctx)
        except asyncio.CancelledError:
            await self._ended_early(lease)
        except LeaseLost:
            log.info("lease lost; another worker has the job", extra={"job_id": lease.id})
        except StoreError as error:
            log.warning("%s", error, extra={"job_id": lease.id})
        except Exception as error:  # noqa: BLE001 - the lease runs out, the job is tried again, MAX_CRASHES bounds it
            log.error("a job's task failed: %s", where(error), extra={"job_id": lease.id})  # noqa: TRY400

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
        claims = self._claims.copy()
        try:
            await self._store.run(ALIVE, self.id, self._lease_ms, *(claims[lane] for lane in Lane))
        except StoreError:
            return False
        self._claims -= claims
        return True

    async def _renew(self, lease: Lease) -> None:
        reach("renewing")
        try:
            verdict = await self._store.run(RENEW, lease.id, lease.fence, self._lease_ms)
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
        """Tokens this worker popped while it was told to stop belong to the others."""
        try:
            await self._store.call("ZREM", WORKERS, self.id)
            await asyncio.gather(*(self._store.call("LPUSH", WAKE + lane, "1") for lane in Lane))
        except StoreError as error:
            log.warning("%s", error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
