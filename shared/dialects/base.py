"""What a dialect can do: the wire format a client speaks, to and from the canonical form. Pure: bytes in, bytes out.

A dialect is a package with the same three files as an adapter (`request.py response.py stream.py`) and an object of
the shape below in its `__init__.py`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from shared.chat import ChatRequest, ChatResponse
from shared.errors import GatewayError
from shared.events import Event


class Head(msgspec.Struct, frozen=True):
    """What the API process reads of a request body; the rest stays bytes.

    Attributes:
        model: as the client wrote it, `provider/` prefix included.
        stream: the client asked for server-sent events.
        fallbacks: the gateway's own list of `provider/model` strings; empty when the field is absent or is the
            vendor's own (a list of objects, or a string).
    """

    model: str
    stream: bool = False
    fallbacks: tuple[str, ...] = ()


class StreamRenderer(Protocol):
    """Turns canonical events into the dialect's SSE bytes. One per stream; holds the only state."""

    def feed(self, event: Event) -> bytes:
        """SSE bytes for one event, possibly empty."""
        ...


class Dialect(Protocol):
    """The client's side of the translation."""

    name: str
    """`anthropic`, `openai_chat`; a job carries it."""

    wire: str
    """Equal to an adapter's `wire` when bodies can be passed through edited instead of rebuilt."""

    default_provider: str
    """Who serves a model without a `provider/` prefix."""

    def read_head(self, body: bytes, operation: str = "chat") -> Head:
        """Check the envelope: JSON, an object, required fields present, types of the fields we rely on.

        `operation` is `chat` or `count_tokens`; the latter asks for fewer fields.

        Raises:
            InvalidRequest: naming the path of the field.
        """
        ...

    def parse(self, body: bytes, model: str) -> ChatRequest:
        """The whole body as a canonical request for `model` (the prefix already resolved away).

        Raises:
            InvalidRequest: naming the path of the field that cannot be read.
        """
        ...

    def render(self, response: ChatResponse) -> bytes:
        """A finished answer as the body of a plain 200."""
        ...

    def stream(self, *, include_usage: bool) -> StreamRenderer:
        """A renderer for one stream."""
        ...

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        """The error body; the status travels beside it."""
        ...

    def error_status(self, error: GatewayError) -> int:
        """HTTP status for `error` on this surface."""
        ...

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """SSE bytes that end a stream that has already begun."""
        ...

    def placeholder(self, job_id: str, model: str, created_s: int) -> bytes:
        """The answer to an accepted or unfinished async job."""
        ...

    def fill_empty(self, body: bytes) -> bytes:
        """A completed answer as the poll path returns it: never one that the documented loops cannot leave."""
        ...
