"""A finished answer as a response object."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from shared.chat import ChatResponse, Refusal, StopReason, Usage
from shared.dialects.openai_responses.echo import echo
from shared.dialects.openai_responses.output import COMPLETED, IN_PROGRESS, INCOMPLETE, output
from shared.ids import response_id
from shared.jobs import Job
from shared.wire import openai_responses_answer as wire

_ENCODER = msgspec.json.Encoder()

_SERVED = {"service_tier": Raw(b'"default"')}
"""The tier that served a translated request: another wire is asked for none."""

_INCOMPLETE = {
    StopReason.LENGTH: "max_output_tokens",
    StopReason.CONTEXT_FULL: "max_output_tokens",
    StopReason.REFUSAL: "content_filter",
}


def render(response: ChatResponse, job: Job, body: bytes) -> bytes:
    """A response that is `completed` or `incomplete`, repeating what it does of the request `body`.

    Its id is made from the job's: the gateway is who will be asked for it again.
    """
    refused = any(isinstance(part, Refusal) for part in response.content)
    reason = incomplete(response.stop_reason, refused=refused)
    items = output(job.id, response.content, INCOMPLETE if reason else COMPLETED)
    begun = begin(job, response.model)
    return encode(end(begun, items, reason, response.usage, response.created_s), served(echo(body)))


def begin(job: Job, model: str, status: str = IN_PROGRESS) -> wire.Response:
    """A response before its first item. It is created with its job, whoever answers it and whenever."""
    return wire.Response(id=response_id(job.id), created_at=job.created_ms // 1000, status=status, model=model)


def incomplete(stop: StopReason, *, refused: bool) -> str | None:
    """Why the answer is incomplete, None when it is not; a refusal the client can read is an answer."""
    return None if stop is StopReason.REFUSAL and refused else _INCOMPLETE.get(stop)


def end(
    begun: wire.Response, items: list[wire.OutputItem], reason: str | None, usage: Usage, created_s: int | None
) -> wire.Response:
    """The response at its end, `incomplete` for a `reason`.

    `completed_at` is the last instant known of the answer: when the provider dated it, but never before the request.
    """
    return msgspec.structs.replace(
        begun,
        status=INCOMPLETE if reason else COMPLETED,
        completed_at=None if reason else max(begun.created_at, created_s or 0),
        incomplete_details=wire.IncompleteDetails(reason) if reason else None,
        output=items,
        usage=_usage(usage),
    )


def served(echoed: Mapping[str, Raw]) -> dict[str, Raw]:
    """What a finished answer repeats: as before, but the service tier is that which was used."""
    return {**echoed, **_SERVED}


def encode(response: wire.Response, echoed: Mapping[str, Raw]) -> bytes:
    """The object on the wire; `echoed` is what it repeats of its request."""
    return _ENCODER.encode({**msgspec.structs.asdict(response), **echoed})


def fill_empty(body: bytes) -> bytes:
    """The body untouched: polling loops look at `status`, which every finished answer has, and not at its content."""
    return body


def _usage(usage: Usage) -> wire.ResponseUsage:
    """Complete, zeros included: clients read it without looking whether it is there."""
    given = usage.total_input_tokens
    return wire.ResponseUsage(
        input_tokens=given,
        input_tokens_details=wire.InputDetails(usage.cache_read_tokens, usage.cache_write_tokens),
        output_tokens=usage.output_tokens,
        output_tokens_details=wire.OutputDetails(usage.reasoning_tokens),
        total_tokens=given + usage.output_tokens,
    )
