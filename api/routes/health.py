"""Operations: is the gateway alive, can it serve."""

from __future__ import annotations

from litestar import Response, get

from api.submit import Gateway
from shared.errors import StoreError


@get("/health")
async def health(gateway: Gateway) -> Response[dict[str, object]]:
    """200 when the process and its Redis answer, else 503.

    No worker alive is told but is no failure of this process: jobs are accepted and wait.
    """
    try:
        workers = await gateway.queue.workers()
    except StoreError as error:
        return Response({"status": "down", "redis": error.message}, status_code=503)
    return Response({"status": "ok" if workers else "no workers", "redis": "ok", "workers": workers})


@get("/ready")
async def ready(gateway: Gateway) -> Response[dict[str, object]]:
    """As `/health`: whoever can reach Redis can accept jobs."""
    return await health.fn(gateway)  # type: ignore[no-any-return]


ROUTES = [health, ready]
