"""The tools of a request, and what Converse cannot say of them."""

from __future__ import annotations

import re

from shared.chat import ChatRequest, Foreign, Tool, ToolCall, ToolChoice
from shared.wire import bedrock as wire
from worker.providers.bedrock.caching import Points, with_points
from worker.providers.losses import Losses
from worker.providers.parameters import NO_PARAMETERS, with_type

FORBIDDEN = "Answer without calling a tool."
"""The choice that Converse lacks, in words."""


_ONE_CALL_AT_MOST = re.compile(r"claude-(?!instant|2|3)")
"""Models whose own `tool_choice` may stand in additionalModelRequestFields."""


def config(request: ChatRequest, cache_points: Points, losses: Losses) -> tuple[wire.ToolConfig | None, bool]:
    """`toolConfig`, and whether the model must be told in words not to call.

    Beside a call in the history Converse demands tools, also where none may be called.

    Raises:
        Unsupported: a tool of another vendor's.
    """
    choice = request.tool_choice or ToolChoice("auto")
    specs = [_spec(tool, losses) if _is_left(tool, choice) else None for tool in request.tools]
    tools = with_points(((f"tools.{index}", spec) for index, spec in enumerate(specs)), cache_points, wire.Tool)
    if tools and choice.mode != "none":
        return wire.ToolConfig(tools, _choice(choice)), False
    called = _called(request)
    if not called:
        return None, False
    if request.tools:
        losses.drop("tool_choice")
    return wire.ToolConfig(tools or called), True


def single(request: ChatRequest, losses: Losses) -> dict[str, object]:
    """The model's own way to have one call at a time; beside a tool that must be called there is none."""
    if request.parallel_tool_calls is not False or not request.tools:
        return {}
    free = request.tool_choice is None or request.tool_choice.mode == "auto"
    if free and _ONE_CALL_AT_MOST.search(request.model):
        return {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    losses.drop("parallel_tool_calls")
    return {}


def _is_left(tool: Tool | Foreign, choice: ToolChoice) -> bool:
    """Whether the choice leaves the tool: there is no list of allowed ones."""
    return choice.mode != "subset" or (isinstance(tool, Tool) and tool.name in choice.names)


def _spec(tool: Tool | Foreign, losses: Losses) -> wire.Tool:
    if isinstance(tool, Foreign):
        raise losses.refuse_foreign(tool)
    schema = wire.InputSchema(with_type(tool.parameters))
    return wire.Tool(wire.ToolSpec(tool.name, schema, tool.description or None, tool.strict))


def _choice(choice: ToolChoice) -> wire.ToolChoice | None:
    match choice.mode:
        case "any" | "subset":
            return wire.ToolChoice(any={})
        case "tool":
            return wire.ToolChoice(tool=wire.NamedTool(choice.names[0]))
        case _:
            return None


def _called(request: ChatRequest) -> list[wire.Tool]:
    """Stand-ins for the tools that the history has calls of."""
    parts = (part for message in request.messages for part in message.content)
    names = dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall))
    return [wire.Tool(wire.ToolSpec(name, wire.InputSchema(NO_PARAMETERS))) for name in names]
