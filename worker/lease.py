"""One claimed job, and the right to write about it for as long as the lease is held."""

from __future__ import annotations

import asyncio
import math
from enum import Enum
from typing import Any

import msgspec

from shared.errors import StoreError
from shared.jobs import Attempt, Job, Notice, Outcome, State
from shared.metrics import job_ended
from shared.queue import EVENTS, cancelled_outcome, pack, unpack_attempts, unpack_events, unpack_job
from shared.stores.redis import RedisStore, Script
from worker.lease_scripts import APPEND, DEFER, FINISH

PERSIST_S = 60.0
"""How long a finished call's outcome is kept in memory while Redis is away."""
AGAIN_S = 0.2
"""Pause between tries while Redis is away: all workers are back long before a lease could run out."""
REFUSED_TTL_S = 3600
"""How long the refusal of an unreadable job is kept; its own figure cannot be read."""


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
        state: in which the job ended by this lease, once it has.
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
        self.state: State | None = None

    def read(self) -> ArqRecord:
        """Decode the records: which function to call; raises msgspec.MsgspecError for anything unreadable."""
        if self._spec:
            self.job = unpack_job(self._spec)
            self._ttl_s = self.job.ttl_s
        if self._attempts:
            self.attempts = unpack_attempts(self._attempts)
        return _unpack_arq(self._payload)

    async def finish(self, state: State, outcome: Outcome, arq_result: bytes = b"") -> None:
        """End the job and wake whoever waits; `arq_result` is kept for arq's `Job.result()`. Raises LeaseLost."""
        done = pack(Notice(self.id, 0, outcome=outcome, state=state))
        stream = int(hasattr(self, "job") and self.job.stream)
        written = (state, pack(outcome), pack(self.attempts), self._ttl_s, done, arq_result, stream, outcome.status)
        await self._persist(FINISH, *written)
        self.state = state
        if hasattr(self, "job"):
            job_ended(self.job, state, self.attempts)

    async def defer(self, delay_s: float, why: str = "") -> None:
        """Give the job back, due after `delay_s` seconds; end it when it was cancelled meanwhile. Raises LeaseLost.

        `why` is for its owner to read: a reason, and after a space the target.
        """
        if await self._persist(DEFER, math.ceil(delay_s * 1000), pack(self.attempts), why) == b"cancelled":
            await self.finish(State.CANCELLED, cancelled_outcome())

    async def append(self, seq: int, data: bytes) -> None:
        """Add piece `seq` (from 1) to the job's event stream and tell its followers. Raises LeaseLost."""
        await self._persist(APPEND, seq, data, pack(Notice(self.id, seq, data)))

    async def last_piece(self) -> tuple[int, bytes] | None:
        """Number and bytes of the last piece of the job's event stream; None when there is none."""
        entries = unpack_events(await self._store.call("XREVRANGE", EVENTS + self.id, "+", "-", "COUNT", 1))
        return entries[0] if entries else None

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
