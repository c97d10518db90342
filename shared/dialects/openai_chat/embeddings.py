"""Embeddings: a request on OpenAI's surface that travels to the provider as it is."""

from __future__ import annotations

import msgspec

from shared.dialects.base import Head
from shared.dialects.openai_errors import decode, invalid
from shared.wire import openai_embeddings as wire

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_ENCODER = msgspec.json.Encoder()


def read_head(body: bytes) -> Head:
    """Check the envelope and read what routing needs.

    Raises:
        InvalidRequest: malformed JSON, or a field missing or of the wrong type.
    """
    envelope = decode(_ENVELOPE, body)
    for name in ("model", "input"):
        if not getattr(envelope, name):
            raise invalid(name, "must not be empty")
    if envelope.stream:
        raise invalid("stream", "embeddings are not streamed")
    return Head(model=envelope.model)


def placeholder(job_id: str, model: str) -> bytes:
    """The answer while a job is unfinished: one vector without numbers, for the SDK raises on an empty `data`."""
    return _ENCODER.encode(wire.WrittenList(id=job_id, model=model, data=[wire.WrittenEmbedding()]))
