"""Bedrock's answers, stream events and errors as they are on the wire, as far as they must be understood.

What is read from a provider is all optional: recorded answers lack fields that botocore's service model requires, and
have others that it does not know.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Raw, Struct, field

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
"""Tokens; the bound is the largest number that every JSON reader takes for itself."""


class ToolUse(Struct, rename="camel"):
    """A call, or its head in a stream; `type` is `server_tool_use` where Bedrock itself makes the call."""

    tool_use_id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    type: str | None = None


class ReasoningText(Struct):
    """Reasoning; some models sign it."""

    text: str | None = None
    signature: str | None = None


class Reasoning(Struct, rename="camel"):
    """Reasoning, whole or (`text`, `signature`) in a stream; `redacted_content` is base64."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None
    text: str | None = None
    signature: str | None = None


class Web(Struct):
    """A page."""

    url: str | None = None


class Location(Struct):
    """Where a source is; places within the caller's own documents are not read."""

    web: Web | None = None


class Words(Struct):
    """A piece of text."""

    text: str | None = None


class Citation(Struct, rename="camel"):
    """A source of a text."""

    title: str | None = None
    location: Location | None = None
    source_content: list[Words] | None = None


class Cited(Struct):
    """A text with its sources; without a text they are those of the text before it."""

    content: list[Words] | None = None
    citations: list[Citation] | None = None


class Block(Struct, rename="camel"):
    """A piece of an answer; all unset in one of a kind that is not read."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Cited | None = None


class Message(Struct):
    """The turn of the assistant."""

    content: list[Raw] | None = None


class Output(Struct):
    """What holds the message."""

    message: Message | None = None


class CacheDetail(Struct, rename="camel"):
    """Tokens written to the cache that are kept for `ttl`, `5m` or `1h`."""

    ttl: str | None = None
    input_tokens: Count | None = None


class Usage(Struct, rename="camel"):
    """Token counts; `input_tokens` excludes both cache figures, as the total of every recorded answer shows."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_details: list[CacheDetail] | None = None


class Answer(Struct, rename="camel"):
    """A finished answer."""

    output: Output | None = None
    stop_reason: str | None = None
    usage: Raw = Raw()


class Start(Struct, rename="camel"):
    """The `start` of a block in a stream; only calls have one that is read."""

    tool_use: ToolUse | None = None


class CallDelta(Struct):
    """More of a call's JSON text."""

    input: str | None = None


class Delta(Struct, rename="camel"):
    """What is added to a block."""

    text: str | None = None
    tool_use: CallDelta | None = None
    reasoning_content: Reasoning | None = None
    citation: Citation | None = None


class StreamEvent(Struct, rename="camel"):
    """Any event of a stream; which fields are set depends on its name, which is beside the payload."""

    content_block_index: int | None = None
    start: Start | None = None
    delta: Delta | None = None
    stop_reason: str | None = None
    usage: Raw = Raw()


class Failure(Struct):
    """An error body, or the payload of an exception in a stream; which name the text has depends on who answers."""

    kind: str | None = field(default=None, name="__type")
    message: str | None = None
    text: str | None = field(default=None, name="Message")


class TokenCount(Struct, rename="camel"):
    """The answer to `count-tokens`."""

    input_tokens: Count
