"""Counting tokens: OpenAI counts what the Responses API would read, so the messages become that API's items."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shared.errors import Unsupported
from shared.wire import openai_chat as chat
from shared.wire import openai_responses as wire
from worker.providers.base import Row

PATH = "/responses/input_tokens"
"""https://platform.openai.com/docs/api-reference/responses/input-tokens"""


class _Count(msgspec.Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


def check(row: Row) -> None:
    """Raise Unsupported for a server that has Chat Completions only, which counts nothing."""
    if wire.WIRE not in row.relays:
        message = f"model: provider {row.name!r} cannot do this. It does not count tokens before it answers."
        raise Unsupported(message, param="model", code="unsupported_operation")


def asking(body: chat.WrittenRequest) -> wire.CountRequest:
    """What asks for the count of a request; how it is to be answered changes no count and is left out."""
    return wire.CountRequest(
        model=body.model,
        input=[item for message in body.messages for item in _items(message)],
        tools=[_tool(tool.function) for tool in body.tools if tool.function] if body.tools else None,
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning=wire.ReasoningConfig(body.reasoning_effort) if body.reasoning_effort else None,
        text=_text(body.response_format),
    )


def tokens(body: bytes) -> int:
    """`input_tokens`. Raises msgspec.DecodeError."""
    return _COUNT.decode(body).input_tokens


def _items(message: chat.WrittenRequestMessage) -> Iterator[wire.WrittenItem]:
    if message.role == "tool":
        output = message.content if isinstance(message.content, str) else ""
        yield wire.WrittenItem("function_call_output", call_id=message.tool_call_id, output=output)
        return
    content = message.content
    if isinstance(content, list):
        yield wire.WrittenItem("message", role=message.role, content=[_part(part) for part in content])
    elif content is not None:
        yield wire.WrittenItem("message", role=message.role, content=content)
    if message.refusal:
        refusal = wire.WrittenPart("refusal", refusal=message.refusal)
        yield wire.WrittenItem("message", role=message.role, content=[refusal])
    for call in message.tool_calls or ():
        function = call.function or chat.WrittenFunction()
        yield wire.WrittenItem(
            "function_call", call_id=call.id or None, name=function.name or None, arguments=function.arguments
        )


def _part(part: chat.ContentPart) -> wire.WrittenPart:
    """A part of a user's message; texts, images and files are all that is rendered."""
    if isinstance(part.image_url, chat.ImageUrl):
        return wire.WrittenPart("input_image", image_url=part.image_url.url, detail=part.image_url.detail)
    if part.file is not None:
        file = part.file
        return wire.WrittenPart("input_file", file_data=file.file_data, file_id=file.file_id, filename=file.filename)
    return wire.WrittenPart("input_text", text=part.text or "")


def _tool(function: chat.FunctionDefinition) -> wire.Tool:
    """Strict only where it was asked for: the Responses API is so by itself, and its schemas are longer."""
    return wire.Tool("function", function.name, function.description, function.parameters, function.strict or False)


def _choice(choice: str | chat.ToolChoice | None) -> str | wire.ToolChoice | None:
    if choice is None or isinstance(choice, str):
        return choice
    return wire.ToolChoice("function", name=choice.function.name if choice.function else None)


def _text(wanted: chat.ResponseFormat | None) -> wire.TextConfig | None:
    if wanted is None:
        return None
    if wanted.json_schema is None:
        return wire.TextConfig(wire.TextFormat(wanted.type))
    schema = wanted.json_schema
    return wire.TextConfig(wire.TextFormat(wanted.type, schema.name, schema.description, schema.schema, schema.strict))
