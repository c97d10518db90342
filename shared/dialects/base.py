"""What a dialect can do: the wire format a client speaks, to and from the canonical form. Pure: bytes in, bytes out.

A dialect is a package with the same three files as an adapter (`request.py response.py stream.py`) and an object of
the shape below in its `__init__.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import msgspec

from shared.chat import ChatRequest, ChatResponse
from shared.errors import GatewayError, InvalidRequest
from shared.events import Event
from shared.jobs import Job, State

MOST_FALLBACKS = 10
"""In a request: each has its own retries, and a caller could keep a slot for hours with more."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Head(msgspec.Struct, frozen=True):
    """What the API process reads of a request body; the rest stays bytes.

    Attributes:
        model: as the client wrote it, `provider/` prefix included.
        stream: the client asked for server-sent events.
        fallbacks: the gateway's own list of `provider/model` strings; empty when the field is absent or is the
            vendor's own (a list of objects, or a string).
        background: the client will come back for the answer, as with `x-bf-async` (OpenAI's `background`).
        store: request and answer are kept, to be read and continued later (OpenAI's `store`).
        previous: id of the stored answer whose conversation this request continues; empty for none.
    """

    model: str
    stream: bool = False
    fallbacks: tuple[str, ...] = ()
    background: bool = False
    store: bool = False
    previous: str = ""

    def __post_init__(self) -> None:
        """Raise InvalidRequest for more fallbacks than MOST_FALLBACKS."""
        if len(self.fallbacks) > MOST_FALLBACKS:
            message = f"fallbacks: at most {MOST_FALLBACKS} models, got {len(self.fallbacks)}."
            raise InvalidRequest(message, param="fallbacks")


class StreamRenderer(Protocol):
    """Turns canonical events into the dialect's SSE bytes. One per stream; holds the only state."""

    @property
    def final(self) -> bytes:
        """After the end: the whole answer, where the dialect lets clients read it later; else empty."""
        ...

    def feed(self, event: Event) -> bytes:
        """SSE bytes for one event, possibly empty."""
        ...


class Dialect(Protocol):
    """The client's side of the translation."""

    name: str
    """`anthropic`, `openai_chat`, `openai_responses`; a job carries it."""

    wire: str
    """Equal to an adapter's `wire` when bodies can be passed through edited instead of rebuilt."""

    default_provider: str
    """Who serves a model without a `provider/` prefix."""

    request_id_header: str
    """Where the vendor's SDKs look for the id of the request."""

    def read_head(self, body: bytes, operation: str = "chat", headers: Mapping[str, str] = NO_HEADERS) -> Head:
        """Check the envelope: JSON, an object, required fields present, types of the fields we rely on.

        `operation` is a job's; `headers` are the client's, names in lower case: they may say which version of the
        API the body is written for.

        Raises:
            InvalidRequest: naming the path of the field, or the header.
        """
        ...

    def parse(self, body: bytes, model: str, headers: Mapping[str, str] = NO_HEADERS) -> ChatRequest:
        """The whole body as a canonical request for `model` (the prefix already resolved away).

        Raises:
            InvalidRequest: naming the path of the field that cannot be read.
        """
        ...

    def render(self, response: ChatResponse, job: Job, body: bytes) -> bytes:
        """A finished answer as the body of a plain 200; `body` is the request, of which some dialects repeat parts."""
        ...

    def render_count(self, tokens: int) -> bytes:
        """The answer to `count_tokens`."""
        ...

    def stream(self, request: ChatRequest, job: Job, body: bytes) -> StreamRenderer:
        """A renderer for one stream, the answer to `request`, which was parsed from `body`."""
        ...

    def render_error(self, error: GatewayError, request_id: str) -> bytes:
        """The error body; the status travels beside it."""
        ...

    def error_status(self, error: GatewayError) -> int:
        """HTTP status for `error` on this surface."""
        ...

    def stream_error(self, error: GatewayError, job: Job, last: bytes) -> bytes:
        """SSE bytes that end a stream that has already begun; `last` are the last bytes sent of it, whole frames."""
        ...

    def placeholder(self, job: Job, state: State, body: bytes = b"") -> bytes:
        """The answer to an accepted or unfinished job; `body` is the request where it is at hand."""
        ...

    def fill_empty(self, body: bytes) -> bytes:
        """A completed answer as the poll path returns it: never one that the documented loops cannot leave."""
        ...
