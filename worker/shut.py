"""Where there is no leave to call: for how long and why, and what a job fails with that cannot wait."""

from __future__ import annotations

import msgspec

from shared.errors import NO_CREDIT, AuthFailed, Overloaded, ProviderError, RateLimited, Unreachable
from shared.lanes import Lane
from worker.retry import FALL_BACK_AFTER_S
from worker.routing import Target
from worker.turn import EXHAUSTED


class Shut(msgspec.Struct, frozen=True):
    """No leave.

    Attributes:
        target: the one that can be asked first.
        wait_s: seconds after which to ask again.
        why: `rate_limited`, `provider_overloaded`, `provider_busy` (as many calls as may be are on their way),
            `provider_failing`, `key_set_aside` or `key_spent`.
    """

    target: Target
    wait_s: float
    why: str


def exhausted(target: Target) -> AuthFailed:
    """No key of the provider is left for the target's model."""
    message = (
        f"Every key of provider {target.row.name!r} that may serve {target.model!r} is refused by it, or has nothing "
        "left to spend there; replace them."
    )
    return AuthFailed(message, provider=target.row.name, sent=False, code=EXHAUSTED)


def is_failing(shut: Shut) -> bool:
    """Whether it is as good as another failed call, for somebody who sits and waits."""
    overloaded = shut.why == "provider_overloaded" and shut.wait_s > FALL_BACK_AFTER_S[Lane.INTERACTIVE]
    return overloaded or shut.why == "provider_failing"


def error_of(shut: Shut) -> ProviderError:
    """What a job without leave fails with, when it cannot wait."""
    target, wait_s = shut.target, shut.wait_s
    if shut.why == "key_set_aside":
        return exhausted(target)
    if shut.why == "key_spent":
        message = f"{target.name}: the account at the provider has nothing left to spend."
        return RateLimited(message, provider=target.row.name, sent=False, code=NO_CREDIT, should_retry=False)
    if shut.why == "provider_failing":
        message = f"{target.name} failed many times in a row and is left alone until single calls work again."
        return Unreachable(message, provider=target.row.name, sent=False, code=shut.why, retry_after_s=wait_s)
    if shut.why == "provider_overloaded":
        message = f"{target.name} is overloaded and is left alone for a while."
        return Overloaded(message, provider=target.row.name, sent=False, code=shut.why)
    message = f"{target.name}: the provider's limit is used up; the next turn is in {wait_s:.0f} s."
    return RateLimited(message, provider=target.row.name, sent=False, code=shut.why, retry_after_s=wait_s)
