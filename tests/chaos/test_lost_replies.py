"""Replies are lost after the server has acted: what was asked once is done once."""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import anthropic
import pytest

from tests.chaos import jobs as asking
from tests.chaos.fleet import UNSTRUCK, Fleet
from tests.chaos.jobs import Asked
from tests.chaos.proxy import LossyProxy, at_random

RETRIES = 5
ALL_DONE_WITHIN_S = 240.0
SHARE = 0.3


def not_the_last_try(request: bytes) -> bool:
    """An SDK that never hears an answer gives up, whatever was done."""
    return f"x-stainless-retry-count: {RETRIES}".encode() not in request.lower()


def runs_a_script(request: bytes) -> bool:
    """Whatever changes a job; a connection's greeting changes nothing."""
    return b"EVAL" in request


@pytest.fixture
def seed() -> int:
    drawn = int(os.environ.get("HERMOD_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"\nHERMOD_CHAOS_SEED={drawn}")
    return drawn


async def test_an_sdk_whose_replies_are_lost_submits_each_job_once(tmp_path, server, seed):
    async with running(tmp_path, server.url) as fleet:
        api = urlsplit(fleet.url)
        proxy = LossyProxy(api.hostname, api.port, at_random(seed, SHARE, not_the_last_try))
        async with proxy.serving():
            statuses: Counter[int] = Counter()
            jobs = await submit_all(f"http://127.0.0.1:{proxy.port}/anthropic", 1000, at_once=20, statuses=statuses)
        print(f"1000 submits, {proxy.lost} replies lost")
        assert proxy.lost > 100
        assert statuses == {200: 1000}
        await expect_each_once(fleet, jobs)


async def test_replies_of_redis_lost_after_the_commit_lose_and_double_nothing(tmp_path, server, seed):
    there = urlsplit(server.url)
    proxy = LossyProxy(there.hostname, there.port, at_random(seed, SHARE, runs_a_script))
    async with proxy.serving():
        through = urlunsplit(there._replace(netloc=there.netloc.replace(str(there.port), str(proxy.port))))
        async with running(tmp_path, server.url, api_redis_url=through) as fleet:
            statuses: Counter[int] = Counter()
            jobs = await submit_all(f"{fleet.url}/anthropic", 200, at_once=2, statuses=statuses)
            print(f"200 submits, {proxy.lost} replies of Redis lost, statuses {dict(statuses)}")
            assert proxy.lost > 10
            assert set(statuses) <= {200, 503}, "503 says that nothing is known, and to ask again"
            proxy.loses = lambda _: False
            await expect_each_once(fleet, jobs)


@asynccontextmanager
async def running(folder, redis_url, **more) -> AsyncIterator[Fleet]:
    """Two workers that are up, in a thread: this loop serves the proxy meanwhile."""
    fleet = await asyncio.to_thread(Fleet, folder, redis_url, worker=UNSTRUCK, **more)
    try:
        for worker in [fleet.worker(), fleet.worker()]:
            await asyncio.to_thread(worker.until_ready)
        yield fleet
    finally:
        await asyncio.to_thread(fleet.close)


async def submit_all(base_url: str, count: int, *, at_once: int, statuses: Counter[int]) -> list[Asked]:
    """Submit through the vendor's SDK, which retries by itself; counts the statuses it saw."""
    room = asyncio.Semaphore(at_once)

    async def note(response) -> None:
        statuses[response.status_code] += 1

    http = anthropic.DefaultAsyncHttpxClient(event_hooks={"response": [note]})
    async with anthropic.AsyncAnthropic(
        base_url=base_url, api_key="sk-test", max_retries=RETRIES, http_client=http
    ) as client:

        async def one(number: int) -> Asked:
            question = f"job {number}"
            async with room:
                message = await client.messages.create(**asking.body(question, 0), extra_headers={"x-bf-async": "true"})
            return Asked(message.id, question)

        return await asyncio.gather(*map(one, range(count)))


async def expect_each_once(fleet: Fleet, jobs: list[Asked]) -> None:
    def look() -> None:
        asking.until_final(fleet, jobs, ALL_DONE_WITHIN_S)
        assert len({job.id for job in jobs}) == len(jobs)
        # What workers do by the clock has a record, but nobody submitted it.
        made = {job for job, record in fleet.records().items() if b"spec" in record}
        assert made == {job.id for job in jobs}
        answers = asking.poll_all(fleet, jobs)
        for job in jobs:
            assert answers[job.id].json["content"][0]["text"] == job.right
        calls = asking.calls_by_job(fleet, jobs)
        assert {job.id: len(calls[job.id]) for job in jobs} == dict.fromkeys((job.id for job in jobs), 1)

    await asyncio.to_thread(look)
