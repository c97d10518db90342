"""Reads Anthropic's requests, and refuses what the Messages API refuses, in its words."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from deploy.simulator.answers import Ask, Tool, count_words
from deploy.simulator.ledger import key_of
from deploy.simulator.wires import Question, Refusal, problem_of

_VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
_WITHOUT_SAMPLING = "2026-10-21"
"""From this version on the sampling parameters are refused, even at their default values."""
_ROLES = ("user", "assistant", "system")
_LEAST_BUDGET = 1024
_NAMES = {
    "int": "a valid integer",
    "str": "a valid string",
    "bool": "a valid boolean",
    "array": "a valid list",
    "object": "a valid dictionary",
}


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    id: str | None = None
    tool_use_id: str | None = None
    content: Any = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block]


class _ToolDefinition(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _CountBody(msgspec.Struct, kw_only=True):
    model: str
    messages: list[_Message]
    system: str | list[_Block] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tools: list[_ToolDefinition] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None
    output_format: _Format | None = None
    thread: dict[str, Any] | None = None
    temperature: Any = msgspec.UNSET
    top_p: Any = msgspec.UNSET
    top_k: Any = msgspec.UNSET


class _Body(_CountBody, kw_only=True):
    max_tokens: int


_AnyBody = TypeVar("_AnyBody", bound=_CountBody)
_BODY = msgspec.json.Decoder(_Body)
_COUNT_BODY = msgspec.json.Decoder(_CountBody)


def check(headers: dict[str, str], key_required: bool) -> None:
    """Refuses a call without a key (401) or with a missing or unknown version (400)."""
    if key_required and not key_of(headers):
        raise Refusal(401, "x-api-key header is required")
    version = headers.get("anthropic-version")
    if version is None:
        raise Refusal(400, "anthropic-version: header is required")
    if version not in _VERSIONS:
        raise Refusal(400, f"anthropic-version: {version!r} is not a valid version")


def read(raw: bytes, headers: dict[str, str]) -> Question:
    """The question in a body of `POST /v1/messages`."""
    body = _decoded(_BODY, raw)
    _check_body(body, headers)
    if body.max_tokens < 0:
        raise Refusal(400, "max_tokens: Input should be greater than or equal to 0")
    _check_thinking(body.thinking, body.max_tokens)
    return _question(body, body.max_tokens)


def read_count(raw: bytes, headers: dict[str, str]) -> Question:
    """The same for `POST /v1/messages/count_tokens`, whose bodies have no `max_tokens`."""
    body = _decoded(_COUNT_BODY, raw)
    _check_body(body, headers)
    return _question(body, None)


def _decoded(decoder: msgspec.json.Decoder[_AnyBody], raw: bytes) -> _AnyBody:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        problem = problem_of(error)
        where = ".".join(problem.path) or "body"
        wanted = _NAMES.get(problem.expected.removesuffix(" | null"), problem.expected)
        raise Refusal(400, f"{where}: {f'Input should be {wanted}' if wanted else 'Field required'}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "The request body is not valid JSON") from error


def _check_body(body: _CountBody, headers: dict[str, str]) -> None:
    if headers.get("anthropic-version") == _WITHOUT_SAMPLING:
        for name in ("temperature", "top_p", "top_k"):
            if getattr(body, name) is not msgspec.UNSET:
                raise Refusal(400, f"{name}: Extra inputs are not permitted")
    if body.thread is not None:
        raise Refusal(400, "thread: This request cannot be threaded.", code="thread_unsupported_request")
    if not body.messages:
        raise Refusal(400, "messages: at least one message is required")
    for number, message in enumerate(body.messages):
        if message.role not in _ROLES:
            raise Refusal(400, f"messages.{number}.role: Input should be 'user', 'assistant' or 'system'")
        if not isinstance(message.content, str) and any(b.type == "text" and not b.text for b in message.content):
            raise Refusal(400, "messages: text content blocks must be non-empty")
    _check_results(body.messages)
    _check_choice(body)


def _check_thinking(thinking: _Thinking | None, max_tokens: int) -> None:
    if thinking is None or thinking.type != "enabled":
        return
    if thinking.budget_tokens is None:
        raise Refusal(400, "thinking.enabled.budget_tokens: Field required")
    if thinking.budget_tokens < _LEAST_BUDGET:
        raise Refusal(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if thinking.budget_tokens >= max_tokens:
        raise Refusal(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_choice(body: _CountBody) -> None:
    choice = body.tool_choice
    if choice is None or choice.type in {"auto", "none"}:
        return
    if not body.tools:
        raise Refusal(400, "tool_choice: may only be specified while providing tools")
    if choice.type == "tool" and choice.name not in {tool.name for tool in body.tools}:
        raise Refusal(400, f"Tool {choice.name!r} not found in provided tools")


def _check_results(messages: list[_Message]) -> None:
    """Every result answers a call of the turn before it, and every call has its result in the turn after it."""
    open_calls: list[str] = []
    for number, (role, blocks) in enumerate(_turns(messages)):
        results = [block.tool_use_id or "" for block in blocks if block.type == "tool_result"]
        if role == "user":
            if unknown := [call for call in results if call not in open_calls]:
                raise Refusal(
                    400,
                    f"messages.{number}.content: unexpected `tool_use_id` found in `tool_result` blocks: {unknown[0]}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                )
            open_calls = [call for call in open_calls if call not in results]
        _check_answered(open_calls, number - 1)
        open_calls = [block.id or "" for block in blocks if block.type == "tool_use"]
    _check_answered(open_calls, len(messages) - 1)


def _check_answered(open_calls: list[str], number: int) -> None:
    if open_calls:
        raise Refusal(
            400,
            f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
            "next message.",
        )


def _turns(messages: list[_Message]) -> list[tuple[str, list[_Block]]]:
    """The turns between user and assistant, neighbours of one role joined, as the API joins them."""
    turns: list[tuple[str, list[_Block]]] = []
    for message in messages:
        blocks = [] if isinstance(message.content, str) else message.content
        if message.role == "system":
            continue
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message.role, list(blocks)))
    return turns


def _question(body: _CountBody, limit: int | None) -> Question:
    asked = next((message for message in reversed(body.messages) if message.role == "user"), None)
    content = asked.content if asked else ""
    choice = body.tool_choice or _ToolChoice("auto")
    form = (body.output_config.format if body.output_config else None) or body.output_format
    ask = Ask(
        user_text=_text_of(content),
        results=[] if isinstance(content, str) else [_text_of(b.content) for b in content if b.type == "tool_result"],
        tools=[] if choice.type == "none" else _callable(body.tools or []),
        forced={"any": "", "tool": choice.name}.get(choice.type),
        parallel=not choice.disable_parallel_tool_use,
        thinking=_thinking(body.thinking),
        schema=form.schema if form and form.type == "json_schema" else None,
        limit=limit,
        stops=body.stop_sequences or [],
    )
    user = body.metadata.user_id if body.metadata else None
    return Question(model=body.model, ask=ask, tokens_in=_tokens_in(body), stream=body.stream is True, user=user or "")


def _callable(tools: list[_ToolDefinition]) -> list[Tool]:
    """The caller's own tools; those of the vendor have a `type` of their own and no schema."""
    return [Tool(tool.name, tool.input_schema or {}) for tool in tools if tool.type in {None, "custom"}]


def _thinking(thinking: _Thinking | None) -> Literal["none", "shown", "omitted"]:
    if thinking is None or thinking.type not in {"enabled", "adaptive"}:
        return "none"
    return "omitted" if thinking.display == "omitted" else "shown"


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for block in content if isinstance(content, list) else []:
        text = block.get("text") if isinstance(block, dict) else getattr(block, "text", None)
        texts += [text] if isinstance(text, str) else []
    return "\n".join(texts)


def _tokens_in(body: _CountBody) -> int:
    count = count_words(_text_of(body.system))
    for message in body.messages:
        count += count_words(_text_of(message.content))
        if not isinstance(message.content, str):
            count += sum(count_words(_text_of(block.content)) for block in message.content)
    return max(1, count + sum(1 + count_words(tool.description or "") for tool in body.tools or []))
