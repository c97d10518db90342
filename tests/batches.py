"""Batches for tests: submitted as the API submits them, run by real workers against the simulated provider."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from deploy.simulator.http import Connection
from deploy.simulator.knobs import Knobs
from deploy.simulator.simulator import Simulator
from shared.batch_records import BatchRecords
from shared.batches import SHARD_ITEMS, Batch, Item, Progress, blob, items_of, plan
from shared.bodies import Bodies
from shared.errors import NotFound
from shared.files import Files
from shared.ids import job_id, now_ms
from shared.jobs import Job
from shared.lanes import Lane
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.queue import DEFAULT_SHARE, Queue, Share
from shared.settings import Settings, WorkerSettings
from shared.stores.blobs import BlobMissing, Blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.budgets import Budgets
from worker.executor import Executor
from worker.leases import LeaseWorker
from worker.limits import Limits
from worker.routing import Router
from worker.shards import Batches
from worker.tasks import run_job
from worker.transport import Transport

FAST = WorkerSettings(slots=10, lease_s=20, renew_s=0.1, grace_s=5)
"""Hears of a cancel soon; its leases outlast whatever a busy machine makes it wait (that one runs out is asked for)."""


class Provider:
    """The simulated provider on a port of its own, in this very loop."""

    def __init__(self, port: int, simulator: Simulator) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._ledger = simulator._ledger

    def calls(self) -> list[dict[str, Any]]:
        """Everything that reached it, oldest first."""
        return self._ledger.read(0, None, 1_000_000)


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Provider]:
    loop, simulator = asyncio.get_running_loop(), Simulator(Knobs())
    server = await loop.create_server(lambda: Connection(simulator.respond, loop), "127.0.0.1", 0)
    yield Provider(server.sockets[0].getsockname()[1], simulator)
    server.close()


def settings(provider_url: str, worker: WorkerSettings = FAST) -> Settings:
    """Anthropic, OpenAI and Gemini at one address; tries again soon."""
    network = NetworkSettings(base_url=provider_url, retry_backoff_initial_ms=10, retry_backoff_max_ms=20)
    key = ProviderKey(name="key", value="sk-simulated")
    below = {"anthropic": "", "openai": "", "gemini": "/gemini/v1beta"}
    providers = {
        name: ProviderSettings(
            name=name, keys=(key,), network=msgspec.structs.replace(network, base_url=provider_url + path)
        )
        for name, path in below.items()
    }
    return Settings(providers=providers, worker=worker)


@contextlib.asynccontextmanager
async def at_work(
    store: RedisStore, blobs: Blobs, known: Settings, budgets: Budgets | None = None
) -> AsyncIterator[LeaseWorker]:
    """A worker with all its tasks; it is told to stop at the end, and waited for."""
    transport = Transport(max_bytes=1 << 26)
    worker = LeaseWorker(store, [run_job], known.worker)
    limits = Limits(store)
    executor = Executor(Router(known), transport, budgets=budgets, limits=limits)
    batches = Batches(
        store, blobs, executor, known, attachments=Attachments(Files(store), blobs), leaving=worker.leaving
    )
    worker.ctx.update(executor=executor, bodies=Bodies(blobs, 1 << 18), store=store, batches=batches)
    limits.open()
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        worker.stop()
        await serving
        await limits.close()
        await transport.close()


def question(number: int, model: str = "m", **fields: Any) -> dict[str, Any]:
    """A body that both surfaces take; its answer holds its number, its `user` marks it in the ledger."""
    text = f"question {number}"
    return {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": text}], **fields}


def item(index: int, body: object, problem: str = "") -> Item:
    return Item(index, f"item-{index}", msgspec.Raw(json.dumps(body).encode()), problem)


def items(count: int, model: str = "m") -> list[Item]:
    return [item(index, question(index, model)) for index in range(count)]


async def submit(
    store: RedisStore,
    blobs: Blobs,
    asked: list[Item],
    *,
    shard_items: int = SHARD_ITEMS,
    share: Share = DEFAULT_SHARE,
    **facts: Any,
) -> Batch:
    """What the API does on a create: blobs, record, start job. Shards of so many items; with 0 those that it makes."""
    shards = list(_cut(asked, shard_items) if shard_items else plan(asked))
    usual = {"owner": "anonymous", "surface": "anthropic", "dialect": "anthropic", "provider": "anthropic"}
    batch = Batch(**{"id": job_id(), "created_ms": now_ms(), **usual, **facts}, total=len(asked), shards=len(shards))
    for number, shard in enumerate(shards):
        await blobs.of(batch.owner).put(blob(batch.id, "in", number), shard)
    await BatchRecords(store).create(batch, [items_of(shard)[0].index for shard in shards])
    await start(store, batch, share)
    return batch


def _cut(asked: list[Item], size: int) -> Iterator[bytes]:
    for at in range(0, len(asked), size):
        yield b"\n".join(map(msgspec.json.encode, asked[at : at + size]))


async def start(store: RedisStore, batch: Batch, share: Share = DEFAULT_SHARE) -> None:
    job = Job(
        id=batch.id,
        owner=batch.owner,
        dialect=batch.dialect,
        operation="start_batch",
        model="",
        request_id="req_1",
        created_ms=batch.created_ms,
        ttl_s=60,
        deadline_ms=batch.expires_ms,
        lane=Lane.CHORES,
    )
    await Queue(store).submit(job, b"", waiter="", share=share)


async def ended(store: RedisStore, batch: Batch) -> Progress | None:
    """The batch, if it has come to its end."""
    with contextlib.suppress(NotFound):
        progress = await BatchRecords(store).look(batch.id)
        return progress if progress.state.final else None
    return None


async def results(blobs: Blobs, batch: Batch) -> list[dict[str, Any]]:
    """The lines of all shards as the surface shows them: of each the succeeded items, then the others."""
    lines: list[dict[str, Any]] = []
    for number in range(batch.shards):
        for kind in ("out", "err"):
            with contextlib.suppress(BlobMissing):
                data = await blobs.of(batch.owner).get(blob(batch.id, kind, number))
                assert data.endswith(b"\n")
                lines += map(json.loads, data.splitlines())
    return lines
