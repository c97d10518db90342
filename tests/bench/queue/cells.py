"""What is measured: each function does it once, for one side, on an empty server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import msgspec

from deploy.probes import until
from tests.bench.queue.ours import Ours
from tests.bench.queue.process import FOR_EVER_S, Orders, Process
from tests.bench.queue.stock import Stock
from tests.bench.server import Server, percentile

Side = Stock | Ours

PATIENCE_S = 120.0
_INSIDE_NO_SCRIPT = {"eval", "evalsha", "blpop", "subscribe", "ping", "hello", "auth", "select", "client", "info"}


class Drained(msgspec.Struct, frozen=True):
    """What one drain cost; figures are per job."""

    jobs_s: float
    commands: float
    sent: float
    server_us: float
    worker_us: float


@contextlib.contextmanager
def workers(side: Side, server: Server, count: int, slots: int, **orders: int) -> Iterator[list[Process]]:
    """That many worker processes, not yet working."""
    started: list[Process] = []
    try:
        for _ in range(count):
            started.append(Process(side.module, Orders(url=server.url, slots=slots, **orders)))  # noqa: PERF401 - those that did start are killed
        yield started
    finally:
        for process in started:
            process.kill()


@contextlib.asynccontextmanager
async def opened(kind: type[Stock | Ours], server: Server) -> AsyncIterator[Side]:
    """The client's half of one side, on an empty server."""
    server.empty()
    side = kind(server.url)
    await side.open()
    try:
        yield side
    finally:
        await side.close()


async def _until(true: Callable[[], Awaitable[bool]], within_s: float) -> None:
    assert await until(true, within_s), f"not within {within_s:g} s"


async def _holds(side: Side, jobs: int) -> bool:
    return await side.held() >= jobs


async def drain(side: Side, server: Server, count: int, slots: int, jobs: int) -> Drained:
    """Let workers empty a queue of no-op jobs."""
    await side.enqueue(jobs, 0)
    with workers(side, server, count, slots) as processes:
        server.client.config_resetstat()
        cpu, looks, began = server.cpu_s(), 0, time.monotonic()
        for process in processes:
            process.go()

        async def drained() -> bool:
            nonlocal looks
            looks += 1
            return not server.client.zcard("arq:queue")

        await _until(drained, PATIENCE_S)
        lasted = time.monotonic() - began
        calls = server.commands()
        in_all = sum(calls.values()) - looks
        sent = sum(calls.get(name, 0) for name in _INSIDE_NO_SCRIPT) if "evalsha" in calls else in_all
        return Drained(
            jobs_s=jobs / lasted,
            commands=in_all / jobs,
            sent=sent / jobs,
            server_us=(server.cpu_s() - cpu) / jobs * 1e6,
            worker_us=sum(process.cpu_s() for process in processes) / jobs * 1e6,
        )


async def latency(side: Side, server: Server, slots: int, rate: int, seconds: float) -> list[float]:
    """Ms from submit to outcome of no-op jobs that arrive at a steady rate, whether or not earlier ones have ended."""
    taken: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        await side.call(0)
        taken.append((time.perf_counter() - began) * 1000)

    with workers(side, server, 1, slots) as (process,):
        process.go()
        await asyncio.wait_for(side.call(0), PATIENCE_S)
        began, tasks = time.monotonic(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            tasks.append(asyncio.create_task(one()))
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*tasks)
    return taken


async def beside_full_workers(side: Side, server: Server, new_slots: int, wait_s: float, seconds: float) -> float:
    """No-op jobs/s that a new worker runs while six others hold 200 slow jobs each."""
    await side.enqueue(1200, FOR_EVER_S)
    with workers(side, server, 6, 200) as others, workers(side, server, 1, new_slots) as (process,):
        for other in others:
            other.go()
        with contextlib.suppress(AssertionError):  # stock arq may never get there
            await _until(lambda: _holds(side, 1200), wait_s)
        await side.enqueue(20_000 if isinstance(side, Ours) else 4000, 0)
        before = server.client.zcard("arq:queue")
        process.go()
        began = time.monotonic()

        async def drained() -> bool:
            return server.client.zcard("arq:queue") <= 1200

        with contextlib.suppress(AssertionError):
            await _until(drained, seconds)
        return (before - server.client.zcard("arq:queue")) / (time.monotonic() - began)


async def takeover(side: Side, server: Server, job_timeout_s: int) -> float:
    """Seconds from the SIGKILL of a worker until another one starts its job."""
    orders = {"job_timeout_s": job_timeout_s, "announce": True}
    with workers(side, server, 1, 10, **orders) as (doomed,), workers(side, server, 1, 10, **orders) as (heir,):
        doomed.go()
        await side.enqueue(1, FOR_EVER_S)
        await asyncio.to_thread(doomed.expect, "started")
        heir.go()
        doomed.kill()
        began = time.monotonic()
        await asyncio.to_thread(heir.expect, "started")
        return time.monotonic() - began


class Held(msgspec.Struct, frozen=True):
    """What `jobs` sleeping jobs cost: KiB per job, and percent of a core while nothing happens."""

    server_kib: float
    worker_kib: float
    server_cpu: float
    worker_cpu: float


async def hold(side: Side, server: Server, jobs: int, seconds: float) -> Held:
    """Let one worker hold sleeping jobs of 1 KB."""
    with workers(side, server, 1, jobs) as (process,):
        process.go()
        await asyncio.wait_for(side.call(0), PATIENCE_S)
        memory = server.memory()
        resident = process.resident_kib()
        await side.enqueue(jobs, FOR_EVER_S)
        await _until(lambda: _holds(side, jobs), PATIENCE_S)
        server_cpu, worker_cpu = server.cpu_s(), process.cpu_s()
        await asyncio.sleep(seconds)
        return Held(
            server_kib=(server.memory() - memory) / jobs / 1024,
            worker_kib=(process.resident_kib() - resident) / jobs,
            server_cpu=(server.cpu_s() - server_cpu) / seconds * 100,
            worker_cpu=(process.cpu_s() - worker_cpu) / seconds * 100,
        )


async def small_tenant(side: Side, server: Server, slots: int, ahead: int) -> float:
    """p95 ms from submit to outcome of 20 jobs of 10 ms that arrive behind `ahead` of another tenant's."""
    if ahead:
        await side.enqueue(ahead, 0.01, "big")
    with workers(side, server, 2, slots) as processes:
        for process in processes:
            process.go()
        if not ahead:
            await side.call(0, "small")
        taken: list[float] = []

        async def one() -> None:
            began = time.perf_counter()
            await side.call(0.01, "small")
            taken.append((time.perf_counter() - began) * 1000)

        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(one() for _ in range(20)))
    return percentile(taken, 0.95)


async def jain(side: Side, server: Server, slots: int, each: int) -> float:
    """Jain's index of what five tenants, enqueued one after the other, got by half of the drain: 0.2 to 1, even."""
    tenants = [f"tenant{number}" for number in range(5)]
    for tenant in tenants:
        await side.enqueue(each, 0.01, tenant)
    with workers(side, server, 2, slots) as processes:
        for process in processes:
            process.go()
        left = Counter[str]()

        async def half() -> bool:
            nonlocal left
            left = await side.unfinished()
            return left.total() <= each * 5 / 2

        await _until(half, PATIENCE_S)
    got = [each - left[tenant] for tenant in tenants]
    return sum(got) ** 2 / (5 * sum(one * one for one in got))
