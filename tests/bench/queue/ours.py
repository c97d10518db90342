"""Our queue: submitted through `shared.queue`, waited for like the API process does, worked by `LeaseWorker`."""

from __future__ import annotations

import asyncio
from collections import Counter

from api.wait import Hub
from shared.ids import job_id, now_ms, request_id
from shared.jobs import Job, Outcome, State
from shared.lanes import LATER
from shared.queue import Queue
from shared.settings import WorkerSettings
from shared.stores.redis import RedisStore
from tests.bench.queue.process import Orders, body_of, serve, work
from worker.leases import LeaseWorker

AT_ONCE = 1000
OUTCOME = Outcome(status=200, body=b"{}")


class Ours:
    """The client's half."""

    name = "ours"
    module = "tests.bench.queue.ours"
    slots = (200, 1000)
    """The first, our default, counts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._store: RedisStore

    async def open(self) -> None:
        self._store = RedisStore(self._url)
        self._queue = Queue(self._store)
        self._hub = Hub(self._queue, self._url)
        await self._hub.open()

    async def close(self) -> None:
        await self._hub.close()
        await self._store.close()

    async def enqueue(self, count: int, seconds: float, owner: str = "anyone") -> None:
        """Submit `count` jobs that nobody waits for."""
        body = body_of(seconds)
        for start in range(0, count, AT_ONCE):
            some = range(start, min(start + AT_ONCE, count))
            await asyncio.gather(*(self._queue.submit(a_job(owner), body, waiter="") for _ in some))

    async def call(self, seconds: float, owner: str = "anyone") -> None:
        """Submit and wait for the outcome."""
        job = a_job(owner)
        with self._hub.waiting(job.id, job.owner) as waiter:
            await self._queue.submit(job, body_of(seconds), waiter=self._hub.channel)
            await self._hub.outcome(waiter)

    async def held(self) -> int:
        """Jobs that workers run."""
        return int(await self._store.call("ZCARD", LATER))

    async def unfinished(self) -> Counter[str]:
        """By owner."""
        found = await self._store.call("HGETALL", "hermod:unfinished")
        return Counter({owner.decode(): int(count) for owner, count in found.items()})


def a_job(owner: str) -> Job:
    now = now_ms()
    return Job(
        id=job_id(),
        owner=owner,
        dialect="anthropic",
        operation="chat",
        model="claude",
        request_id=request_id(),
        created_ms=now,
        ttl_s=3600,
        deadline_ms=now + 86_400_000,
    )


async def worker(orders: Orders) -> None:
    """The worker's half."""

    async def run_job(ctx, _job_id):
        lease = ctx["lease"]
        await work(lease.body, orders.announce)
        await lease.finish(State.SUCCEEDED, OUTCOME)

    run_job.__qualname__ = "run_job"
    await LeaseWorker(RedisStore(orders.url), [run_job], WorkerSettings(slots=orders.slots)).serve()


if __name__ == "__main__":
    serve(worker)
