"""Runs a job: whose turn it is among its targets and their keys, leave to call, one exchange; one try per claim.

A failed attempt goes back to the queue with its delay, never to sleep: the next claim, by whichever worker, reads off
the attempts where the job stands. Only from a key that is refused it goes on to the next one at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from shared.cache import CachePlan
from shared.dialects import DIALECTS
from shared.errors import (
    InvalidRequest,
    NotPermitted,
    ProviderError,
    StoreError,
)
from shared.governance import Grant
from shared.ids import now_ms
from shared.jobs import Job, Outcome
from shared.lanes import Lane
from shared.prices import Prices
from worker.attachments import Attachments
from worker.costs import priced
from worker.exchange import Asked, Exchange, Heard, Media, Sign, StreamBroke, TryLater
from worker.lease import Lease
from worker.limits import Limits, Pass
from worker.model_lists import list_models
from worker.oversized import oversized
from worker.retry import FALL_BACK_AFTER_S, PATIENCE_S, Chances, Decision, Next, decide, is_ambiguous, refuses_key
from worker.routing import Router, Target
from worker.shut import Shut, error_of, exhausted, is_failing
from worker.transport import Transport
from worker.turn import SpentHere, Turn
from worker.watched import count_spent, watched

STORE_AWAY_S = 1.0
"""When a job is due again for which leave could not be asked."""


class Budgets(Protocol):
    """Knows what the virtual keys of callers may still do, and charges them."""

    async def grant(self, job: Job) -> Grant | None:
        """What the job's owner may do; None for everything. Raises NotPermitted, TryLater."""
        ...

    async def provider_keys(self, job: Job, provider: str, model: str) -> frozenset[str] | None:
        """Names of the provider's keys that may serve the job; None for all. Raises NotPermitted, TryLater."""
        ...

    async def pay(
        self, asked: Asked, target: Target, attempt: Callable[[Asked, Target], Awaitable[Outcome]]
    ) -> Outcome:
        """The attempt's outcome, charged. Raises BudgetExceeded, LimitExceeded, SpentHere, TryLater."""
        ...

    def release(self, lease: Lease) -> None:
        """Give back what the claim reserved for a call that was not made."""
        ...


class Cache(Protocol):
    """Keeps answers for requests that are asked again."""

    async def answer(self, asked: Asked, plan: CachePlan, run: Callable[[Asked], Awaitable[Outcome]]) -> Outcome:
        """What is kept, or what `run` makes of it; raises what that does."""
        ...


class Executor:
    """Turns what was asked into an outcome.

    Without `limits`, calls are made whatever the providers said of other calls. See Exchange for `attachments`,
    `media` and `sign`.

    Attributes:
        cache: what jobs that use the response cache are answered from; None for nothing.
    """

    def __init__(
        self,
        router: Router,
        transport: Transport,
        attachments: Attachments | None = None,
        *,
        media: Media | None = None,
        sign: Sign | None = None,
        prices: Prices | None = None,
        budgets: Budgets | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._router = router
        self._exchange = Exchange(transport, attachments, media, sign)
        self._prices = prices or Prices()
        self._budgets = budgets
        self._limits = limits
        self.cache: Cache | None = None

    async def run(self, asked: Asked) -> Outcome:
        """Make one attempt that counts.

        Raises:
            TryLater: it failed and is to be repeated, here or at a fallback; or it is not its turn yet; or a store is
                away that holds its files.
            GatewayError: it failed for good; with fallbacks, the first target's error.
            StreamBroke: the stream must be ended with its error.
        """
        if asked.job.operation == "models":
            return await list_models(self._router, self._exchange, await self.grant(asked.job))
        if self.cache is not None and asked.job.cache is not None:
            return await self.cache.answer(asked, asked.job.cache, self._called)
        return await self._called(asked)

    async def grant(self, job: Job) -> Grant | None:
        """What the job's owner may do; None for everything. Raises NotPermitted, TryLater."""
        return await self._budgets.grant(job) if self._budgets else None

    def release(self, lease: Lease) -> None:
        """What the lease's claim reserved for a call is not needed any more, if it still is."""
        if self._budgets:
            self._budgets.release(lease)

    async def _called(self, asked: Asked) -> Outcome:
        """As `run`, by calls of providers."""
        pairs = self._router.resolve(asked.job, DIALECTS[asked.job.dialect].default_provider)
        while True:
            turn = Turn(asked, pairs)
            targets = await self._targets(turn)
            leave = await self._leave(turn, targets)
            if outcome := await self._try(turn, leave, targets):
                return outcome

    # --- whose turn it is -----------------------------------------------------------------------------

    async def _targets(self, turn: Turn) -> list[Target]:
        """The keys that may be tried, in turn; those at which a try has failed come last.

        Raises InvalidRequest, NotPermitted, TryLater, AuthFailed.
        """
        provider, model = turn.pairs[turn.stands.index]
        job, found = turn.asked.job, await self._allowed(turn.asked.job, provider, model)
        for other in self._router.also_at(job, provider, model):
            try:
                found += await self._allowed(job, other, model)
            except NotPermitted:
                continue
        found = self._pinned(turn, found)
        refused = turn.stands.refused
        left = [target for target in found if (target.name, target.key.name) not in refused] if refused else found
        if not left:
            raise exhausted(found[0])
        if len(left) == 1:
            return left
        weights = self._limits.weights(left) if self._limits else [target.key.weight for target in left]
        ordered = self._router.in_turn(left, weights, job.session)
        failed = turn.stands.failed
        return sorted(ordered, key=lambda target: (target.name, target.key.name) in failed) if failed else ordered

    async def _allowed(self, job: Job, provider: str, model: str) -> list[Target]:
        only = await self._budgets.provider_keys(job, provider, model) if self._budgets else None
        return self._router.targets(provider, model, only=only)

    def _pinned(self, turn: Turn, found: list[Target]) -> list[Target]:
        """The key the client asked for, at the target it asked for; a fallback that has none of the name has others."""
        name = turn.asked.job.key
        if not name:
            return found
        pinned = [target for target in found if target.key.is_one_of((name,))]
        if not pinned and turn.stands.index == 0:
            raise InvalidRequest(
                f"x-bf-api-key: no key named {name[:80]!r}, or of that id, may serve this model; leave it out for any.",
                param="x-bf-api-key",
                code="key_not_found",
            )
        return pinned or found

    async def _leave(self, turn: Turn, targets: list[Target]) -> Pass:
        """Leave to call one of the targets. Raises TryLater, ProviderError."""
        if self._limits is None:
            return Pass(targets[0], targets[0].gate)
        asked, most_s = turn.asked, None
        if turn.more_targets():
            most_s = max(0.0, FALL_BACK_AFTER_S[asked.job.lane] - turn.waited_s)
        try:
            leave = await self._limits.admit(asked.job, asked.body, targets, most_s=most_s)
        except StoreError as error:
            raise TryLater(STORE_AWAY_S) from error
        if isinstance(leave, Pass):
            return leave
        raise self._shut_out(turn, leave, most_s)

    def _shut_out(self, turn: Turn, shut: Shut, most_s: float | None) -> Exception:
        """What becomes of a job that got no leave; where it counts as a failure, the attempt is on record."""
        lane, error = turn.asked.job.lane, error_of(shut)
        failing = lane is Lane.INTERACTIVE and is_failing(shut)
        if most_s is not None:
            if shut.wait_s <= most_s and not (failing or refuses_key(error)):
                return TryLater(shut.wait_s, f"{shut.why} {shut.target.name}")
            turn.record(shut.target, now_ms(), error, Next.FALLBACK)
            return TryLater(0)
        if failing:
            chances = Chances(lane=lane, left_s=turn.left_s)
            decision = decide(error, turn.stands, shut.target.provider.network, chances)
            turn.record(shut.target, now_ms(), error, decision.then)
            return self._verdict(turn, decision.delay_s, decision.then, shut.target)
        patience_s = PATIENCE_S if lane is Lane.INTERACTIVE else turn.left_s
        if refuses_key(error) or shut.wait_s > min(patience_s, turn.left_s):
            turn.record(shut.target, now_ms(), error, Next.FAIL)
            return turn.error()
        return TryLater(shut.wait_s, f"{shut.why} {shut.target.name}")

    # --- one attempt ----------------------------------------------------------------------------------

    async def _try(self, turn: Turn, leave: Pass, targets: list[Target]) -> Outcome | None:
        """The outcome; None when the key was refused and another one is to be tried."""
        asked, target, started = turn.asked, leave.target, now_ms()
        heard = Heard(_served_by(target, turn.stands.index))
        try:
            outcome = await self._paid(asked, target, partial(watched, self._exchange, heard=heard))
        except ProviderError as refusal:
            error = oversized(refusal, heard.headers, asked.body) or refusal
            await self._troubled(leave, error, heard)
            decision = self._decide(turn, target, targets, error)
            turn.record(target, started, error, decision.then)
            if decision.then is Next.NEXT_KEY:
                return None
            raise self._verdict(turn, decision.delay_s, decision.then, target) from error
        except StreamBroke as broke:
            await self._troubled(leave, broke.error, heard)
            turn.record(target, started, broke.error, Next.FAIL)
            raise
        except SpentHere as spent:
            self._release(leave)
            if not turn.more_targets():
                raise spent.error from spent
            turn.record(target, started, spent.error, Next.FALLBACK)
            raise TryLater(0) from spent
        except BaseException:
            self._release(leave)
            raise
        turn.record(target, started, None, None)
        return self._answered(leave, outcome, heard)

    def _answered(self, leave: Pass, outcome: Outcome, heard: Heard) -> Outcome:
        """The outcome with who served it and what it cost; the call's leave is settled."""
        if self._limits:
            self._limits.settle(leave, outcome.usage, heard.headers)
        outcome.headers.update(heard.served)
        outcome = priced(outcome, self._prices, leave.target)
        count_spent(leave.target, outcome)
        return outcome

    def _decide(self, turn: Turn, target: Target, targets: list[Target], error: ProviderError) -> Decision:
        """What follows on the failed call of one of the targets."""
        others = [other for other in targets if other.key != target.key and self._may_try(other)]
        failed = turn.stands.failed
        chances = Chances(
            lane=turn.asked.job.lane,
            more_targets=turn.more_targets(ambiguous=is_ambiguous(error)),
            more_keys=bool(others),
            fresh_keys=any((other.name, other.key.name) not in failed for other in others),
            left_s=turn.left_s,
        )
        return decide(error, turn.stands, target.provider.network, chances, waited_s=turn.waited_s)

    def _paid(
        self, asked: Asked, target: Target, attempt: Callable[[Asked, Target], Awaitable[Outcome]]
    ) -> Awaitable[Outcome]:
        return attempt(asked, target) if self._budgets is None else self._budgets.pay(asked, target, attempt)

    def _release(self, leave: Pass) -> None:
        if self._limits:
            self._limits.release(leave)

    async def _troubled(self, leave: Pass, error: ProviderError, heard: Heard) -> None:
        if self._limits:
            await self._limits.trouble(leave, error, heard.headers)

    def _may_try(self, target: Target) -> bool:
        return self._limits is None or self._limits.usable(target)

    def _verdict(self, turn: Turn, delay_s: float, then: Next, target: Target) -> Exception:
        if then is Next.FAIL:
            return turn.error()
        reason = {Next.RETRY: "retry", Next.WAIT: "rate_limited"}.get(then)
        return TryLater(delay_s, f"{reason} {target.name}" if reason else "")


def _served_by(target: Target, index: int) -> Mapping[str, str]:
    """The headers that tell who served an answer."""
    return {**target.served, "x-bf-fallback-index": str(index)} if index else target.served
