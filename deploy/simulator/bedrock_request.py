"""Reads Bedrock's Converse requests, and refuses what the API refuses, in its words."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from deploy.simulator import bedrock_body as wire
from deploy.simulator.answers import Ask, Tool, count_words, signature
from deploy.simulator.bedrock_signature import check_signature
from deploy.simulator.wires import Question, Refusal, problem_of

PATH = re.compile(r"/bedrock/model/(?P<model>[^/]+)/(?P<action>converse|converse-stream|count-tokens)")

_DOCUMENT_NAME = re.compile(r"(?!.*\s\s)[A-Za-z0-9\s\-()\[\]]{1,200}")

_BODY = msgspec.json.Decoder(wire.Body)
_COUNT_BODY = msgspec.json.Decoder(wire.CountBody)


def read(raw: bytes, headers: dict[str, str], *, path: str, model: str, action: str) -> Question:
    """The question in a body of `converse` or `converse-stream`, or in one that is only counted."""
    check_signature(path, headers, raw)
    body = _decoded(raw, counted=action == "count-tokens")
    _check(body)
    return _question(body, model, stream=action == "converse-stream")


def _decoded(raw: bytes, *, counted: bool) -> wire.Body:
    try:
        return _COUNT_BODY.decode(raw).input.converse if counted else _BODY.decode(raw)
    except msgspec.ValidationError as error:
        problem = problem_of(error)
        raise _invalid(f"Value at '{'.'.join(problem.path)}' failed to satisfy constraint: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "The request body is not valid JSON", code="SerializationException") from error


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, code="ValidationException")


def _check(body: wire.Body) -> None:
    if not body.messages or body.messages[0].role != "user":
        raise _invalid(
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )
    for earlier, later in zip(body.messages, body.messages[1:], strict=False):
        if earlier.role == later.role:
            raise _invalid("A conversation must alternate between user and assistant roles.")
    for number, message in enumerate(body.messages):
        if not message.content:
            raise _invalid(f"The content field in the Message object at messages.{number} is empty.")
        _check_blocks(message.content, f"messages.{number}.content")
        if any(block.document for block in message.content) and not any(block.text for block in message.content):
            raise _invalid(f"A text block must stand beside the documents of messages.{number}.")
    _check_blocks(body.system, "system")
    _check_results(body.messages)
    _check_tools(body)
    _check_inference(body.inference_config)


def _check_blocks(blocks: list[wire.Block], path: str) -> None:
    for number, block in enumerate(blocks):
        where = f"{path}.{number}"
        if sum(getattr(block, name) is not None for name in block.__struct_fields__) != 1:
            raise _invalid(f"The ContentBlock object at {where} must set one of the following keys: text, image, …")
        if block.text is not None and not block.text.strip():
            raise _invalid(f"The text field in the ContentBlock object at {where} is blank.")
        if block.document is not None and not _DOCUMENT_NAME.fullmatch(block.document.name):
            raise _invalid("The document file name can only contain alphanumeric characters, whitespace characters, …")
        thought = block.reasoning_content.reasoning_text if block.reasoning_content else None
        if thought is not None and thought.signature != signature(thought.text):
            raise _invalid(f"{where}: Invalid `signature` in `thinking` block")
        if block.tool_result is not None:
            _check_blocks(block.tool_result.content, f"{where}.toolResult.content")


def _check_results(messages: list[wire.Message]) -> None:
    """Every result answers a call of the turn before it, and every call has its result in the turn after it."""
    called: list[str] = []
    for number, message in enumerate(messages):
        results = [block.tool_result.tool_use_id for block in message.content if block.tool_result]
        if sorted(results) != sorted(called):
            raise _invalid(f"Expected toolResult blocks at messages.{number}.content for the following Ids: {called}")
        called = [block.tool_use.tool_use_id for block in message.content if block.tool_use]
    if called:
        raise _invalid(f"Expected toolResult blocks for the following Ids: {', '.join(called)}")


def _check_tools(body: wire.Body) -> None:
    used = any(block.tool_use or block.tool_result for message in body.messages for block in message.content)
    if body.tool_config is None:
        if used:
            raise _invalid("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        return
    if not _tools(body):
        raise _invalid("Value at 'toolConfig.tools' failed to satisfy constraint: at least one tool")
    for number, tool in enumerate(body.tool_config.tools):
        if (tool.tool_spec is None) == (tool.cache_point is None):
            raise _invalid(f"The Tool object at toolConfig.tools.{number} must set one of: toolSpec, cachePoint, …")
        if tool.tool_spec and tool.tool_spec.input_schema.json.get("type") != "object":
            raise _invalid(
                f"The value at toolConfig.tools.{number}.toolSpec.inputSchema.json.type must be one of the following: "
                "object."
            )
    named = body.tool_config.tool_choice.tool if body.tool_config.tool_choice else None
    if named is not None and named.name not in {tool.name for tool in _tools(body)}:
        raise _invalid(f"The tool {named.name!r} of toolConfig.toolChoice is not among toolConfig.tools.")


def _check_inference(config: wire.Inference) -> None:
    if config.max_tokens is not None and config.max_tokens < 1:
        raise _invalid("Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: at least 1")
    for name, value in (("temperature", config.temperature), ("topP", config.top_p)):
        if value is not None and not 0 <= value <= 1:
            raise _invalid(f"Value at 'inferenceConfig.{name}' failed to satisfy constraint: from 0 to 1")


def _question(body: wire.Body, model: str, *, stream: bool) -> Question:
    asked = next(message for message in reversed(body.messages) if message.role == "user")
    choice = (body.tool_config.tool_choice if body.tool_config else None) or wire.Choice()
    own = body.additional_model_request_fields
    ask = Ask(
        user_text=_text_of(asked.content),
        results=[_text_of(block.tool_result.content) for block in asked.content if block.tool_result],
        tools=[Tool(tool.name, tool.input_schema.json) for tool in _tools(body)],
        forced=choice.tool.name if choice.tool else "" if choice.any is not None else None,
        parallel=not own.get("tool_choice", {}).get("disable_parallel_tool_use"),
        thinking="shown" if own.get("thinking", {}).get("type") in {"enabled", "adaptive"} else "none",
        schema=_schema(body.output_config.text_format),
        limit=body.inference_config.max_tokens,
        stops=body.inference_config.stop_sequences,
    )
    user = body.request_metadata.get("user_id", "")
    return Question(model=model, ask=ask, tokens_in=_tokens_in(body), stream=stream, user=user)


def _schema(form: wire.TextFormat | None) -> dict[str, Any] | None:
    if form is None:
        return None
    try:
        return msgspec.json.decode(form.structure.json_schema.schema, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _invalid("outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON.") from error


def _tools(body: wire.Body) -> list[wire.Spec]:
    return [tool.tool_spec for tool in body.tool_config.tools if tool.tool_spec] if body.tool_config else []


def _text_of(blocks: list[wire.Block]) -> str:
    return "\n".join(block.text for block in blocks if block.text is not None)


def _tokens_in(body: wire.Body) -> int:
    count = count_words(_text_of(body.system))
    for message in body.messages:
        count += count_words(_text_of(message.content))
        results = (block.tool_result for block in message.content if block.tool_result)
        count += sum(count_words(_text_of(result.content)) for result in results)
    return max(1, count + sum(1 + count_words(tool.description or "") for tool in _tools(body)))
