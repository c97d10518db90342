"""The OpenAI Chat Completions dialect: what clients of `/chat/completions` speak."""

from __future__ import annotations

from shared.chat import ChatRequest, ChatResponse
from shared.dialects.base import Dialect, Head, StreamRenderer
from shared.dialects.openai_chat import errors, request
from shared.dialects.openai_chat import response as answers
from shared.dialects.openai_chat.messages import WIRE
from shared.dialects.openai_chat.stream import ChunkRenderer
from shared.errors import GatewayError


class OpenAIChat:
    """The functions of this package in the shape of `Dialect`."""

    name = "openai_chat"
    wire = WIRE
    default_provider = "openai"

    def read_head(self, body: bytes, operation: str = "chat") -> Head:  # noqa: ARG002 - this wire has one operation
        """See `request.read_head`."""
        return request.read_head(body)

    def parse(self, body: bytes, model: str) -> ChatRequest:
        """See `request.parse`."""
        return request.parse(body, model)

    def render(self, response: ChatResponse) -> bytes:
        """See `response.render`."""
        return answers.render(response)

    def stream(self, *, include_usage: bool) -> StreamRenderer:
        """See `stream.ChunkRenderer`."""
        return ChunkRenderer(include_usage=include_usage)

    def render_error(self, error: GatewayError, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI's body has no id
        """See `errors.render_error`."""
        return errors.render_error(error)

    def error_status(self, error: GatewayError) -> int:
        """See `errors.error_status`."""
        return errors.error_status(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:  # noqa: ARG002 - OpenAI's body has no id
        """See `errors.stream_error`."""
        return errors.stream_error(error)

    def placeholder(self, job_id: str, model: str, created_s: int) -> bytes:
        """See `response.placeholder`."""
        return answers.placeholder(job_id, model, created_s)

    def fill_empty(self, body: bytes) -> bytes:
        """See `response.fill_empty`."""
        return answers.fill_empty(body)


OPENAI_CHAT: Dialect = OpenAIChat()
