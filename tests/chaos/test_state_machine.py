"""Clients and workers do anything the Lua protocol allows, in any order, on a real server; the books always balance."""

from collections import Counter

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from shared.jobs import Attempt, Outcome, State
from shared.lanes import LATER, WAKE, Lane
from shared.queue import WORKERS
from tests.chaos.books import check, read
from tests.chaos.clients import HOUR_MS, Clients
from worker.claim_script import CLAIM
from worker.lease import Lease, LeaseLost
from worker.lease_scripts import ALIVE, RENEW

ENDS = [State.SUCCEEDED, State.FAILED, State.EXPIRED]


class Protocol(Clients):
    """Workers, and what always holds."""

    def __init__(self) -> None:
        super().__init__()
        self.runner.run(self.store.run(ALIVE, "w1", HOUR_MS))

    @rule(
        worker=st.sampled_from(["w1", "w2", "w3"]),
        count=st.integers(1, 20),
        rooms=st.tuples(*[st.integers(0, 20)] * 5),
    )
    def claim(self, worker, count, rooms=(20, 20, 20, 20, 20)):
        """What a worker does that took the wake-up tokens of the lanes it has room for."""
        chores, async_, batch, detached, lower = rooms
        detached = min(detached, lower)
        room = {
            Lane.CHORES: min(chores, lower),
            Lane.ASYNC: min(async_, detached),
            Lane.BATCH: min(batch, detached),
        }
        for lane in Lane:
            if room.get(lane, 1):
                self.client.lpop(WAKE + lane)
        claimed, *_ = self.runner.run(self.store.run(CLAIM, count, HOUR_MS, worker, *rooms))
        taken = Counter(self.asked[fields[0].decode()].job.lane for fields in claimed)
        assert len(claimed) <= count
        assert all(taken[lane] <= most for lane, most in room.items())
        assert taken[Lane.ASYNC] + taken[Lane.BATCH] <= detached
        assert taken.total() - taken[Lane.INTERACTIVE] <= lower
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
        verdict = self.runner.run(self.store.run(RENEW, lease.id, lease.fence, HOUR_MS))
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
        last = self.runner.run(lease.last_piece())
        seq = last[0] + 1 if last else 1
        self.runner.run(lease.append(seq, lease.fence))
        self.runner.run(lease.append(seq, b"again"))
        assert self.runner.run(self.queue.events(lease.job.owner, lease.id, after=seq - 1)) == [(seq, lease.fence)]

    @precondition(lambda self: self.live)
    @rule(data=st.data(), worker=st.sampled_from(["w1", "w2", "w3"]))
    def lease_runs_out(self, data, worker):
        lease = self.drawn(data)
        self.client.zadd(LATER, {lease.id: 1}, xx=True)
        if data.draw(st.booleans()):  # its worker wakes up in time
            self.runner.run(self.store.run(RENEW, lease.id, lease.fence, HOUR_MS))
            return
        self.asked[lease.id].crashes += 1
        self.stale.append(self.live.pop(lease.id))
        self.claim(worker, 1)

    @precondition(lambda self: self.live)
    @rule(worker=st.sampled_from(["w1", "w2", "w3"]))
    def all_leases_run_out_while_redis_is_away(self, worker):
        """Nobody loses a job by it: the first who is back spares them all."""
        self.client.delete(WORKERS)
        self.client.zadd(LATER, dict.fromkeys(self.live, 1), xx=True)
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
            assert self.runner.run(self.store.run(RENEW, lease.id, lease.fence, HOUR_MS)) == b"lost"
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
