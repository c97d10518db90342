"""A worker process: opens what its tasks need, works until told to stop, closes."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvloop

from shared.bodies import Bodies
from shared.file_limit import raise_file_limit
from shared.files import Files
from shared.garbage import collect_rarely
from shared.settings import Settings
from shared.stores.blobs import open_blobs
from shared.stores.redis import RedisStore
from worker.attachments import Attachments
from worker.executor import Executor
from worker.leases import LeaseWorker
from worker.routing import Router
from worker.shards import Batches
from worker.sweep import CRON_JOBS
from worker.tasks import run_job
from worker.transport import Transport

log = logging.getLogger("hermod.worker")

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Largest answer read from a provider: above the largest a chat answer can be, below what hurts a worker."""


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then end or hand back what is in hand, and return."""
    raise_file_limit()
    collect_rarely()
    uvloop.run(_run(settings))


async def _run(settings: Settings) -> None:
    store = RedisStore(settings.redis.url)
    bodies = Bodies(open_blobs(settings.object_store), settings.object_store.inline_bytes)
    await bodies.open()
    transport = Transport(max_bytes=MAX_ANSWER_BYTES)
    worker = LeaseWorker(store, [run_job], settings.worker, list(CRON_JOBS))
    attachments = Attachments(Files(store), bodies.blobs)
    executor = Executor(Router(settings), transport, attachments)
    batches = Batches(store, bodies.blobs, executor, settings, attachments=attachments, leaving=worker.leaving)
    worker.ctx.update(executor=executor, bodies=bodies, store=store, batches=batches)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, worker.stop)
    log.info("worker %s ready: %d slots, providers %s", worker.id, worker.max_jobs, ", ".join(settings.providers))
    try:
        await worker.serve()
    finally:
        await transport.close()
        await batches.close()
        await bodies.close()
        await store.close()
