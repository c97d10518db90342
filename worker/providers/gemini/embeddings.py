"""OpenAI's embeddings on Vertex AI, whose own way is `predict`: a text is an instance, its vector a prediction.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from shared.chat import Usage
from shared.errors import Garbled, InvalidRequest, ProviderError, Unsupported
from shared.jobs import Job
from worker.providers.base import PassThrough, Reader, Row, StreamTap
from worker.providers.gemini import GEMINI
from worker.providers.unspoken import Unspoken

_FIELDS = frozenset({"model", "input", "dimensions", "encoding_format", "user", "stream", "fallbacks", "provider"})
"""What of OpenAI's request is understood; `user` is a hint, the last ones are the gateway's own."""
_TASK = "task_type"
"""The one field of Vertex's own that is taken: it has no like at OpenAI, and the vectors depend on it."""


class _Asked(Struct):
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: str | None = None
    task_type: str | None = None


class _Statistics(Struct, frozen=True):
    token_count: int = 0


class _Vector(Struct):
    values: list[float]
    statistics: _Statistics = _Statistics()


class _Prediction(Struct):
    embeddings: _Vector


class _Answer(Struct):
    predictions: list[_Prediction]


_ENCODER = msgspec.json.Encoder()
_NAMES = msgspec.json.Decoder(dict[str, Raw])
_ASKED = msgspec.json.Decoder(_Asked)
_ANSWER = msgspec.json.Decoder(_Answer)


class _Embeddings(Unspoken):
    wire = "openai_chat"  # of the client, whose body is not passed through but made another

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:  # noqa: ARG002 - the protocol's
        return f"/models/{quote(model, safe='@')}:predict"

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        return GEMINI.headers(row, key, client)

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:  # noqa: ARG002 - the same
        """The texts as instances. Too long a text is refused there, as OpenAI does, instead of being cut."""
        unknown = next((name for name in _NAMES.decode(body) if name not in _FIELDS | {_TASK}), None)
        if unknown is not None:
            raise Unsupported(f"{unknown}: provider {row.name!r} cannot express it in embeddings.", param=unknown)
        try:
            asked = _ASKED.decode(body)
        except msgspec.ValidationError as error:
            if f"$.{_TASK}" in str(error):
                raise InvalidRequest(f"{_TASK}: expected a string.", param=_TASK) from error
            message = f"input: provider {row.name!r} embeds texts only: a string, or a list of strings."
            raise InvalidRequest(message, param="input") from error
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        task = {_TASK: asked.task_type} if asked.task_type else {}
        parameters: dict[str, Any] = {"autoTruncate": False}
        if asked.dimensions is not None:
            parameters["outputDimensionality"] = asked.dimensions
        return _ENCODER.encode({"instances": [{"content": text, **task} for text in texts], "parameters": parameters})

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """The predictions as OpenAI's list, the vectors in the encoding that was asked for."""
        shown = _packed if _ASKED.decode(asked).encoding_format == "base64" else _as_it_came
        try:
            found = _ANSWER.decode(body).predictions
            vectors = [shown(prediction.embeddings.values) for prediction in found]
        except (msgspec.ValidationError, OverflowError) as error:  # a number may be too large for 32 bits
            raise Garbled("The provider's answer holds no embeddings.", provider=job.model.partition("/")[0]) from error
        data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        tokens = _tokens(found)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        model = job.model.partition("/")[2] or job.model
        return _ENCODER.encode({"object": "list", "data": data, "model": model, "usage": usage})

    def usage(self, body: bytes) -> Usage:
        """The tokens of all texts; unknown where the answer has no such count."""
        try:
            found = _ANSWER.decode(body).predictions
        except msgspec.ValidationError:
            return Usage(known=False)
        return Usage(input_tokens=_tokens(found))

    def reader(self) -> Reader:
        return GEMINI.reader()

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:  # noqa: ARG002 - the same
        raise Unsupported("stream: embeddings are not streamed.", param="stream")

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        return GEMINI.error(row, status, headers, body)


def _tokens(found: list[_Prediction]) -> int:
    return sum(prediction.embeddings.statistics.token_count for prediction in found)


def _as_it_came(vector: list[float]) -> list[float]:
    return vector


def _packed(vector: list[float]) -> str:
    """Little-endian float32, as OpenAI's SDKs read it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


VERTEX_EMBEDDINGS: PassThrough = _Embeddings()
