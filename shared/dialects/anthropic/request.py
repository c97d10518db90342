"""An Anthropic request: its envelope checked, and the whole of it in canonical form."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw

from shared.chat import ChatRequest, Foreign, Message, OutputFormat, Reasoning, Text, Tool
from shared.chat import ToolChoice as Choice
from shared.dialects.anthropic.content import Hints, kind_of, placed
from shared.dialects.anthropic.reading import FIELDS, at, check_text, join, read
from shared.dialects.base import Head
from shared.wire import anthropic as wire

_ENVELOPE = msgspec.json.Decoder(wire.Envelope)
_REQUEST = msgspec.json.Decoder(wire.Request)
_TOOL = msgspec.json.Decoder(wire.CustomTool)
_STRINGS = msgspec.json.Decoder(tuple[str, ...])

_NULL = Raw(b"null")

_OURS = frozenset({"provider"})
"""Top-level fields for the gateway, never for a provider."""

_TURN = frozenset(wire.Turn.__struct_fields__)
_TURNS = msgspec.json.Decoder(list[dict[str, Raw]])

_SAYS_NOTHING = {"service_tier": b'"auto"'}
"""Values that ask for what every provider does anyway."""

_PATHS = {
    "stop": "stop_sequences",
    "output_format": "output_config.format",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning": "thinking",
    "reasoning.effort": "output_config.effort",
    "user_id": "metadata.user_id",
}
"""Where this wire has what the canonical form calls by another name."""


def read_head(body: bytes, operation: str = "chat") -> Head:
    """Check the envelope of a `chat` or `count_tokens` request.

    Raises:
        InvalidRequest: naming the path of the field.
    """
    check_text(body)
    envelope = read(_ENVELOPE, body)
    if envelope.max_tokens is UNSET and operation == "chat":
        raise at("max_tokens", "Field required")
    return Head(envelope.model, stream=bool(envelope.stream), fallbacks=_own_fallbacks(envelope.fallbacks) or ())


def parse(body: bytes, model: str) -> ChatRequest:
    """The whole body for `model`.

    Raises:
        InvalidRequest: naming the path of the field that cannot be read.
    """
    check_text(body)
    request = read(_REQUEST, body)
    hints, paths = Hints(), dict(_PATHS)
    _note_fields(request, read(FIELDS, body), hints)
    messages = _messages(request.messages, hints, paths)
    return ChatRequest(
        model=model,
        messages=messages,
        system=_system(request.system, hints, paths),
        max_tokens=None if request.max_tokens is UNSET else request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=tuple(request.stop_sequences or ()),
        tools=_tools(request.tools or [], hints),
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=False if request.tool_choice and request.tool_choice.disable_parallel_tool_use else None,
        reasoning=_reasoning(request),
        output_format=_output_format(request),
        user_id=request.metadata.user_id if request.metadata else None,
        stream=bool(request.stream),
        foreign=hints.foreign(),
        cache_marks=_cache_marks(hints.cached, paths, messages),
        paths=paths,
    )


def _own_fallbacks(raw: Raw) -> tuple[str, ...] | None:
    """The gateway's own list of models; None when absent or Anthropic's (objects, or a word)."""
    try:
        return _STRINGS.decode(raw) if bytes(raw) else None
    except msgspec.DecodeError:
        return None


def _note_fields(request: wire.Request, fields: dict[str, Raw], hints: Hints) -> None:
    known = _OURS.union(request.__struct_fields__)
    if _own_fallbacks(request.fallbacks) is None:
        known -= {"fallbacks"}
    hints.note({name: raw for name, raw in fields.items() if bytes(raw) != _SAYS_NOTHING.get(name)}, known, "")
    for index, turn in enumerate(_TURNS.decode(fields["messages"])):
        hints.note(turn, _TURN, f"messages.{index}")
    for name in ("thinking", "output_config", "metadata", "tool_choice"):
        section = getattr(request, name)
        if section is not None:
            hints.note(read(FIELDS, fields[name], name), section.__struct_fields__, name)


def _system(system: str | list[Raw] | None, hints: Hints, paths: dict[str, str]) -> tuple[Text, ...]:
    found: list[Text] = []
    for part, path in placed(system or "", "system", hints):
        if not isinstance(part, Text):
            raise at(path, "A system prompt holds text blocks only")
        paths[f"system.{len(found)}"] = path
        found.append(part)
    return tuple(found)


def _messages(turns: list[wire.Turn], hints: Hints, paths: dict[str, str]) -> tuple[Message, ...]:
    """The turns that have content; `paths` learns where they and their parts stood."""
    found: list[Message] = []
    for index, turn in enumerate(turns):
        content = placed(turn.content, f"messages.{index}.content", hints)
        if not content:
            continue
        place = f"messages.{len(found)}"
        paths[place] = f"messages.{index}"
        paths.update((f"{place}.content.{number}", path) for number, (_, path) in enumerate(content))
        found.append(Message(turn.role, tuple(part for part, _ in content)))
    if not found:
        raise at("messages", "At least one message must have non-empty content")
    return tuple(found)


def _cache_marks(cached: dict[str, str], paths: dict[str, str], messages: tuple[Message, ...]) -> dict[str, str]:
    """By canonical path; what is within a result marks the result, and the body itself its last block."""
    places = {own: place for place, own in paths.items()}
    marks = {}
    for own, ttl in cached.items():
        path = own
        while path and path not in places and not path.startswith("tools."):
            path = path.rpartition(".")[0]
        last = f"messages.{len(messages) - 1}.content.{len(messages[-1].content) - 1}"
        marks[places.get(path, path) or last] = ttl
    return marks


def _tools(tools: list[Raw], hints: Hints) -> tuple[Tool | Foreign, ...]:
    return tuple(_tool(raw, f"tools.{index}", hints) for index, raw in enumerate(tools))


def _tool(raw: Raw, path: str, hints: Hints) -> Tool | Foreign:
    fields = read(FIELDS, raw, path)
    kind = "custom" if bytes(fields.get("type", _NULL)) == b"null" else kind_of(fields, path)
    if kind != "custom":
        return Foreign(wire.WIRE, kind, path, raw)
    tool = read(_TOOL, raw, path)
    hints.note(fields, tool.__struct_fields__, path)
    return Tool(tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict)


def _tool_choice(choice: wire.ToolChoice | None) -> Choice | None:
    if choice is None:
        return None
    if choice.type != "tool":
        return Choice(choice.type)
    if not choice.name:
        raise at(join("tool_choice", "name"), "Field required")
    return Choice("tool", (choice.name,))


def _reasoning(request: wire.Request) -> Reasoning | None:
    effort = request.output_config.effort if request.output_config else None
    thinking = request.thinking
    if thinking is None:
        return Reasoning(effort=effort) if effort else None
    return Reasoning(thinking.type, effort, thinking.budget_tokens)


def _output_format(request: wire.Request) -> OutputFormat | None:
    chosen = (request.output_config.format if request.output_config else None) or request.output_format
    return OutputFormat(chosen.schema) if chosen else None
