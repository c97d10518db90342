"""Requests to Bedrock's Converse API as they are on the wire, as far as we write them.

Source: the service model of botocore (`bedrock-runtime/2023-09-30`). Where that has a union, an object with exactly one
member, the struct here has a field for each member, of which one is set.
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

WIRE = "bedrock"


class S3Location(Struct):
    """An object in S3."""

    uri: str


class Source(Struct, rename="camel", omit_defaults=True):
    """Where an image or document is: `bytes` is base64."""

    bytes: str | None = None
    s3_location: S3Location | None = None
    text: str | None = None


class Image(Struct):
    """An image; `format` is png, jpeg, gif or webp."""

    format: str
    source: Source


class Document(Struct, omit_defaults=True):
    """A document; `format` is an extension, as `pdf`."""

    format: str
    name: str
    source: Source
    context: str | None = None


class ReasoningText(Struct):
    """Reasoning with what proves who wrote it."""

    text: str
    signature: str


class Reasoning(Struct, rename="camel", omit_defaults=True):
    """Reasoning given back; `redacted_content` is base64."""

    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class ToolUse(Struct, rename="camel"):
    """A call; `input` is a JSON object."""

    tool_use_id: str
    name: str
    input: Raw


class ToolResult(Struct, rename="camel", omit_defaults=True):
    """What a tool answered; `status` is `success` unless it says otherwise."""

    tool_use_id: str
    content: list[Block]
    status: str | None = None


class CachePoint(Struct, omit_defaults=True):
    """Where what is cached of the prompt ends; `ttl` is `5m` unless it says `1h`."""

    type: str
    ttl: str | None = None


class Block(Struct, rename="camel", omit_defaults=True):
    """A piece of content."""

    text: str | None = None
    image: Image | None = None
    document: Document | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    reasoning_content: Reasoning | None = None
    cache_point: CachePoint | None = None


class Message(Struct):
    """One turn; `content` is never empty."""

    role: str
    content: list[Block]


class InferenceConfig(Struct, rename="camel", omit_defaults=True):
    """What every model understands of sampling and length."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []


class InputSchema(Struct):
    """A JSON Schema, untouched."""

    json: Raw


class ToolSpec(Struct, rename="camel", omit_defaults=True):
    """A tool the client runs itself."""

    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class Tool(Struct, rename="camel", omit_defaults=True):
    """An entry of `toolConfig.tools`."""

    tool_spec: ToolSpec | None = None
    cache_point: CachePoint | None = None


class NamedTool(Struct):
    """The tool that must be called."""

    name: str


class ToolChoice(Struct, omit_defaults=True):
    """Whether tools must be called; there is no choice that forbids it."""

    any: dict[str, str] | None = None
    tool: NamedTool | None = None


class ToolConfig(Struct, rename="camel", omit_defaults=True):
    """`toolConfig`; `tools` is never empty."""

    tools: list[Tool]
    tool_choice: ToolChoice | None = None


class JsonSchema(Struct, omit_defaults=True):
    """A JSON Schema as JSON text."""

    schema: str
    name: str | None = None
    description: str | None = None


class Structure(Struct, rename="camel"):
    """What a text format is made of."""

    json_schema: JsonSchema


class TextFormat(Struct):
    """Structured output; `type` is `json_schema`."""

    type: str
    structure: Structure


class OutputConfig(Struct, rename="camel", omit_defaults=True):
    """How to answer."""

    text_format: TextFormat | None = None
    effort: str | None = None


class Request(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The whole body of `converse` and `converse-stream`; the URL names the model."""

    messages: list[Message]
    system: list[Block] = []
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    request_metadata: dict[str, str] | None = None
    additional_model_request_fields: dict[str, object] | None = None
    guardrail_config: Raw | UnsetType = UNSET
    performance_config: Raw | UnsetType = UNSET
    service_tier: Raw | UnsetType = UNSET
