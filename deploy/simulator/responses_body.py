"""The bodies of OpenAI's Responses API: their fields, and what is refused about each of them alone."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.simulator.openai_refusals import check_decimal, check_least, check_one_of, decode, invalid, missing
from deploy.simulator.wires import Refusal

_LEAST_OUTPUT = 16
_CHOICES = ("none", "auto", "required")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES = ("concise", "detailed", "auto")
_VERBOSITIES = ("low", "medium", "high")
_FORMATS = ("json_object", "text", "json_schema")
_TIERS = ("auto", "default", "fast", "flex", "priority", "scale", "ultrafast")
_TRUNCATIONS = ("auto", "disabled")
_HIGHEST_TEMPERATURE = 2


class Format(msgspec.Struct):
    """The form of the text: prose, JSON, JSON of a schema."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Text(msgspec.Struct, forbid_unknown_fields=True):
    """How the text is to be written."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """How hard to think, and what to show of it."""

    effort: str | None = None
    summary: str | None = None
    context: str | None = None
    mode: str | None = None


class Tool(msgspec.Struct):
    """A function, flat unlike in chat completions, or a tool of the vendor, of which only the type is read."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """How to stream."""

    include_obfuscation: bool | None = None


class Stored(msgspec.Struct):
    """A reference to something kept by the vendor."""

    id: str


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """All fields of the API, any other is refused; those of type Any are accepted and ignored."""

    model: str
    input: str | list[msgspec.Raw] | None = None
    access_programs: Any = None
    background: bool | None = None
    context_management: Any = None
    conversation: str | Stored | None = None
    frequency_penalty: float | None = None
    image: Any = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, str] | None = None
    moderation: Any = None
    parallel_tool_calls: bool | None = None
    personality: Any = None
    presence_penalty: float | None = None
    previous_response_id: str | None = None
    prompt: Stored | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    text: Text | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[msgspec.Raw] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    user: str | None = None


_BODY = msgspec.json.Decoder(Body)
_TOOL = msgspec.json.Decoder(Tool)


def read_body(raw: bytes) -> Body:
    """The body, when each of its fields can be served for itself; items of input and tools are left as they are."""
    body = decode(_BODY, raw)
    if not body.input and body.previous_response_id is None and body.conversation is None and body.prompt is None:
        message = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
        raise invalid(message, "input", "missing_required_parameter")
    _check_words(body)
    _check_numbers(body)
    _check_format(body.text.format if body.text else None)
    _check_stored(body)
    return body


def read_tools(body: Body) -> list[Tool]:
    """The tools of a body; refuses a function without a name."""
    tools = [decode(_TOOL, raw, f"tools[{number}]") for number, raw in enumerate(body.tools or [])]
    for number, tool in enumerate(tools):
        if tool.type == "function" and tool.name is None:
            raise missing(f"tools[{number}].name")
    return tools


def _check_words(body: Body) -> None:
    check_one_of(body.service_tier, _TIERS, "service_tier")
    check_one_of(body.truncation, _TRUNCATIONS, "truncation")
    if body.reasoning is not None:
        check_one_of(body.reasoning.effort, _EFFORTS, "reasoning.effort")
        check_one_of(body.reasoning.summary, _SUMMARIES, "reasoning.summary")
    if body.text is not None:
        check_one_of(body.text.verbosity, _VERBOSITIES, "text.verbosity")
    if isinstance(body.tool_choice, str):
        check_one_of(body.tool_choice, _CHOICES, "tool_choice")


def _check_numbers(body: Body) -> None:
    check_least(body.max_output_tokens, _LEAST_OUTPUT, "max_output_tokens")
    check_least(body.max_tool_calls, 1, "max_tool_calls")
    check_decimal(body.temperature, _HIGHEST_TEMPERATURE, "temperature")
    check_decimal(body.top_p, 1, "top_p")


def _check_format(form: Format | None) -> None:
    if form is None:
        return
    check_one_of(form.type, _FORMATS, "text.format.type")
    if form.type == "json_schema":
        for name in ("name", "schema"):
            if getattr(form, name) is None:
                raise missing(f"text.format.{name}")


def _check_stored(body: Body) -> None:
    """The simulator stores nothing, so nothing that was stored is found, and nothing can be fetched later."""
    if body.previous_response_id is not None:
        message = f"Previous response with id '{body.previous_response_id}' not found."
        raise invalid(message, "previous_response_id", "previous_response_not_found")
    if body.conversation is not None:
        name = body.conversation if isinstance(body.conversation, str) else body.conversation.id
        raise Refusal(404, f"Conversation with id '{name}' not found.")
    if body.prompt is not None:
        raise Refusal(404, f"Prompt with id '{body.prompt.id}' not found.")
    if body.background:
        raise invalid("Background mode needs a store, and this provider has none.", "background")
