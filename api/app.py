"""The API's application: routes, error handlers, what is opened at start and closed at the end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from api import console, openapi
from api.admin_auth import AdminDoor
from api.admin_door import OperatorDoor
from api.batch_intake import Intake
from api.console.desk import Desk
from api.errors import on_defect, on_gateway_error, on_http_error
from api.routes import admin, anthropic, batches, files, jobs, native, openai, responses, uploads
from api.routes import cache as answer_cache
from api.routes import health as operations
from api.routes import webhooks as webhook_routes
from api.submit import Gateway
from api.wait import Hub
from shared.answer_store import AnswerStore
from shared.batch_records import BatchRecords
from shared.bodies import Bodies
from shared.errors import GatewayError
from shared.files import Files
from shared.governance_keyring import Keyring
from shared.health import Health
from shared.job_index import JobIndex
from shared.job_register import JobRegister
from shared.metrics_export import Export
from shared.queue import Queue
from shared.queue_gauges import Scrape
from shared.sealing import open_seal
from shared.settings import Settings
from shared.stores.blobs import open_blobs
from shared.stores.redis import RedisStore
from shared.uploads import Uploads
from shared.webhook_book import WebhookBook


def build_app(settings: Settings) -> Litestar:
    """The ASGI application; it connects to Redis and the object store only.

    Raises:
        SettingsError: the object store's place is not set.
    """
    parts = _Parts(settings)
    health = Health(parts.queue, parts.bodies.blobs)
    return Litestar(
        [*_client_routes(parts), *_operator_routes(parts, health), *openapi.routes()],
        exception_handlers={
            GatewayError: on_gateway_error,
            HTTPException: _on_http_error,
            Exception: on_defect,
        },
        lifespan=[parts.opened],
        logging_config=None,
        openapi_config=None,
        state=State(
            {"health": health, "scrape": parts.scrape, "cut": parts.hub.cut}, deep_copy=False
        ),  # for the server, which knows first that the process is leaving, and watches it
        request_max_body_size=None,  # read_body has the limit, and says so in the surface's own words
    )


def _on_http_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    below_console = request.url.path.startswith(f"{console.HOME}/")
    return (console.on_unknown if below_console else on_http_error)(request, error)


class _Parts:
    """What the routes stand on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = RedisStore(settings.redis.url, open_seal(settings.encryption.master_keys))
        self.queue = Queue(self.store)
        self.hub = Hub(self.queue, settings.redis.url)
        blobs = open_blobs(settings.object_store, settings.encryption.master_keys)
        self.bodies = Bodies(blobs, settings.object_store.inline_bytes)
        self.keyring = Keyring(settings, self.store)
        self.webhooks = WebhookBook(settings, self.store)
        self.gateway = Gateway(settings, self.queue, self.hub, self.bodies, self.keyring, self.webhooks)
        self.stored_files = Files(self.store)
        self.batch_records = BatchRecords(self.store)
        self.door = OperatorDoor(settings, self.store)
        self.scrape = Scrape(self.store)
        self.export = Export(self.scrape, "api", os.environ)

    @asynccontextmanager
    async def opened(self, _: Litestar) -> AsyncIterator[None]:
        """While the application serves."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            self.gateway.door.tell()
            for part in (self.bodies, self.keyring, self.webhooks, self.hub):
                await part.open()
                stack.push_async_callback(part.close)
            self.export.open()
            stack.push_async_callback(self.export.close)
            yield


def _client_routes(parts: _Parts) -> Iterator[ControllerRouterHandler]:
    gateway, stored_files, batch_records = parts.gateway, parts.stored_files, parts.batch_records
    for surface in (anthropic, openai, responses, native):
        yield from surface.routes(gateway)
    yield from jobs.routes(gateway, JobIndex(parts.store))
    yield from files.routes(gateway, stored_files, batch_records)
    yield from uploads.routes(gateway, stored_files, Uploads(parts.store))
    yield from batches.routes(gateway, batch_records, stored_files)
    yield from answer_cache.routes(gateway, AnswerStore(parts.store))


def _operator_routes(parts: _Parts, health: Health) -> Iterator[ControllerRouterHandler]:
    settings, store, door = parts.settings, parts.store, parts.door
    yield from operations.routes(health, parts.scrape, AdminDoor(settings.governance.admin))
    yield admin.routes(settings, parts.keyring, store, door)
    yield from console.routes(_desk(parts))
    yield from webhook_routes.routes(parts.webhooks, store, settings, door)


def _desk(parts: _Parts) -> Desk:
    return Desk(
        settings=parts.settings,
        store=parts.store,
        door=parts.door,
        gateway=parts.gateway,
        keyring=parts.keyring,
        batch_records=parts.batch_records,
        intake=Intake(parts.gateway, parts.batch_records, parts.stored_files),
        stored_files=parts.stored_files,
        index=JobIndex(parts.store),
        register=JobRegister(parts.store),
        webhooks=parts.webhooks,
    )
