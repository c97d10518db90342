"""What other arq clients enqueue, and arq's own cron jobs: run as arq would, the result kept where arq looks for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast

import msgspec
from arq.connections import ArqRedis
from arq.jobs import serialize_result
from arq.worker import Retry

from shared.ids import now_ms
from shared.job_values import pack
from shared.jobs import Outcome, State
from shared.lanes import QUEUE
from worker.lease import ArqRecord, Lease

log = logging.getLogger("hermod.worker")

unpack_any = msgspec.msgpack.Decoder().decode
"""How arq is to read what `pack` wrote."""


def client(url: str) -> ArqRedis:
    """The client that arq brings, writing as we do."""
    opened = cast("ArqRedis", ArqRedis.from_url(url))
    opened.job_serializer, opened.job_deserializer, opened.default_queue_name = pack, unpack_any, QUEUE
    return opened


async def run(lease: Lease, call: ArqRecord, function: Callable[..., Any], ctx: dict[Any, Any]) -> None:
    """Call `function` as the leased record says, and end the job with what it returned or raised. Raises LeaseLost."""
    started_ms, result, success = now_ms(), None, True
    ctx = {**ctx, "job_id": lease.id, "job_try": lease.crashes + 1}
    try:
        result = await function(ctx, *call.a, **call.k)
    except Retry as again:
        await lease.defer((again.defer_score or 0) / 1000)
        return
    except Exception as error:
        log.exception("%s failed", call.f, extra={"job_id": lease.id})
        result, success = f"{type(error).__name__}: {error}", False
    kept = serialize_result(
        call.f,
        tuple(call.a),
        call.k,
        lease.crashes + 1,
        call.et,
        success,
        result,
        started_ms,
        now_ms(),
        lease.id,
        QUEUE,
        lease.id,
        serializer=pack,
    )
    await lease.finish(State.SUCCEEDED if success else State.FAILED, Outcome(status=200), kept or b"")
