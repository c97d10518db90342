"""Bedrock's request bodies, strictly: a field that the API does not know is refused.

Source: the service model of botocore (`bedrock-runtime/2023-09-30`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Strict(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Refuses fields that the API does not know."""


class Bytes(Strict, frozen=True):
    """Where an image or document is."""

    bytes: str | None = None
    s3_location: dict[str, str] | None = None
    text: str | None = None


class Image(Strict, frozen=True):
    """An image."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: Bytes


class Document(Strict, frozen=True):
    """A document."""

    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"]
    name: str
    source: Bytes
    context: str | None = None


class ReasoningText(Strict, frozen=True):
    """Signed reasoning."""

    text: str
    signature: str | None = None


class Reasoning(Strict, frozen=True):
    """Reasoning given back."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class ToolUse(Strict, frozen=True):
    """A call."""

    tool_use_id: str
    name: str
    input: dict[str, Any]


class ToolResult(Strict, frozen=True):
    """What a tool answered."""

    tool_use_id: str
    content: list[Block]
    status: Literal["success", "error"] | None = None


class Block(Strict, frozen=True):
    """A piece of content: exactly one of these."""

    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    reasoning_content: Reasoning | None = None
    cache_point: dict[str, str] | None = None


class Message(Strict, frozen=True):
    """One turn."""

    role: Literal["user", "assistant"]
    content: list[Block]


class Inference(Strict, frozen=True):
    """Sampling and length."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []


class Schema(Strict, frozen=True):
    """A JSON Schema."""

    json: dict[str, Any]


class Spec(Strict, frozen=True):
    """A tool."""

    name: str
    input_schema: Schema
    description: str | None = None
    strict: bool | None = None


class Tool(Strict, frozen=True):
    """An entry of the tools: one of these."""

    tool_spec: Spec | None = None
    cache_point: dict[str, str] | None = None


class Named(Strict, frozen=True):
    """The tool to call."""

    name: str


class Choice(Strict, frozen=True):
    """Whether tools must be called."""

    auto: dict[str, Any] | None = None
    any: dict[str, Any] | None = None
    tool: Named | None = None


class ToolConfig(Strict, frozen=True):
    """Tools and choice."""

    tools: list[Tool]
    tool_choice: Choice | None = None


class JsonSchema(Strict, frozen=True):
    """A JSON Schema as text."""

    schema: str
    name: str | None = None
    description: str | None = None


class Structure(Strict, frozen=True):
    """What a format is made of."""

    json_schema: JsonSchema


class TextFormat(Strict, frozen=True):
    """Structured output."""

    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(Strict, frozen=True):
    """How to answer."""

    text_format: TextFormat | None = None
    effort: str | None = None


class Body(Strict, frozen=True, kw_only=True):
    """The body of `converse` and `converse-stream`."""

    messages: list[Message]
    system: list[Block] = []
    inference_config: Inference = Inference()
    tool_config: ToolConfig | None = None
    output_config: OutputConfig = OutputConfig()
    request_metadata: dict[str, str] = {}
    additional_model_request_fields: dict[str, Any] = {}
    guardrail_config: dict[str, Any] | None = None
    performance_config: dict[str, Any] | None = None
    service_tier: dict[str, str] | None = None


class Counted(Strict, frozen=True):
    """What is counted."""

    converse: Body


class CountBody(Strict, frozen=True):
    """The body of `count-tokens`."""

    input: Counted
