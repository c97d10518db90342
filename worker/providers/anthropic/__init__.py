"""The adapter for providers that speak Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import ChatRequest, ChatResponse, Usage
from shared.errors import ProviderError, Unsupported
from shared.jobs import Job
from shared.sse import FrameReader
from worker.providers.anthropic import count, edit, errors, request, response, stream
from worker.providers.base import Adapter, Model, Reader, Rendered, Row, StreamParser, StreamTap
from worker.providers.headers import credential

DEFAULT_VERSION = "2023-06-01"
"""`anthropic-version` of requests whose client named none: the version that still takes sampling parameters."""

_PATHS = {
    "chat": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "models": "/v1/models?limit=1000",  # the API's largest page
}


class Anthropic:
    """The functions of this package in the shape of `Adapter`."""

    wire = "anthropic"

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        """URL path below the row's base_url for `chat`, `count_tokens` or `models`.

        Raises:
            Unsupported: any other operation.
        """
        if operation not in _PATHS:
            raise Unsupported(f"Anthropic's API has no operation {operation!r}.", code="unsupported_operation")
        return _PATHS[operation]

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """The version, the client's own that may pass, the content type and the key."""
        version = {"anthropic-version": DEFAULT_VERSION}
        return {**version, **client, "content-type": "application/json", **credential(row, key)}

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:
        """See `edit.edit`."""
        return edit.edit(body, model)

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """As it came: nobody can ask for it by its id again."""
        return body

    def failed(self, body: bytes, row: Row) -> ProviderError | None:
        """See `errors.under_200`."""
        return errors.under_200(row.name, body)

    def render(self, request_: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        """See `request.render`; of a count, what the endpoint takes."""
        rendered = request.render(request_, row.name)
        return count.only_counted(rendered) if operation == "count_tokens" else rendered

    def count(self, body: bytes) -> int:
        """See `count.tokens`."""
        return count.tokens(body)

    def parse(self, body: bytes, row: Row) -> ChatResponse:
        """See `response.parse`."""
        return response.parse(row.name, body)

    def usage(self, body: bytes) -> Usage:
        """See `response.usage`."""
        return response.usage(body)

    def stream(self, row: Row) -> StreamParser:
        """See `stream.Parser`."""
        return stream.Parser(row.name)

    def reader(self) -> Reader:
        """Server-sent events."""
        return FrameReader()

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:
        """See `stream.Tap`."""
        return stream.Tap(row.name)

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """See `errors.error`."""
        return errors.error(row.name, status, headers, body)

    def models(self, body: bytes) -> list[Model]:
        """See `response.models`."""
        return response.models(body)

    def next_page(self, body: bytes) -> str:
        """See `response.next_page`."""
        return response.next_page(body)


ANTHROPIC: Adapter = Anthropic()
