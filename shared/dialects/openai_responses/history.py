"""A conversation continued: `previous_response_id` resolved into the items it stands for."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.dialects.openai_errors import decode
from shared.wire import openai_responses as wire

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_INPUT = msgspec.json.Decoder(wire.RawInput)
_OUTPUT = msgspec.json.Decoder(wire.RawOutput)
_KIND = msgspec.json.Decoder(wire.OutputItem)
_ENCODER = msgspec.json.Encoder()


def continued(body: bytes, earlier: bytes, answer: bytes) -> bytes:
    """`body` with the whole conversation as its `input`; every item and every other field stays as it came.

    Args:
        body: the request that names a previous response.
        earlier: the request which that response answers, itself already whole.
        answer: that response.

    Raises:
        InvalidRequest: one of them is not JSON, or its items are no list.
    """
    fields = decode(_FIELDS, body)
    items = [*read_input(earlier), *_said(answer), *read_input(body)]
    return _ENCODER.encode({**fields, "input": items})


def read_input(body: bytes) -> list[Raw]:
    """The input of a request as items; a string is a message of the user.

    Raises:
        InvalidRequest: the body is not JSON, or its input neither string nor list.
    """
    given = decode(_INPUT, body).input or []
    if isinstance(given, str):
        return [Raw(_ENCODER.encode({"type": "message", "role": "user", "content": given}))]
    return given


def _said(answer: bytes) -> list[Raw]:
    """The output of an answer, without reasoning that could not be sent back.

    It lies with a provider that was told to forget it, or nothing follows it because the answer was cut off; both are
    refused with a 400.
    """
    kept: list[Raw] = []
    end = 0
    for raw in decode(_OUTPUT, answer).output or []:
        item = decode(_KIND, raw)
        if item.type != "reasoning":
            kept.append(raw)
            end = len(kept)
        elif item.encrypted_content:
            kept.append(raw)
    return kept[:end]
