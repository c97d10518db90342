import msgspec
import pytest

from shared.errors import AuthFailed, Garbled, Overloaded, RateLimited, Rejected, TimedOut, Unreachable
from shared.failures import Failure
from shared.jobs import Attempt
from shared.lanes import Lane
from shared.provider_settings import NetworkSettings
from worker.retry import Chances, Decision, Next, Place, decide, place

NETWORK = NetworkSettings(max_retries=2, retry_backoff_initial_ms=500, retry_backoff_max_ms=3000)
ALONE, MORE, KEYS = Chances(), Chances(more_targets=True), Chances(more_keys=True)
ASYNC, BATCH = Chances(lane=Lane.ASYNC, left_s=86_400), Chances(lane=Lane.BATCH, left_s=1e9)
ASYNC_MORE = Chances(lane=Lane.ASYNC, left_s=86_400, more_targets=True)


def error(kind, **facts):
    return kind("x", provider="p", **facts)


@pytest.mark.parametrize(
    ("failure", "tries", "chances", "expected"),
    [
        (error(Unreachable), 0, ALONE, Decision(Next.RETRY, 0.5)),
        (error(Unreachable), 1, ALONE, Decision(Next.RETRY, 1.0)),
        (error(Unreachable), 2, ALONE, Decision(Next.FAIL)),
        (error(Unreachable), 2, MORE, Decision(Next.FALLBACK)),
        (error(Garbled), 0, ALONE, Decision(Next.RETRY, 0.5)),
        (error(Overloaded), 0, MORE, Decision(Next.RETRY, 0.5)),
        (error(Overloaded), 2, ALONE, Decision(Next.FAIL)),
        (error(Overloaded), 2, ASYNC, Decision(Next.WAIT, 0.5)),
        (error(Overloaded), 2, BATCH, Decision(Next.WAIT, 0.5)),
        (error(Overloaded), 2, ASYNC_MORE, Decision(Next.FALLBACK)),
        (error(Rejected, upstream_status=400), 0, MORE, Decision(Next.FAIL)),
        (error(Rejected, upstream_status=404), 0, ALONE, Decision(Next.FAIL)),
        (error(Rejected, upstream_status=404), 0, MORE, Decision(Next.FALLBACK)),
        (error(RateLimited, upstream_status=402, should_retry=False), 0, ALONE, Decision(Next.FAIL)),
        (error(RateLimited, upstream_status=402, should_retry=False), 0, MORE, Decision(Next.FALLBACK)),
        (error(RateLimited, upstream_status=402, should_retry=False), 0, KEYS, Decision(Next.NEXT_KEY)),
        (error(AuthFailed), 0, ALONE, Decision(Next.FAIL)),
        (error(AuthFailed), 0, MORE, Decision(Next.FALLBACK)),
        (error(AuthFailed), 0, KEYS, Decision(Next.NEXT_KEY)),
        (error(TimedOut), 0, ALONE, Decision(Next.FAIL)),
        (error(TimedOut), 0, MORE, Decision(Next.FALLBACK)),
        (error(TimedOut, sent=False), 0, ALONE, Decision(Next.RETRY, 0.5)),
    ],
)
def test_the_policy(failure, tries, chances, expected):
    assert decide(failure, Place(tries=tries), NETWORK, chances, jitter=1.0) == expected


@pytest.mark.parametrize("tries", [0, 1, 2, 50])
def test_a_request_that_came_too_early_has_not_failed_however_often(tries):
    limited = error(RateLimited, retry_after_s=7)
    assert decide(limited, Place(tries=tries, waits=tries), NETWORK, ALONE) == Decision(Next.WAIT, 7)


@pytest.mark.parametrize(
    ("retry_after_s", "chances", "waited_s", "then"),
    [
        (2.0, MORE, 0.0, Next.WAIT),
        (4.0, MORE, 0.0, Next.FALLBACK),
        (1.0, MORE, 2.5, Next.FALLBACK),
        (20.0, ASYNC_MORE, 0.0, Next.WAIT),
        (20.0, ASYNC_MORE, 20.0, Next.FALLBACK),
        (119.0, ALONE, 500.0, Next.WAIT),
        (121.0, ALONE, 0.0, Next.FAIL),
        (3600.0, ASYNC, 0.0, Next.WAIT),
        (90_000.0, ASYNC, 0.0, Next.FAIL),
        (90_000.0, BATCH, 0.0, Next.WAIT),
    ],
)
def test_how_long_a_provider_is_waited_for(retry_after_s, chances, waited_s, then):
    limited = error(RateLimited, retry_after_s=retry_after_s)
    assert decide(limited, Place(), NETWORK, chances, waited_s=waited_s).then is then


def test_a_key_without_credit_is_not_waited_for():
    spent = error(RateLimited, retry_after_s=1, should_retry=False)
    assert decide(spent, Place(), NETWORK, ASYNC) == Decision(Next.FAIL)
    assert decide(spent, Place(), NETWORK, KEYS) == Decision(Next.NEXT_KEY)


def test_a_call_that_may_be_running_is_made_again_only_where_the_settings_say_so():
    again = msgspec.structs.replace(NETWORK, retry_ambiguous=True)
    assert decide(error(TimedOut), Place(), again, ALONE, jitter=1.0) == Decision(Next.RETRY, 0.5)


def test_what_one_key_was_told_of_its_next_call_holds_up_no_try_with_another():
    busy = error(Overloaded, upstream_status=503, retry_after_s=300)
    assert decide(busy, Place(), NETWORK, KEYS, jitter=1.0) == Decision(Next.FAIL), "the other has failed too"
    fresh = Chances(more_keys=True, fresh_keys=True)
    assert decide(busy, Place(), NETWORK, fresh, jitter=1.0) == Decision(Next.RETRY, 0.5)


def test_waits_without_a_figure_double_up_to_a_minute():
    delays = [decide(error(RateLimited), Place(waits=n), NETWORK, ASYNC, jitter=1.0).delay_s for n in range(9)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_retry_that_would_begin_after_the_deadline_is_not_made():
    limited = error(RateLimited, retry_after_s=7)
    assert decide(limited, Place(), NETWORK, Chances(left_s=6)) == Decision(Next.FAIL)
    assert decide(error(Unreachable), Place(), NETWORK, Chances(left_s=0.1)) == Decision(Next.FAIL)


def test_backoff_is_capped_and_jittered_by_a_fifth():
    network = NetworkSettings(max_retries=100, retry_backoff_initial_ms=500, retry_backoff_max_ms=3000)
    delays = [decide(error(Unreachable), Place(tries=49), network, ALONE).delay_s for _ in range(200)]
    assert 2.4 <= min(delays) < max(delays) <= 3.6


def attempts(thens, kind=Unreachable, keys="k" * 20):
    failure = Failure.of(error(kind))
    return tuple(
        Attempt(number=n, target="p/m", key=key, started_ms=n, ended_ms=n, failure=failure, then=then)
        for n, (then, key) in enumerate(zip(thens, keys, strict=False), 1)
    )


@pytest.mark.parametrize(
    ("thens", "expected"),
    [
        ([], (0, 0, 0)),
        (["retry"], (0, 1, 0)),
        (["retry", "wait", "retry", "wait"], (0, 2, 2)),
        (["wait", "next_key"], (0, 0, 1)),
        (["retry", "fallback"], (1, 0, 0)),
        (["retry", "fallback", "retry"], (1, 1, 0)),
        (["fallback", "fallback"], (2, 0, 0)),
    ],
)
def test_where_a_job_stands_is_read_off_its_attempts(thens, expected):
    stands = place(attempts(thens))
    assert (stands.index, stands.tries, stands.waits) == expected


def test_keys_that_refused_the_job_are_remembered_until_a_try_that_counts():
    assert place(attempts(["next_key", "next_key"], AuthFailed, "ab")).refused == {("p/m", "a"), ("p/m", "b")}
    assert place(attempts(["next_key", "retry"], AuthFailed, "ab")).refused == frozenset()


def test_keys_at_which_tries_failed_are_remembered_until_the_next_target():
    assert place(attempts(["retry", "wait", "retry"], keys="abc")).failed == {("p/m", "a"), ("p/m", "c")}
    assert place(attempts(["retry", "fallback"], keys="ab")).failed == frozenset()


def test_after_a_call_that_may_be_running_the_targets_of_the_same_provider_are_passed_over():
    providers = ["openai", "openai", "azure"]
    assert place(attempts(["fallback"], TimedOut), providers).index == 2
    assert place(attempts(["fallback"], Unreachable), providers).index == 1
    assert place(attempts(["fallback"], TimedOut), ["openai", "openai"]).index == 2


def test_where_there_are_other_keys_the_limits_say_which_may_be_called_and_when():
    for retry_after_s in (None, 7, 50_000):
        limited = error(RateLimited, retry_after_s=retry_after_s)
        assert decide(limited, Place(), NETWORK, KEYS, jitter=1.0) == Decision(Next.WAIT, 0)


def test_a_job_that_is_to_wait_for_hours_asks_now_and_then_and_one_without_the_time_fails():
    limited = error(RateLimited, retry_after_s=50_000)
    assert decide(limited, Place(), NETWORK, Chances(lane=Lane.BATCH, left_s=1e9)) == Decision(Next.WAIT, 600)
    assert decide(limited, Place(), NETWORK, Chances(lane=Lane.ASYNC, left_s=40_000)) == Decision(Next.FAIL)
    assert decide(limited, Place(), NETWORK, ALONE) == Decision(Next.FAIL)


@pytest.mark.parametrize("kind", [Rejected, AuthFailed, RateLimited, Overloaded, Unreachable, TimedOut, Garbled])
def test_an_error_survives_being_kept_as_facts(kind):
    failed = kind(
        "why",
        provider="p",
        upstream_status=418,
        upstream_type="t",
        details=msgspec.Raw(b'{"a":1}'),
        param="a.b",
        code="c",
        retry_after_s=1.5,
    )
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(Failure.of(failed)), type=Failure)
    again = kept.error()
    assert type(again) is kind
    assert again.status == failed.status
    assert (again.message, again.provider, again.param, again.code) == ("why", "p", "a.b", "c")
    assert (bytes(again.details), again.retry_after_s) == (b'{"a":1}', 1.5)
