"""Requests that fit into no minute of a key's limit fail at once; those that only came too early do not."""

import pytest

from shared.errors import Overloaded, RateLimited
from shared.provider_settings import NetworkSettings
from worker.oversized import oversized
from worker.retry import Chances, Next, Place, decide

LARGE = b'{"max_tokens": 100, "text": "' + b"x" * 400_000 + b'"}'
SMALL = b'{"max_tokens": 100, "text": "x"}'
TOO_LARGE = (
    "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41210. The input must be reduced."
)
TOO_EARLY = "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Try in 2s."


def anthropic(remaining, kind="input-tokens"):
    start = f"anthropic-ratelimit-{kind}"
    return {f"{start}-limit": "30000", f"{start}-remaining": str(remaining)}


def limited(message="Number of request tokens has exceeded your rate limit."):
    return RateLimited(message, provider="openai", upstream_status=429, retry_after_s=60)


@pytest.mark.parametrize(
    ("error", "headers", "body"),
    [
        (limited(TOO_LARGE), {}, SMALL),
        (limited(TOO_LARGE.replace("30000", "30,000")), {}, SMALL),
        (limited(), anthropic(30000), LARGE),
        (limited(), {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "30000"}, LARGE),
    ],
)
def test_a_request_larger_than_the_whole_limit_is_a_413_that_names_the_limit(error, headers, body):
    refusal = oversized(error, headers, body)
    assert (refusal.status, refusal.code, refusal.should_retry) == (413, "request_over_limit", False)
    assert "30000 tokens a minute" in refusal.message


@pytest.mark.parametrize(
    ("error", "headers", "body"),
    [
        (limited(TOO_EARLY), {}, SMALL),
        (limited(), anthropic(29000), LARGE),
        (limited(), anthropic(30000), SMALL),
        (limited(), anthropic(30000, "requests"), LARGE),
        (limited(), anthropic("many"), LARGE),
        (limited(), {}, LARGE),
        (Overloaded(TOO_LARGE, provider="openai"), anthropic(30000), LARGE),
    ],
)
def test_any_other_refusal_stays_what_it_is(error, headers, body):
    assert oversized(error, headers, body) is None


def test_it_goes_to_another_key_then_to_a_fallback_then_fails():
    refusal = oversized(limited(TOO_LARGE), {}, SMALL)
    chances = (Chances(more_keys=True, more_targets=True), Chances(more_targets=True), Chances())
    decided = [decide(refusal, Place(), NetworkSettings(), chance).then for chance in chances]
    assert decided == [Next.NEXT_KEY, Next.FALLBACK, Next.FAIL]
