"""Workers that run a batch die, freeze and leave at random instants, and Redis too: each item comes to one end."""

import asyncio
import os
import random
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.simulator.answers import Ask, compose
from shared.batches import SHARD_ITEMS, Batch, BatchState, Counts, Item, Progress, named_after
from shared.ids import job_id
from shared.stores.folder import FolderBlobs
from shared.stores.redis import RedisStore
from tests.batches import ended, item, question, results, submit
from tests.chaos.fleet import LEASE_S, Fleet, Worker
from tests.contract.process import eventually
from tests.integration.conftest import Server, until
from worker.leases import MAX_CRASHES
from worker.native_batches.task import MOST_CRASHES

WORKERS = 3
STRIKES = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
STRUCK_WITHIN_S = 600.0
"""A batch at a batch API is held for moments, and for a minute by nobody where none knows whether it was accepted."""
ENDED_WITHIN_S = 600.0
KINDS = ("shard", "rest")
"""Of the jobs that run items: see `worker/shards.py`."""
SLOW = {"slots": 4, "batch_slots": 2, "batch_concurrency": 8, "lease_s": LEASE_S, "renew_s": 0.5, "grace_s": 0.2}


@pytest.fixture
def fleet(tmp_path, server) -> Iterator[Fleet]:
    running = Fleet(tmp_path, server.url)
    provider = {"keys": [{"value": "sk-simulated"}], "network_config": {"base_url": running.simulator}}
    running._configure("worker", server.url, {"anthropic": provider}, worker=SLOW)
    yield running
    running.close()


def asked(count: int, draw: random.Random) -> list[Item]:
    """Questions told apart by their user; some outlast the grace of a worker that is told to stop."""
    return [
        item(number, question(number, f"sim-latency-{draw.randint(20, 400)}", metadata={"user_id": str(number)}))
        for number in range(count)
    ]


@dataclass
class Chaos:
    """`repeats` is the most calls that the strikes can have made necessary: what was on its way and is not kept.

    A job is taken from its worker by force at most `most_hits` + 1 times.
    """

    fleet: Fleet
    batch: Batch
    draw: random.Random
    most_hits: int = MAX_CRASHES
    workers: list[Worker] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    repeats: int = 0

    def begin(self) -> None:
        self.workers = [self.fleet.worker() for _ in range(WORKERS)]
        for worker in self.workers:
            worker.until_ready()

    def strike(self) -> None:
        """Freeze a worker that holds a shard, see what it has on its way, and go on from there; if any holds one."""
        victim = eventually(lambda: self._caught() or self._over(), STRUCK_WITHIN_S, "no worker holds a shard")
        if not isinstance(victim, Worker):
            return
        held, signum = self.fleet.held(victim), self.draw.choice(STRIKES)
        if any(self.hits[job] > self.most_hits for job in held):
            signum = signal.SIGTERM  # some more, and one of its items would take the blame, or the group be given up
        self.struck[signum.name] += 1
        self.repeats += sum(self.on_its_way(job) for job in held)
        if signum != signal.SIGTERM:
            self.hits.update(held.keys())
        if signum == signal.SIGSTOP:
            self.fleet.until_lost(held)
            victim.wake()
            return
        self.workers[self.workers.index(victim)] = self.fleet.worker()
        victim.process.send_signal(signum)
        victim.wake()
        assert victim.process.wait(STRUCK_WITHIN_S) in {0, -signal.SIGKILL}

    def _caught(self) -> Worker | None:
        ready = [worker for worker in self.workers if worker.id and self.fleet.held(worker)]
        if not ready:
            return None
        victim = self.draw.choice(ready)
        victim.freeze()
        if self.fleet.held(victim):
            return victim
        victim.wake()
        return None

    def _over(self) -> bool:
        return self.fleet.client.hexists(f"hermod:batch:{self.batch.id}", "finalizing")

    def kept(self) -> int:
        """Items of which a result is kept."""
        return int(self.fleet.client.hget(f"hermod:batch:{self.batch.id}", "succeeded") or 0)

    def on_its_way(self, job: str) -> int:
        """Items of a shard that were sent to the provider and whose results are not kept."""
        shards = {named_after(self.batch.id, f"{what} {n}"): n for what in KINDS for n in range(self.batch.shards)}
        if job not in shards:
            return 0
        number = shards[job]
        first = number * SHARD_ITEMS
        users = {int(call["user"]) for call in self.fleet.calls() if call["user"]}
        sent = users & set(range(first, first + SHARD_ITEMS))
        names = self.fleet.client.hkeys(f"hermod:batch-items:{self.batch.id}:{number}")
        kept = {int(name) for name in names if name.isdigit()}
        return len(sent - kept)


def test_every_item_comes_to_one_end_while_workers_and_redis_are_struck_down(fleet, server, tmp_path, chaos_long):
    seed = int(os.environ.get("HERMOD_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"\nHERMOD_CHAOS_SEED={seed}")
    draw = random.Random(seed)
    count, strikes = (20_000, 80) if chaos_long else (600, 8)
    batch = submitted(fleet, tmp_path, asked(count, draw))
    chaos = Chaos(fleet, batch, draw)
    chaos.begin()
    struck_down(chaos, server, strikes, fleet.called, count)
    progress = at_its_end(fleet, batch)
    assert [worker.until_ready().stop() for worker in chaos.workers] == [0] * WORKERS
    calls = fleet.calls()
    print(f"items {count}, strikes {dict(chaos.struck)}, calls {len(calls)}, bound {count} + {chaos.repeats}")
    assert chaos.struck.total() > strikes / 2, "it was over before it began"
    check(progress, fleet, tmp_path, count)
    assert len(calls) <= count + chaos.repeats


def test_a_native_batch_is_sent_and_paid_for_once_though_its_worker_freezes_and_redis_dies(fleet, server, tmp_path):
    native = [item(number, question(number, "claude-haiku-4-5")) for number in range(150)]
    direct = [item(150, question(150, "claude-haiku-4-5", fallbacks=["anthropic/claude-sonnet-4-5"]))]
    frozen = fleet.worker(failpoint="answered=stop")
    frozen.until_ready()
    batch = submitted(fleet, tmp_path, native, mode="native")
    frozen.until_frozen()
    assert created(fleet) == 1, "it froze between the provider's acceptance and its note"
    other = fleet.worker()
    fleet.until_lost(fleet.held(frozen))
    server.stop(signal.SIGKILL)
    server.start()
    frozen.wake()
    beside = submitted(fleet, tmp_path, [*native, *direct], mode="native")
    for progress, count in ((at_its_end(fleet, batch), 150), (at_its_end(fleet, beside), 151)):
        check(progress, fleet, tmp_path, count)
        assert (progress.spent.native, progress.spent.direct, progress.spent.unpriced) == (150, count - 150, 0)
    assert [worker.until_ready().stop() for worker in (frozen, other)] == [0, 0]
    assert created(fleet) == 2
    assert [call["path"] for call in fleet.calls()].count("/v1/messages") == 1


def test_half_of_a_batch_runs_at_the_batch_api_and_half_here_while_workers_and_redis_are_struck_down(
    fleet, server, tmp_path, chaos_long
):
    seed = int(os.environ.get("HERMOD_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"\nHERMOD_CHAOS_SEED={seed}")
    draw = random.Random(seed)
    count, strikes = (20_000, 40) if chaos_long else (200, 3)
    items = asked(count, draw)
    for number in range(0, count, 2):
        items[number] = item(number, question(number, "claude-haiku-4-5"))
        body = msgspec.json.decode(items[number + 1].body)
        items[number + 1] = item(number + 1, {**body, "fallbacks": ["anthropic/claude-haiku-4-5"]})
    batch = submitted(fleet, tmp_path, items, mode="native")
    chaos = Chaos(fleet, batch, draw)
    chaos.begin()
    struck_down(chaos, server, strikes, fleet.called, count // 2)
    progress = at_its_end(fleet, batch)
    assert [worker.until_ready().stop() for worker in chaos.workers] == [0] * WORKERS
    direct = [call["path"] for call in fleet.calls()].count("/v1/messages")
    print(f"items {count}, strikes {dict(chaos.struck)}, direct calls {direct}, bound {count // 2} + {chaos.repeats}")
    check(progress, fleet, tmp_path, count)
    assert (created(fleet), progress.spent.native, progress.spent.direct) == (1, count // 2, count // 2)
    assert direct <= count // 2 + chaos.repeats


def test_a_batch_runs_at_the_batch_api_alone_while_workers_and_redis_are_struck_down(
    fleet, server, tmp_path, chaos_long
):
    seed = int(os.environ.get("HERMOD_CHAOS_SEED") or secrets.randbelow(10**6))
    print(f"\nHERMOD_CHAOS_SEED={seed}")
    draw = random.Random(seed)
    count, strikes, groups = (20_000, 40, 4) if chaos_long else (400, 4, 2)
    models = [f"claude-{number}" for number in range(groups)]
    items = [item(number, question(number, models[number * groups // count])) for number in range(count)]
    batches = [submitted(fleet, tmp_path, items, mode="native")]
    chaos = Chaos(fleet, batches[0], draw, most_hits=MOST_CRASHES - 2)
    chaos.begin()
    for _ in range(5):
        struck_down(chaos, server, strikes, chaos.kept, count, early=count // strikes)  # the first while it is sent
        progress = at_its_end(fleet, chaos.batch)
        check(progress, fleet, tmp_path, count)
        assert (progress.spent.native, progress.spent.direct) == (count, 0)
        if chaos.struck.total() > strikes / 2:
            break
        chaos.batch = submitted(fleet, tmp_path, items, mode="native")  # workers hold one for moments: it was over
        batches.append(chaos.batch)
    else:
        pytest.fail("no worker was caught")
    assert [worker.until_ready().stop() for worker in chaos.workers] == [0] * WORKERS
    direct = [call["path"] for call in fleet.calls()].count("/v1/messages")
    print(f"items {count}, strikes {dict(chaos.struck)}, batches sent {created(fleet)}, direct calls {direct}")
    assert (created(fleet), direct) == (groups * len(batches), 0)


def struck_down(
    chaos: Chaos, server: Server, strikes: int, reached: Callable[[], int], work: int, early: int = 0
) -> None:
    """Strikes, each at a random instant of its share of the work, or `early` units before; half-way Redis is killed."""
    for number in range(strikes):
        instant = work * (number + chaos.draw.random()) // (strikes + 1) - early
        eventually(lambda instant=instant: reached() >= instant, STRUCK_WITHIN_S, "the work stands still")
        chaos.strike()
        if number == strikes // 2:
            server.stop(signal.SIGKILL)
            server.start()


def created(fleet: Fleet) -> int:
    """Batches that the provider was asked for."""
    return sum(call["method"] == "POST" and call["path"] == "/v1/messages/batches" for call in fleet.calls())


def submitted(fleet: Fleet, folder: Path, items: list[Item], **facts: Any) -> Batch:
    async def go() -> Batch:
        store = RedisStore(fleet.url_of_redis)
        batch = await submit(store, FolderBlobs(folder / "objects"), items, id=job_id(), **facts)
        await store.close()
        return batch

    return asyncio.run(go())


def at_its_end(fleet: Fleet, batch: Batch) -> Progress:
    async def go() -> Progress:
        store = RedisStore(fleet.url_of_redis)
        progress = await until(lambda: ended(store, batch), within_s=ENDED_WITHIN_S)
        await store.close()
        return progress

    return asyncio.run(go())


def check(progress: Progress, fleet: Fleet, folder: Path, count: int) -> None:
    assert (progress.state, progress.counts) == (BatchState.COMPLETED, Counts(succeeded=count))
    lines = asyncio.run(results(FolderBlobs(folder / "objects"), progress.batch))
    assert [line["custom_id"] for line in lines] == [f"item-{number}" for number in range(count)]
    for number, line in enumerate(lines):
        right = compose(Ask(user_text=f"question {number}")).text
        assert line["result"]["message"]["content"][0]["text"] == right
    assert not list(fleet.client.scan_iter("hermod:batch-items:*"))
