"""The adapter for providers that speak Gemini's `generateContent`: the Gemini API and Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from shared.chat import ChatRequest, ChatResponse, Usage
from shared.errors import ProviderError, Unsupported
from shared.sse import FrameReader
from shared.wire.gemini import WIRE
from worker.providers.base import Adapter, Model, Reader, Rendered, Row, StreamParser
from worker.providers.gemini import count, errors, request, response, stream
from worker.providers.headers import json_headers
from worker.providers.unspoken import Unspoken

_METHODS = {"chat": "generateContent", "count_tokens": "countTokens"}
_STREAMED = "streamGenerateContent?alt=sse"
_MODELS = "/models?pageSize=1000"
"""The API's largest page."""


class _Gemini(Unspoken):
    wire = WIRE

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        if operation == "models":
            return _MODELS
        if operation not in _METHODS:
            raise Unsupported(f"Gemini's API has no operation {operation!r}.", code="unsupported_operation")
        method = _STREAMED if stream and operation == "chat" else _METHODS[operation]
        return f"/models/{quote(model.removeprefix('models/'), safe='@')}:{method}"

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        return json_headers(row, key, client)

    def render(self, request_: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        return request.render(request_, row, counted=operation == "count_tokens")

    def count(self, body: bytes) -> int:
        return count.tokens(body)

    def parse(self, body: bytes, row: Row) -> ChatResponse:
        return response.parse(row.name, body)

    def usage(self, body: bytes) -> Usage:
        return response.usage(body)

    def stream(self, row: Row) -> StreamParser:
        return stream.Parser(row.name)

    def reader(self) -> Reader:
        return FrameReader()

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        return errors.error(row.name, status, headers, body)

    def models(self, body: bytes) -> list[Model]:
        return response.models(body)

    def next_page(self, body: bytes) -> str:
        return response.next_page(body)


GEMINI: Adapter = _Gemini()
