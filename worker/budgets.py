"""Virtual keys where calls are made: may the caller still do this, is there room in its budgets, what did it come to.

Before a call its estimate is held on every meter of the caller's chain, in one atomic step: of the first call of a job
that somebody waits for in that of its claim, else in one of its own. After it the hold becomes what the provider
reported. A meter lets calls in while what was used and what is held are below its limit, so a budget is overshot by the
cost of the calls in flight at most. What nobody can know, for a call timed out, was cancelled or lost its worker, is
charged with the estimate of its input and told apart (`uncertain`). A price nobody knows counts nothing and is told too
(`unpriced`). A call is settled no later than its outcome is written, so that a worker that dies in between has charged
the call it made, and whoever repeats it charges the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from shared.chat import Usage
from shared.errors import BudgetExceeded, GatewayError, ProviderError, StoreError
from shared.governance import Grant
from shared.governance_estimates import FREE, estimate, hold, tokens_of
from shared.governance_keyring import Keyring
from shared.governance_meters import Limits, refusal
from shared.ids import now_ms
from shared.jobs import Job, Outcome
from shared.lanes import Lane
from shared.prices import Prices
from shared.stores.redis import RedisStore, Script
from worker.budget_scripts import GIVE_BACK, RESERVE, SETTLE
from worker.costs import cost_of
from worker.exchange import Asked, StreamBroke, TryLater
from worker.lease import Lease
from worker.outlast import outlast
from worker.routing import Target
from worker.turn import SpentHere

log = logging.getLogger("hermod.worker")

STORE_AWAY_S = 1.0
"""When a call is due again that could not be reserved because Redis was away."""


class Spent(msgspec.Struct, frozen=True):
    """What a call came to; `cost` is None when its price is unknown."""

    cost: int | None = 0
    tokens: int = 0


class Budgets:
    """What a worker does for the virtual keys of callers. Callers without limits cost no round trip."""

    def __init__(self, store: RedisStore, keyring: Keyring, prices: Prices, worker_id: str) -> None:
        self._store = store
        self._keyring = keyring
        self._prices = prices
        self._worker_id = worker_id
        self._numbers = itertools.count(1)
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until everything is settled that can be."""
        if self._settling:
            await asyncio.wait(self._settling)

    async def grant(self, job: Job) -> Grant | None:
        """What the job's owner may do; None for everything.

        Raises:
            NotPermitted: the virtual key was revoked or has expired meanwhile.
            TryLater: which keys there are cannot be told now.
        """
        return await self._grant_of(job.owner)

    async def provider_keys(self, job: Job, provider: str, model: str) -> frozenset[str] | None:
        """Names of the provider's keys that may serve the job; None for all.

        Raises:
            NotPermitted: the virtual key was revoked or has expired meanwhile, or may not use the model.
            TryLater: which keys there are cannot be told now.
        """
        grant = await self._grant_of(job.owner)
        if grant is None:
            return None
        grant.check(provider, model)
        return grant.provider_keys(provider)

    async def pay(
        self, asked: Asked, target: Target, attempt: Callable[[Asked, Target], Awaitable[Outcome]]
    ) -> Outcome:
        """The attempt's outcome, reserved before and settled after.

        Raises, besides what the attempt does:
            BudgetExceeded: a budget is used up.
            LimitExceeded: a window is, and somebody waits for the answer in person.
            SpentHere: one of these two, and it is the key's at this provider alone.
            TryLater: a window is; or Redis is away.
        """
        grant = await self._grant_of(asked.payer)
        limits = None if grant is None else grant.limits(target.row.name)
        if limits is None:
            return await attempt(asked, target)
        held = await self._reserved(asked, target, limits)
        try:
            outcome = await attempt(asked, target)
        except StreamBroke as broke:
            self._settle(held, self._spent(asked.job, target, broke.usage))
            raise
        except BaseException as error:
            self._settle(held, _spent_all_the_same(error))
            raise
        self._settle(held, self._spent(asked.job, target, outcome.usage))
        return outcome

    def release(self, lease: Lease) -> None:
        """Give back what the claim reserved, when no call has been made with it."""
        if lease.hold:
            lease.hold = b""
            self._begin(GIVE_BACK, lease.id, lease.record, lease.job.id)

    # --- before ---------------------------------------------------------------------------------------

    async def _grant_of(self, owner: str) -> Grant | None:
        try:
            return await self._keyring.of_owner(owner)
        except StoreError as error:
            raise TryLater(STORE_AWAY_S) from error

    async def _reserved(self, asked: Asked, target: Target, limits: Limits) -> str:
        """The name of the hold. Raises like `pay`."""
        packed = hold(limits, estimate(asked.job.operation, asked.body, partial(cost_of, self._prices, target)))
        if not (isinstance(asked, Lease) and asked.hold):
            return await self._reserve(asked, limits, packed)
        name = asked.id
        if asked.hold != packed:  # given back in the same step: it may hold the very room that is to be had
            name = await self._reserve(asked, limits, packed, instead=asked.id)
        asked.hold = b""
        return name

    async def _reserve(self, asked: Asked, limits: Limits, packed: bytes, instead: str = "") -> str:
        name = f"{next(self._numbers)}:{asked.job.id}:{len(asked.attempts) + 1}"
        written = (name, packed, asked.record, asked.job.id, instead)
        try:
            verdict, *why = await self._store.run(RESERVE, self._worker_id, *written)
        except StoreError as error:
            raise TryLater(STORE_AWAY_S) from error
        if verdict == b"refused":
            index, spent, wait_ms = why
            refused = refusal(limits.meters[index - 1], wait_ms, spent=bool(spent))
            raise _wait_or_fail(asked.job, refused, wait_ms, here=index <= limits.own)
        return name

    # --- after ----------------------------------------------------------------------------------------

    def _spent(self, job: Job, target: Target, usage: Usage | None) -> Spent | None:
        """None when the provider did not say."""
        if job.operation in FREE:
            return Spent()
        return None if usage is None else Spent(cost_of(self._prices, target, usage), tokens_of(usage))

    def _settle(self, name: str, spent: Spent | None) -> None:
        known = spent or Spent()
        words = ("" if known.cost is None else known.cost, known.tokens)
        self._begin(SETTLE, name, int(spent is not None), *words)

    def _begin(self, ending: Script, name: str, *words: str | int) -> None:
        """Begun at once, so that it goes ahead of the outcome, and not waited for: the task may have been cancelled."""
        task = asyncio.create_task(self._end(ending, name, *words))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _end(self, ending: Script, name: str, *words: str | int) -> None:
        # A hold that cannot be ended stays until this worker ends, and is charged by its estimate then.
        with contextlib.suppress(StoreError):
            await outlast(partial(self._store.run, ending, self._worker_id, name, *words))


def _wait_or_fail(job: Job, error: GatewayError, wait_ms: int, *, here: bool) -> Exception:
    """A job that nobody waits for in person can wait for the next window, when that begins in time."""
    if job.lane is Lane.INTERACTIVE or isinstance(error, BudgetExceeded) or now_ms() + wait_ms > job.deadline_ms:
        return SpentHere(error) if here else error
    # Not all at the same instant: those that wait are looked at again one by one.
    return TryLater(wait_ms / 1000 + random.uniform(0, min(wait_ms / 1000, 1.0)), error.code or "")


def _spent_all_the_same(error: BaseException) -> Spent | None:
    """What a failed attempt is charged; None when nobody can know.

    Nothing where the provider answered with an error, where the request never reached it, and where it was refused
    here before it was sent.
    """
    if isinstance(error, ProviderError):
        return Spent() if error.upstream_status is not None or not error.sent else None
    if isinstance(error, TryLater) or (isinstance(error, GatewayError) and not isinstance(error, StoreError)):
        return Spent()
    return None
