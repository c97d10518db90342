"""Anthropic's answers, streams, errors and model lists as they are on the wire, as far as they must be understood.

What is read from a provider is all optional: a quarter of the recorded answers lack fields or add some.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from shared.wire.anthropic import Block

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
"""Tokens; the bound is the largest number that every JSON reader takes for itself."""

# --- citations --------------------------------------------------------------------------------------


class FoundCitation(Struct):
    """A source of a text, of any kind, as it is read; `url` or `source` says where it is, if it is on the web."""

    url: str | None = None
    source: str | None = None
    title: str | None = None
    cited_text: str | None = None


class WebCitation(Struct, tag="web_search_result_location", tag_field="type"):
    """A source on the web as it is written, in the form of one that Anthropic's own search found.

    `encrypted_index` would lead into that search. Empty, it marks a source that was found elsewhere: the adapter keeps
    such a one away from Anthropic.
    """

    url: str
    title: str | None
    cited_text: str
    encrypted_index: str = ""


class CitedTextBlock(Struct, tag="text", tag_field="type"):
    """A text with its sources."""

    text: str
    citations: list[WebCitation]


# --- answer -----------------------------------------------------------------------------------------


class CacheCreation(Struct):
    """Tokens written to the cache, by how long they are kept."""

    ephemeral_5m_input_tokens: Count | None = 0
    ephemeral_1h_input_tokens: Count | None = 0


class OutputDetails(Struct):
    """`usage.output_tokens_details`."""

    thinking_tokens: Count | None = 0


class Usage(Struct, omit_defaults=True):
    """Token counts; `input_tokens` excludes both cache figures."""

    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None


class Answer(Struct):
    """A finished message, or the shell in `message_start`, as providers send it."""

    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = Raw()
    usage: Raw = Raw()


class StopDetails(Struct, tag="refusal", tag_field="type"):
    """Why a refusal was made."""

    category: str | None = None
    explanation: str | None = None


class AnswerOut(Struct, tag="message", tag_field="type", kw_only=True):
    """A message as clients receive it, with every field their SDKs read."""

    id: str
    role: str = "assistant"
    model: str
    content: list[Block | CitedTextBlock | Raw]
    stop_reason: str | None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: Usage


# --- stream -----------------------------------------------------------------------------------------


class Delta(Struct, omit_defaults=True):
    """The `delta` of `content_block_delta`, and of `message_delta` as it is read."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw | UnsetType = UNSET
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw | UnsetType = UNSET


class StreamEvent(Struct):
    """Any event as it is read; which fields are set depends on `type`."""

    type: str | None = None
    index: int | None = None
    message: Answer | None = None
    content_block: Raw = Raw()
    delta: Delta | None = None
    usage: Raw = Raw()


class MessageStart(Struct, tag="message_start", tag_field="type"):
    """Opens the stream."""

    message: AnswerOut


class BlockStart(Struct, tag="content_block_start", tag_field="type"):
    """Opens a block with its empty shell."""

    index: int
    content_block: Block


class CitationsDelta(Struct, tag="citations_delta", tag_field="type"):
    """The `delta` that adds a source, as it is written."""

    citation: WebCitation


class BlockDelta(Struct, tag="content_block_delta", tag_field="type"):
    """Adds to the open block."""

    index: int
    delta: Delta | CitationsDelta


class BlockStop(Struct, tag="content_block_stop", tag_field="type"):
    """Closes the open block."""

    index: int


class StopDelta(Struct):
    """The `delta` of `message_delta` as it is written."""

    stop_reason: str
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class MessageDelta(Struct, tag="message_delta", tag_field="type"):
    """How the answer ended; `usage` is cumulative."""

    delta: StopDelta
    usage: Usage


class MessageStop(Struct, tag="message_stop", tag_field="type"):
    """Ends the stream."""


# --- errors and lists -------------------------------------------------------------------------------


class ErrorDetail(Struct, omit_defaults=True):
    """`error` of an error body; `details.error_code` is the machine-readable reason."""

    type: str
    message: str
    details: Raw | dict[str, str] | None = None


class ErrorBody(Struct, tag="error", tag_field="type", omit_defaults=True):
    """An error body; in a stream the data of `event: error`."""

    error: ErrorDetail
    request_id: str | None = None


class ModelEntry(Struct):
    """One entry of the model list; `created_at` is RFC 3339."""

    id: str
    display_name: str | None = None
    created_at: str | None = None


class ModelList(Struct):
    """`GET /v1/models`."""

    data: list[Raw]
    has_more: bool | None = None
    last_id: str | None = None
