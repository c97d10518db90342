"""A client's Chat Completions request: the envelope for the API process, the whole for the worker."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest, Foreign, OutputFormat, Reasoning, Tool, ToolChoice
from shared.dialects.base import Head
from shared.dialects.openai_chat.messages import WIRE, Conversation, Hints
from shared.dialects.openai_errors import decode, invalid
from shared.dialects.openai_own import is_own, own_fallbacks
from shared.wire import openai_chat as wire

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_REQUEST = msgspec.json.Decoder(wire.Request)
_TOOL = msgspec.json.Decoder(wire.Tool)

_UNDERSTOOD = frozenset(wire.Request.__struct_fields__)
_SAYS_NOTHING = {
    "n": frozenset({b"1"}),
    "logprobs": frozenset({b"false"}),
    "modalities": frozenset({b'["text"]', b"[]"}),
    "functions": frozenset({b"[]"}),
    "function_call": frozenset({b'"auto"', b'"none"'}),
    "logit_bias": frozenset({b"{}"}),
    "metadata": frozenset({b"{}"}),
    "service_tier": frozenset({b'"auto"'}),
    "top_logprobs": frozenset({b"0"}),
}
"""Values that ask for what every provider does anyway, compared without their white space."""
_CHOICES: dict[str, ToolChoice] = {
    "none": ToolChoice("none"),
    "auto": ToolChoice("auto"),
    "required": ToolChoice("any"),
    "any": ToolChoice("any"),  # Mistral's word for `required`
}


_PATHS = {
    "output_format": "response_format",
    "output_format.description": "response_format.json_schema.description",
    "reasoning": "reasoning_effort",
    "reasoning.effort": "reasoning_effort",
}
"""Where this wire has what the canonical form calls by another name."""


def read_head(body: bytes) -> Head:
    """Check the envelope and read what routing needs.

    Raises:
        InvalidRequest: malformed JSON, or a field missing or of the wrong type, named as in `messages[0].role`.
    """
    envelope = decode(_ENVELOPE, body)
    if not envelope.model:
        raise invalid("model", "must not be empty")
    return Head(model=envelope.model, stream=envelope.stream or False, fallbacks=own_fallbacks(envelope.fallbacks))


def parse(body: bytes, model: str) -> ChatRequest:
    """The whole body as a canonical request for `model`.

    Raises:
        InvalidRequest: naming the path of the field that cannot be read.
    """
    fields = decode(_FIELDS, body)
    request = decode(_REQUEST, body)
    hints = Hints()
    conversation = Conversation(request.messages, hints)
    tools = tuple(_tools(request.tools or [], hints))
    foreign = list(_foreign(fields))
    choice, tools = _tool_choice(request.tool_choice, tools, fields, foreign)
    limit = request.max_completion_tokens
    return ChatRequest(
        model=model,
        messages=tuple(conversation.turns),
        system=conversation.system,
        max_tokens=request.max_tokens if limit is None else limit,
        temperature=request.temperature,
        top_p=request.top_p,
        stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        reasoning=Reasoning(effort=request.reasoning_effort) if request.reasoning_effort else None,
        output_format=_output_format(request.response_format, fields, foreign),
        user_id=request.safety_identifier or request.user,
        stream=request.stream or False,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        foreign=(*foreign, *hints.foreign()),
        paths=_PATHS | {"user_id": "safety_identifier" if request.safety_identifier else "user"} | conversation.paths,
    )


def _foreign(fields: dict[str, Raw]) -> Iterable[Foreign]:
    """The fields without a canonical meaning, except those that say nothing."""
    for name, raw in fields.items():
        if (name in _UNDERSTOOD and not _is_second(name, fields)) or is_own(name, raw):
            continue
        value = b"".join(bytes(raw).split())
        if value != b"null" and value not in _SAYS_NOTHING.get(name, ()):
            yield Foreign(wire=WIRE, kind=name, path=name, raw=raw)


def _is_second(name: str, fields: dict[str, Raw]) -> bool:
    """`user` beside the newer field that took its place."""
    return name == "user" and bytes(fields.get("safety_identifier", wire.NULL)) != b"null"


def _tools(tools: list[Raw], hints: Hints) -> Iterable[Tool | Foreign]:
    for index, raw in enumerate(tools):
        path = f"tools[{index}]"
        tool = decode(_TOOL, raw, path)
        if tool.type not in {None, "function"}:
            yield Foreign(wire=WIRE, kind=tool.type or "", path=path, raw=raw)
        elif tool.function is None:
            raise invalid(f"{path}.function", "missing required field")
        else:
            function = tool.function
            hints.note(raw, tool.__struct_fields__, path)
            hints.note(
                decode(_FIELDS, raw)["function"], function.__struct_fields__, f"{path}.function", "function_field"
            )
            schema = None if bytes(function.parameters) == b"null" else function.parameters
            yield Tool(function.name, function.description, schema, function.strict)


def _tool_choice(
    choice: str | wire.ToolChoice | None,
    tools: tuple[Tool | Foreign, ...],
    fields: dict[str, Raw],
    foreign: list[Foreign],
) -> tuple[ToolChoice | None, tuple[Tool | Foreign, ...]]:
    """The choice, and the tools it leaves: `allowed_tools` with mode `auto` only narrows what may be called."""
    if choice is None:
        return None, tools
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise invalid("tool_choice", "not one of the known values")
        return _CHOICES[choice], tools
    if choice.function:
        return ToolChoice("tool", (choice.function.name,)), tools
    if choice.allowed_tools:
        names = tuple(tool.function.name for tool in choice.allowed_tools.tools)
        if choice.allowed_tools.mode == "required":
            return ToolChoice("subset", names), tools
        return ToolChoice("auto"), tuple(tool for tool in tools if isinstance(tool, Foreign) or tool.name in names)
    foreign.append(Foreign(wire=WIRE, kind=choice.type or "", path="tool_choice", raw=fields["tool_choice"]))
    return None, tools


def _output_format(
    wanted: wire.ResponseFormat | None, fields: dict[str, Raw], foreign: list[Foreign]
) -> OutputFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat()
    if wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise invalid("response_format.json_schema", "missing required field")
        found = wanted.json_schema
        schema = Raw(b"{}") if bytes(found.schema) == b"null" else found.schema
        return OutputFormat(schema, found.name, found.description, found.strict)
    foreign.append(Foreign(wire=WIRE, kind=wanted.type, path="response_format", raw=fields["response_format"]))
    return None
