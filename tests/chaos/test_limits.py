"""Many workers and one limit: the provider's rate is used and not overstepped, and its troubles cost no job.

The simulator enforces the limits; its ledger tells what it was sent, with which key, when and what it answered.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos import jobs as asking
from tests.chaos.attempts import HEARD_MS, all_attempts, decisions, inside_windows
from tests.chaos.fleet import UNSTRUCK, Fleet, Worker
from tests.chaos.jobs import AT_ONCE, PATH, Asked
from tests.contract.process import eventually
from tests.contract.wire import Answer, ask

WORKERS = 4
MODEL = "sim-latency-200"
MODELS = (MODEL, "sim-latency-201", "sim-latency-202")
"""Of each of which nothing is known at first: what was measured while the machine stood still is measured again."""
PLAY_S = 2
"""Where the machine stands still for a moment, calls that belong to a window come when that is over."""
REFUSED_MS = 1500
"""After which nothing is sent with a key that was refused, but for the probes, of which the first is due after 5 s."""
KEYS = ("sk-one", "sk-two", "sk-three")
UNKNOWN = {"requests_per_minute": 1800, "burst_s": 4}
"""A rate that is in no configuration."""

Start = Callable[..., Fleet]


@pytest.fixture
def start(tmp_path, server) -> Iterator[Start]:
    """Starts a fleet without workers."""
    running: list[Fleet] = []

    def begin(
        keys: list[dict[str, Any]], provider: str = "anthropic", network: dict[str, Any] | None = None, **facts: Any
    ) -> Fleet:
        known = {"keys": [{"name": key["value"], **key} for key in keys], "network_config": network or {}}
        running.append(Fleet(tmp_path, server.url, slots=200, providers={provider: known}, worker=UNSTRUCK, **facts))
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
def at_work(fleet: Fleet) -> Iterator[list[Worker]]:
    workers = [fleet.worker() for _ in range(WORKERS)]
    yield workers
    for worker in workers:
        worker.process.terminate()


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def busy(fleet: Fleet, seconds: float) -> list[dict[str, Any]]:
    """The calls, once so many seconds have passed since the first, and PLAY_S more; there was work all the while."""
    first = eventually(lambda: fleet.calls(limit=1), 60, "no calls")[0]["at"]
    end = first + seconds + PLAY_S
    eventually(lambda: time.time() > end, seconds + 60, "the time does not pass")
    calls = eventually(lambda: (seen := fleet.calls())[-1]["at"] > end and seen, 60, "the work is over too early")
    return [call for call in calls if call["at"] < end]


def steady(calls: list[dict[str, Any]], after_s: float, window_s: float) -> int:
    """Calls answered well in the best of the windows that begin so long after the first, or up to PLAY_S later."""
    begins = [calls[0]["at"] + after_s + later for later in range(PLAY_S + 1)]
    well = [call["at"] for call in calls if call["status"] == 200]
    return max(sum(begin <= at < begin + window_s for at in well) for begin in begins)


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
        calls = busy(fleet, 2 + window_s)
        used = steady(calls, 2, window_s) / (a_minute / 60 * window_s)
        report(f"{a_minute}/minute configured, {WORKERS} workers, {count} jobs", calls)
        print(f"of the allowed rate {used:.1%} were used")
        assert used >= 0.95
        assert sum(call["status"] == 429 for call in calls) <= 0.01 * len(calls)
        if not chaos_long:
            asking.until_final(fleet, jobs, 120)
            assert_all_right(fleet, jobs)
            assert inside_windows(fleet, jobs) <= 0.01
            assert decisions(fleet, jobs).keys() <= {"", "wait"}
            assert Counter(call["user"] for call in fleet.calls() if call["status"] == 200).total() == count


def at_once(fleet: Fleet, workers: list[Worker], count: int, model: str) -> list[Asked]:
    """All are in the queue before any worker looks."""
    for worker in workers:
        worker.freeze()
    jobs = submit(fleet, count, model)
    for worker in workers:
        worker.wake()
    return jobs


def refused_of(fleet: Fleet, what: str, submitted: Callable[[], list[Asked]]) -> tuple[list[Asked], float]:
    """These jobs, which have ended, and the share of their calls that was refused."""
    seen = fleet.called()
    jobs = submitted()
    asking.until_final(fleet, jobs, 300)
    calls = fleet.calls()[seen:]
    report(f"{what}, {WORKERS} workers, {len(jobs)} jobs", calls)
    return jobs, refused(calls)


def while_told_to_wait(fleet: Fleet, workers: list[Worker], model: str) -> list[Asked]:
    """Jobs of which some are told to wait for 3 s, and the others come meanwhile; the provider would serve these."""
    seen = fleet.called()
    conduct(fleet, KEYS[0], requests_per_minute=20, burst_s=1)
    jobs = at_once(fleet, workers, WORKERS, model)
    eventually(lambda: any(call["status"] == 429 for call in fleet.calls()[seen:]), 60, "nothing is refused")
    conduct(fleet, KEYS[0], **UNKNOWN)
    heard = time.time() + 2 * HEARD_MS / 1000
    eventually(lambda: time.time() > heard, 60, "the time does not pass")
    return jobs + submit(fleet, 2 * WORKERS, model)


def test_a_rate_that_only_the_provider_knows_is_learnt_and_its_retry_after_holds_for_all_workers(start: Start):
    fleet = start([{"value": KEYS[0]}])
    conduct(fleet, KEYS[0], **UNKNOWN)
    jobs: list[Asked] = []
    with at_work(fleet) as workers:
        for model in MODELS:
            first, cold = refused_of(fleet, "a rate nobody knows", lambda m=model: at_once(fleet, workers, 400, m))
            more, learnt = refused_of(fleet, "the same, learnt", lambda m=model: submit(fleet, 300, m))
            jobs += first + more
            found = (cold <= 0.1, learnt <= 0.01, inside_windows(fleet, first + more) <= 0.01)
            if all(found):
                break
        assert found == (True, True, True)
        for _ in MODELS:
            last, cut = refused_of(fleet, "cut", lambda m=model: while_told_to_wait(fleet, workers, m))
            jobs += last
            inside = inside_windows(fleet, last)
            if not inside:
                break
        assert (cut > 0, inside) == (True, 0)
    assert_all_right(fleet, jobs)
    assert decisions(fleet, jobs).keys() == {"", "wait"}


GEMINI = "/gemini/v1beta"
UNTOLD = {
    "gemini": ("gemini", GEMINI, ""),
    "vertex": ("gemini", GEMINI, "vertex"),
    "bedrock": ("bedrock", "/bedrock", ""),
    "bare": ("openai", "/openai/v1", "bare"),
}
"""Ways to refuse without a header: the provider, its path at the simulator, whose form it is."""
BRIEFLY = ("gemini", "bedrock")
"""The others are alike to the limits, and each takes as long."""
LEARNS_S = 20.0


@pytest.mark.parametrize("way", UNTOLD)
def test_a_rate_that_no_header_tells_is_found_and_used(start: Start, chaos_long: bool, way: str):
    if not chaos_long and way not in BRIEFLY:
        pytest.skip("the long run has it")
    provider, path, form = UNTOLD[way]
    a_minute, count, window_s = (600, 2000, 90.0) if chaos_long else (1200, 1100, 15.0)
    fleet = start([{"value": KEYS[0]}], provider, path=path)
    conduct(fleet, KEYS[0], requests_per_minute=a_minute, burst_s=12, form=form)
    submit(fleet, count, f"{provider}/{MODEL}")
    with at_work(fleet):
        calls = busy(fleet, LEARNS_S + window_s)
    learnt = [call for call in calls if call["at"] >= calls[0]["at"] + LEARNS_S]
    used = steady(calls, LEARNS_S, window_s) / (a_minute / 60 * window_s)
    report(f"{way}: {a_minute}/minute that no header tells, {WORKERS} workers", calls)
    print(f"after the first {LEARNS_S:.0f} s {refused(learnt):.2%} refused, {used:.1%} of the allowed rate used")
    assert used >= 0.9
    assert refused(learnt) <= 0.02


def test_a_days_quota_that_is_used_up_holds_up_nobody_who_sits_and_waits(start: Start):
    fleet = start([{"value": key} for key in KEYS[:2]], "gemini", path=GEMINI)
    for key in KEYS[:2]:
        conduct(fleet, key, requests_per_day=2)
    model = "gemini/sim-latency-0"
    fleet.worker()

    def say(number: int, **headers: str) -> Answer:
        return ask(fleet.url, "POST", PATH, {**asking.body(f"say {number}", 0), "model": model}, headers)

    assert [say(number).status for number in range(4)] == [200] * 4, "the one key serves when the other has no more"
    refused = say(4)  # which hears in time, or the test fails
    assert (refused.status, refused.headers["x-should-retry"]) == (429, "false")
    assert int(refused.headers["retry-after"]) > 120
    [waits] = submit(fleet, 1, model)
    eventually(
        lambda: (job_of(fleet, waits)["waiting"] or {}).get("reason") == "rate_limited", 60, "it does not say why"
    )
    assert job_of(fleet, waits)["status"] == "queued"
    assert Counter(call["status"] for call in fleet.calls())[200] == 4


@pytest.mark.parametrize(("again", "calls"), [(False, 1), (True, 3)])
def test_a_call_that_timed_out_after_it_was_sent_is_made_again_only_where_the_settings_say_so(
    start: Start, again: bool, calls: int
):
    network = {"default_request_timeout_in_seconds": 1, "max_retries": 2, "retry_ambiguous": again}
    fleet = start([{"value": KEYS[0]}], network=network)
    [job] = submit(fleet, 1, "sim-latency-60000")
    fleet.worker()
    asking.until_final(fleet, [job], 60)
    assert asking.poll(fleet, job).status == 504
    assert len(fleet.calls()) == calls
    assert decisions(fleet, [job]) == ({"retry": 2, "fail": 1} if again else {"fail": 1})


def job_of(fleet: Fleet, job: Asked) -> dict[str, Any]:
    return ask(fleet.url, "GET", f"/v1/jobs/{job.id}").json


def refused(calls: list[dict[str, Any]]) -> float:
    return sum(call["status"] == 429 for call in calls) / len(calls)


def test_a_revoked_key_an_overload_and_cut_answers_cost_no_job(start: Start, chaos_long: bool):
    # While one key serves alone, each try is cut with a chance of 1 in 20: with the usual two retries one run in
    # thirteen would lose a job of 600 (600 / 20**3), with six one in two million.
    overloaded_s = 60 if chaos_long else 3
    fleet = start([{"value": key} for key in KEYS], network={"max_retries": 6})
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
    heard_ms = min(attempt.ended_ms for attempt in refused) + REFUSED_MS
    assert sum(attempt.started_ms > heard_ms for attempt in refused) <= 3
