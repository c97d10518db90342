"""Embeddings, at OpenAI and on Vertex: unit vectors that depend on the text alone, alike for texts that share words."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

import msgspec

from deploy.simulator.answers import Answer, Ask, count_words
from deploy.simulator.openai_refusals import check_least, check_one_of, decode, invalid, missing
from deploy.simulator.wires import Question, Refusal

DIMENSIONS = 16
"""Of a vector when the request names none: enough to tell texts apart, a hundredth of the vendor's."""
_MOST_DIMENSIONS = 3072
_MOST_INPUTS = 2048
_MOST_INSTANCES = 250
"""Of one `predict`."""
_ENCODINGS = ("float", "base64")

_encode = msgspec.json.Encoder().encode

Input = str | list[int]
"""A text, or its tokens."""


class EmbeddingsQuestion(Question, kw_only=True):
    """A valid request for vectors."""

    inputs: list[Input]
    dimensions: int
    base64: bool


class _Body(msgspec.Struct, kw_only=True):
    model: str
    input: str | list[str | int | list[int]] | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None


_BODY = msgspec.json.Decoder(_Body)


class _Instance(msgspec.Struct, forbid_unknown_fields=True):
    content: str
    task_type: str | None = None
    title: str | None = None


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    outputDimensionality: int | None = None  # noqa: N815 - the wire's
    autoTruncate: bool = True  # noqa: N815 - the same


class _Predict(msgspec.Struct, forbid_unknown_fields=True):
    instances: list[_Instance]
    parameters: _Parameters = _Parameters()


_PREDICT = msgspec.json.Decoder(_Predict)


def read(raw: bytes, _: dict[str, str]) -> EmbeddingsQuestion:
    """The question in a body of `POST /embeddings`."""
    body = decode(_BODY, raw)
    if body.input is None:
        raise missing("input")
    inputs = _inputs(body.input)
    check_one_of(body.encoding_format, _ENCODINGS, "encoding_format")
    check_least(body.dimensions, 1, "dimensions")
    if (body.dimensions or 0) > _MOST_DIMENSIONS:
        message = (
            f"Invalid value for 'dimensions' = {body.dimensions}. Must be less than or equal to {_MOST_DIMENSIONS}."
        )
        raise invalid(message, "dimensions")
    return EmbeddingsQuestion(
        model=body.model,
        ask=Ask(user_text=""),
        tokens_in=sum(count_words(one) if isinstance(one, str) else len(one) for one in inputs),
        user=body.user or "",
        inputs=inputs,
        dimensions=body.dimensions or DIMENSIONS,
        base64=body.encoding_format == "base64",
    )


def plain(question: EmbeddingsQuestion, _answer: Answer, _name: str) -> bytes:
    """The body with one vector for each input."""
    vectors = [_vector(one, question.dimensions) for one in question.inputs]
    written = [_packed(vector) for vector in vectors] if question.base64 else vectors
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(written)]
    usage = {"prompt_tokens": question.tokens_in, "total_tokens": question.tokens_in}
    return _encode({"object": "list", "data": data, "model": question.model, "usage": usage})


def read_predict(raw: bytes, _: dict[str, str], *, model: str) -> EmbeddingsQuestion:
    """The question in a body of Vertex's `predict`."""
    try:
        body = _PREDICT.decode(raw)
    except msgspec.DecodeError as error:
        raise Refusal(400, f"Invalid JSON payload received. {error}") from error
    if not 0 < len(body.instances) <= _MOST_INSTANCES:
        raise Refusal(400, f"1 to {_MOST_INSTANCES} instance(s) per prediction are allowed.")
    texts = [instance.content for instance in body.instances]
    return EmbeddingsQuestion(
        model=model,
        ask=Ask(user_text=""),
        tokens_in=sum(map(count_words, texts)),
        inputs=list(texts),
        dimensions=body.parameters.outputDimensionality or DIMENSIONS,
        base64=False,
    )


def predicted(question: EmbeddingsQuestion, _answer: Answer, _name: str) -> bytes:
    """The body of `predict` with one vector for each instance."""
    return _encode({"predictions": [{"embeddings": _embedded(one, question.dimensions)} for one in question.inputs]})


def _embedded(text: Input, dimensions: int) -> dict[str, Any]:
    counted = count_words(text) if isinstance(text, str) else len(text)
    return {"values": _vector(text, dimensions), "statistics": {"token_count": counted, "truncated": False}}


def _inputs(given: str | list[Any]) -> list[Input]:
    """The inputs one by one: a list is either the tokens of one text, or several inputs of one kind, none empty."""
    tokens = isinstance(given, list) and given and all(isinstance(one, int) for one in given)
    inputs = [given] if tokens or isinstance(given, str) else given
    if {type(one) for one in inputs} not in ({str}, {list}) or not all(inputs):
        message = (
            "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
        )
        raise invalid(message, None)
    if len(inputs) > _MOST_INPUTS:
        limit = f"Expected an array with maximum length {_MOST_INPUTS}"
        message = f"Invalid 'input': array too long. {limit}, but got an array with length {len(inputs)} instead."
        raise invalid(message, "input", "array_above_max_length")
    return inputs


def _vector(given: Input, dimensions: int) -> list[float]:
    """The sum of its words', and a twentieth of its own: texts of the same words are not quite the same."""
    words = given.lower().split() if isinstance(given, str) else [str(token) for token in given]
    whole = given if isinstance(given, str) else " ".join(words)
    own = [number / 20 for number in _drawn(f"all of it: {whole}", dimensions)]
    numbers = [sum(column) for column in zip(own, *(_drawn(word, dimensions) for word in words), strict=True)]
    length = math.hypot(*numbers)
    return [round(number / length, 8) for number in numbers]


def _drawn(text: str, dimensions: int) -> tuple[int, ...]:
    """Odd numbers, so that none is zero."""
    digest = hashlib.shake_256(text.encode()).digest(2 * dimensions)
    return tuple(number | 1 for number in struct.unpack(f"<{dimensions}h", digest))


def _packed(vector: list[float]) -> str:
    """Little-endian float32, as the vendor's SDKs expect it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
