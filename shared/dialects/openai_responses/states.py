"""A response that is not an answer: unfinished, failed, cancelled, deleted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from shared.dialects.openai_responses.echo import TRUE, echo
from shared.dialects.openai_responses.output import IN_PROGRESS
from shared.dialects.openai_responses.response import begin, encode
from shared.errors import GatewayError
from shared.jobs import Job, Outcome, State
from shared.wire import openai_responses_answer as wire
from shared.wire.openai_chat_answer import WrittenErrorBody

_ENCODER = msgspec.json.Encoder()
_ERROR = msgspec.json.Decoder(WrittenErrorBody)

FAILED = "failed"
_STATUSES = {
    State.QUEUED: "queued",
    State.RUNNING: IN_PROGRESS,
    State.FAILED: FAILED,
    State.EXPIRED: FAILED,
    State.CANCELLED: "cancelled",
}

_CODES = frozenset({
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "data_residency_mismatch",
    "bio_policy",
    "misalignment_policy_violation",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
})  # fmt: skip
"""Every `error.code` that the SDKs' `ResponseError` knows."""

_LIMITED, _CALLER, _SERVER = 429, 400, 500


def placeholder(job: Job, state: State, body: bytes) -> bytes:
    """The answer to an accepted or unfinished job.

    Its id is the job's, to be sent back in a header; for a request that itself says `background` it is the response's.
    """
    echoed = echo(body)
    response = begin(job, job.model, _STATUSES[state])
    if bytes(echoed["background"]) != b"true":
        response.id = job.id
    return encode(response, {**echoed, "background": TRUE})


def shown(job: Job, state: State, body: bytes, outcome: Outcome | None) -> bytes:
    """The response as it is now; `body` is its request, `outcome` is set in a final state."""
    if state is State.SUCCEEDED and outcome:
        return outcome.body
    response = begin(job, job.model, _STATUSES[state])
    if response.status == FAILED:
        response.error = _told(outcome)
    return encode(response, echo(body))


def deleted(response_id: str) -> bytes:
    """The answer to a deletion."""
    return _ENCODER.encode(wire.Deleted(response_id))


def failed(begun: wire.Response, error: GatewayError, echoed: Mapping[str, Raw]) -> bytes:
    """The response that was begun and ended with `error`."""
    told = _error(error.status, error.code, error.message)
    return encode(msgspec.structs.replace(begun, status=FAILED, error=told), echoed)


def _told(outcome: Outcome | None) -> wire.ResponseError:
    if outcome is None or not outcome.body:  # it ended without anybody who could render an error
        return _error(_SERVER, None, "The job's record could not be read by a worker; submit it again.")
    told = _ERROR.decode(outcome.body).error
    return _error(outcome.status, told.code, told.message)


def _error(status: int, code: str | None, message: str) -> wire.ResponseError:
    if code in _CODES:
        return wire.ResponseError(str(code), message)
    if status == _LIMITED:
        return wire.ResponseError("rate_limit_exceeded", message)
    return wire.ResponseError("invalid_prompt" if _CALLER <= status < _SERVER else "server_error", message)
