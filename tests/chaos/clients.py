"""What clients may do, in any order, and what must come of it: the first half of the state machine."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shared.errors import Conflict, LimitExceeded
from shared.ids import now_ms
from shared.jobs import Job, State
from shared.lanes import Lane
from shared.queue import Queue, Share
from shared.stores.redis import RedisStore
from tests.chaos.books import UNFINISHED
from worker.lease import Lease

HOUR_MS = 3_600_000
SHARES = {
    "one at a time": Share(weight=2.0, max_running=1),
    "three at a time": Share(weight=0.5, max_running=3),
    "few": Share(max_unfinished=4),
}


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


class Clients(RuleBasedStateMachine):
    """`url` of the server. `live` and `stale` are leases, by job and in the order in which they ended."""

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

    @rule(
        owner=st.sampled_from(list(SHARES)),
        lane=st.sampled_from([Lane.CHORES, Lane.ASYNC, Lane.BATCH]),
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
            if self.state(earlier.job.id) in UNFINISHED:
                earlier.waiters += [waiter] if waiter else []
                earlier.detached |= detached
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
        return self.runner.run(submission)[:2]

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

    def expire(self, job):
        self.client.delete("hermod:job:" + job, "hermod:events:" + job)
        del self.asked[job]
        self.ended.pop(job, None)
