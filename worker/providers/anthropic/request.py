"""A canonical request as an Anthropic body."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest, Foreign, OutputFormat, Text, Tool
from shared.wire import anthropic as wire
from worker.providers.anthropic.turns import turns
from worker.providers.base import Rendered
from worker.providers.claude import plan
from worker.providers.losses import Losses
from worker.providers.parameters import with_type

_ENCODER = msgspec.json.Encoder()


_MAX_TEMPERATURE = 1.0
_DEFAULT_SAMPLING = 1.0
"""The default of `temperature` and of `top_p`. It is left unsaid: many clients always send both at their defaults,
while some models refuse the two together and the newest refuse either."""


def render(request: ChatRequest, provider: str) -> Rendered:
    """The body, and what was left out of it.

    Raises:
        Unsupported: naming a field that this wire cannot express.
        InvalidRequest: naming a field that no Anthropic request could hold.
    """
    losses = Losses(provider, request)
    for field in request.foreign:
        losses.drop_field(field)
    losses.drop_chance(request)
    max_tokens, thinking, effort = plan(request, losses)
    tools = _tools(request, losses)
    body = wire.RequestOut(
        model=request.model,
        max_tokens=max_tokens,
        system=_system(request.system),
        messages=turns(request, losses),
        stop_sequences=list(request.stop),
        temperature=_temperature(request.temperature, losses),
        top_p=None if request.top_p == _DEFAULT_SAMPLING else request.top_p,
        top_k=request.top_k,
        tools=tools,
        tool_choice=_tool_choice(request) if tools else None,
        thinking=thinking,
        output_config=_output_config(request.output_format, effort, losses),
        metadata=wire.Metadata(request.user_id) if request.user_id else None,
        stream=request.stream,
    )
    return Rendered(_ENCODER.encode(body), losses.names())


def _system(system: tuple[Text, ...]) -> list[wire.TextBlock]:
    return [wire.TextBlock(part.text) for part in system if part.text.strip()]


def _temperature(temperature: float | None, losses: Losses) -> float | None:
    if temperature is not None and temperature > _MAX_TEMPERATURE:
        raise losses.refuse("temperature", "Anthropic's models take a temperature from 0 to 1.")
    return None if temperature == _DEFAULT_SAMPLING else temperature


def _tools(request: ChatRequest, losses: Losses) -> list[wire.CustomTool | Raw]:
    """The tools; of a subset only those, as this wire has no list of allowed ones."""
    choice = request.tool_choice
    allowed = set(choice.names) if choice is not None and choice.mode == "subset" else None
    return [
        _tool(tool, losses)
        for tool in request.tools
        if allowed is None or (isinstance(tool, Tool) and tool.name in allowed)
    ]


def _tool(tool: Tool | Foreign, losses: Losses) -> wire.CustomTool | Raw:
    if isinstance(tool, Tool):
        return wire.CustomTool(tool.name, with_type(tool.parameters), tool.description, tool.strict)
    if tool.wire != wire.WIRE:
        raise losses.refuse_foreign(tool)
    return tool.raw


def _tool_choice(request: ChatRequest) -> wire.ToolChoice | None:
    choice = request.tool_choice
    single = True if request.parallel_tool_calls is False else None
    if choice is None:
        return wire.ToolChoice("auto", disable_parallel_tool_use=True) if single else None
    match choice.mode:
        case "none":
            return wire.ToolChoice("none")
        case "subset":
            return wire.ToolChoice("any", disable_parallel_tool_use=single)
        case "tool":
            return wire.ToolChoice("tool", choice.names[0], single)
        case mode:
            return wire.ToolChoice(mode, disable_parallel_tool_use=single)


def _output_config(wanted: OutputFormat | None, effort: str | None, losses: Losses) -> wire.OutputConfig | None:
    if wanted is None:
        return wire.OutputConfig(effort) if effort else None
    if wanted.schema is None:
        raise losses.refuse("output_format", "Anthropic has no mode for JSON without a schema; give a json_schema.")
    if wanted.description:
        losses.drop("output_format.description")
    return wire.OutputConfig(effort, wire.Format("json_schema", wanted.schema))
