"""The OpenAI Responses dialect: what clients of `/responses` speak."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import ChatRequest, ChatResponse
from shared.dialects import openai_errors
from shared.dialects.base import NO_HEADERS, Dialect, Head, StreamRenderer
from shared.dialects.openai_responses import request, response, states, stream
from shared.errors import GatewayError
from shared.jobs import Job, State
from shared.wire.openai_responses import WIRE


class OpenAIResponses:
    """The functions of this package in the shape of `Dialect`."""

    name = "openai_responses"
    wire = WIRE
    default_provider = "openai"
    request_id_header = "x-request-id"

    def read_head(self, body: bytes, operation: str = "chat", headers: Mapping[str, str] = NO_HEADERS) -> Head:
        """See `request.read_head`."""
        return request.read_head(body, operation)

    def parse(self, body: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS) -> ChatRequest:
        """See `request.parse`."""
        return request.parse(body, model)

    def render(self, response_: ChatResponse, job: Job, body: bytes) -> bytes:
        """See `response.render`."""
        return response.render(response_, job, body)

    def render_count(self, tokens: int) -> bytes:
        """The answer of `/responses/input_tokens`."""
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens

    def stream(self, request_: ChatRequest, job: Job, body: bytes) -> StreamRenderer:
        """See `stream.Renderer`."""
        return stream.Renderer(job, body)

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        """See `openai_errors.render_error`."""
        return openai_errors.render_error(error)

    def error_status(self, error: GatewayError) -> int:
        """See `openai_errors.error_status`."""
        return openai_errors.error_status(error)

    def stream_error(self, error: GatewayError, job: Job, last: bytes) -> bytes:
        """See `stream.stream_error`."""
        return stream.stream_error(error, job, last)

    def placeholder(self, job: Job, state: State, body: bytes = b"") -> bytes:
        """See `states.placeholder`."""
        return states.placeholder(job, state, body)

    def fill_empty(self, body: bytes) -> bytes:
        """See `response.fill_empty`."""
        return response.fill_empty(body)


OPENAI_RESPONSES: Dialect = OpenAIResponses()
