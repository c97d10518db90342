"""Counting tokens without answering: `count-tokens` takes what the model would read, and nothing of how to answer."""

from __future__ import annotations

import msgspec
from msgspec import Raw, structs

from shared.wire.bedrock_answer import TokenCount
from worker.providers.base import Rendered

_READ = ("messages", "system", "toolConfig", "additionalModelRequestFields")

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_COUNT = msgspec.json.Decoder(TokenCount)


def only_counted(rendered: Rendered) -> Rendered:
    """A rendered request as one that is only counted."""
    fields = _FIELDS.decode(rendered.body)
    read = {name: fields[name] for name in _READ if name in fields}
    return structs.replace(rendered, body=_ENCODER.encode({"input": {"converse": read}}))


def tokens(body: bytes) -> int:
    """The answer's count.

    Raises:
        msgspec.DecodeError: the body is not what the API promises.
    """
    return _COUNT.decode(body).input_tokens
