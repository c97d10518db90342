"""The dialect of Anthropic's Messages API."""

from __future__ import annotations

from shared.chat import ChatRequest, ChatResponse
from shared.dialects.anthropic import errors, request, response, stream
from shared.dialects.base import Dialect, Head, StreamRenderer
from shared.errors import GatewayError


class _Anthropic:
    name = "anthropic"
    wire = "anthropic"
    default_provider = "anthropic"

    def read_head(self, body: bytes, operation: str = "chat") -> Head:
        return request.read_head(body, operation)

    def parse(self, body: bytes, model: str) -> ChatRequest:
        return request.parse(body, model)

    def render(self, response_: ChatResponse) -> bytes:
        return response.render(response_)

    def stream(self, *, include_usage: bool) -> StreamRenderer:  # noqa: ARG002 - this wire always sends usage
        return stream.Renderer()

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.render_error(error, request_id)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.stream_error(error, request_id)

    def placeholder(self, job_id: str, model: str, created_s: int) -> bytes:  # noqa: ARG002 - no time on this wire
        return response.placeholder(job_id, model)

    def fill_empty(self, body: bytes) -> bytes:
        return response.fill_empty(body)


ANTHROPIC: Dialect = _Anthropic()
