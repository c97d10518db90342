"""Clients and workers do anything the Lua protocol allows, in any order, on a real server; the books always balance."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared.errors import Conflict, LimitExceeded
from shared.ids import now_ms
from shared.jobs import Attempt, Job, Outcome, State
from shared.lanes import LATER, WAKE, Lane
from shared.queue import Queue, Share
from shared.stores.redis import RedisStore
from tests.chaos.books import UNFINISHED, check, read
from worker.leases import _CLAIM, _RENEW, Lease, LeaseLost

HOUR_MS = 3_600_000
SHARES = {
    "one at a time": Share(weight=2.0, max_running=1),
    "three at a time": Share(weight=0.5, max_running=3),
    "few": Share(max_unfinished=4),
}
ENDS = [State.SUCCEEDED, State.FAILED, State.EXPIRED]


@dataclass
class Asked:
    """A submission as it was sent, and what is known of the job it became."""

    job: Job
    body: bytes
    waiter: str
    key: str
    look_for_same: bool
    detached: bool
    waiters: list[str] = field(default_factory=list)
    crashes: int = 0
    attempts: int = 0
    cancelling: bool = False


class Protocol(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = RedisStore(self.url)
        self.queue = Queue(self.store)
        self.client = redis.Redis.from_url(self.url)
        self.client.flushall()
        self.asked: dict[str, Asked] = {}
        self.live: dict[str, Lease] = {}
        self.stale: list[Lease] = []
        self.named: dict[tuple[str, str], Asked] = {}
        self.same: dict[tuple[str, bytes], Asked] = {}
        self.ended: dict[str, bytes] = {}
        self.submits = 0

    def state(self, job: str) -> str:
        return (self.client.hget("hermod:job:" + job, "state") or b"").decode()

    # --- clients ----------------------------------------------------------------------------------------

    @rule(
        owner=st.sampled_from(list(SHARES)),
        lane=st.sampled_from([Lane.ASYNC, Lane.BATCH]),
        body=st.sampled_from([b"x", b"y"]),
        waiter=st.sampled_from(["", "api-1", "api-2"]),
        key=st.sampled_from(["", "", "k"]),
        look_for_same=st.booleans(),
        detached=st.booleans(),
    )
    def submit(self, *, owner, lane, body, waiter, key, look_for_same, detached):
        self.submits += 1
        job = Job(
            id=f"job-{self.submits}",  # the same whenever the same steps are replayed
            owner=owner,
            dialect="anthropic",
            operation="chat",
            model="m",
            request_id="req_1",
            created_ms=now_ms(),
            ttl_s=3600,
            deadline_ms=now_ms() + HOUR_MS,
            lane=lane,
        )
        asked = Asked(job, body, waiter, key, look_for_same, detached)
        earlier = self.named.get((owner, key)) if key else self.same.get((owner, body)) if look_for_same else None
        if earlier and key and earlier.body != body:
            with pytest.raises(Conflict):
                self.send(asked)
        elif earlier and self.joinable(earlier):
            assert self.send(asked) == (earlier.job.id, False)
            if waiter and self.state(earlier.job.id) in UNFINISHED:
                earlier.waiters.append(waiter)
        elif self.unfinished(owner) == SHARES[owner].max_unfinished:
            with pytest.raises(LimitExceeded):
                self.send(asked)
        else:
            assert self.send(asked) == (job.id, True)
            asked.waiters = [waiter] if waiter else []
            self.asked[job.id] = self.same[owner, body] = asked
            if key:
                self.named[owner, key] = asked

    def send(self, asked):
        submission = self.queue.submit(
            asked.job,
            asked.body,
            waiter=asked.waiter,
            detached=asked.detached,
            look_for_same=asked.look_for_same,
            idempotency_key=asked.key,
            share=SHARES[asked.job.owner],
        )
        return self.runner.run(submission)

    def joinable(self, asked):
        return self.state(asked.job.id) not in {"", State.CANCELLED} and not asked.cancelling

    def unfinished(self, owner):
        return sum(a.job.owner == owner and self.state(a.job.id) in UNFINISHED for a in self.asked.values())

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def submit_again_after_a_lost_reply(self, data):
        asked = data.draw(st.sampled_from(list(self.asked.values())))
        assert self.send(asked) == (asked.job.id, True)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), expires=st.booleans())
    def cancel(self, data, expires):
        asked = data.draw(st.sampled_from(list(self.asked.values())))
        self.runner.run(self.queue.cancel(asked.job))
        self.expect_cancel(asked)
        if expires and self.state(asked.job.id) == State.CANCELLED:
            self.expire(asked.job.id)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), waiter=st.sampled_from(["api-1", "api-2"]))
    def leave(self, data, waiter):
        asked = data.draw(st.sampled_from(list(self.asked.values())))
        before = self.state(asked.job.id)
        self.runner.run(self.queue.cancel(asked.job, leaving=waiter))
        with contextlib.suppress(ValueError):
            asked.waiters.remove(waiter)
        if asked.waiters or asked.detached:
            assert self.state(asked.job.id) == before
        else:
            self.expect_cancel(asked)

    def expect_cancel(self, asked):
        state = self.state(asked.job.id)
        assert state != State.QUEUED
        asked.cancelling |= state == State.RUNNING

    # --- workers ----------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(["w1", "w2", "w3"]), count=st.integers(1, 20))
    def claim(self, worker, count):
        """What a worker does that took the wake-up token."""
        self.client.lpop(WAKE)
        claimed, _ = self.runner.run(self.store.run(_CLAIM, count, HOUR_MS, worker))
        assert len(claimed) <= count
        for fields in claimed:
            lease = Lease(self.store, fields)
            assert lease.read().a == [lease.id]
            asked = self.asked[lease.id]
            assert (lease.job, lease.body, lease.late) == (asked.job, asked.body, False)
            assert (lease.crashes, len(lease.attempts)) == (asked.crashes, asked.attempts)
            assert lease.id not in self.live, "two live fences"
            assert lease.fence not in {other.fence for other in (*self.live.values(), *self.stale)}
            self.live[lease.id] = lease

    def drawn(self, data):
        return self.live[data.draw(st.sampled_from(list(self.live)))]

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def renew(self, data):
        lease = self.drawn(data)
        verdict = self.runner.run(self.store.run(_RENEW, lease.id, lease.fence, HOUR_MS))
        assert verdict == (b"cancelled" if self.asked[lease.id].cancelling else b"held")

    @precondition(lambda self: self.live)
    @rule(data=st.data(), state=st.sampled_from(ENDS))
    def finish(self, data, state):
        self.end(self.drawn(data), state)

    def end(self, lease, state):
        outcome = Outcome(status=200, body=lease.fence)
        self.runner.run(lease.finish(state, outcome))
        self.runner.run(lease.finish(state, outcome))  # the reply to the first was lost
        assert self.state(lease.id) == state
        assert lease.fence in self.client.hget("hermod:job:" + lease.id, "outcome")
        self.asked[lease.id].cancelling = False
        self.stale.append(self.live.pop(lease.id))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), delay_s=st.sampled_from([0, 3600]), tried=st.booleans())
    def defer(self, data, delay_s, tried):
        lease = self.drawn(data)
        asked = self.asked[lease.id]
        if tried:
            lease.attempts += (Attempt(number=1, target="p/m", key="k", started_ms=0, ended_ms=1),)
        asked.attempts = len(lease.attempts)
        self.runner.run(lease.defer(delay_s))
        self.runner.run(lease.defer(delay_s))
        assert self.state(lease.id) == (State.CANCELLED if asked.cancelling else State.QUEUED)
        asked.cancelling = False
        self.stale.append(self.live.pop(lease.id))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def append(self, data):
        lease = self.drawn(data)
        seq = self.runner.run(lease.pieces()) + 1
        self.runner.run(lease.append(seq, lease.fence))
        self.runner.run(lease.append(seq, b"again"))
        assert self.runner.run(self.queue.events(lease.id, after=seq - 1)) == [(seq, lease.fence)]

    @precondition(lambda self: self.live)
    @rule(data=st.data(), worker=st.sampled_from(["w1", "w2", "w3"]))
    def lease_runs_out(self, data, worker):
        lease = self.drawn(data)
        self.client.zadd(LATER, {lease.id: 1}, xx=True)
        if data.draw(st.booleans()):  # its worker wakes up in time
            self.runner.run(self.store.run(_RENEW, lease.id, lease.fence, HOUR_MS))
            return
        self.asked[lease.id].crashes += 1
        self.stale.append(self.live.pop(lease.id))
        self.claim(worker, 1)

    @rule(worker=st.sampled_from(["w1", "w2", "w3"]))
    def deferred_jobs_come_due(self, worker):
        for job in self.client.zrange(LATER, 0, -1):
            if job.decode() not in self.live:
                self.client.zadd(LATER, {job: 1}, xx=True)
        self.claim(worker, 1)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), write=st.sampled_from(["finish", "defer", "append", "renew"]))
    def a_stale_fence_is_refused(self, data, write):
        lease = data.draw(st.sampled_from(self.stale))
        before = read(self.client)
        if write == "renew":
            assert self.runner.run(self.store.run(_RENEW, lease.id, lease.fence, HOUR_MS)) == b"lost"
        elif write != "append" and before.jobs.get(lease.id, {}).get("ended_by") == lease.fence:
            self.runner.run(self.write(lease, write))  # a repetition of what it did: accepted, changes nothing
        else:
            with pytest.raises(LeaseLost):
                self.runner.run(self.write(lease, write))
        assert read(self.client) == before

    def write(self, lease, write):
        match write:
            case "finish":
                return lease.finish(State.FAILED, Outcome(status=500))
            case "defer":
                return lease.defer(0)
            case _:
                return lease.append(999, b"late")

    # --- time -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def an_outcome_expires(self, data):
        self.expire(data.draw(st.sampled_from(list(self.ended))))

    def expire(self, job):
        self.client.delete("hermod:job:" + job, "hermod:events:" + job)
        del self.asked[job]
        self.ended.pop(job, None)

    # --- what always holds ------------------------------------------------------------------------------

    @invariant()
    def the_books_balance(self):
        books = read(self.client)
        check(books)
        assert set(books.jobs) == set(self.asked), "a job was lost, or one came from nowhere"
        assert {job: lease.fence.decode() for job, lease in self.live.items()} == books.fences
        for job, record in books.jobs.items():
            if "outcome" in record:
                assert self.ended.setdefault(job, record["outcome"]) == record["outcome"], "published twice"

    def teardown(self):
        try:
            for _ in range(2 * len(self.asked) + 2):
                self.deferred_jobs_come_due("w1")
                self.claim("w2", 20)
                for lease in list(self.live.values()):
                    self.end(lease, State.SUCCEEDED)
            self.everything_is_over()
        finally:
            self.runner.run(self.store.close())
            self.runner.close()
            self.client.close()

    def everything_is_over(self):
        self.the_books_balance()
        books = read(self.client)
        assert all(State(books.state(job)).final for job in books.jobs)
        for left in (books.queue, books.later, books.lines, books.fences, books.payloads, books.parked):
            assert not left
        assert not any(books.rings.values())


def test_the_books_balance_whatever_clients_and_workers_do(server, chaos_long):
    Protocol.url = server.url
    with redis.Redis.from_url(server.url) as client:
        client.config_set("appendfsync", "no")
        run_state_machine_as_test(
            Protocol,
            settings=settings(
                max_examples=1000 if chaos_long else 120,
                stateful_step_count=60,
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
        client.config_set("appendfsync", "always")
