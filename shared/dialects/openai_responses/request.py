"""A client's Responses request: the envelope for the API process, the whole for the worker."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest, Foreign, OutputFormat, Reasoning, Text, Tool, ToolChoice
from shared.dialects.base import Head
from shared.dialects.openai_errors import decode, invalid
from shared.dialects.openai_own import is_own, own_fallbacks
from shared.dialects.openai_responses.items import Conversation, Hints, kind_of, present
from shared.wire import openai_responses as wire

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_REQUEST = msgspec.json.Decoder(wire.Request)
_TOOL = msgspec.json.Decoder(wire.Tool)

_SERVED = frozenset({"background", "previous_response_id", "store", "stream_options"})
"""Fields that the gateway itself honours, whoever answers."""
_UNDERSTOOD = _SERVED.union(wire.Request.__struct_fields__)
_SERVED_INCLUDES = frozenset({"message.input_image.image_url", "reasoning.encrypted_content"})
"""Parts of an answer, or of its input items, that are always shown."""
_CHOICES: dict[str, ToolChoice] = {
    "none": ToolChoice("none"),
    "auto": ToolChoice("auto"),
    "required": ToolChoice("any"),
}
_PATHS = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "output_format": "text.format",
    "system": "instructions",
}
"""Where this wire has what the canonical form calls by another name."""


def read_head(body: bytes, operation: str = "chat") -> Head:
    """Check the envelope of a `chat` or `count_tokens` request and read what routing needs.

    Raises:
        InvalidRequest: malformed JSON, or a field missing or of the wrong type, named as in `input[0].role`.
    """
    envelope = decode(_ENVELOPE, body)
    present(envelope.model, "model")
    if envelope.conversation != wire.NULL:
        raise invalid("conversation", "no conversations are kept here; use previous_response_id")
    if not envelope.previous_response_id:
        _check_input(envelope.input, envelope.prompt)
    if isinstance(envelope.input, list):
        for index, item in enumerate(envelope.input):
            kind_of(item, f"input[{index}]")
    asked = operation == "chat"
    return Head(
        model=envelope.model,
        stream=asked and bool(envelope.stream),
        fallbacks=own_fallbacks(envelope.fallbacks),
        background=asked and bool(envelope.background),
        store=asked and envelope.store is not False,
        previous=envelope.previous_response_id or "",
    )


def _check_input(given: Collection[object] | None, prompt: Raw) -> None:
    if not given and prompt == wire.NULL:
        raise invalid("input", "missing required field" if given is None else "must not be empty")


def parse(body: bytes, model: str) -> ChatRequest:
    """The whole body as a canonical request for `model`. Its `input` must be the whole conversation.

    Raises:
        InvalidRequest: naming the path of the field that cannot be read.
    """
    fields = decode(_FIELDS, body)
    request = decode(_REQUEST, body)
    _check_input(request.input, fields.get("prompt", wire.NULL))
    hints = Hints()
    _note_fields(request, fields, hints)
    conversation = Conversation(request.input or [], hints)
    system = (Text(request.instructions),) if request.instructions else ()
    tools = tuple(_tool(raw, f"tools[{index}]", hints) for index, raw in enumerate(request.tools or []))
    choice, tools = _tool_choice(request.tool_choice, tools, fields, hints)
    effort = request.reasoning.effort if request.reasoning else None
    return ChatRequest(
        model=model,
        messages=tuple(conversation.turns),
        system=system + conversation.system,
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        reasoning=Reasoning(effort=effort) if effort else None,
        output_format=_output_format(request.text, fields, hints),
        user_id=request.safety_identifier or request.user,
        stream=request.stream or False,
        foreign=hints.foreign(),
        paths=_PATHS | {"user_id": "safety_identifier" if request.safety_identifier else "user"} | conversation.paths,
    )


def _note_fields(request: wire.Request, fields: dict[str, Raw], hints: Hints) -> None:
    understood = _UNDERSTOOD - {"user"} if request.safety_identifier else _UNDERSTOOD
    for name, raw in fields.items():
        if name not in understood and not is_own(name, raw):
            hints.keep(name, name, raw)
    if request.reasoning:
        hints.note(fields["reasoning"], request.reasoning.__struct_fields__, "reasoning", "reasoning.")
    if request.text:
        hints.note(fields["text"], request.text.__struct_fields__, "text")
    for index, name in enumerate(request.include or []):
        if name not in _SERVED_INCLUDES:
            hints.keep(name, f"include[{index}]", fields["include"])


def _tool(raw: Raw, path: str, hints: Hints) -> Tool | Foreign:
    tool = decode(_TOOL, raw, path)
    if tool.type != "function":
        return Foreign(wire=wire.WIRE, kind=tool.type, path=path, raw=raw)
    hints.note(raw, tool.__struct_fields__, path)
    parameters = None if tool.parameters == wire.NULL else tool.parameters
    return Tool(present(tool.name, f"{path}.name"), tool.description, parameters, tool.strict)


def _tool_choice(
    choice: str | wire.ToolChoice | None, tools: tuple[Tool | Foreign, ...], fields: dict[str, Raw], hints: Hints
) -> tuple[ToolChoice | None, tuple[Tool | Foreign, ...]]:
    """The choice, and the tools it leaves: `allowed_tools` with mode `auto` only narrows what may be called."""
    if choice is None:
        return None, tools
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise invalid("tool_choice", f"not one of {', '.join(_CHOICES)}")
        return _CHOICES[choice], tools
    if choice.type == "function":
        return ToolChoice("tool", (present(choice.name, "tool_choice.name"),)), tools
    if choice.type != "allowed_tools" or any(tool.type != "function" for tool in choice.tools):
        hints.keep(choice.type, "tool_choice", fields["tool_choice"])
        return None, tools
    names = tuple(present(tool.name, f"tool_choice.tools[{at}].name") for at, tool in enumerate(choice.tools))
    if not names:
        raise invalid("tool_choice.tools", "must not be empty")
    if choice.mode == "required":
        return ToolChoice("subset", names), tools
    return ToolChoice("auto"), tuple(tool for tool in tools if isinstance(tool, Foreign) or tool.name in names)


def _output_format(text: wire.TextConfig | None, fields: dict[str, Raw], hints: Hints) -> OutputFormat | None:
    if text is None or text.format is None or text.format.type == "text":
        return None
    wanted = text.format
    if wanted.type == "json_object":
        return OutputFormat()
    if wanted.type == "json_schema":
        if wanted.schema == wire.NULL:
            raise invalid("text.format.schema", "missing required field")
        return OutputFormat(wanted.schema, wanted.name, wanted.description, wanted.strict)
    hints.keep(wanted.type, "text.format", fields["text"])
    return None
