"""The OpenAI Chat Completions dialect: what clients of `/chat/completions` speak."""

from __future__ import annotations

from collections.abc import Mapping

from shared.chat import ChatRequest, ChatResponse
from shared.dialects import openai_errors
from shared.dialects.base import NO_HEADERS, Dialect, Head, StreamRenderer
from shared.dialects.openai_chat import embeddings, errors, request
from shared.dialects.openai_chat import response as answers
from shared.dialects.openai_chat.messages import WIRE
from shared.dialects.openai_chat.stream import ChunkRenderer
from shared.errors import GatewayError, Unsupported
from shared.jobs import Job, State


class OpenAIChat:
    """The functions of this package in the shape of `Dialect`. Embeddings come on the same wire."""

    name = "openai_chat"
    wire = WIRE
    default_provider = "openai"
    request_id_header = "x-request-id"

    def read_head(self, body: bytes, operation: str = "chat", headers: Mapping[str, str] = NO_HEADERS) -> Head:
        """See `request.read_head`, and for the operation `embeddings` `embeddings.read_head`."""
        return embeddings.read_head(body) if operation == "embeddings" else request.read_head(body)

    def parse(self, body: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS) -> ChatRequest:
        """See `request.parse`."""
        return request.parse(body, model)

    def render(self, response: ChatResponse, job: Job, body: bytes) -> bytes:
        """See `response.render`."""
        return answers.render(response)

    def render_count(self, tokens: int) -> bytes:
        """Raise Unsupported: Chat Completions counts no tokens."""
        raise Unsupported("Chat Completions has no operation 'count_tokens'.", code="unsupported_operation")

    def stream(self, request: ChatRequest, job: Job, body: bytes) -> StreamRenderer:
        """See `stream.ChunkRenderer`."""
        return ChunkRenderer(include_usage=request.include_usage)

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        """See `openai_errors.render_error`."""
        return openai_errors.render_error(error)

    def error_status(self, error: GatewayError) -> int:
        """See `openai_errors.error_status`."""
        return openai_errors.error_status(error)

    def stream_error(self, error: GatewayError, job: Job, last: bytes) -> bytes:
        """See `errors.stream_error`."""
        return errors.stream_error(error)

    def placeholder(self, job: Job, state: State, body: bytes = b"") -> bytes:
        """See `response.placeholder` and `embeddings.placeholder`."""
        if job.operation == "embeddings":
            return embeddings.placeholder(job.id, job.model)
        return answers.placeholder(job.id, job.model, job.created_ms // 1000)

    def fill_empty(self, body: bytes) -> bytes:
        """See `response.fill_empty`."""
        return answers.fill_empty(body)


OPENAI_CHAT: Dialect = OpenAIChat()
