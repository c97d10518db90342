"""The API's application: routes, error handlers, what is opened at start and closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

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
from shared.queue import Queue
from shared.queue_gauges import Scrape
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
    store = RedisStore(settings.redis.url)
    queue = Queue(store)
    hub = Hub(queue, settings.redis.url)
    bodies = Bodies(open_blobs(settings.object_store), settings.object_store.inline_bytes)
    keyring = Keyring(settings, store)
    webhooks = WebhookBook(settings, store)
    gateway, stored_files = Gateway(settings, queue, hub, bodies, keyring, webhooks), Files(store)
    batch_records = BatchRecords(store)
    health, scrape = Health(queue, bodies.blobs), Scrape(store)
    desk = Desk(
        settings=settings,
        store=store,
        door=(door := OperatorDoor(settings, store)),
        gateway=gateway,
        keyring=keyring,
        batch_records=batch_records,
        intake=Intake(gateway, batch_records, stored_files),
        stored_files=stored_files,
        index=JobIndex(store),
        register=JobRegister(store),
        webhooks=webhooks,
    )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await bodies.open()
        await keyring.open()
        await webhooks.open()
        await hub.open()
        try:
            yield
        finally:
            await hub.close()
            await webhooks.close()
            await keyring.close()
            await bodies.close()
            await store.close()

    return Litestar(
        [
            *(handler for surface in (anthropic, openai, responses, native) for handler in surface.routes(gateway)),
            *operations.routes(health, scrape, AdminDoor(settings.governance.admin)),
            *jobs.routes(gateway, JobIndex(store)),
            *files.routes(gateway, stored_files, batch_records),
            *uploads.routes(gateway, stored_files, Uploads(store)),
            *batches.routes(gateway, batch_records, stored_files),
            admin.routes(settings, keyring, store, door),
            *answer_cache.routes(gateway, AnswerStore(store)),
            *console.routes(desk),
            *webhook_routes.routes(webhooks, store, settings, door),
            *openapi.routes(),
        ],
        exception_handlers={
            GatewayError: on_gateway_error,
            HTTPException: on_http_error,
            Exception: on_defect,
        },
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        state=State(
            {"health": health, "scrape": scrape, "cut": hub.cut}, deep_copy=False
        ),  # for the server, which knows first that the process is leaving, and watches it
        request_max_body_size=None,  # read_body has the limit, and says so in the surface's own words
    )
