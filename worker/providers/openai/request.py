"""Requests to providers that speak Chat Completions: a client's body edited, or a canonical request rendered."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest, Foreign, OutputFormat, Reasoning, Tool, ToolChoice
from shared.errors import InvalidRequest
from shared.wire import openai_chat as wire
from worker.providers.base import Rendered, Row
from worker.providers.call_ids import without_seals
from worker.providers.losses import Losses
from worker.providers.openai import count
from worker.providers.openai.messages import render_messages
from worker.providers.openai.strict import fit

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_STRINGS = msgspec.json.Decoder(list[str])

_TRUE = Raw(b"true")
_MAX_STOPS = 4
"""https://platform.openai.com/docs/api-reference/chat/create#chat-create-stop"""
_SCHEMA_NAME = "response"
"""Name of a JSON schema that came without one, as Anthropic's do."""
_MODEL = r"^(?:.*/)?"
REASONING_MODEL = re.compile(_MODEL + r"(?:o\d|gpt-(?:[5-9]|\d\d))")
"""OpenAI's reasoning models, which renamed the system role to `developer`."""
_EFFORT_NONE = re.compile(_MODEL + r"gpt-(?:5\.[1-9]|[6-9]|\d\d)")
"""Models that can be told not to reason; the ones before gpt-5.1 know no such effort."""
_NO_EFFORT = re.compile(_MODEL + r"(?:gpt-[34]|chatgpt)")
"""OpenAI's models that do not reason: they refuse an effort."""
_HIGH_AT_MOST = re.compile(_MODEL + r"(?:o\d|gpt-oss|gpt-5(?:\.1)?(?![.\d]|.*-max))")
"""Models that know no effort above `high`."""
_BUDGET_EFFORTS = ((2_048, "low"), (8_192, "medium"), (24_576, "high"))
"""Largest thinking budget, in tokens, that counts as an effort; more is `xhigh`."""


def edit(body: bytes, row: Row, model: str) -> bytes:
    """A client's body for the provider: `model` replaced, the gateway's own `fallbacks` and `provider` removed.

    A stream is made to end with its usage where the server can; for one that refuses what it does not know, see
    `strict.fit`. Everything else travels byte for byte.

    Raises:
        InvalidRequest: the body is not a JSON object.
    """
    try:
        fields = _FIELDS.decode(without_seals(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The body is not a JSON object", code="invalid_json") from error
    fields["model"] = Raw(_ENCODER.encode(model))
    if "fallbacks" in fields and is_strings(fields["fallbacks"]):
        del fields["fallbacks"]
    if bytes(fields.get("provider", Raw())).startswith(b'"'):  # an object is OpenRouter's own
        del fields["provider"]
    if row.strict_fields:
        fit(fields, row)
    if row.stream_usage and bytes(fields.get("stream", Raw())) == b"true":
        fields["stream_options"] = _with_usage(fields.get("stream_options", wire.NULL))
    return _ENCODER.encode(fields)


def asks_usage(body: bytes) -> bool:
    """Whether a client's body asks for the usage chunk."""
    try:
        options = _FIELDS.decode(body).get("stream_options", wire.NULL)
        return bytes((_FIELDS.decode(options)).get("include_usage", Raw())) == b"true"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def is_strings(raw: Raw) -> bool:
    """Whether it is a list of strings, as the gateway's own `fallbacks` are."""
    try:
        _STRINGS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _with_usage(options: Raw) -> Raw:
    try:
        fields = _FIELDS.decode(options)
    except (msgspec.DecodeError, UnicodeDecodeError):  # null, or what the provider will refuse itself
        if bytes(options) != b"null":
            return options
        fields = {}
    fields["include_usage"] = _TRUE
    return Raw(_ENCODER.encode(fields))


def render(request: ChatRequest, row: Row, *, counted: bool = False) -> Rendered:
    """A canonical request for the provider of `row`, to be answered or, when `counted`, only counted.

    Raises:
        Unsupported: naming the field that this wire cannot express, or the model of a provider that does not count.
    """
    if counted:
        count.check(row)
    losses = Losses(row.name, request)
    for field in request.foreign:
        losses.drop_field(field)
    if request.top_k is not None:
        losses.drop("top_k")
    if not counted:
        _check_answerable(request, losses)
    tools, choice = _tools(request, row, losses)
    body = wire.WrittenRequest(
        model=request.model,
        messages=render_messages(request.messages, request.system, _system_role(request.model, row), row, losses),
        temperature=request.temperature,
        top_p=request.top_p,
        stop=request.stop or None,
        seed=_unless_strict("seed", request.seed, row, losses),
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        tools=tools or None,
        tool_choice=choice,
        parallel_tool_calls=_parallel(request, row, losses) if tools else None,
        reasoning_effort=_unless_strict("reasoning.effort", _effort(request, losses), row, losses),
        response_format=_response_format(request.output_format),
        user=_unless_strict("user_id", request.user_id, row, losses),
        stream=request.stream or None,
        stream_options=wire.StreamOptions(include_usage=True) if request.stream and row.stream_usage else None,
    )
    setattr(body, row.max_tokens_field, request.max_tokens)
    return Rendered(_ENCODER.encode(count.asking(body) if counted else body), losses.names())


def _check_answerable(request: ChatRequest, losses: Losses) -> None:
    """Raises Unsupported: Anthropic goes on with an assistant's last turn, this wire would answer it."""
    if len(request.stop) > _MAX_STOPS:
        raise losses.refuse("stop", f"at most {_MAX_STOPS} stop sequences are possible here.")
    if request.max_tokens == 0:
        raise losses.refuse("max_tokens", "warming a cache without an answer is not possible here.")
    if request.messages and request.messages[-1].role == "assistant":
        path = f"messages.{len(request.messages) - 1}"
        raise losses.refuse(path, "the answer cannot go on with an assistant's turn here; end with a user's.")


_Value = TypeVar("_Value", int, str)


def _unless_strict(name: str, value: _Value | None, row: Row, losses: Losses) -> _Value | None:
    """An OpenAI-only field's value; servers that refuse unknown fields go without."""
    if value is None or not row.strict_fields:
        return value
    losses.drop(name)
    return None


def _system_role(model: str, row: Row) -> str:
    """`developer` where the row says so and the model is one that has it; `system` is understood everywhere else."""
    return "developer" if row.system_role == "developer" and REASONING_MODEL.match(model) else "system"


def _tools(request: ChatRequest, row: Row, losses: Losses) -> tuple[list[wire.Tool], str | wire.ToolChoice | None]:
    tools = []
    for tool in request.tools:
        if isinstance(tool, Foreign):
            raise losses.refuse_foreign(tool)
        tools.append(_tool(tool))
    choice = request.tool_choice
    if choice is not None and row.chooses_freely:
        return _freely_chosen(choice, tools, row, losses), None
    if choice is None or (not tools and choice.mode in {"auto", "none"}):
        return tools, None  # a choice without tools is refused
    match choice.mode:
        case "auto" | "none":
            return tools, choice.mode
        case "any":
            return tools, "required"
        case "tool":
            return tools, wire.ToolChoice(type="function", function=wire.FunctionName(choice.names[0]))
        case "subset":  # only OpenAI itself knows `allowed_tools`, and its own clients are passed through
            kept = [tool for tool in tools if tool.function and tool.function.name in choice.names]
            return kept, "required"


def _freely_chosen(choice: ToolChoice, tools: list[wire.Tool], row: Row, losses: Losses) -> list[wire.Tool]:
    """The tools for a server that cannot be told to call one, only be given none."""
    if choice.mode not in {"auto", "none"}:
        raise losses.refuse("tool_choice", f"{row.name} cannot be made to call a tool; leave it to the model.")
    return [] if choice.mode == "none" else tools


def _parallel(request: ChatRequest, row: Row, losses: Losses) -> bool | None:
    if row.chooses_freely and request.parallel_tool_calls is False:
        losses.drop("parallel_tool_calls")
        return None
    return request.parallel_tool_calls


def _tool(tool: Tool) -> wire.Tool:
    function = wire.FunctionDefinition(tool.name, tool.description, tool.parameters or wire.NULL, tool.strict)
    return wire.Tool(type="function", function=function)


def _effort(request: ChatRequest, losses: Losses) -> str | None:
    """How hard to think. Without an effort, a budget is put on the scale of efforts, which is reported as a loss."""
    wanted = request.reasoning or Reasoning()
    if _NO_EFFORT.match(request.model):
        if request.reasoning and wanted.mode != "disabled" and wanted.effort != "none":
            losses.drop("reasoning" if wanted.mode else "reasoning.effort")
        return None
    if wanted.mode == "disabled":
        if _EFFORT_NONE.match(request.model):
            return "none"
        losses.drop("reasoning")
        return None
    if wanted.mode == "between_tools":
        losses.drop("reasoning")
    if wanted.budget_tokens is None:
        return wanted.effort
    losses.drop("reasoning.budget_tokens")
    return wanted.effort or _effort_for(wanted.budget_tokens, request.model)


def _effort_for(budget_tokens: int, model: str) -> str:
    highest = "high" if _HIGH_AT_MOST.match(model) else "xhigh"
    return next((effort for limit, effort in _BUDGET_EFFORTS if budget_tokens <= limit), highest)


def _response_format(wanted: OutputFormat | None) -> wire.ResponseFormat | None:
    if wanted is None:
        return None
    if wanted.schema is None:
        return wire.ResponseFormat("json_object")
    schema = wire.JsonSchema(wanted.name or _SCHEMA_NAME, wanted.description, wanted.schema, wanted.strict)
    return wire.ResponseFormat("json_schema", schema)
