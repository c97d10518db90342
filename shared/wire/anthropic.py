"""Requests to Anthropic's Messages API and its content blocks as they are on the wire, as far as we must understand.

Unions (content blocks, tools) are read as `list[Raw]`: a tagged union would refuse the block types of tomorrow. A
struct that is written gives its tag; optional fields are left out at their default.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

WIRE = "anthropic"

SIGNATURE_TAG = "hermod:"
"""Begins a thinking signature that is not Anthropic's: `hermod:<origin>:<signature>`. The dialect writes and reads it,
the adapter keeps it away from Anthropic, which would refuse it."""

MAX_MESSAGES = 100_000
"""Turns in one request, a limit of the Messages API."""


# --- request: read from clients, strictly -----------------------------------------------------------


class Turn(Struct):
    """One entry of `messages`."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Raw]


class Envelope(Struct, kw_only=True):
    """What is checked before a request is accepted. `max_tokens` is absent from count_tokens."""

    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    stream: bool | None = None
    fallbacks: Raw = Raw()


class ToolChoice(Struct, omit_defaults=True):
    """`tool_choice`."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(Struct, omit_defaults=True):
    """`thinking`."""

    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: int | None = None


class Format(Struct):
    """`output_config.format`, and the old top-level `output_format`."""

    type: Literal["json_schema"]
    schema: Raw


class OutputConfig(Struct, omit_defaults=True):
    """`output_config`."""

    effort: str | None = None
    format: Format | None = None


class Metadata(Struct, omit_defaults=True):
    """`metadata`."""

    user_id: str | None = None


class Request(Envelope, kw_only=True):
    """The whole body of a request as it is read."""

    system: str | list[Raw] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Raw] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    metadata: Metadata | None = None


class CacheControl(Struct):
    """How far the prompt is to be cached, and for how long: `5m` or `1h`."""

    ttl: str | None = None


class CustomTool(Struct, omit_defaults=True):
    """A tool the client runs itself (`type` absent or `custom`)."""

    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None


# --- request: written to the provider ---------------------------------------------------------------


class TurnOut(Struct):
    """One entry of `messages`; `content` is never empty."""

    role: str
    content: list[Block | Raw]


class RequestOut(Struct, kw_only=True, omit_defaults=True):
    """The whole body of a request as it is written."""

    model: str
    max_tokens: int
    messages: list[TurnOut]
    system: list[TextBlock] = []
    stop_sequences: list[str] = []
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[CustomTool | Raw] = []
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None
    stream: bool = False


# --- content blocks, both directions ----------------------------------------------------------------


class TextBlock(Struct, tag="text", tag_field="type"):
    """Plain text."""

    text: str


class Source(Struct, omit_defaults=True):
    """Where an image or document is: `type` is base64, url, file, text or content."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[Raw] | None = None


class ImageBlock(Struct, tag="image", tag_field="type"):
    """An image."""

    source: Source


class Citations(Struct):
    """`citations` of a document: may the answer cite it."""

    enabled: bool = False


class DocumentBlock(Struct, tag="document", tag_field="type", omit_defaults=True):
    """A PDF or a text."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class ThinkingBlock(Struct, tag="thinking", tag_field="type"):
    """Reasoning; empty `thinking` with a signature when it was asked to be omitted."""

    thinking: str
    signature: str = ""


class RedactedBlock(Struct, tag="redacted_thinking", tag_field="type"):
    """Reasoning only the provider can read."""

    data: str


class ToolUseBlock(Struct, tag="tool_use", tag_field="type"):
    """A call; `input` is a JSON object."""

    id: str
    name: str
    input: Raw


class SearchResultBlock(Struct, tag="search_result", tag_field="type"):
    """What a search of the caller's own found; `content` holds text blocks."""

    source: str
    title: str
    content: list[Raw]
    citations: Citations | None = None


class ToolResultBlock(Struct, tag="tool_result", tag_field="type", omit_defaults=True):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None


class ToolResultOut(Struct, tag="tool_result", tag_field="type", omit_defaults=True):
    """A tool result as it is written."""

    tool_use_id: str
    content: str | list[Block | Raw] = ""
    is_error: bool = False


Block: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
    | ToolResultOut
)
