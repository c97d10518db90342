"""The items of one shard on their way: each through the executor, with patience for a provider that is busy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Container
from functools import partial
from typing import TypeVar

import msgspec

from shared.batches import Batch, BatchState, Ending, Item, Spent
from shared.dialects import DIALECTS
from shared.errors import GatewayError, InvalidRequest, StoreError
from shared.ids import now_ms
from shared.jobs import Outcome
from shared.logs import where
from worker import results
from worker.begun import Begun, begin, names_of
from worker.costs import spent_on
from worker.exchange import TryLater
from worker.executor import Executor
from worker.failpoints import reach
from worker.item_cache import ItemCache
from worker.item_records import ItemRecords, Result
from worker.lease import AGAIN_S, PERSIST_S, Lease, LeaseLost
from worker.leases import MAX_CRASHES
from worker.standstill import Standstill

log = logging.getLogger("hermod.worker")

LOOK_S = 1.0
"""How often a shard that waits looks whether its batch was cancelled; one that ends items hears it from each."""
KEPT_AT_ONCE, KEPT_BYTES = 100, 1024 * 1024
"""Results written in one step, and about their bytes: how long Redis serves nobody else."""
STALE_S = 1.5 * LOOK_S
"""After which nothing is sent before another look: a worker that was frozen may have lost the shard."""

T = TypeVar("T")


class Stopped(Exception):
    """The shard begins nothing more, and the item is at no provider."""


class Means(msgspec.Struct, frozen=True):
    """What items are run with; a worker has one.

    Attributes:
        providers: the configured ones.
        leaving: set when the worker is told to stop.
        cache: how items use the response cache.
    """

    executor: Executor
    records: ItemRecords
    providers: Container[str]
    leaving: asyncio.Event
    cache: ItemCache


class ShardRun:
    """One lease's work on a shard: up to `at_once` items at a time, each result kept as it comes.

    A shard that took down MAX_CRASHES workers runs its items one by one, so that the one to blame can be told from
    the others: it is given up when it was running at as many crashes more.
    """

    def __init__(self, means: Means, lease: Lease, batch: Batch, number: int) -> None:
        self._means = means
        self._lease = lease
        self._batch = batch
        self._claim = (lease.id, lease.fence, batch, number)
        self._dialect = DIALECTS[batch.dialect]
        self._alone = lease.crashes >= MAX_CRASHES
        self._heard = 0.0
        self._stopped = asyncio.Event()
        self._unrun: Ending | None = None
        self._todo: deque[Item] = deque()
        self._unanswered = 0
        self._runners = asyncio.TaskGroup()
        self._free = 0
        self._back: deque[asyncio.Future[None]] = deque()
        self._standstill = Standstill()
        self._put_off_s = 0.0
        self._results: deque[Result] = deque()
        self._keeper: asyncio.Task[None] | None = None

    async def run(self, items: list[Item], at_once: int) -> float:
        """Bring every item to an end, but those not begun when the worker is told to stop, or when all wait for long.

        Returns:
            Seconds after which the rest is due.

        Raises:
            LeaseLost: the shard is someone else's by now.
            StoreError: Redis was away for longer than could be waited for.
        """
        self._todo, self._unanswered = deque(items), len(items)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                async with self._runners:
                    for _ in range(1 if self._alone else min(at_once, len(items))):
                        self._runners.create_task(self._work())
                watch.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return self._put_off_s

    async def _work(self) -> None:
        """One of the places at a provider, for one item after the other. Results on their way to Redis take none."""
        while self._todo:
            item = self._todo.popleft()
            uuid, request_id = names_of(self._batch, item)
            try:
                with self._standstill.begun():
                    ending, line, spent = await self._result(item, uuid, request_id)
            except Stopped:
                if self._unrun is None:
                    self._todo.clear()
                    break
                ending, line, spent = self._unrun, results.unrun(self._batch, item, uuid, self._unrun), Spent()
            self._unanswered -= 1
            if not self._unanswered:
                self._lease.give_up_slot()
            self._keep(Result(item.index, ending, line, spent))
            if self._alone and self._keeper is not None:
                await self._keeper  # the next may take the worker down, and this one is not to blame for it
            if self._back:
                break
        self._give_place()

    async def _result(self, item: Item, uuid: str, request_id: str) -> tuple[Ending, bytes, Spent]:
        try:
            outcome = await self._outcome(item, uuid, request_id)
        except (Stopped, LeaseLost, StoreError):
            raise
        except GatewayError as error:
            outcome = self._failed(error, request_id)
        except Exception as error:  # noqa: BLE001 - one item must not keep its shard from ending
            log.error("an item failed: %s", where(error), extra={"job_id": self._lease.id})  # noqa: TRY400 - see leases
            outcome = self._failed(GatewayError("The gateway failed on this request.", code="internal"), request_id)
        reach("answered")
        return *results.answered(self._batch, item, uuid, request_id, outcome), spent_on(outcome)

    def _keep(self, result: Result) -> None:
        """Have the result written; what others come to while some are on their way goes with the next."""
        self._results.append(result)
        if self._keeper is None:
            self._keeper = self._runners.create_task(self._keep_all())

    async def _keep_all(self) -> None:
        while self._results:
            some, size = [self._results.popleft()], 0
            while self._results and len(some) < KEPT_AT_ONCE and (size := size + len(some[-1].line)) < KEPT_BYTES:
                some.append(self._results.popleft())
            asked = time.monotonic()
            self._hear(await outlast(partial(self._means.records.end_items, *self._claim, some)), asked)
        self._keeper = None

    # --- one item -------------------------------------------------------------------------------------

    async def _outcome(self, item: Item, uuid: str, request_id: str) -> Outcome:
        """The answer, after as many attempts as it takes. Raises Stopped, LeaseLost, GatewayError."""
        begun: Begun | None = None
        while True:
            try:
                await self._check()
                begun = begun or await self._begun(item, uuid, request_id)
                return await self._means.executor.run(begun)
            except TryLater as later:
                delay_s = later.delay_s
            with self._standstill.waiting(uuid, begun.attempts if begun else (), delay_s):
                await self._step_aside(delay_s)

    async def _step_aside(self, delay_s: float) -> None:
        """Let time pass and others have the place; an item that comes back goes before those that are new.

        One that is to be the only one on its way keeps it.
        """
        if self._alone:
            await self._wait(delay_s)
            return
        self._give_place()
        await self._wait(delay_s)  # when that raises, nothing is sent any more, and places count no more
        await self._take_place()

    def _give_place(self) -> None:
        """To an item that came back, else to a new one, while there are any."""
        while self._back:
            came_back = self._back.popleft()
            if not came_back.done():
                came_back.set_result(None)
                return
        if self._todo:
            self._runners.create_task(self._work())
        else:
            self._free += 1

    async def _take_place(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._back.append(turn)
        await turn

    async def _begun(self, item: Item, uuid: str, request_id: str) -> Begun:
        """The item as the executor takes it. Raises LeaseLost, and as GatewayError why it is not run."""
        if refusal := await self._refusal(item):
            raise refusal
        begun = begin(self._batch, item, uuid, request_id, self._means.providers)
        begun.job, begun.record = self._means.cache.planned(begun.job, begun.body), self._lease.id
        return begun

    async def _refusal(self, item: Item) -> GatewayError | None:
        """Why an item is not run: it is known to be wrong, or it takes down workers. Raises LeaseLost."""
        if item.problem:
            return InvalidRequest(item.problem)
        if not self._alone:
            return None
        alone = partial(self._means.records.begin_alone, *self._claim, index=item.index, crashes=self._lease.crashes)
        begun = await outlast(alone)
        if not begun:
            raise LeaseLost(self._lease.id)
        if begun <= MAX_CRASHES:
            return None
        message = f"The request took down {MAX_CRASHES} workers and is not tried again."
        return GatewayError(message, code="poison", should_retry=False)

    def _failed(self, error: GatewayError, request_id: str) -> Outcome:
        return Outcome(status=self._dialect.error_status(error), body=self._dialect.render_error(error, request_id))

    # --- stopping -------------------------------------------------------------------------------------

    async def _wait(self, delay_s: float) -> None:
        """Let time pass. Raises Stopped as soon as the shard stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopped.wait()
        if self._stopped.is_set():
            raise Stopped

    async def _watch(self) -> None:
        while not self._stopped.is_set():
            left_s = (self._batch.expires_ms - now_ms()) / 1000
            await asyncio.sleep(max(0.0, min(LOOK_S, left_s)))
            with contextlib.suppress(StoreError):
                await self.look()
            if later_s := self._standstill.put_off_s():
                self._put_off_s = max(0.0, min(later_s, left_s))
                self._stop(None)

    async def _check(self) -> None:
        """Whether something may be sent now. Raises Stopped, LeaseLost, StoreError."""
        if self._means.leaving.is_set():
            self._stop(None)
        if time.monotonic() - self._heard > STALE_S:
            await outlast(self.look)
        if self._stopped.is_set():
            raise Stopped

    async def look(self) -> None:
        """What is known of the batch. Raises LeaseLost, StoreError."""
        asked = time.monotonic()
        self._hear(await self._means.records.state(self._lease.id, self._lease.fence, self._batch.id), asked)
        if now_ms() >= self._batch.expires_ms:
            self._stop(Ending.EXPIRED)
        elif self._means.leaving.is_set():
            self._stop(None)

    def _hear(self, state: str, asked: float) -> None:
        """What the records say of the batch since it was `asked` for. Raises LeaseLost."""
        if state == "lost":
            raise LeaseLost(self._lease.id)
        self._heard = max(self._heard, asked)
        if state == BatchState.CANCELLING:
            self._stop(Ending.CANCELED)

    def _stop(self, unrun: Ending | None) -> None:
        """Begin nothing more: what is not begun has come to `unrun`, or with None is left to another worker."""
        if not self._stopped.is_set():
            self._unrun = unrun
            self._stopped.set()


async def outlast(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` returns, tried again while Redis is away: what a provider answered is paid for. Raises StoreError."""
    deadline = time.monotonic() + PERSIST_S
    while True:
        try:
            return await call()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a task, however deep in groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
