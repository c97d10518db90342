"""What ends the work on a shard before its last item: its batch is cancelled or over, its worker leaves, all wait."""

from __future__ import annotations

import asyncio
import contextlib
import time

from shared.batches import Batch, BatchState, Ending
from shared.errors import StoreError
from shared.ids import now_ms
from worker.item_records import ItemRecords
from worker.lease import Lease, LeaseLost
from worker.outlast import outlast
from worker.standstill import Standstill

LOOK_S = 1.0
"""How often a shard that waits looks whether its batch was cancelled; one that ends items hears it from each."""
STALE_S = 1.5 * LOOK_S
"""After which nothing is sent before another look: a worker that was frozen may have lost the shard."""


class Stopped(Exception):
    """The shard begins nothing more, and the item is at no provider."""


class ShardWatch:
    """Knows whether items of a leased shard may still be begun.

    Attributes:
        standstill: what the shard's items do; told by who runs them.
        unrun: once it has stopped, what becomes of items not begun; None for being left to another worker.
        put_off_s: seconds after which these are due.
    """

    def __init__(self, records: ItemRecords, lease: Lease, batch: Batch, leaving: asyncio.Event) -> None:
        self._records = records
        self._lease = lease
        self._batch = batch
        self._leaving = leaving
        self._stopped = asyncio.Event()
        self._heard = 0.0
        self.standstill = Standstill()
        self.unrun: Ending | None = None
        self.put_off_s = 0.0

    async def run(self) -> None:
        """Look again and again until the shard stops. Raises LeaseLost."""
        while not self._stopped.is_set():
            left_s = (self._batch.expires_ms - now_ms()) / 1000
            await asyncio.sleep(max(0.0, min(LOOK_S, left_s)))
            with contextlib.suppress(StoreError):
                await self.look()
            if later_s := self.standstill.put_off_s():
                self.put_off_s = max(0.0, min(later_s, left_s))
                self._stop(None)

    def may_send(self) -> bool:
        """Whether something may be sent now, as far as can be told at once; if not, `check` says why."""
        is_told = self._stopped.is_set() or self._leaving.is_set()
        return not is_told and time.monotonic() - self._heard <= STALE_S

    async def check(self) -> None:
        """Return when something may be sent now. Raises Stopped, LeaseLost, StoreError."""
        if self._leaving.is_set():
            self._stop(None)
        if time.monotonic() - self._heard > STALE_S:
            await outlast(self.look)
        if self._stopped.is_set():
            raise Stopped

    async def wait(self, delay_s: float) -> None:
        """Let time pass. Raises Stopped as soon as the shard stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopped.wait()
        if self._stopped.is_set():
            raise Stopped

    async def look(self) -> None:
        """What is known of the batch. Raises LeaseLost, StoreError."""
        asked = time.monotonic()
        self.hear(await self._records.state(self._lease.id, self._lease.fence, self._batch.id), asked)
        if now_ms() >= self._batch.expires_ms:
            self._stop(Ending.EXPIRED)
        elif self._leaving.is_set():
            self._stop(None)

    def hear(self, state: str, asked: float) -> None:
        """What the records say of the batch since it was `asked` for. Raises LeaseLost."""
        if state == "lost":
            raise LeaseLost(self._lease.id)
        self._heard = max(self._heard, asked)
        if state == BatchState.CANCELLING:
            self._stop(Ending.CANCELED)

    def _stop(self, unrun: Ending | None) -> None:
        if not self._stopped.is_set():
            self.unrun = unrun
            self._stopped.set()
