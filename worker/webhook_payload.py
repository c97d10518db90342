"""An event as its receiver reads it: OpenAI's fields, Anthropic's and Bifrost's in one body. Pure.

    {"object": "event", "id", "type", "event", "created_at", "data": {"id", "type", …}}

`type` is OpenAI's name, `event` Bifrost's. `created_at` is in Unix seconds, as OpenAI's SDK has it; Anthropic's takes
them too. `data.id` is what the surface calls the thing that has ended.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.batches import Batch, Counts
from shared.bifrost_jobs import ASYNC_PATHS, REQUEST_TYPES
from shared.ids import named, response_id
from shared.jobs import Job, Outcome
from shared.webhook_events import Event

MOST_INLINE = 256_000
"""Bytes of the longest answer or error that an event carries; Bifrost's."""

_encode = msgspec.json.Encoder().encode
_json = msgspec.json.Decoder(msgspec.Raw).decode


class _Answer(msgspec.Struct):
    """What of an answer tells how it ended; only the Responses API has it."""

    status: str = ""


class _ErrorBody(msgspec.Struct):
    """What the error bodies of all surfaces share."""

    error: msgspec.Raw


_answer = msgspec.json.Decoder(_Answer).decode
_error_body = msgspec.json.Decoder(_ErrorBody).decode


def payload(event: Event, names: tuple[str, str], data: dict[str, Any]) -> bytes:
    """The body; `names` are Bifrost's and OpenAI's."""
    bifrost, openai = names
    nobody = {"organization_id": None, "workspace_id": None}
    return _encode(
        {
            "object": "event",
            "id": event.id,
            "type": openai,
            "event": bifrost,
            "created_at": event.at_ms // 1000,
            "data": {"id": event.subject, "type": openai, **nobody, **data},
        }
    )


def is_incomplete(outcome: Outcome) -> bool:
    """Whether a response ended before it was complete: at its limit of tokens, or cut by a filter."""
    try:
        return _answer(outcome.body).status == "incomplete"
    except msgspec.DecodeError:
        return False


def job_data(event: Event, job: Job, public_url: str | None) -> dict[str, Any]:
    """A job: whose answer is where, and until when."""
    kind = (job.dialect, job.operation)
    expires = datetime.fromtimestamp(event.at_ms // 1000 + job.ttl_s, UTC)
    return {
        "id": response_id(job.id) if kind == ("openai_responses", "chat") else job.id,
        "job_id": job.id,
        "request_id": job.request_id,
        "request_type": REQUEST_TYPES.get(kind, job.operation),
        "model": job.model,
        "status": "completed" if event.state == "succeeded" else "failed",
        "status_code": event.status,
        "result_url": f"{public_url or ''}{ASYNC_PATHS.get(kind, '/v1/jobs')}/{job.id}",
        "result_expires_at": expires,
    }


def inlined(event: Event, outcome: Outcome | None) -> dict[str, Any]:
    """The answer or the error itself; `outcome` is None when it has expired or been deleted."""
    if outcome is None:
        return {"result_expired": True}
    name = "response" if event.state == "succeeded" else "error"
    left_out = {f"{name}_omitted": True}
    if not outcome.body or len(outcome.body) > MOST_INLINE:
        return left_out
    try:
        return {name: _json(outcome.body) if name == "response" else _error_body(outcome.body).error}
    except msgspec.DecodeError:
        return left_out


def batch_data(event: Event, batch: Batch, counts: Counts | None, public_url: str | None) -> dict[str, Any]:
    """A batch; without `counts` it has been deleted."""
    base = f"{public_url or ''}/{batch.surface}/v1"
    shown = named("msgbatch_" if batch.surface == "anthropic" else "batch_", batch.id)
    is_anthropic = batch.surface == "anthropic"
    return {
        "id": shown,
        "status": event.state,
        "result_url": f"{base}/messages/batches/{shown}/results" if is_anthropic else f"{base}/batches/{shown}",
        "metadata": batch.metadata or None,
        "request_counts": counts
        and {
            "total": batch.total,
            "completed": counts.succeeded,
            "failed": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
    }
