"""All endpoints in memory, in every API process: those of config.json and those created at run time.

What changes is heard over pub/sub; whoever was cut off from Redis reads everything again when it is back.
"""

from __future__ import annotations

import asyncio
import logging

from shared.batches import Batch
from shared.errors import InvalidRequest, StoreError
from shared.jobs import Job
from shared.settings import Settings
from shared.stores.redis import RedisStore, listen
from shared.webhook_events import batch_hooks, job_hooks
from shared.webhook_records import CHANGES, WebhookRecords
from shared.webhook_settings import WebhookSettings

log = logging.getLogger("hermod.webhooks")

AGAIN_S = 0.2
"""Pause between tries while Redis is away."""
HEADER = "x-bf-async-webhook"


class WebhookBook:
    """Knows who is to hear of what.

    Attributes:
        endpoints: by name.
        gone: when an endpoint answered 410, by name, in Unix ms.
    """

    def __init__(self, settings: Settings, store: RedisStore | None = None) -> None:
        self._records = None if store is None else WebhookRecords(store)
        self._store = store
        self._own = {endpoint.name: endpoint for endpoint in settings.webhooks}
        self._kept_s = settings.client.webhook_retention_days * 86_400
        self.endpoints: dict[str, WebhookSettings] = dict(self._own)
        self.gone: dict[str, int] = {}
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Read what there is and begin to listen."""
        try:
            await self.refresh()
        except StoreError as error:
            log.warning("webhook endpoints that were made at run time are not known yet: %s", error)
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        if self._listener:
            self._listener.cancel()
            await asyncio.wait([self._listener])

    def is_set(self, name: str) -> bool:
        """Whether the endpoint is config.json's, and so not to be changed at run time."""
        return name in self._own

    async def refresh(self) -> None:
        """Read everything again. Raises StoreError."""
        if self._records is not None:
            created, self.gone = await asyncio.gather(self._records.all(), self._records.gone())
            self.endpoints = {**created, **self._own}

    async def of_job(self, job: Job, asked: str, *, detached: bool) -> bytes:
        """Who is to hear of the job's end, as `Queue.submit` takes it; only `asked` of one somebody waits for.

        Raises:
            InvalidRequest: there is no endpoint called `asked`.
        """
        await self._check(asked)
        return job_hooks(job, self._told() if detached else (), asked, self._kept_s)

    async def of_batch(self, batch: Batch, asked: str) -> bytes:
        """The same for a batch, as `BatchRecords.create` takes it. Raises InvalidRequest."""
        await self._check(asked)
        return batch_hooks(batch, self._told(), asked, self._kept_s)

    def _told(self) -> list[WebhookSettings]:
        """Those that are told without being asked for."""
        found = self.endpoints.values()
        return [each for each in found if each.events and not each.disabled and each.name not in self.gone]

    async def _check(self, asked: str) -> None:
        if asked and asked not in self.endpoints:
            await self.refresh()  # it may have been created a moment ago
        if asked and asked not in self.endpoints:
            message = f"{HEADER}: there is no webhook endpoint {asked[:64]!r}; ask who runs this gateway for its name."
            raise InvalidRequest(message, param=HEADER, code="webhook_not_found")

    async def _listen(self) -> None:
        assert self._store is not None, "opened only with a store"  # noqa: S101 - see open
        async for _ in listen(self._store.url, CHANGES):
            while True:
                try:
                    await self.refresh()
                except StoreError:
                    await asyncio.sleep(AGAIN_S)
                else:
                    break
