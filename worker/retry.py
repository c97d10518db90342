"""What to do after a failed attempt: a table by error class. Pure."""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec

from shared.errors import AuthFailed, Garbled, Overloaded, ProviderError, RateLimited, Rejected, TimedOut, Unreachable
from shared.provider_settings import NetworkSettings

PATIENCE_S = 120.0
"""Longest `retry-after` we wait for on the same target; OpenAI's SDK gives up beyond the same figure."""


class Next(StrEnum):
    """What follows a failed attempt."""

    RETRY = "retry"
    FALLBACK = "fallback"
    FAIL = "fail"


class Decision(msgspec.Struct, frozen=True):
    """`delay_s` counts before the next attempt; 0 for a fallback."""

    then: Next
    delay_s: float = 0.0


RETRIED: dict[type[ProviderError], bool] = {
    Rejected: False,
    AuthFailed: False,
    Garbled: True,
    RateLimited: True,
    Overloaded: True,
    Unreachable: True,
    TimedOut: False,
}
"""Is the same target asked again? Not after a timeout: the call may still be running, and be paid for, over there."""

FALLS_BACK = frozenset({AuthFailed, Garbled, RateLimited, Overloaded, Unreachable, TimedOut})
"""A request the provider rejected as wrong is wrong elsewhere too."""


def decide(
    error: ProviderError,
    tries: int,
    network: NetworkSettings,
    *,
    more_targets: bool,
    left_s: float,
    jitter: float | None = None,
) -> Decision:
    """Decide after `tries` failed tries at this target.

    `left_s` is the time until the job's deadline: a retry that would begin after it helps nobody. `jitter` in 0.8 to
    1.2 scales the delay; drawn when None.
    """
    if RETRIED[type(error)] and error.should_retry is not False and tries <= network.max_retries:
        delay = _delay(error, tries, network, random.uniform(0.8, 1.2) if jitter is None else jitter)
        if delay <= min(PATIENCE_S, left_s):
            return Decision(Next.RETRY, delay)
    if more_targets and type(error) in FALLS_BACK:
        return Decision(Next.FALLBACK)
    return Decision(Next.FAIL)


def _delay(error: ProviderError, tries: int, network: NetworkSettings, jitter: float) -> float:
    """The provider's own figure, exactly; else capped exponential backoff."""
    if error.retry_after_s is not None:
        return error.retry_after_s
    backoff_ms = min(network.retry_backoff_initial_ms << min(tries - 1, 32), network.retry_backoff_max_ms)
    return backoff_ms * jitter / 1000
