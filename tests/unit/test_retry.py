import msgspec
import pytest

from shared.errors import AuthFailed, Failure, Garbled, Overloaded, RateLimited, Rejected, TimedOut, Unreachable
from shared.jobs import Attempt
from shared.provider_settings import NetworkSettings
from worker.retry import Decision, Next, decide
from worker.routing import place

NETWORK = NetworkSettings(max_retries=2, retry_backoff_initial_ms=500, retry_backoff_max_ms=3000)


@pytest.mark.parametrize(
    ("error", "tries", "more", "expected"),
    [
        (Unreachable("x", provider="p"), 1, False, Decision(Next.RETRY, 0.5)),
        (Unreachable("x", provider="p"), 2, False, Decision(Next.RETRY, 1.0)),
        (Unreachable("x", provider="p"), 3, False, Decision(Next.FAIL)),
        (Unreachable("x", provider="p"), 3, True, Decision(Next.FALLBACK)),
        (Overloaded("x", provider="p"), 1, True, Decision(Next.RETRY, 0.5)),
        (Garbled("x", provider="p"), 1, False, Decision(Next.RETRY, 0.5)),
        (RateLimited("x", provider="p", retry_after_s=7), 1, False, Decision(Next.RETRY, 7)),
        (RateLimited("x", provider="p", retry_after_s=3600), 1, True, Decision(Next.FALLBACK)),
        (RateLimited("x", provider="p", should_retry=False), 1, False, Decision(Next.FAIL)),
        (Rejected("x", provider="p", upstream_status=400), 1, True, Decision(Next.FAIL)),
        (AuthFailed("x", provider="p"), 1, False, Decision(Next.FAIL)),
        (AuthFailed("x", provider="p"), 1, True, Decision(Next.FALLBACK)),
        (TimedOut("x", provider="p"), 1, False, Decision(Next.FAIL)),
        (TimedOut("x", provider="p"), 1, True, Decision(Next.FALLBACK)),
    ],
)
def test_the_policy(error, tries, more, expected):
    assert decide(error, tries, NETWORK, more_targets=more, left_s=600, jitter=1.0) == expected


def test_a_retry_that_would_begin_after_the_deadline_is_not_made():
    error = RateLimited("x", provider="p", retry_after_s=7)
    assert decide(error, 1, NETWORK, more_targets=False, left_s=6) == Decision(Next.FAIL)
    assert decide(error, 1, NETWORK, more_targets=True, left_s=6) == Decision(Next.FALLBACK)


def test_backoff_is_capped_and_jittered_by_a_fifth():
    network = NetworkSettings(max_retries=100, retry_backoff_initial_ms=500, retry_backoff_max_ms=3000)
    delays = [
        decide(Unreachable("x", provider="p"), 50, network, more_targets=False, left_s=600).delay_s for _ in range(200)
    ]
    assert 2.4 <= min(delays) < max(delays) <= 3.6


@pytest.mark.parametrize(
    ("thens", "expected"),
    [
        ([], (0, 0)),
        (["retry"], (0, 1)),
        (["retry", "retry"], (0, 2)),
        (["retry", "fallback"], (1, 0)),
        (["retry", "fallback", "retry"], (1, 1)),
        (["fallback", "fallback"], (2, 0)),
    ],
)
def test_where_a_job_stands_is_read_off_its_attempts(thens, expected):
    failure = Failure.of(Unreachable("x", provider="p"))
    attempts = tuple(
        Attempt(number=n, target="p/m", key="k", started_ms=0, ended_ms=1, failure=failure, then=then)
        for n, then in enumerate(thens, 1)
    )
    assert place(attempts) == expected


@pytest.mark.parametrize("kind", [Rejected, AuthFailed, RateLimited, Overloaded, Unreachable, TimedOut, Garbled])
def test_an_error_survives_being_kept_as_facts(kind):
    error = kind(
        "why",
        provider="p",
        upstream_status=418,
        upstream_type="t",
        details=msgspec.Raw(b'{"a":1}'),
        param="a.b",
        code="c",
        retry_after_s=1.5,
    )
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(Failure.of(error)), type=Failure)
    again = kept.error()
    assert type(again) is kind
    assert again.status == error.status
    assert (again.message, again.provider, again.param, again.code) == ("why", "p", "a.b", "c")
    assert (bytes(again.details), again.retry_after_s) == (b'{"a":1}', 1.5)
