"""What to do after a failed attempt: a table by error class. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from shared.errors import (
    AuthFailed,
    Garbled,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unreachable,
)
from shared.jobs import Attempt
from shared.lanes import Lane
from shared.provider_settings import NetworkSettings

PATIENCE_S = 120.0
"""Longest `retry-after` we wait for where somebody waits for the answer; OpenAI's SDK gives up beyond the same."""
FALL_BACK_AFTER_S = {Lane.INTERACTIVE: 3.0, Lane.ASYNC: 30.0, Lane.BATCH: 30.0}
"""How long a job that has another target waits for a busy one, in all."""
LONGEST_WAIT_S = 60.0
"""Of the waits that the provider gave no figure for, which double."""
ASKS_AGAIN_S = 600.0
"""A job that is to wait for hours asks so often whether it still is: another job may have found that it is not."""
OVER_LIMIT = "request_over_limit"
"""Code of the refusal of a request that is larger than a key's whole limit: another key's may be larger."""


class Next(StrEnum):
    """What follows a failed attempt."""

    RETRY = "retry"
    WAIT = "wait"
    NEXT_KEY = "next_key"
    FALLBACK = "fallback"
    FAIL = "fail"


class Decision(msgspec.Struct, frozen=True):
    """`delay_s` counts before the next attempt; 0 with another key or at a fallback."""

    then: Next
    delay_s: float = 0.0


class Place(msgspec.Struct, frozen=True):
    """Where a job stands.

    Attributes:
        index: of the target whose turn it is; as many as there are targets when none is left.
        tries: at it that failed and count.
        waits: times it said "later".
        refused: the keys that refused it since the last try that counts, by target and name, for providers
            may have keys of one name: then all may be asked again.
        failed: the keys at which a try of this target has failed, likewise: the others are asked first.
        since_ms: when it was first tried; None when it was not.
    """

    index: int = 0
    tries: int = 0
    waits: int = 0
    refused: frozenset[tuple[str, str]] = frozenset()
    failed: frozenset[tuple[str, str]] = frozenset()
    since_ms: int | None = None


class Chances(msgspec.Struct, frozen=True, kw_only=True):
    """What else could be done.

    Attributes:
        more_targets: there is a fallback.
        more_keys: the target has another key that was not refused.
        fresh_keys: one of these has not failed the job before.
        left_s: until the job's deadline; a retry that would begin after it helps nobody.
    """

    lane: Lane = Lane.INTERACTIVE
    more_targets: bool = False
    more_keys: bool = False
    fresh_keys: bool = False
    left_s: float = 600.0


RETRIED: dict[type[ProviderError], bool] = {
    Rejected: False,
    AuthFailed: False,
    Garbled: True,
    RateLimited: True,
    Overloaded: True,
    ServerError: True,
    Unreachable: True,
    TimedOut: True,
}
"""Is the same target asked again? What is ambiguous only where the settings say so."""

FALLS_BACK = frozenset({AuthFailed, Garbled, RateLimited, Overloaded, ServerError, Unreachable, TimedOut})
"""A request the provider rejected as wrong is wrong elsewhere too."""
MISSING = 404
"""But a model that this provider has not, or not any more, may be at the next."""


def place(attempts: Sequence[Attempt], providers: Sequence[str] = ()) -> Place:
    """Where a job with these attempts stands.

    `providers` are those of its targets: after a call that may still be running, the targets of the same provider are
    passed over.
    """
    found = Place()
    for attempt in attempts:
        if attempt.then == Next.FALLBACK:
            found = Place(index=_after(found.index, attempt, providers))
            continue
        refused, failed = attempt.then == Next.NEXT_KEY, attempt.then == Next.RETRY
        key = {(attempt.target, attempt.key)}
        found = Place(
            index=found.index,
            tries=found.tries + failed,
            waits=found.waits + (attempt.then == Next.WAIT),
            refused=found.refused | key if refused else frozenset(),
            failed=found.failed | key if failed else found.failed,
            since_ms=attempt.started_ms if found.since_ms is None else found.since_ms,
        )
    return found


def _after(index: int, attempt: Attempt, providers: Sequence[str]) -> int:
    ambiguous = attempt.failure is not None and attempt.failure.kind == TimedOut.__name__
    return following(index, providers, ambiguous=ambiguous)


def following(index: int, providers: Sequence[str], *, ambiguous: bool) -> int:
    """The target after this one; after an ambiguous failure, the first of another provider."""
    later = index + 1
    while ambiguous and later < len(providers) and providers[later] == providers[index]:
        later += 1
    return later


def is_ambiguous(error: ProviderError) -> bool:
    """The call may still be running, and be paid for, over there."""
    return isinstance(error, TimedOut) and error.sent


def refuses_key(error: ProviderError) -> bool:
    """It is the key that is refused, or has nothing left to spend: another one may do, and waiting does not help."""
    spent = isinstance(error, RateLimited) and error.should_retry is False
    return isinstance(error, AuthFailed) or spent


def decide(
    error: ProviderError,
    stands: Place,
    network: NetworkSettings,
    chances: Chances,
    *,
    waited_s: float = 0.0,
    jitter: float | None = None,
) -> Decision:
    """Decide after a failed try of a job that stood so before it.

    `waited_s` is the time since the target was first tried. `jitter` in 0.8 to 1.2 scales the delay; drawn when None.
    """
    elsewhere = refuses_key(error) or error.code == OVER_LIMIT
    if chances.more_keys and elsewhere:
        return Decision(Next.NEXT_KEY)
    scale = random.uniform(0.8, 1.2) if jitter is None else jitter
    if _waits(error, chances):
        delay = _delay(error, stands.waits, network.retry_backoff_initial_ms, LONGEST_WAIT_S * 1000, scale)
        if chances.more_keys and isinstance(error, RateLimited):
            delay = 0.0  # which of them may be called, and when, the limits know
        if delay <= min(_patience(chances, waited_s), chances.left_s):
            return Decision(Next.WAIT, min(delay, ASKS_AGAIN_S))
    elif _again(error, network) and stands.tries < network.max_retries:
        initial_ms, most_ms = network.retry_backoff_initial_ms, network.retry_backoff_max_ms
        # What a key was told of its next call does not hold for another.
        told = None if chances.fresh_keys else error
        delay = _delay(told, stands.tries, initial_ms, most_ms, scale)
        if delay <= min(PATIENCE_S, chances.left_s):
            return Decision(Next.RETRY, delay)
    falls_back = type(error) in FALLS_BACK or elsewhere or error.upstream_status == MISSING
    return Decision(Next.FALLBACK if chances.more_targets and falls_back else Next.FAIL)


def _waits(error: ProviderError, chances: Chances) -> bool:
    """Whether the provider's "later" is taken as that: an overload only where nobody sits and waits, nor could go on.

    A request that only came too early has not failed.
    """
    if error.should_retry is False:
        return False
    patient = chances.lane is not Lane.INTERACTIVE and not chances.more_targets
    return isinstance(error, RateLimited) or (isinstance(error, Overloaded) and patient)


def _patience(chances: Chances, waited_s: float) -> float:
    if chances.more_targets:
        return FALL_BACK_AFTER_S[chances.lane] - waited_s
    return PATIENCE_S if chances.lane is Lane.INTERACTIVE else chances.left_s


def _again(error: ProviderError, network: NetworkSettings) -> bool:
    if is_ambiguous(error) and not network.retry_ambiguous:
        return False
    return RETRIED[type(error)] and error.should_retry is not False


def _delay(error: ProviderError | None, before: int, initial_ms: float, most_ms: float, jitter: float) -> float:
    """The provider's own figure, exactly; else, and without an error to read it from, capped exponential backoff."""
    if error is not None and error.retry_after_s is not None:
        return error.retry_after_s
    return min(initial_ms * 2.0 ** min(before, 32), most_ms) * jitter / 1000
