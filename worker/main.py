"""A worker process: opens what its tasks need, works until told to stop, closes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

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
    for name, provider in settings.providers.items():
        for key in provider.keys:
            metrics.KEY_UP.of(name, key.name).value = 1
    async with _Parts(settings, host).opened() as worker:
        log.info("worker %s ready: %d slots, providers %s", worker.id, worker.max_jobs, ", ".join(settings.providers))
        await worker.serve()


class _Parts:
    """What the tasks stand on; created in a running event loop."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._settings = settings
        self._store = RedisStore(settings.redis.url, open_seal(settings.encryption.master_keys))
        blobs = open_blobs(settings.object_store, settings.encryption.master_keys)
        self._bodies = Bodies(blobs, settings.object_store.inline_bytes)
        self._worker = LeaseWorker(self._store, [run_job], settings.worker, list(CRON_JOBS))
        self._transport = Transport(networks={name: provider.network for name, provider in settings.providers.items()})
        self._fetcher = GuardedFetcher(Guard(settings.worker.fetch_allow))
        self._keyring, self._prices = Keyring(settings, self._store), Prices(settings.prices)
        self._budgets = Budgets(self._store, self._keyring, self._prices, self._worker.id)
        self._limits = Limits(self._store)
        meanings = Meanings(self._store, settings.cache, settings.providers) if settings.cache.semantic else None
        self._cache = AnswerCache(self._store, settings.cache, meanings)
        attachments, media = Attachments(Files(self._store), blobs), Media(self._fetcher)
        executor, leaving = self._executor(attachments, media), self._worker.leaving
        self._batches = Batches(
            self._store, blobs, executor, settings, attachments=attachments, media=media, leaving=leaving
        )
        self._webhooks = Webhooks(self._store, self._bodies, settings)
        self._worker.ctx.update(executor=executor, bodies=self._bodies, store=self._store)
        self._worker.ctx.update(batches=self._batches, webhooks=self._webhooks)
        self._health, scrape = Health(Queue(self._store), blobs), Scrape(self._store)
        self._probe = Probe(self._health, scrape, host, settings.worker.metrics_port, "worker.metrics_port")
        self._export = Export(scrape, "worker", os.environ)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[LeaseWorker]:
        """While the worker works."""
        async with AsyncExitStack() as stack:
            for close in self._closes():
                stack.push_async_callback(close)
            await self._bodies.open()
            self._hear_signals()
            await self._keyring.open()
            self._limits.open()
            await self._probe.open()
            self._export.open()
            yield self._worker

    def _closes(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """In the order of what stands on what; done from the last to the first."""
        yield from (self._store.close, self._bodies.close, self._batches.close, self._webhooks.close)
        yield from (self._fetcher.close, self._transport.close, self._limits.close, self._budgets.close)
        yield from (self._cache.close, self._keyring.close, self._probe.close, self._export.close)

    def _executor(self, attachments: Attachments, media: Media) -> Executor:
        executor = Executor(
            Router(self._settings),
            self._transport,
            attachments,
            media=media,
            sign=Signer().sign,
            prices=self._prices,
            budgets=self._budgets,
            limits=self._limits,
        )
        executor.cache = self._cache
        return executor

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._leave)

    def _leave(self) -> None:
        self._health.leave()
        self._worker.stop()
