"""Operations: is the gateway alive, can it serve."""

from __future__ import annotations

import asyncio

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from api.submit import Gateway
from shared.errors import StoreError


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """`/health` and `/ready`: whoever can reach Redis and the object store can accept jobs."""

    @get(["/health", "/ready"])
    async def health() -> Response[dict[str, object]]:
        """200 when the process, its Redis and its object store answer, else 503.

        No worker alive is told but is no failure of this process: jobs are accepted and wait.
        """
        workers, objects = await asyncio.gather(
            gateway.queue.workers(), gateway.bodies.blobs.ready(), return_exceptions=True
        )
        parts = {"redis": _said(workers), "object_store": _said(objects)}
        if set(parts.values()) != {"ok"}:
            return Response({"status": "down", **parts}, status_code=503)
        return Response({"status": "ok" if workers else "no workers", **parts, "workers": workers})

    return [health]


def _said(answer: object) -> str:
    if isinstance(answer, StoreError):
        return answer.message
    if isinstance(answer, BaseException):
        raise answer
    return "ok"
