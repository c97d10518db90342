"""Requests of OpenAI's Responses API as they are on the wire: https://platform.openai.com/docs/api-reference/responses.

Only what must be understood is declared; `Raw` members hold JSON that is carried or judged elsewhere. Answers are in
`openai_responses_answer.py`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw

WIRE = "openai_responses"
NULL = Raw(b"null")

SIGNATURE_TAG = "hermod:"
"""Begins the `encrypted_content` of reasoning that another wire signed: `hermod:<origin>:<signature>`."""
REDACTED_TAG = "hermod-redacted:"
"""Begins the `encrypted_content` of reasoning that only another wire can read: `hermod-redacted:<origin>:<data>`."""

Role: TypeAlias = Literal["user", "assistant", "system", "developer"]


class Item(msgspec.Struct):
    """What tells the kinds of input items apart. A message may lack its `type`, and so may a reference by `id`."""

    type: str | None = None
    role: str | None = None
    id: str | None = None


class Envelope(msgspec.Struct):
    """The body as far as the API process looks into it; the rest is skipped, not built."""

    model: str
    input: str | list[Item] | None = None
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None
    conversation: Raw = NULL
    prompt: Raw = NULL
    fallbacks: Raw = NULL


# --- input items ----------------------------------------------------------------------------------


class Message(msgspec.Struct):
    """A message."""

    role: Role
    content: str | list[Raw]


class FunctionCall(msgspec.Struct):
    """A call in the history."""

    call_id: str
    name: str
    arguments: str


class FunctionCallOutput(msgspec.Struct):
    """What a function answered."""

    call_id: str
    output: str | list[Raw]


class ReasoningText(msgspec.Struct):
    """A `summary_text` or a `reasoning_text`."""

    text: str = ""


class ReasoningItem(msgspec.Struct):
    """Reasoning of an earlier answer: a summary from OpenAI, the whole `content` from some compatible servers."""

    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None


# --- content parts --------------------------------------------------------------------------------


class ContentPart(msgspec.Struct):
    """What tells the kinds of content parts apart."""

    type: str


class TextPart(msgspec.Struct):
    """An `input_text` or an `output_text`."""

    text: str


class RefusalPart(msgspec.Struct):
    """A `refusal` of an earlier answer."""

    refusal: str


class ImagePart(msgspec.Struct):
    """An `input_image`: an http(s) or a data URL, or an uploaded file."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(msgspec.Struct):
    """An `input_file`: `file_data` is a data URL or base64."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


# --- the rest of a request ------------------------------------------------------------------------


class Tool(msgspec.Struct):
    """An entry of `tools`; only `function` ones, which are flat, are understood."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None


class AllowedTool(msgspec.Struct):
    """A tool of the subset that may be called."""

    type: str
    name: str | None = None


class ToolChoice(msgspec.Struct, omit_defaults=True):
    """`tool_choice` in its object form; `mode` and `tools` are those of `allowed_tools`."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[AllowedTool] = []


class TextFormat(msgspec.Struct, omit_defaults=True):
    """`text.format`: `text`, `json_object` or a flat `json_schema`."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class TextConfig(msgspec.Struct):
    """`text`, as far as it is more than a wish."""

    format: TextFormat | None = None


class ReasoningConfig(msgspec.Struct):
    """`reasoning`, as far as it is more than a wish."""

    effort: str | None = None


class Request(msgspec.Struct):
    """The fields of a request that have a canonical meaning."""

    input: str | list[Raw] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Raw] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningConfig | None = None
    text: TextConfig | None = None
    include: list[str] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    stream: bool | None = None


# --- what we ask providers to count ---------------------------------------------------------------


class WrittenPart(msgspec.Struct, omit_defaults=True):
    """A part of a message."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class WrittenItem(msgspec.Struct, omit_defaults=True):
    """An item of the input: a message, a call or what a function answered."""

    type: str
    role: str | None = None
    content: str | list[WrittenPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


class CountRequest(msgspec.Struct, omit_defaults=True):
    """A body of `POST /responses/input_tokens`."""

    model: str
    input: list[WrittenItem]
    tools: list[Tool] | None = None
    tool_choice: str | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningConfig | None = None
    text: TextConfig | None = None


# --- stored conversations --------------------------------------------------------------------------


class RawInput(msgspec.Struct):
    """The input of a request, its items untouched."""

    input: str | list[Raw] | None = None


class RawOutput(msgspec.Struct):
    """The output of a finished response, its items untouched."""

    output: list[Raw] | None = None


class OutputItem(msgspec.Struct):
    """What decides whether an item of an output can be sent back."""

    type: str | None = None
    encrypted_content: str | None = None


class WrittenItemList(msgspec.Struct):
    """A page of input items."""

    data: list[dict[str, Raw]]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: str = "list"
