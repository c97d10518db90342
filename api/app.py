"""The API process: routes, error handlers, what is opened at start and closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from api.errors import on_defect, on_gateway_error, on_http_error
from api.routes import anthropic, health, openai
from api.submit import Gateway
from api.wait import Hub
from shared.errors import GatewayError
from shared.file_limit import raise_file_limit
from shared.queue import Queue
from shared.settings import ClientSettings, Settings
from shared.stores.redis import RedisStore


def build_app(settings: Settings) -> Litestar:
    """The ASGI application. Opens its connections in the lifespan, to Redis only."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        store = RedisStore(settings.redis.url)
        hub = Hub(Queue(store), settings.redis.url)
        app.state.gateway = Gateway(settings, Queue(store), hub)
        await hub.open()
        try:
            yield
        finally:
            await hub.close()
            await store.close()

    return Litestar(
        [*anthropic.ROUTES, *openai.ROUTES, *health.ROUTES],
        cors_config=_cors(settings.client),
        dependencies={"gateway": Provide(_gateway, sync_to_thread=False)},
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


def _gateway(state: State) -> Gateway:
    return state.gateway  # type: ignore[no-any-return]


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; open requests get `timeout_graceful_shutdown` seconds to end."""
    raise_file_limit()
    uvicorn.run(
        build_app(settings),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=25,
        timeout_keep_alive=75,
    )
