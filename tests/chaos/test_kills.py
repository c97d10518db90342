"""Workers die, freeze and leave at random instants and at the worst ones: nothing is lost, nothing published twice."""

import os
import random
import re
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.chaos import jobs as asking
from tests.chaos.fleet import Fleet, Worker, percentile
from tests.chaos.jobs import Asked, Publications
from tests.contract.process import eventually
from tests.contract.wire import Answer
from worker.leases import MAX_CRASHES

WORKERS = 3
STRIKES = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
STRUCK_WITHIN_S = 120.0
ALL_DONE_WITHIN_S = 240.0


@pytest.fixture
def fleet(tmp_path, server) -> Iterator[Fleet]:
    running = Fleet(tmp_path, server.url)
    yield running
    running.close()


@dataclass
class Strike:
    """One signal to one worker; `held` are the fences by job of what it did not end, `at` is in epoch seconds."""

    signum: signal.Signals
    at: float
    held: dict[str, bytes]


@dataclass
class Chaos:
    """Workers that are struck down and replaced."""

    fleet: Fleet
    draw: random.Random
    workers: list[Worker] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)

    def begin(self) -> None:
        self.workers = [self.fleet.worker() for _ in range(WORKERS)]
        for worker in self.workers:
            worker.until_ready()

    def strike(self, signum: signal.Signals) -> None:
        """Strike a worker that is ready and has jobs in hand, if one is caught before all jobs have ended."""
        victim = eventually(lambda: self._caught() or self._idle(), STRUCK_WITHIN_S, "no worker has jobs in hand")
        if not isinstance(victim, Worker):
            return
        strike = Strike(signum, time.time(), self.fleet.held(victim))
        self.strikes.append(strike)
        if signum == signal.SIGSTOP:
            self.fleet.until_lost(strike.held)
            victim.wake()
            return
        self.workers[self.workers.index(victim)] = self.fleet.worker()
        victim.process.send_signal(signum)
        victim.wake()
        while victim.process.poll() is None:  # a claim that was on its way may still be begun
            strike.held |= self.fleet.held(victim)
            time.sleep(0.01)
        assert victim.process.returncode in {0, -signal.SIGKILL}
        strike.held = {job: fence for job, fence in strike.held.items() if not self.fleet.ended_by(job, fence)}

    def _idle(self) -> bool:
        return not self.fleet.client.hlen("hermod:unfinished")

    def _caught(self) -> Worker | None:
        """A frozen worker. Nobody outside can tell a kill from a freeze before it, but what it held can be counted."""
        ready = [worker for worker in self.workers if worker.id and self.fleet.held(worker)]
        if not ready:
            return None
        victim = self.draw.choice(ready)
        time.sleep(self.draw.uniform(0, 0.05))  # not always as soon as it was found
        victim.freeze()
        hits, held = self.hits(signal.SIGKILL, signal.SIGSTOP), self.fleet.held(victim)
        if held and all(hits[job] < MAX_CRASHES - 1 for job in held):
            return victim
        victim.wake()  # one more would make a job one that takes workers down, which is not run again
        return None

    def hits(self, *signums: signal.Signals) -> Counter[str]:
        """How often each job was in hand of a worker struck with one of these."""
        return Counter(job for strike in self.strikes if strike.signum in signums for job in strike.held)


def test_jobs_survive_workers_struck_down_at_random_instants(fleet, chaos_long):
    seed = int(os.environ.get("HERMOD_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"\nHERMOD_CHAOS_SEED={seed}")
    at_a_time, kills = (10, 200) if chaos_long else (12, 25)
    chaos = Chaos(fleet, random.Random(seed))
    jobs: list[Asked] = []
    with Publications(fleet.url_of_redis) as publications:
        chaos.begin()
        for _ in range(4 * kills):  # with more jobs where all have ended before a worker was caught
            seen = fleet.called()
            jobs += asking.submit(fleet, asking.latencies(chaos.draw, at_a_time), first=len(jobs))
            instant = seen + chaos.draw.randrange(at_a_time)
            eventually(lambda instant=instant: fleet.called() >= instant, STRUCK_WITHIN_S, "the work stands still")
            chaos.strike(chaos.draw.choice(STRIKES))
            if len(chaos.strikes) == kills:
                break
        else:
            pytest.fail("no worker was caught")
        asking.until_final(fleet, jobs, ALL_DONE_WITHIN_S)
        first = asking.poll_all(fleet, jobs)
        assert [worker.until_ready().stop() for worker in chaos.workers] == [0] * WORKERS
    report(chaos, jobs, publications)
    check_outcomes(fleet, jobs, first)
    assert publications.written.keys() >= {job.id for job in jobs}, "lost"
    assert all(publications.written[job.id] == 1 for job in jobs), "published twice"
    in_flight = sum(chaos.hits(*STRIKES).values())
    assert len(fleet.calls()) <= len(jobs) + in_flight, f"{crashes(fleet, jobs)} leases ran out"


def crashes(fleet: Fleet, jobs: list[Asked]) -> int:
    records = fleet.records()
    return sum(int(records[job.id].get(b"crashes", 0)) for job in jobs)


def check_outcomes(fleet: Fleet, jobs: list[Asked], first: dict[str, Answer]) -> None:
    """Every job has the right answer, and the same one every time."""
    again = asking.poll_all(fleet, jobs)
    for job in jobs:
        answer = again[job.id]
        assert (answer.status, answer.body) == (first[job.id].status, first[job.id].body)
        assert answer.headers["x-bf-async-status"] == "succeeded", answer.body
        assert answer.json["content"][0]["text"] == job.right


def report(chaos: Chaos, jobs: list[Asked], publications: Publications) -> None:
    fleet, ids = chaos.fleet, [job.id for job in jobs]
    calls = asking.calls_by_job(fleet, jobs)
    struck = Counter(strike.signum.name for strike in chaos.strikes)
    in_flight = sum(chaos.hits(*STRIKES).values())
    print(f"jobs {len(jobs)}, kills {len(chaos.strikes)} {dict(struck)}")
    print(f"lost {sum(not publications.written[job] for job in ids)}", end=", ")
    print(f"published twice {sum(publications.written[job] > 1 for job in ids)}")
    print(f"calls {len(fleet.calls())}, bound {len(jobs)} + {in_flight} in flight at kills")
    print(f"leases that ran out {crashes(fleet, jobs)}")
    for signum in (signal.SIGKILL, signal.SIGTERM):
        taken = [
            next_call - strike.at
            for strike in chaos.strikes
            if strike.signum == signum
            for job in strike.held
            if (next_call := min((call["at"] for call in calls[job] if call["at"] > strike.at), default=0))
        ]
        p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
        print(f"takeover after {signum.name}: {len(taken)} jobs, p50 {p50:.2f} s, p99 {p99:.2f} s")


# --- the worst instants -----------------------------------------------------------------------------------


LATENCY_MS = {"renewing": 1600, "handing-back": 6000}
"""Longer than the time to the next renewal; than the grace and whatever passes until the worker is told to stop."""


@pytest.mark.parametrize("action", ["kill", "stop"])
@pytest.mark.parametrize("point", ["claimed", "answered", "renewing", "handing-back"])
def test_jobs_survive_a_worker_struck_down_at(fleet, point, action):
    latency_ms = LATENCY_MS.get(point, 100)
    with Publications(fleet.url_of_redis) as publications:
        victim = fleet.worker(failpoint=f"{point}={action}").until_ready()
        jobs = asking.submit(fleet, [latency_ms] * 6)
        if point == "handing-back":
            eventually(lambda: fleet.held(victim), STRUCK_WITHIN_S, "nothing was claimed")
            victim.process.terminate()
        wait = victim.until_frozen if action == "stop" else lambda: victim.process.wait(STRUCK_WITHIN_S)
        wait()
        held = fleet.held(victim)
        rescuer = fleet.worker().until_ready()
        asking.until_final(fleet, jobs, ALL_DONE_WITHIN_S)
        first = asking.poll_all(fleet, jobs)
        if action == "stop":
            wake_and_expect_no_change(fleet, victim, jobs)
        assert rescuer.stop() == 0
    assert held
    check_outcomes(fleet, jobs, first)
    assert [publications.written[job.id] for job in jobs] == [1] * len(jobs)
    assert len(fleet.calls()) <= len(jobs) + len(held)


def wake_and_expect_no_change(fleet: Fleet, frozen: Worker, jobs: list[Asked]) -> None:
    def records() -> list[dict[bytes, bytes]]:
        """Of the jobs, not of what workers do by the clock."""
        found = fleet.records()
        return [found[job.id] for job in jobs]

    before = records()
    frozen.wake()
    frozen.process.terminate()
    assert frozen.process.wait(STRUCK_WITHIN_S) == 0
    assert records() == before


def test_a_frozen_worker_that_wakes_up_with_an_answer_in_hand_overwrites_nothing(fleet):
    frozen = fleet.worker(failpoint="answered=stop").until_ready()
    [job] = asking.submit(fleet, [0])
    frozen.until_frozen()
    rescuer = fleet.worker().until_ready()
    asking.until_final(fleet, [job], ALL_DONE_WITHIN_S)
    answer, record = asking.poll(fleet, job), fleet.records()[job.id]
    frozen.wake()
    refused: Callable[[], object] = lambda: re.search(f"lease lost.*{job.id}", frozen.log.read_text())  # noqa: E731
    eventually(refused, STRUCK_WITHIN_S, "the late write was not refused")
    assert fleet.records()[job.id] == record
    again = asking.poll(fleet, job)
    assert (again.body, again.json["content"][0]["text"]) == (answer.body, job.right)
    assert len(fleet.calls()) == 2
    assert (frozen.stop(), rescuer.stop()) == (0, 0)
