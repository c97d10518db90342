"""A provider's response object on its way to the client: the gateway's id, the client's wishes, usage and failures."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from shared.chat import Usage
from shared.errors import ProviderError
from shared.ids import response_id
from shared.jobs import Job
from shared.wire.openai_chat import NULL
from shared.wire.openai_chat_answer import AnswerUsage, CompletionDetails, PromptDetails
from worker.providers.openai import errors
from worker.providers.openai.usage import counted

_CALLER_ERROR = 400
_CALLERS = ("image", "policy", "residency")
"""Words in the code of a failed response that lay the failure on the request, besides those that errors on every
surface share; https://platform.openai.com/docs/api-reference/responses/object#responses/object-error"""


class _Asked(Struct):
    previous_response_id: Raw = NULL
    store: Raw = NULL
    background: Raw = NULL


class _Usage(Struct):
    input_tokens: int | None = None
    input_tokens_details: PromptDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: CompletionDetails | None = None
    total_tokens: int | None = None


class _UsageOnly(Struct):
    usage: _Usage | None = None


class _Code(Struct):
    code: str | None = None


_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ASKED = msgspec.json.Decoder(_Asked)
_USAGE = msgspec.json.Decoder(_UsageOnly, strict=False)
_CODE = msgspec.json.Decoder(_Code)


def opened(raw: bytes | Raw) -> dict[str, Raw]:
    """The fields of a JSON object from the provider, unread; msgspec.DecodeError when it is none."""
    try:
        return _FIELDS.decode(raw)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError("not a JSON object that can be read") from error


def shown(job: Job, asked: bytes) -> dict[str, Raw]:
    """The fields of a response object that the provider cannot know, for the client who sent `asked`."""
    wishes = _ASKED.decode(asked)
    return {
        "id": Raw(_ENCODER.encode(response_id(job.id))),
        "previous_response_id": wishes.previous_response_id,
        "store": Raw(b"false" if bytes(wishes.store) == b"false" else b"true"),
        "background": Raw(b"true" if bytes(wishes.background) == b"true" else b"false"),
    }


def relabel(provider: str, response: bytes | Raw, labels: dict[str, Raw]) -> bytes:
    """A response object with `labels` (see `shown`); its other fields byte for byte.

    Raises:
        ProviderError: the response has failed.
        msgspec.DecodeError: it is not a response object.
    """
    fields = opened(response)
    if bytes(fields.get("object", NULL)) != b'"response"':
        raise msgspec.ValidationError("not a response object")
    if bytes(fields.get("status", NULL)) == b'"failed"':
        raise failure(provider, fields.get("error", NULL))
    return _ENCODER.encode(fields | labels)


def failure(provider: str, error: Raw) -> ProviderError:
    """The `error` of a failed response or of an `error` event as the error its facts stand for."""
    try:
        code = _CODE.decode(error).code or ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        code = ""
    if any(word in code for word in _CALLERS):
        return errors.error(provider, _CALLER_ERROR, {}, b'{"error":' + bytes(error) + b"}")
    return errors.stream_error(provider, error)


def usage(body: bytes) -> Usage:
    """The usage of a response object, unknown when it has none that can be read; msgspec.DecodeError when not JSON."""
    try:
        found = _USAGE.decode(body).usage
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Usage(known=False)
    return counted(_as_chat(found)) if found else Usage(known=False)


def _as_chat(found: _Usage) -> AnswerUsage:
    """Both of OpenAI's surfaces count alike, under other names."""
    return AnswerUsage(
        prompt_tokens=found.input_tokens,
        completion_tokens=found.output_tokens,
        total_tokens=found.total_tokens,
        prompt_tokens_details=found.input_tokens_details,
        completion_tokens_details=found.output_tokens_details,
    )
