"""Reads OpenAI's chat requests, and refuses what Chat Completions refuses, in its words."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.simulator.answers import Ask, Tool, count_words
from deploy.simulator.ledger import key_of
from deploy.simulator.openai_refusals import check_known_tool, check_least, decode, invalid, missing
from deploy.simulator.schema import ANY_OBJECT
from deploy.simulator.wires import Question, Refusal

_ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_MOST_COPIES = 128
_MOST_STOPS = 4


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


class _ToolCall(msgspec.Struct):
    id: str


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _ToolDefinition(msgspec.Struct):
    type: str
    function: _Function | None = None


class _NamedFunction(msgspec.Struct):
    name: str


class _ToolChoice(msgspec.Struct):
    type: str
    function: _NamedFunction | None = None


class _JsonSchema(msgspec.Struct):
    name: str
    schema: dict[str, Any] | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct, kw_only=True):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[_ToolDefinition] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    user: str | None = None
    safety_identifier: str | None = None


_BODY = msgspec.json.Decoder(_Body)


def check(headers: dict[str, str], key_required: bool) -> None:
    """Refuses a call without a key (401)."""
    if key_required and not key_of(headers):
        raise Refusal(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        )


def read(raw: bytes, _: dict[str, str]) -> Question:
    """The question in a body of `POST /chat/completions`."""
    body = decode(_BODY, raw)
    if not body.messages:
        raise invalid("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages")
    _check_limits(body)
    _check_tools(body)
    _check_results(body.messages)
    return _question(body)


def _check_limits(body: _Body) -> None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise invalid(message, "max_tokens", "invalid_parameter_combination")
    for name in ("max_tokens", "max_completion_tokens", "n"):
        check_least(getattr(body, name), 1, name)
    if body.n is not None and body.n > _MOST_COPIES:
        raise invalid(f"Invalid 'n': integer above maximum value. Expected a value <= {_MOST_COPIES}.", "n")
    if isinstance(body.stop, list) and len(body.stop) > _MOST_STOPS:
        raise invalid("Invalid 'stop': array too long. Expected an array with maximum length 4.", "stop")
    if body.stream_options is not None and not body.stream:
        raise invalid("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    form = body.response_format
    if form is not None and form.type == "json_schema" and form.json_schema is None:
        raise missing("response_format.json_schema")


def _check_tools(body: _Body) -> None:
    for number, tool in enumerate(body.tools or []):
        if tool.type == "function" and tool.function is None:
            raise missing(f"tools[{number}].function")
    if body.tool_choice in {None, "none"} if not isinstance(body.tool_choice, _ToolChoice) else False:
        return
    if body.tool_choice is not None and not body.tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    check_known_tool(_forced(body.tool_choice), _callable(body.tools or []))


def _check_results(messages: list[_Message]) -> None:
    """Every call is answered by a tool message before anybody else speaks, and nothing else is."""
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        param = f"messages.[{number}].role"
        if message.role not in _ROLES:
            raise invalid(f"Invalid value: '{message.role}'.", f"messages[{number}].role", "invalid_value")
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                raise invalid(f"Invalid parameter: {text}", param)
            open_calls.remove(message.tool_call_id)
            continue
        _check_answered(open_calls, param)
        open_calls = [call.id for call in message.tool_calls or []]
    _check_answered(open_calls, f"messages.[{len(messages)}].role")


def _check_answered(open_calls: list[str], param: str) -> None:
    if open_calls:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            param,
        )


def _question(body: _Body) -> Question:
    asked = next((message for message in reversed(body.messages) if message.role == "user"), None)
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    ask = Ask(
        user_text=_text_of(asked.content) if asked else "",
        results=_last_results(body.messages),
        tools=[] if body.tool_choice == "none" else _callable(body.tools or []),
        forced=_forced(body.tool_choice),
        parallel=body.parallel_tool_calls is not False,
        schema=_schema(body.response_format),
        limit=body.max_completion_tokens if body.max_tokens is None else body.max_tokens,
        stops=stops,
    )
    return Question(
        model=body.model,
        ask=ask,
        tokens_in=_tokens_in(body),
        stream=body.stream is True,
        user=body.user or body.safety_identifier or "",
        with_usage=bool(body.stream_options and body.stream_options.include_usage),
        copies=body.n or 1,
    )


def _forced(choice: str | _ToolChoice | None) -> str | None:
    if isinstance(choice, _ToolChoice):
        return choice.function.name if choice.function else None
    return "" if choice == "required" else None


def _callable(tools: list[_ToolDefinition]) -> list[Tool]:
    return [Tool(tool.function.name, tool.function.parameters or {}) for tool in tools if tool.function]


def _schema(form: _ResponseFormat | None) -> dict[str, Any] | None:
    if form is None or form.type not in {"json_schema", "json_object"}:
        return None
    return form.json_schema.schema or {} if form.json_schema else ANY_OBJECT


def _last_results(messages: list[_Message]) -> list[str]:
    results: list[str] = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results.insert(0, _text_of(message.content))
    return results


def _text_of(content: str | list[_Part] | None) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content or [] if part.text)


def _tokens_in(body: _Body) -> int:
    count = sum(count_words(_text_of(message.content)) for message in body.messages)
    described = [tool.function.description or "" for tool in body.tools or [] if tool.function]
    return max(1, count + sum(1 + count_words(text) for text in described))
