"""More hosts carry more work; one that is cut off and comes back loses nothing and writes nothing twice."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest

from shared.lanes import QUEUE
from tests.chaos import jobs as asking
from tests.chaos.fleet import Worker, percentile
from tests.chaos.jobs import Asked, Publications
from tests.contract.process import eventually
from tests.contract.wire import Ledger
from tests.deploy.balancer import Balancer
from tests.integration.conftest import until
from tests.scale.cluster import INLINE_BYTES, SLOTS, Cluster, until_status

LATENCY_MS = 4000  # long enough that workers, not the cores of this machine, are the limit
SPEEDUP = 3.6
"""What four workers are to do, at least, of what one does."""
TRIES = 3
"""Of which the best counts: whatever else this machine does in the meantime only makes workers slower."""
CUT_S = 30.0
TAKEN_OVER_S = 15.0
"""The lease of 10 s, the 2 s for which the others' slots may be taken, and what a busy machine may add."""
BACK_WITHIN_S = 60.0
DONE_WITHIN_S = 120.0
LARGE = "x" * INLINE_BYTES
"""Makes a request one that goes through the object store."""
SDK_CALLS = 12  # of each vendor


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """Of the first job of each lot."""
    return itertools.count(0, 100_000)


@pytest.fixture(scope="session")
def first_worker(cluster: Cluster) -> Worker:
    return cluster.work(cluster.workers[0]).until_ready()


@pytest.fixture(scope="session")
def workers(cluster: Cluster, first_worker: Worker) -> list[Worker]:
    """In the order of their hosts."""
    others = [cluster.work(host) for host in cluster.workers[1:]]
    return [first_worker, *(worker.until_ready() for worker in others)]


# --- more workers ------------------------------------------------------------------------------------------


def throughput(cluster: Cluster, workers: list[Worker], first: int, rounds: int) -> float:
    """Calls a second at the provider, of as many jobs as take these workers so many rounds."""
    seen = cluster.called()
    for worker in workers:
        worker.freeze()  # so that all is in the queue before the first begins
    jobs = asking.submit(cluster, [LATENCY_MS] * (rounds * SLOTS * len(workers)), first)
    for worker in workers:
        worker.wake()
    asking.until_final(cluster, jobs, DONE_WITHIN_S)
    calls = cluster.calls()[seen:]
    assert len(calls) == len(jobs)
    return len(calls) / (calls[-1]["at"] - calls[0]["at"] + LATENCY_MS / 1000)


def test_four_workers_do_nearly_four_times_what_one_does(cluster, first_worker, numbers, request, chaos_long):
    rounds = 10 if chaos_long else 3
    alone = max(throughput(cluster, [first_worker], next(numbers), rounds) for _ in range(2))
    workers = request.getfixturevalue("workers")
    together = 0.0
    for _ in range(TRIES):
        together = max(together, throughput(cluster, workers, next(numbers), rounds))
        if together >= SPEEDUP * alone:
            break
    ideal = SLOTS * 1000 / LATENCY_MS
    print(f"\njobs/s: one worker {alone:.1f}, four {together:.1f}: {together / alone:.2f} times", end="; ")
    print(f"of what {SLOTS} slots and a provider that takes {LATENCY_MS} ms allow, {together / 4 / ideal:.0%}")
    assert together >= SPEEDUP * alone


# --- a worker's host ---------------------------------------------------------------------------------------


def test_a_workers_host_that_is_cut_off_and_returns_loses_nothing(cluster, workers, numbers, chaos_long):
    draw = random.Random(1)
    count = 3 if chaos_long else 1
    for victim in range(count):
        cut_off(cluster, workers, victim, next(numbers), draw)


def cut_off(cluster: Cluster, workers: list[Worker], index: int, first: int, draw: random.Random) -> None:
    host, victim = cluster.workers[index], workers[index]
    seen = cluster.called()
    with Publications(cluster.url_of_redis) as publications:
        jobs = asking.submit(cluster, asking.latencies(draw, 300), first)
        jobs += asking.submit(cluster, asking.latencies(draw, 100), first + len(jobs), LARGE)
        jobs += asking.submit(cluster, [2000] * SLOTS * len(workers), first + len(jobs))
        eventually(lambda: len(cluster.held(victim)) == SLOTS, DONE_WITHIN_S, "the worker is not busy")
        host.cut()
        try:
            at, held = time.time(), cluster.held(victim)
            asking.until_final(cluster, jobs, DONE_WITHIN_S)
            done_s = time.time() - at
            first_answers = asking.poll_all(cluster, jobs)
            eventually(lambda: time.time() >= at + CUT_S, CUT_S, "time stands still")
        finally:
            host.join()
        back_s, more = until_it_works(cluster, victim, first + len(jobs), len(workers))
        asking.until_final(cluster, more, DONE_WITHIN_S)
    taken = takeovers(cluster, jobs, held, at)
    print(f"\n{len(jobs)} jobs, {len(held)} in hand when the host was cut off for {CUT_S:g} s: all done after", end=" ")
    print(f"{done_s:.1f} s, takeover p50 {percentile(taken, 0.5):.1f} s, max {max(taken):.1f} s;", end=" ")
    print(f"the host worked again {back_s:.1f} s after its return")
    check(cluster, jobs, first_answers)
    written = [publications.written[job.id] for job in jobs + more]
    print(f"lost {written.count(0)}, published twice {sum(n > 1 for n in written)}", end=", ")
    print(f"calls {cluster.called() - seen} of at most {len(written)} + {len(held)}")
    assert set(written) == {1}
    assert max(taken) <= TAKEN_OVER_S
    assert cluster.called() - seen <= len(written) + len(held)


def until_it_works(cluster: Cluster, worker: Worker, first: int, workers: int) -> tuple[float, list[Asked]]:
    """After how many seconds it has a new job in hand, and the jobs that were there to be had."""
    since, jobs = time.time(), []

    def look() -> bool:
        if not cluster.client.zcard(QUEUE):
            jobs.extend(asking.submit(cluster, [500] * SLOTS * workers, first + len(jobs)))
        return bool(cluster.held(worker).keys() & {job.id for job in jobs})

    eventually(look, BACK_WITHIN_S, "the host does not work again")
    return time.time() - since, jobs


def takeovers(cluster: Cluster, jobs: list[Asked], held: dict[str, bytes], at: float) -> list[float]:
    """Seconds from the cut to the next call of each job that was in hand then."""
    calls = asking.calls_by_job(cluster, jobs)
    return [min(call["at"] for call in calls[job] if call["at"] > at) - at for job in held]


def check(cluster: Cluster, jobs: list[Asked], before) -> None:
    """Every job has the right answer, and the same one as before the host came back."""
    again = asking.poll_all(cluster, jobs)
    for job in jobs:
        assert again[job.id].status == 200, again[job.id].body
        assert again[job.id].body == before[job.id].body
        assert again[job.id].json["content"][0]["text"] == job.right


# --- an API's host -----------------------------------------------------------------------------------------


@pytest.fixture
async def balancer(cluster: Cluster) -> AsyncIterator[Balancer]:
    balancer = Balancer(cuts_dead=True)
    await balancer.open()
    for api in cluster.apis:
        await balancer.until(balancer.add(cluster.url_of(api)), ready=True)
    yield balancer
    await balancer.close()


@pytest.mark.usefixtures("workers")
async def test_clients_of_an_api_host_that_is_cut_off_get_their_answers_from_the_other(cluster, balancer):
    ledger, lost, at = Ledger(cluster.simulator), cluster.apis[0], time.monotonic()
    async with (
        anthropic.AsyncAnthropic(base_url=f"{balancer.url}/anthropic", api_key="any") as claude,
        openai.AsyncOpenAI(base_url=f"{balancer.url}/openai/v1", api_key="any") as gpt,
    ):
        asking = [asyncio.create_task(answer) for answer in questions(claude, gpt, 5000)]
        await until(lambda: asyncio.to_thread(lambda: len(ledger.calls("cut")) == len(asking)))
        lost.cut()
        try:
            at = time.monotonic()
            words = await asyncio.gather(*asking)
            done_s = time.monotonic() - at
            calls = await asyncio.to_thread(ledger.calls, "cut")
            more = await asyncio.gather(*questions(claude, gpt, 100))
        finally:
            lost.join()
        back = time.monotonic()
        await asyncio.to_thread(until_status, cluster.url_of(lost), "/ready", 200, BACK_WITHIN_S)
        ready_s = time.monotonic() - back
    print(
        f"\n{len(words)} calls of SDKs, half of them at the host that was cut off: all answered {done_s:.1f} s", end=""
    )
    print(f" later, {len(calls)} calls at the provider; the host was ready {ready_s:.1f} s after its return")
    assert set(words + more) == {20}
    assert len(calls) == len(words), "each retry has joined the job of its first try"


def questions(claude: anthropic.AsyncAnthropic, gpt: openai.AsyncOpenAI, latency_ms: int):
    """Calls with the SDKs' own retries, each of which returns how many words it was answered."""
    model = f"sim-latency-{latency_ms}+words-20"

    async def message(number: int) -> int:
        turns = [{"role": "user", "content": f"{latency_ms} {number}"}]
        answer = await claude.messages.create(
            model=model, max_tokens=99, messages=turns, metadata={"user_id": "cut"}, timeout=60
        )
        return len(answer.content[0].text.split())

    async def completion(number: int) -> int:
        turns = [{"role": "user", "content": f"{latency_ms} {number}"}]
        answer = await gpt.chat.completions.create(model=model, messages=turns, user="cut", timeout=60)
        return len(answer.choices[0].message.content.split())

    return [ask(number) for number in range(SDK_CALLS) for ask in (message, completion)]
