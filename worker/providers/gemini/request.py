"""A canonical request as a body of `generateContent`."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shared.chat import ChatRequest, Foreign, Text, Tool, ToolChoice
from shared.wire import gemini as wire
from worker.providers.base import Rendered, Row
from worker.providers.gemini.count import asking
from worker.providers.gemini.reasoning import thinking_config
from worker.providers.gemini.turns import contents
from worker.providers.losses import Losses

_ENCODER = msgspec.json.Encoder()

_MAX_STOPS = 5
"""https://ai.google.dev/api/generate-content#generationconfig"""
_JSON = "application/json"


def render(request: ChatRequest, row: Row, *, counted: bool = False) -> Rendered:
    """The body, to be answered or only counted, and what was left out of it.

    Raises:
        Unsupported: naming a field that this wire cannot express.
        InvalidRequest: naming a field that no Gemini request could hold.
    """
    losses = Losses(row.name, request)
    for field in request.foreign:
        losses.drop_field(field)
    if request.user_id is not None:
        losses.drop("user_id")
    tools = _tools(request, losses)
    body = wire.Request(
        contents=contents(request, losses),
        system_instruction=_system(request.system),
        tools=[wire.Tool(tools)] if tools else None,
        tool_config=_tool_config(request.tool_choice) if tools and request.tool_choice else None,
        generation_config=_generation_config(request, losses),
    )
    asked = asking(body, row.name, request.model) if counted else body
    return Rendered(_ENCODER.encode(asked), losses.names())


def _system(system: tuple[Text, ...]) -> wire.Content | None:
    parts = [wire.Part(text=part.text) for part in system if part.text]
    return wire.Content(parts) if parts else None


def _generation_config(request: ChatRequest, losses: Losses) -> wire.GenerationConfig | None:
    if len(request.stop) > _MAX_STOPS:
        raise losses.refuse("stop", f"at most {_MAX_STOPS} stop sequences are possible here.")
    if request.max_tokens == 0:
        raise losses.refuse("max_tokens", "warming a cache without an answer is not possible here.")
    config = wire.GenerationConfig(
        max_output_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop_sequences=request.stop,
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        response_mime_type=_JSON if request.output_format else None,
        response_json_schema=_response_schema(request, losses),
        thinking_config=thinking_config(request, losses),
    )
    return None if config == wire.GenerationConfig() else config


def _response_schema(request: ChatRequest, losses: Losses) -> Raw | UnsetType:
    wanted = request.output_format
    if wanted is None:
        return UNSET
    if wanted.description:
        losses.drop("output_format.description")
    return UNSET if wanted.schema is None else wanted.schema


def _tools(request: ChatRequest, losses: Losses) -> list[wire.FunctionDeclaration]:
    declared = [_declaration(tool, index, losses) for index, tool in enumerate(request.tools)]
    if declared and request.parallel_tool_calls is False:
        losses.drop("parallel_tool_calls")
    return declared


def _declaration(tool: Tool | Foreign, index: int, losses: Losses) -> wire.FunctionDeclaration:
    if isinstance(tool, Foreign):
        raise losses.refuse_foreign(tool)
    if tool.strict:
        losses.drop(f"tools.{index}.strict", "strict")
    return wire.FunctionDeclaration(tool.name, tool.description, tool.parameters or UNSET)


def _tool_config(choice: ToolChoice) -> wire.ToolConfig:
    match choice.mode:
        case "auto":
            config = wire.FunctionCallingConfig("AUTO")
        case "none":
            config = wire.FunctionCallingConfig("NONE")
        case "any":
            config = wire.FunctionCallingConfig("ANY")
        case "tool" | "subset":
            config = wire.FunctionCallingConfig("ANY", list(choice.names))
    return wire.ToolConfig(config)
