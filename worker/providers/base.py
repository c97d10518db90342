"""What an adapter can do: speak to a family of providers. Pure: bytes in, bytes out; `worker/transport.py` sends.

The adapter of a wire is a package with `request.py response.py stream.py` and an object of the shape below in its
`__init__.py`; a provider is a row of `catalog.py` that names its adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from shared.chat import ChatRequest, ChatResponse, Usage
from shared.errors import ProviderError
from shared.events import Event
from shared.jobs import Job
from shared.sse import Frame


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the catalog.

    Attributes:
        name: as in `provider/model`.
        wire: which adapter speaks to it.
        base_url: default origin and path prefix, no trailing slash; None when the operator must give one.
        auth: header that carries the key: `bearer` (`Authorization: Bearer`), else its name.
        key_optional: local servers need no key.
        max_tokens_field: the name this server understands for the output limit.
        stream_usage: the server accepts `stream_options.include_usage`.
        system_role: role of leading system text on OpenAI-compatible servers (`system` or `developer`).
        strict_fields: the server refuses fields it does not know, so OpenAI-only ones are left out.
        chooses_freely: the server hears neither `tool_choice` nor `parallel_tool_calls`.
        call_id_chars: ids of tool calls must have so many letters and digits, and nothing else; 0 for any id.
        reasoning_field: field of an assistant message in which the server takes its own reasoning back
            (`reasoning_content` or `reasoning`); None when it refuses or ignores it.
        api_path: path prefix to add when the operator gives an origin only, no trailing slash.
        relays: other wires the provider speaks, on which a client's own bodies are passed through.
        embeds: what asks it for embeddings, which its own wire has not; empty for none.
        batches: whose batch API the provider has, `anthropic`, `bedrock`, `gemini` or `openai`; empty for none.
        model_wires: (prefix, adapter) pairs: models whose name begins so are spoken to by that adapter instead.
        fetches: the provider itself fetches URLs of images and documents; else the worker does, and puts the bytes in.
            Chat Completions has no place for a document's URL, so that the worker fetches those for all that speak it.
        reads: beginnings of URLs that one which does not fetch reads all the same: its own stores.
    """

    name: str
    wire: str
    base_url: str | None = None
    auth: str = "bearer"
    key_optional: bool = False
    max_tokens_field: str = "max_tokens"
    stream_usage: bool = True
    system_role: str = "system"
    strict_fields: bool = False
    chooses_freely: bool = False
    call_id_chars: int = 0
    reasoning_field: str | None = None
    api_path: str = ""
    relays: tuple[str, ...] = ()
    embeds: str = ""
    batches: str = ""
    model_wires: tuple[tuple[str, str], ...] = ()
    fetches: bool = True
    reads: tuple[str, ...] = ()


class Rendered(msgspec.Struct, frozen=True):
    """A request body for the provider.

    Attributes:
        body: JSON bytes.
        dropped: harmless hints that this provider cannot express, by field path; reported to the client.
    """

    body: bytes
    dropped: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True):
    """One entry of a provider's model list."""

    id: str
    display_name: str | None = None
    created_s: int | None = None
    owned_by: str | None = None
    raw: msgspec.Raw | None = None


class Reader(Protocol):
    """Cuts a provider's byte stream into frames: server-sent events, or what the wire has instead."""

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames completed by `chunk`. Raises ValueError when it is broken, or a frame is too large."""
        ...

    def close(self) -> list[Frame]:
        """What was left when the stream ended."""
        ...


class StreamParser(Protocol):
    """Turns the provider's frames into canonical events, keeping the promise of `shared/events.py`."""

    @property
    def usage(self) -> Usage:
        """What the provider has told so far."""
        ...

    def feed(self, frame: Frame) -> list[Event]:
        """Events of one frame."""
        ...

    def close(self) -> list[Event]:
        """Events owed when the byte stream ends: nothing after a clean end, else `Broken`."""
        ...


class StreamTap(Protocol):
    """Watches a same-wire stream that is relayed as it came."""

    usage: Usage
    answering: bool
    """The answer itself has begun: what came before only opens the stream, and nobody misses it."""
    finished: bool
    """The provider ended the stream the way its wire demands."""
    final: bytes
    """After the end: the whole answer, on a wire whose clients may read it later; else empty."""

    def feed(self, frame: Frame) -> bytes:
        """The bytes to relay for this frame: its own, or nothing for one the client did not ask for.

        Raises:
            ProviderError: when the frame is the provider's error event; the caller decides whether anything
                was relayed before and so whether this is a failed attempt or a broken stream.
        """
        ...


class PassThrough(Protocol):
    """A wire that client and provider both speak: bodies are edited, never rebuilt."""

    wire: str

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        """URL path, with its query, below the row's base_url for a job's operation.

        `model` is the provider's own name; wires that carry it in the body ignore it, and `stream`.

        Raises:
            Unsupported: the wire has no such operation.
        """
        ...

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Headers for the provider: authentication, version, and what `client` may pass on.

        `client` holds the inbound headers the gateway lets through, names in lower case (`anthropic-version`,
        `anthropic-beta`, and those of `x-bf-eh-*` with the prefix off).
        """
        ...

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:
        """A client's body of the same wire, made ready: model replaced, the gateway's own fields removed.

        Everything else travels byte for byte.
        """
        ...

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """A finished answer for the client who sent `asked`: as it came, but for ids that must lead to the gateway.

        Raises:
            ProviderError: the answer says that the provider failed.
        """
        ...

    def failed(self, body: bytes, row: Row) -> ProviderError | None:
        """The error that a body under status 200 is instead of an answer; None for anything else."""
        ...

    def usage(self, body: bytes) -> Usage:
        """Only the usage of a finished answer.

        Raises:
            msgspec.DecodeError: the body is not JSON.
        """
        ...

    def reader(self) -> Reader:
        """What cuts one stream of this wire into frames."""
        ...

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:
        """A tap for one stream; `asked` is the client's own body (did it ask for usage?)."""
        ...

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """An answer with status ≥ 400 as one of our errors, credentials redacted from its message."""
        ...


class Adapter(PassThrough, Protocol):
    """The provider's side of the translation."""

    def render(self, request: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        """A canonical request in this wire, to be answered or, with `count_tokens`, only counted.

        Raises:
            Unsupported: naming a field that this wire cannot express and that is not a harmless hint.
        """
        ...

    def parse(self, body: bytes, row: Row) -> ChatResponse:
        """A finished answer.

        Raises:
            Garbled: the body is not what this wire promises.
        """
        ...

    def count(self, body: bytes) -> int:
        """Tokens, from the answer to `count_tokens`.

        Raises:
            msgspec.DecodeError: the body is not what this wire promises.
        """
        ...

    def stream(self, row: Row) -> StreamParser:
        """A parser for one stream."""
        ...

    def models(self, body: bytes) -> list[Model]:
        """The provider's model list, or a page of it."""
        ...

    def next_page(self, body: bytes) -> str:
        """What the URL's query must hold for the page of models after this one; empty for none."""
        ...
