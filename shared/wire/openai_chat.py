"""Requests of OpenAI Chat Completions as they are on the wire: https://platform.openai.com/docs/api-reference/chat.

First what clients send, then what we send to providers. Only what must be understood is declared; `Raw` members hold
JSON that is carried or judged elsewhere. Answers are in `openai_chat_answer.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

Role: TypeAlias = Literal["developer", "system", "user", "assistant", "tool", "function"]

NULL = Raw(b"null")

# --- what clients send ----------------------------------------------------------------------------


class EnvelopeMessage(msgspec.Struct):
    """A message as far as the API process looks into it."""

    role: Role
    content: str | list[Raw] | None = None


class Envelope(msgspec.Struct):
    """The body as far as the API process looks into it; the rest is skipped, not built."""

    model: str
    messages: Annotated[list[EnvelopeMessage], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    fallbacks: Raw = NULL


class FunctionCall(msgspec.Struct):
    """A function's name and arguments; `arguments` is JSON text, though some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(msgspec.Struct):
    """A call in a history, an answer or a delta. Mistral leaves `type` out; deltas leave all but `index` out."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None


class Message(msgspec.Struct):
    """One message of a request.

    Not declared, because they only echo an earlier answer or hint at caching: `annotations`, `reasoning_details`,
    `provider_metadata`, `cache_control`.
    """

    role: Role
    content: str | list[Raw] | None = None
    name: str | None = None
    tool_calls: list[Raw] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    function_call: Raw = NULL
    audio: Raw = NULL


class ImageUrl(msgspec.Struct, omit_defaults=True):
    """Where an image is: an http(s) or a data URL."""

    url: str
    detail: str | None = None


class File(msgspec.Struct, omit_defaults=True):
    """A file by id, or inline as a data URL."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ThinkingText(msgspec.Struct):
    """One piece of Mistral's `thinking` list."""

    text: str = ""


class ContentPart(msgspec.Struct, omit_defaults=True):
    """A part of a message's content; `thinking` is Mistral's, in histories and answers."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: File | None = None
    thinking: list[ThinkingText] | str | None = None


class StreamOptions(msgspec.Struct, omit_defaults=True):
    """`include_obfuscation` is not declared: it pads frames on OpenAI's own network only."""

    include_usage: bool | None = None


class FunctionDefinition(msgspec.Struct, omit_defaults=True):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None


class Tool(msgspec.Struct, omit_defaults=True):
    """An entry of `tools`; only `function` ones are understood."""

    type: str | None = None
    function: FunctionDefinition | None = None


class FunctionName(msgspec.Struct):
    """A function chosen by name."""

    name: str


class NamedTool(msgspec.Struct):
    """A tool chosen by name."""

    function: FunctionName
    type: str = "function"


class AllowedTools(msgspec.Struct):
    """A subset of the tools."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class ToolChoice(msgspec.Struct, omit_defaults=True):
    """`tool_choice` in its object form."""

    type: str | None = None
    function: FunctionName | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchema(msgspec.Struct, omit_defaults=True):
    """`response_format.json_schema`."""

    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, omit_defaults=True):
    """`response_format`: `text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class Request(msgspec.Struct):
    """The fields of a request that have a canonical meaning."""

    messages: Annotated[list[Raw], msgspec.Meta(min_length=1)]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[Raw] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


# --- what we send to providers ---------------------------------------------------------------------


class WrittenFunction(msgspec.Struct):
    """A call's function; a later delta has no name."""

    name: str | UnsetType = UNSET
    arguments: str = ""


class WrittenToolCall(msgspec.Struct):
    """A call in an answer (no index), in a delta (index), or in a history (no index)."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: WrittenFunction | UnsetType = UNSET


class WrittenRequestMessage(msgspec.Struct, omit_defaults=True):
    """A message of a request to a provider. `content` null is left out, as OpenAI allows beside `tool_calls`."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WrittenToolCall] | None = None


class WrittenRequest(msgspec.Struct, omit_defaults=True):
    """A request to a provider."""

    model: str
    messages: list[WrittenRequestMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
