"""Requests of Gemini's `generateContent` as they are on the wire: https://ai.google.dev/api/generate-content.

Only what the gateway writes; no client sends it such bodies. Answers are in `gemini_answer.py`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

WIRE = "gemini"


class Blob(Struct, rename="camel"):
    """Bytes, base64."""

    mime_type: str
    data: str


class FileData(Struct, rename="camel", omit_defaults=True):
    """A file that Google fetches: of its Files API, of Cloud Storage, of YouTube, on newer models any public one."""

    file_uri: str
    mime_type: str | None = None


class FunctionCall(Struct):
    """A call in a history; `args` is an object."""

    id: str
    name: str
    args: Raw


class FunctionResponsePart(Struct, rename="camel"):
    """What of a result is no text; Gemini 3 and later take it."""

    inline_data: Blob


class FunctionResponse(Struct, omit_defaults=True):
    """The result of a call; `response` has one key, `output` or `error`."""

    id: str
    name: str
    response: dict[str, str]
    parts: list[FunctionResponsePart] | None = None


class Part(Struct, rename="camel", omit_defaults=True):
    """One part; one of its fields but for `thought` and `thought_signature` is set. An empty text is sent."""

    text: str | UnsetType = UNSET
    thought: bool = False
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None


class Content(Struct, omit_defaults=True):
    """A turn, or the system instruction, which has no role."""

    parts: list[Part]
    role: Literal["user", "model"] | None = None


class FunctionDeclaration(Struct, rename="camel", omit_defaults=True):
    """A function; its parameters are a JSON Schema, not the older subset of OpenAPI's."""

    name: str
    description: str | None = None
    parameters_json_schema: Raw | UnsetType = UNSET


class Tool(Struct, rename="camel"):
    """All functions together."""

    function_declarations: list[FunctionDeclaration]


class FunctionCallingConfig(Struct, rename="camel", omit_defaults=True):
    """Which functions may or must be called."""

    mode: Literal["AUTO", "ANY", "NONE"]
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    """`toolConfig`."""

    function_calling_config: FunctionCallingConfig


class ThinkingConfig(Struct, rename="camel", omit_defaults=True):
    """How hard to think: Gemini 2.5 takes a budget of tokens, later models a level."""

    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"] | None = None


class GenerationConfig(Struct, rename="camel", omit_defaults=True):
    """`generationConfig`."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_json_schema: Raw | UnsetType = UNSET
    thinking_config: ThinkingConfig | None = None


class Request(Struct, rename="camel", omit_defaults=True):
    """A body of `generateContent`, which names neither the model nor whether to stream."""

    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None


class CountedRequest(Request, rename="camel", omit_defaults=True, kw_only=True):
    """The request inside a body of `countTokens`; it names the model, as `models/…`."""

    model: str


class CountRequest(Struct, rename="camel"):
    """A body of `countTokens`, of the Gemini API; Vertex takes the bare request."""

    generate_content_request: CountedRequest
