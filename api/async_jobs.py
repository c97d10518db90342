"""Jobs as Bifrost's `/v1/async` shows them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from api.answers import body_of
from api.cached import debug
from api.job_views import error_in
from api.times import rfc3339
from shared.bifrost_jobs import REQUEST_TYPES
from shared.dialects.base import Dialect
from shared.jobs import Job, Outcome, Snapshot, State

_STATUS = {State.QUEUED: "pending", State.RUNNING: "processing", State.SUCCEEDED: "completed"}
"""Every other state is `failed` in Bifrost's words."""

_encode = msgspec.json.Encoder().encode


def job_object(dialect: Dialect, snapshot: Snapshot) -> bytes:
    """`{id, request_id, status, created_at}`; of a job that has ended also what came of it and how long it is kept."""
    job = snapshot.job
    fields: dict[str, Any] = {
        "id": job.id,
        "request_id": job.request_id,
        "status": _STATUS.get(snapshot.state, "failed"),
        "created_at": rfc3339(job.created_ms),
    }
    if snapshot.outcome is not None:
        ended_ms = snapshot.ended_ms or job.created_ms
        fields["completed_at"], fields["expires_at"] = rfc3339(ended_ms), rfc3339(ended_ms + job.ttl_s * 1000)
        fields |= _ending(dialect, job, snapshot.state, snapshot.outcome)
    return _encode(fields)


def _ending(dialect: Dialect, job: Job, state: State, outcome: Outcome) -> dict[str, Any]:
    body = body_of(dialect, job, outcome)
    if state is State.SUCCEEDED:
        return {"status_code": outcome.status, "result": _with_extra_fields(body, job, outcome)}
    error = {"is_bifrost_error": False, "status_code": outcome.status, "error": error_in(body)}
    return {"status_code": outcome.status, "error": error}


def _with_extra_fields(body: bytes, job: Job, outcome: Outcome) -> msgspec.Raw:
    """The answer, a JSON object, with Bifrost's `extra_fields` as its last member; its own bytes are not decoded."""
    extra: dict[str, Any] = {
        "provider": outcome.headers.get("x-bf-provider", ""),
        "model_requested": job.model,
        "request_type": REQUEST_TYPES[job.dialect, job.operation],
    }
    if job.cache is not None:
        extra["cache_debug"] = debug(job, outcome)
    return msgspec.Raw(body.rstrip().removesuffix(b"}") + b',"extra_fields":' + _encode(extra) + b"}")
