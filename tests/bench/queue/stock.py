"""arq as it comes, set as its documentation and our measurements recommend: more slots, a short poll delay."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker

from tests.bench.queue.process import Orders, body_of, serve, work

POLL_S = 0.01
AT_ONCE = 100
"""Enqueues at a time: each has a connection of its own."""


class Stock:
    """The client's half."""

    name = "stock arq"
    module = "tests.bench.queue.stock"
    slots = (100, 300, 1000)
    """All are tried, the best one counts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count()
        self._pool: ArqRedis

    async def open(self) -> None:
        self._pool = await create_pool(RedisSettings.from_dsn(self._url))

    async def close(self) -> None:
        await self._pool.aclose()

    async def enqueue(self, count: int, seconds: float, owner: str = "anyone") -> None:
        """Put `count` jobs into the queue; arq knows no owners, so theirs is in the ids."""
        body = body_of(seconds)
        for start in range(0, count, AT_ONCE):
            some = range(start, min(start + AT_ONCE, count))
            await asyncio.gather(*(self._enqueue(body, owner) for _ in some))

    async def call(self, seconds: float, owner: str = "anyone") -> None:
        """Enqueue and wait for the result."""
        job = await self._enqueue(body_of(seconds), owner)
        await job.result(poll_delay=POLL_S)

    async def held(self) -> int:
        """Jobs that workers run."""
        return sum([1 async for _ in self._pool.scan_iter("arq:in-progress:*", count=1000)])

    async def unfinished(self) -> Counter[str]:
        """By owner."""
        return Counter(member.decode().partition(":")[0] for member in await self._pool.zrange("arq:queue", 0, -1))

    async def _enqueue(self, body, owner):
        return await self._pool.enqueue_job("run_job", body, _job_id=f"{owner}:{next(self._numbers)}")


async def worker(orders: Orders) -> None:
    """The worker's half."""

    async def run_job(_ctx, body):
        await work(body, orders.announce)

    run_job.__qualname__ = "run_job"
    stock = Worker(
        [run_job],
        redis_settings=RedisSettings.from_dsn(orders.url),
        max_jobs=orders.slots,
        poll_delay=POLL_S,
        job_timeout=orders.job_timeout_s,
        handle_signals=False,
    )
    await stock.async_run()


if __name__ == "__main__":
    serve(worker)
