"""The adapter for providers that speak OpenAI's Chat Completions, OpenAI itself and all compatible servers."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import ChatRequest, ChatResponse, Usage
from shared.errors import ProviderError
from shared.jobs import Job
from shared.sse import FrameReader
from worker.providers.base import Adapter, Model, Reader, Rendered, Row, StreamParser, StreamTap
from worker.providers.headers import json_headers
from worker.providers.openai import count, errors, stream
from worker.providers.openai import request as requests
from worker.providers.openai import response as answers
from worker.providers.openai.messages import WIRE

_PATHS = {
    "chat": "/chat/completions",
    "count_tokens": count.PATH,
    "embeddings": "/embeddings",
    "models": "/models",
}


class OpenAI:
    """The functions of this package in the shape of `Adapter`."""

    wire = WIRE

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        """URL path below the row's base_url for a job's operation."""
        return _PATHS[operation]

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """See `json_headers`."""
        return json_headers(row, key, client)

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:
        """See `request.edit`."""
        return requests.edit(body, row, model)

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """As it came: nobody can ask for it by its id again."""
        return body

    def failed(self, body: bytes, row: Row) -> ProviderError | None:
        """See `errors.under_200`."""
        return errors.under_200(row.name, body)

    def render(self, request: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        """See `request.render`."""
        return requests.render(request, row, counted=operation == "count_tokens")

    def count(self, body: bytes) -> int:
        """See `count.tokens`."""
        return count.tokens(body)

    def parse(self, body: bytes, row: Row) -> ChatResponse:
        """See `response.parse`."""
        return answers.parse(row.name, body)

    def usage(self, body: bytes) -> Usage:
        """See `response.usage`."""
        return answers.usage(body)

    def stream(self, row: Row) -> StreamParser:
        """See `stream.Parser`."""
        return stream.Parser(row.name)

    def reader(self) -> Reader:
        """Server-sent events."""
        return FrameReader()

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:
        """See `stream.Tap`; the usage chunk is dropped when `edit` asked for it and the client did not."""
        return stream.Tap(row.name, relay_usage=not row.stream_usage or requests.asks_usage(asked))

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `errors.error`."""
        return errors.error(row.name, status, headers, body)

    def models(self, body: bytes) -> list[Model]:
        """See `response.models`."""
        return answers.models(body)

    def next_page(self, body: bytes) -> str:
        """There is none: the list is whole."""
        return ""


OPENAI: Adapter = OpenAI()
