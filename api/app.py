"""The API process: routes, error handlers, what is opened at start and closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException

from api.errors import on_defect, on_gateway_error, on_http_error
from api.routes import anthropic, batches, files, health, jobs, native, openai, responses, uploads
from api.submit import Gateway
from api.wait import Hub
from shared.batch_records import BatchRecords
from shared.bodies import Bodies
from shared.errors import GatewayError
from shared.file_limit import raise_file_limit
from shared.files import Files
from shared.garbage import collect_rarely
from shared.job_index import JobIndex
from shared.queue import Queue
from shared.settings import ClientSettings, Settings
from shared.stores.blobs import open_blobs
from shared.stores.redis import RedisStore
from shared.uploads import Uploads


def build_app(settings: Settings) -> Litestar:
    """The ASGI application; it connects to Redis and the object store only.

    Raises:
        SettingsError: the object store's place is not set.
    """
    store = RedisStore(settings.redis.url)
    queue = Queue(store)
    hub = Hub(queue, settings.redis.url)
    bodies = Bodies(open_blobs(settings.object_store), settings.object_store.inline_bytes)
    gateway, stored_files, batch_records = Gateway(settings, queue, hub, bodies), Files(store), BatchRecords(store)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await bodies.open()
        await hub.open()
        try:
            yield
        finally:
            await hub.close()
            await bodies.close()
            await store.close()

    return Litestar(
        [
            *(
                handler
                for surface in (anthropic, openai, responses, native, health)
                for handler in surface.routes(gateway)
            ),
            *jobs.routes(gateway, JobIndex(store)),
            *files.routes(gateway, stored_files, batch_records),
            *uploads.routes(gateway, stored_files, Uploads(store)),
            *batches.routes(gateway, batch_records, stored_files),
        ],
        cors_config=_cors(settings.client),
        exception_handlers={
            GatewayError: on_gateway_error,
            HTTPException: on_http_error,
            Exception: on_defect,
        },
        lifespan=[lifespan],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,  # read_body has the limit, and says so in the surface's own words
    )


def _cors(client: ClientSettings) -> CORSConfig:
    """Browsers on this machine always, other origins by `client.allowed_origins`; headers as Bifrost allows them."""
    return CORSConfig(
        allow_origins=list(client.allowed_origins),
        allow_origin_regex=r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?",
        allow_methods=["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"],
        allow_headers=["*"],
        allow_credentials=True,
        max_age=86_400,
    )


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; open requests get `timeout_graceful_shutdown` seconds to end."""
    raise_file_limit()
    collect_rarely()
    uvicorn.run(
        build_app(settings),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here trusts who a proxy says is asking
        timeout_graceful_shutdown=25,
        timeout_keep_alive=75,
    )
