"""The dialect of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import ChatRequest, ChatResponse
from shared.dialects.anthropic import errors, request, response, stream, versions
from shared.dialects.base import NO_HEADERS, Dialect, Head, StreamRenderer
from shared.errors import GatewayError
from shared.jobs import Job, State


class _Anthropic:
    name = "anthropic"
    wire = "anthropic"
    default_provider = "anthropic"
    request_id_header = "request-id"

    def read_head(self, body: bytes, operation: str = "chat", headers: Mapping[str, str] = NO_HEADERS) -> Head:
        head = request.read_head(body, operation)
        versions.check(headers.get(versions.HEADER), body)
        return head

    def parse(self, body: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS) -> ChatRequest:
        return request.parse(body, model)

    def render(self, response_: ChatResponse, job: Job, body: bytes) -> bytes:
        return response.render(response_)

    def render_count(self, tokens: int) -> bytes:
        return b'{"input_tokens":%d}' % tokens

    def stream(self, request_: ChatRequest, job: Job, body: bytes) -> StreamRenderer:
        return stream.Renderer()

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.render_error(error, request_id)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def stream_error(self, error: GatewayError, job: Job, last: bytes) -> bytes:
        return errors.stream_error(error, job.request_id)

    def placeholder(self, job: Job, state: State, body: bytes = b"") -> bytes:
        return response.placeholder(job.id, job.model)

    def fill_empty(self, body: bytes) -> bytes:
        return response.fill_empty(body)


ANTHROPIC: Dialect = _Anthropic()
