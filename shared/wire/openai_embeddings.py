"""OpenAI's embeddings on the wire (API reference, "Create embeddings"), as far as the gateway reads and writes them."""

from __future__ import annotations

import msgspec


class Envelope(msgspec.Struct):
    """A request. `input` is one text, several, one text's tokens, or several's."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None
    stream: bool | None = None


class WrittenEmbedding(msgspec.Struct):
    """A vector that is not there yet."""

    embedding: list[float] = []
    index: int = 0
    object: str = "embedding"


class WrittenUsage(msgspec.Struct, frozen=True):
    """Nothing has been counted yet."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class WrittenList(msgspec.Struct):
    """The answer while a job is unfinished; `id`, which the finished one lacks, is the job's."""

    id: str
    model: str
    data: list[WrittenEmbedding]
    usage: WrittenUsage = WrittenUsage()
    object: str = "list"
