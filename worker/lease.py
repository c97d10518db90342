"""One claimed job, and the right to write about it for as long as the lease is held."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from shared.errors import GatewayError, StoreError
from shared.job_values import JobValues, notice, unpack_job
from shared.jobs import Attempt, Job, Outcome, State
from shared.metrics import job_ended
from shared.queue import EVENTS, cancelled_outcome
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
    """Why a running job's task was cancelled, or is to do nothing."""

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


def _keep_slot() -> None:
    """Of a lease that no worker holds, and of a job that is no part of a batch."""


class Lease:
    """A claimed job and the right to write about it.

    Attributes:
        job: what was asked, set by `read`; absent for what another arq client enqueued.
        body: the request as the client sent it, or nothing when that lies elsewhere or is `unreadable`.
        attempts: tries so far, earlier leases included.
        unreadable: why the request or the attempts could not be read, so that the job cannot be run; else None.
        crashes: how many workers died holding it.
        late: it was claimed after its deadline.
        again: it had been claimed before, whatever became of that.
        hold: what the claim has reserved on its caller's meters for its first call, see shared/governance_estimates.py,
            until a call takes it; empty for nothing.
        record: id of the record it belongs to, its own.
        give_up_slot: what is left to do takes no provider; another job may be claimed in its place.
        ending: set before the job's task is cancelled, or from the start: it was cancelled under the lease before.
        state: in which the job ended by this lease, once it has.
    """

    job: Job

    def __init__(self, store: RedisStore, claimed: list[bytes]) -> None:
        job_id, self.fence, self._payload, self._spec, self.body, self._attempts, *facts, self.hold = claimed
        crashes, late, again, cancelled = facts
        self._store = store
        self._ttl_s = REFUSED_TTL_S
        self._values = JobValues(store.seal)
        self.id = self.record = job_id.decode()
        self.attempts: tuple[Attempt, ...] = ()
        self.unreadable: GatewayError | None = None
        self.crashes = int(crashes)
        self.late = late == b"1"
        self.again = again == b"1"
        self.give_up_slot: Callable[[], None] = _keep_slot
        self.ending = Ending.CANCELLED if cancelled == b"1" else None
        self.state: State | None = None

    @property
    def payer(self) -> str:
        """Whose budgets and windows it counts in."""
        return self.job.owner

    def read(self) -> ArqRecord:
        """Decode the records: which function to call; raises msgspec.MsgspecError for anything unreadable."""
        if self._spec:
            self.job = unpack_job(self._spec)
            self._ttl_s = self.job.ttl_s
            self._open()
        return _unpack_arq(self._payload)

    def _open(self) -> None:
        stored, self.body = self.body, b""
        try:
            self.job = msgspec.structs.replace(self.job, headers=self._values.read_headers(self.job))
            self.body = self._values.read_request(self.job, stored)  # first: the gateway's own jobs need no more
            self.attempts = self._values.read_attempts(self.job, self._attempts)
        except GatewayError as error:
            self.unreadable = error

    async def finish(self, state: State, outcome: Outcome, arq_result: bytes = b"") -> None:
        """End the job and wake whoever waits; `arq_result` is kept for arq's `Job.result()`. Raises LeaseLost."""
        stored = self._values.outcome(self._owner, self.id, outcome)
        stream = int(hasattr(self, "job") and self.job.stream)
        facts = (self._ttl_s, notice(self.id, 0, stored, state), arq_result, stream, outcome.status)
        await self._persist(FINISH, state, stored, self._tries(), *facts)
        self.state = state
        if hasattr(self, "job"):
            job_ended(self.job, state, self.attempts)

    async def defer(self, delay_s: float, why: str = "") -> None:
        """Give the job back, due after `delay_s` seconds; end it when it was cancelled meanwhile. Raises LeaseLost.

        `why` is for its owner to read: a reason, and after a space the target.
        """
        if await self._persist(DEFER, math.ceil(delay_s * 1000), self._tries(), why) == b"cancelled":
            await self.finish(State.CANCELLED, cancelled_outcome())

    async def append(self, seq: int, data: bytes) -> None:
        """Add piece `seq` (from 1) to the job's event stream and tell its followers. Raises LeaseLost."""
        stored = self._values.piece(self._owner, self.id, seq, data)
        await self._persist(APPEND, seq, stored, notice(self.id, seq, stored))

    async def last_piece(self) -> tuple[int, bytes] | None:
        """Number and bytes of the last piece of the job's event stream, b"" when they cannot be read; None without."""
        entries = await self._store.call("XREVRANGE", EVENTS + self.id, "+", "-", "COUNT", 1)
        try:
            pieces = self._values.read_pieces(self._owner, self.id, entries)
        except GatewayError:
            pieces = [(int(entries[0][0].split(b"-")[0]), b"")]
        return pieces[0] if pieces else None

    @property
    def _owner(self) -> str:
        return self.job.owner if hasattr(self, "job") else ""

    def _tries(self) -> bytes:
        return self._values.attempts(self._owner, self.id, self.attempts)

    async def _persist(self, script: Script, *args: Any) -> Any:
        """Write, and go on trying while Redis is away: what a provider answered is paid for."""
        deadline = asyncio.get_running_loop().time() + PERSIST_S
        while True:
            try:
                accepted = await self._store.run(script, self.id, self.fence, *args)
            except StoreError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                if not accepted:
                    raise LeaseLost(self.id)
                return accepted
