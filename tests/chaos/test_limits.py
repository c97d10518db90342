"""Many workers and one limit: the provider's rate is used and not overstepped, and its troubles cost no job.

The simulator enforces the limits; its ledger tells what it was sent, with which key, when and what it answered.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from shared.jobs import Attempt
from shared.queue import unpack_attempts
from tests.chaos import jobs as asking
from tests.chaos.fleet import Fleet
from tests.chaos.jobs import AT_ONCE, PATH, Asked
from tests.contract.process import eventually
from tests.contract.wire import ask

WORKERS = 4
MODEL = "sim-latency-200"
HEARD_MS = 500
"""After which all workers have heard, on a busy machine; what they sent before was on its way."""
KEYS = ("sk-one", "sk-two", "sk-three")

Start = Callable[..., Fleet]


RECORDED_MS = 250
"""Up to which an attempt's end is on record after its answer has come, on a busy machine."""


@pytest.fixture
def start(tmp_path, server) -> Iterator[Start]:
    """Starts a fleet without workers."""
    running: list[Fleet] = []

    def begin(keys: list[dict[str, Any]], **facts: Any) -> Fleet:
        named = [{"name": key["value"], **key} for key in keys]
        running.append(Fleet(tmp_path, server.url, slots=200, providers={"anthropic": {"keys": named}}, **facts))
        return running[0]

    yield begin
    for fleet in running:
        fleet.close()


def conduct(fleet: Fleet, key: str, **facts: Any) -> None:
    assert ask(fleet.simulator, "POST", "/__keys", {"key": key, **facts}).status == 200


def submit(fleet: Fleet, count: int, model: str = MODEL, **fields: Any) -> list[Asked]:
    def one(number: int) -> Asked:
        question = f"job {number}"
        body = {**asking.body(question, 0), "model": model, **fields}
        answer = ask(fleet.url, "POST", PATH, body, {"x-bf-async": "true"})
        assert answer.status == 200, answer.body
        return Asked(answer.headers["x-bf-job-id"], question)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(count)))


@contextmanager
def at_work(fleet: Fleet) -> Iterator[None]:
    workers = [fleet.worker() for _ in range(WORKERS)]
    yield
    for worker in workers:
        worker.process.terminate()


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def steady(calls: list[dict[str, Any]], after_s: float, window_s: float) -> int:
    """Calls that were answered well in the window that begins so long after the first."""
    begin = calls[0]["at"] + after_s
    return sum(begin <= call["at"] < begin + window_s for call in calls if call["status"] == 200)


def inside_a_window(fleet: Fleet, jobs: list[Asked]) -> list[Attempt]:
    """Attempts that began although an earlier one had been told to wait, by the workers' own record."""
    made = sorted(all_attempts(fleet, jobs), key=lambda attempt: attempt.started_ms)
    told = [
        (attempt.ended_ms + HEARD_MS, attempt.ended_ms + attempt.failure.retry_after_s * 1000 - RECORDED_MS)
        for attempt in made
        if attempt.then == "wait" and attempt.failure and attempt.failure.retry_after_s
    ]
    return [attempt for attempt in made if any(since < attempt.started_ms < till for since, till in told)]


def all_attempts(fleet: Fleet, jobs: list[Asked]) -> list[Attempt]:
    records = fleet.records()
    return [attempt for job in jobs for attempt in unpack_attempts(records[job.id][b"attempts"])]


def decisions(fleet: Fleet, jobs: list[Asked]) -> Counter[str]:
    """How often each decision is on the jobs' records."""
    return Counter(attempt.then for attempt in all_attempts(fleet, jobs))


def assert_all_right(fleet: Fleet, jobs: list[Asked]) -> None:
    answers = asking.poll_all(fleet, jobs)
    wrong = [(answers[job.id].status, answers[job.id].body[:200]) for job in jobs if answers[job.id].status != 200]
    assert not wrong, wrong[:5]
    for job in jobs:
        assert answers[job.id].json["content"][0]["text"] == job.right


def report(name: str, calls: list[dict[str, Any]]) -> None:
    statuses = Counter(call["status"] for call in calls)
    share = statuses[429] / len(calls)
    print(f"\n{name}: {len(calls)} calls, {dict(statuses)}, 429s {share:.2%}")


def test_a_configured_rate_is_used_and_not_overstepped_by_four_workers(start: Start, chaos_long: bool):
    a_minute, count, window_s = (600, 2000, 90.0) if chaos_long else (1200, 600, 12.0)
    fleet = start([{"value": KEYS[0], "rate_limits": {"requests_per_minute": a_minute}}])
    conduct(fleet, KEYS[0], requests_per_minute=a_minute, burst_s=12)
    jobs = submit(fleet, count)
    with at_work(fleet):
        eventually(lambda: spans(fleet.calls(), window_s + 3), 180, "no calls")
        calls = fleet.calls()
        assert fleet.client.hlen("hermod:unfinished") == 1, "there was work for the whole window"
        used = steady(calls, 2, window_s) / (a_minute / 60 * window_s)
        report(f"{a_minute}/minute configured, {WORKERS} workers, {count} jobs", calls)
        print(f"of the allowed rate {used:.1%} were used")
        assert used >= 0.95
        assert sum(call["status"] == 429 for call in calls) <= 0.01 * len(calls)
        if not chaos_long:
            asking.until_final(fleet, jobs, 120)
            assert_all_right(fleet, jobs)
            assert not inside_a_window(fleet, jobs)
            assert decisions(fleet, jobs).keys() <= {"", "wait"}
            assert Counter(call["user"] for call in fleet.calls() if call["status"] == 200).total() == count


def test_a_rate_that_only_the_provider_knows_is_learnt_and_its_retry_after_holds_for_all_workers(start: Start):
    fleet = start([{"value": KEYS[0]}])
    conduct(fleet, KEYS[0], requests_per_minute=1800, burst_s=4)
    jobs = submit(fleet, 400)
    with at_work(fleet):
        asking.until_final(fleet, jobs, 120)
        cold = fleet.calls()
        report(f"1800/minute that nobody knows, {WORKERS} workers, 400 jobs at once", cold)
        assert refused(cold) <= 0.1
        jobs += submit(fleet, 300)
        asking.until_final(fleet, jobs, 120)
        learnt = fleet.calls()[len(cold) :]
        report("the same, learnt, 300 jobs more", learnt)
        assert refused(learnt) <= 0.01
        conduct(fleet, KEYS[0], requests_per_minute=600, burst_s=1)
        jobs += submit(fleet, 100)
        asking.until_final(fleet, jobs, 120)
    cut = fleet.calls()[len(cold) + len(learnt) :]
    report("cut to 600/minute, 100 jobs more", cut)
    assert refused(cut) > 0
    assert not inside_a_window(fleet, jobs)
    assert_all_right(fleet, jobs)
    assert decisions(fleet, jobs).keys() == {"", "wait"}


def refused(calls: list[dict[str, Any]]) -> float:
    return sum(call["status"] == 429 for call in calls) / len(calls)


def test_a_revoked_key_an_overload_and_cut_answers_cost_no_job(start: Start, chaos_long: bool):
    overloaded_s = 60 if chaos_long else 3
    fleet = start([{"value": key} for key in KEYS])
    jobs = submit(fleet, 600)
    conduct(fleet, KEYS[2], cut_every=20)
    with at_work(fleet):
        eventually(lambda: fleet.called() > 60, 60, "no calls")
        conduct(fleet, KEYS[0], revoked=True)
        conduct(fleet, KEYS[1], overloaded_s=overloaded_s)
        asking.until_final(fleet, jobs, 120)
    calls, made = fleet.calls(), decisions(fleet, jobs)
    report(f"three keys: one revoked, one overloaded for {overloaded_s} s, one cutting every 20th answer", calls)
    print(f"decisions on record: {dict(made)}")
    assert_all_right(fleet, jobs)
    assert {call["key_hash"] for call in calls if call["status"] == 401} == {hash_of(KEYS[0])}
    assert made["next_key"] == sum(call["status"] == 401 for call in calls) > 0
    assert made["wait"] == sum(call["status"] == 529 for call in calls) > 0
    assert made["retry"] > 0
    assert_tried_by_single_calls(fleet, jobs)


def assert_tried_by_single_calls(fleet: Fleet, jobs: list[Asked]) -> None:
    """Once all had heard of the revoked key, only probes were sent with it: at 5 s, 15 s, 35 s."""
    refused = [attempt for attempt in all_attempts(fleet, jobs) if attempt.then == "next_key"]
    heard_ms = min(attempt.ended_ms for attempt in refused) + HEARD_MS
    assert sum(attempt.started_ms > heard_ms for attempt in refused) <= 3


def spans(calls: list[dict[str, Any]], seconds: float) -> bool:
    return bool(calls) and calls[-1]["at"] - calls[0]["at"] > seconds
