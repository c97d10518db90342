"""Serves the API process until it is told to stop, and then leaves so that no client is cut off.

    SIGTERM ─▶ /ready says 503, answers say `connection: close`, new requests are still taken   drain_s
            ─▶ the socket is closed, idle connections too; requests and streams in flight end   at most grace_s
            ─▶ whoever still waits gets a 503, a stream its error: the job goes on, and the SDK's own retry joins it
            ─▶ who does not take even that is cut off                                            CUT_S later

Closing the socket at once would refuse whoever a load balancer sends before it has heard: Kubernetes takes a pod out of
its Service while, not before, it tells the pod to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable

import uvicorn

from api.app import build_app
from api.connection import Connection
from api.cors import Cors
from api.watched import Watched
from shared import traces
from shared.file_limit import raise_file_limit
from shared.garbage import collect_rarely
from shared.health import Health
from shared.probe import Probe
from shared.settings import Settings

_KEEP_ALIVE_S = 75
"""Longer than the 60 s after which load balancers drop an idle connection: whoever reuses one must not be the last."""
CUT_S = 2
_CLOSE = (b"connection", b"close")


def serve(settings: Settings, host: str, port: int, *, drain_s: int, grace_s: int) -> None:
    """Serve until SIGTERM or SIGINT, then leave as above; a second SIGINT cuts everything."""
    raise_file_limit()
    collect_rarely()
    app = build_app(settings)
    config = uvicorn.Config(
        Watched(Cors(app, settings.client)),
        host=host,
        port=port,
        loop="uvloop",
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here trusts who a proxy says is asking
        timeout_graceful_shutdown=grace_s + CUT_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    health: Health = app.state.health
    probe = Probe(health, app.state.scrape, host, settings.client.metrics_port, "client.metrics_port")
    server = Server(config, health, probe, app.state.cut, drain_s=drain_s, grace_s=grace_s)
    traces.start("api", os.environ)
    try:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signals it has heard once more at its end
            server.run()
    finally:
        traces.stop()
    if not server.started:
        sys.exit(1)


class Server(uvicorn.Server):
    """uvicorn's, with the probe at its side, that leaves as above; `cut` sends away whoever waits."""

    def __init__(
        self,
        config: uvicorn.Config,
        health: Health,
        probe: Probe,
        cut: Callable[[], None],
        *,
        drain_s: float,
        grace_s: float,
    ) -> None:
        super().__init__(config)
        self._health = health
        self._probe = probe
        self._cut = cut
        self._drain_s = drain_s
        self._grace_s = grace_s
        self._closes_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take requests, and be watched."""
        await super().startup(sockets)
        await self._probe.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is in flight end, watched until then."""
        cutting = asyncio.get_running_loop().call_later(self._grace_s, self._cut)
        await super().shutdown(sockets)
        cutting.cancel()
        self._cut()  # a second SIGINT: it is still we who go
        await self._probe.close()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to close the socket now."""
        told = await super().on_tick(counter)
        if told and self._closes_at is None:
            self._closes_at = time.monotonic() + self._drain_s
            self._health.leave()
            self.config.encoded_headers.append(_CLOSE)
            self.server_state.default_headers.append(_CLOSE)
        return told and (self.force_exit or time.monotonic() >= (self._closes_at or 0.0))
