"""A worker process: opens what its tasks need, works until told to stop, closes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

import uvloop

from shared import metrics, traces
from shared.bodies import Bodies
from shared.file_limit import raise_file_limit
from shared.files import Files
from shared.garbage import collect_rarely
from shared.governance_keyring import Keyring
from shared.health import Health
from shared.metrics_export import Export
from shared.prices import Prices
from shared.probe import Probe
from shared.queue import Queue
from shared.queue_gauges import Scrape
from shared.sealing import open_seal
from shared.settings import Settings
from shared.stores.blobs import open_blobs
from shared.stores.redis import RedisStore
from worker.answer_cache import AnswerCache
from worker.attachments import Attachments
from worker.budgets import Budgets
from worker.executor import Executor
from worker.fetcher import GuardedFetcher
from worker.guard import Guard
from worker.leases import LeaseWorker
from worker.limits import Limits
from worker.meanings import Meanings
from worker.media import Media
from worker.routing import Router
from worker.shards import Batches
from worker.signing import Signer
from worker.sweep import CRON_JOBS
from worker.tasks import run_job
from worker.transport import Transport
from worker.webhooks import Webhooks

log = logging.getLogger("hermod.worker")


def run(settings: Settings, host: str) -> None:
    """Work until SIGTERM or SIGINT; then end or hand back what is in hand, and return. `host` is for the probe."""
    raise_file_limit()
    collect_rarely()
    traces.start("worker", os.environ, to_providers=settings.worker.send_traceparent)
    try:
        uvloop.run(_run(settings, host))
    finally:
        traces.stop()


async def _run(settings: Settings, host: str) -> None:
    store = RedisStore(settings.redis.url, open_seal(settings.encryption.master_keys))
    blobs = open_blobs(settings.object_store, settings.encryption.master_keys)
    bodies = Bodies(blobs, settings.object_store.inline_bytes)
    await bodies.open()
    transport = Transport(networks={name: provider.network for name, provider in settings.providers.items()})
    fetcher = GuardedFetcher(Guard(settings.worker.fetch_allow))
    worker = LeaseWorker(store, [run_job], settings.worker, list(CRON_JOBS))
    attachments = Attachments(Files(store), bodies.blobs)
    prices, keyring = Prices(settings.prices), Keyring(settings, store)
    budgets, limits = Budgets(store, keyring, prices, worker.id), Limits(store)
    media = Media(fetcher)
    meanings = Meanings(store, settings.cache, settings.providers) if settings.cache.semantic else None
    cache = AnswerCache(store, settings.cache, meanings)
    executor = Executor(
        Router(settings),
        transport,
        attachments,
        media=media,
        sign=Signer().sign,
        prices=prices,
        budgets=budgets,
        limits=limits,
    )
    executor.cache = cache
    batches = Batches(
        store, bodies.blobs, executor, settings, attachments=attachments, media=media, leaving=worker.leaving
    )
    webhooks = Webhooks(store, bodies, settings)
    worker.ctx.update(executor=executor, bodies=bodies, store=store, batches=batches, webhooks=webhooks)
    health = Health(Queue(store), bodies.blobs)
    scrape = Scrape(store)
    probe = Probe(health, scrape, host, settings.worker.metrics_port, "worker.metrics_port")
    export = Export(scrape, "worker", os.environ)

    def leave() -> None:
        health.leave()
        worker.stop()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, leave)
    for name, provider in settings.providers.items():
        for key in provider.keys:
            metrics.KEY_UP.of(name, key.name).value = 1
    await keyring.open()
    limits.open()
    await probe.open()
    export.open()
    log.info("worker %s ready: %d slots, providers %s", worker.id, worker.max_jobs, ", ".join(settings.providers))
    try:
        await worker.serve()
    finally:
        await export.close()
        await probe.close()
        await keyring.close()
        await cache.close()
        await budgets.close()
        await limits.close()
        await transport.close()
        await fetcher.close()
        await webhooks.close()
        await batches.close()
        await bodies.close()
        await store.close()
