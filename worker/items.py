"""The items of one shard on their way: each through the executor, with patience for a provider that is busy."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Container
from functools import partial

import msgspec

from shared.batch_lines import answered, names_of
from shared.batches import Batch, Item
from shared.dialects import DIALECTS
from shared.errors import GatewayError, InvalidRequest, StoreError
from shared.jobs import Outcome
from shared.logs import where
from worker.begun import Begun, begin
from worker.costs import spent_on
from worker.exchange import TryLater
from worker.executor import Executor
from worker.failpoints import reach
from worker.item_cache import ItemCache
from worker.item_records import ItemRecords, Result
from worker.lease import Lease, LeaseLost
from worker.leases import MAX_CRASHES
from worker.outlast import outlast
from worker.results import unrun
from worker.shard_watch import ShardWatch, Stopped

log = logging.getLogger("hermod.worker")

KEPT_AT_ONCE, KEPT_BYTES = 100, 1024 * 1024
"""Results written in one step, and about their bytes: how long Redis serves nobody else."""


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
        self._watch = ShardWatch(means.records, lease, batch, means.leaving)
        self._standstill = self._watch.standstill
        self._todo: deque[Item] = deque()
        self._unanswered = 0
        self._runners = asyncio.TaskGroup()
        self._free = 0  # places that nobody needs at the moment
        self._back: deque[asyncio.Future[None]] = deque()  # of items that have waited, and want a place again
        self._results: deque[Result] = deque()  # not yet in Redis
        self._keeper: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Hear what is known of the batch, before `run`. Raises LeaseLost, StoreError."""
        await self._watch.look()

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
                watch = group.create_task(self._watch.run())
                async with self._runners:
                    for _ in range(1 if self._alone else min(at_once, len(items))):
                        self._runners.create_task(self._work())
                watch.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return self._watch.put_off_s

    async def _work(self) -> None:
        """One of the places at a provider, for one item after the other. Results on their way to Redis take none."""
        while self._todo:
            item = self._todo.popleft()
            uuid, request_id = names_of(self._batch, item)
            self._standstill.begin()
            try:
                result = await self._result(item, uuid, request_id)
            except Stopped:
                if (ending := self._watch.unrun) is None:
                    self._todo.clear()
                    break
                result = Result(item.index, ending, unrun(self._batch, item, uuid, ending))
            finally:
                self._standstill.end()
            self._unanswered -= 1
            if not self._unanswered:
                self._lease.give_up_slot()
            self._keep(result)
            if self._alone and self._keeper is not None:
                await self._keeper  # the next may take the worker down, and this one is not to blame for it
            if self._back:
                break
        self._give_place()

    async def _result(self, item: Item, uuid: str, request_id: str) -> Result:
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
        ending, line = answered(self._batch, item, uuid, request_id, outcome)
        return Result(item.index, ending, line, spent_on(outcome))

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
            self._watch.hear(await outlast(partial(self._means.records.end_items, *self._claim, some)), asked)
        self._keeper = None

    # --- one item -------------------------------------------------------------------------------------

    async def _outcome(self, item: Item, uuid: str, request_id: str) -> Outcome:
        """The answer, after as many attempts as it takes. Raises Stopped, LeaseLost, GatewayError."""
        begun: Begun | None = None
        while True:
            try:
                if not self._watch.may_send():
                    await self._watch.check()
                if begun is None:
                    begun = await self._begun(item, uuid, request_id)
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
            await self._watch.wait(delay_s)
            return
        self._give_place()
        await self._watch.wait(delay_s)  # when that raises, nothing is sent any more, and places count no more
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
        if (item.problem or self._alone) and (refusal := await self._refusal(item)):
            raise refusal
        begun = begin(self._batch, item, uuid, request_id, self._means.providers)
        begun.job, begun.record = self._means.cache.planned(begun.job, begun.body), self._lease.id
        return begun

    async def _refusal(self, item: Item) -> GatewayError | None:
        """Why an item is not run: it is known to be wrong, or alone it takes down workers. Raises LeaseLost."""
        if item.problem:
            return InvalidRequest(item.problem)
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


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a task, however deep in groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
