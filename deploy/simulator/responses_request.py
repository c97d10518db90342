"""Reads requests of OpenAI's Responses API, and refuses what it refuses, in its words."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from deploy.simulator import responses_body
from deploy.simulator.answers import Ask, Tool, count_words
from deploy.simulator.openai_refusals import check_known_tool, invalid, missing
from deploy.simulator.responses_body import Body
from deploy.simulator.responses_input import Input, read_input
from deploy.simulator.schema import ANY_OBJECT
from deploy.simulator.wires import Question

_SEALED = "reasoning.encrypted_content"
_REASONING_MODEL = re.compile(r"reason|\bo\d|\bgpt-([5-9]|1\d)")

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "frequency_penalty": 0.0,
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""What an answer repeats of its request, and what it says where the request says nothing."""


class ResponsesQuestion(Question, kw_only=True):
    """A valid request.

    Attributes:
        echo: fields of the answer that repeat the request.
        summarized: whether the summary of a thought is shown.
        sealed: whether a thought is handed out sealed.
        padded: whether deltas are padded to lengths that do not tell their words.
    """

    echo: dict[str, Any]
    summarized: bool
    sealed: bool
    padded: bool


def read(raw: bytes, _: dict[str, str]) -> ResponsesQuestion:
    """The question in a body of `POST /responses` or `POST /responses/input_tokens`."""
    body = responses_body.read_body(raw)
    given = read_input(body.input or "")
    tools = responses_body.read_tools(body)
    options = body.stream_options
    return ResponsesQuestion(
        model=body.model,
        ask=_ask(body, given, tools),
        tokens_in=_tokens_in(body, given, tools),
        stream=body.stream is True,
        user=body.user or body.safety_identifier or "",
        echo=_echo(body, tools),
        summarized=body.reasoning is not None and body.reasoning.summary is not None,
        sealed=_SEALED in (body.include or []),
        padded=options is None or options.include_obfuscation is not False,
    )


def _ask(body: Body, given: Input, tools: list[responses_body.Tool]) -> Ask:
    callable_ = [Tool(tool.name, tool.parameters or {}) for tool in tools if tool.type == "function" and tool.name]
    allowed, forced = _choice(body, callable_)
    return Ask(
        user_text=given.user_text,
        results=given.results,
        tools=allowed,
        forced=forced,
        parallel=body.parallel_tool_calls is not False,
        thinking="shown" if _reasons(body) else "none",
        schema=_schema(body.text.format if body.text else None),
        limit=body.max_output_tokens,
    )


def _choice(body: Body, tools: list[Tool]) -> tuple[list[Tool], str | None]:
    """The tools that may be called, and the one that must be, as in `Ask`; a choice of the vendor's own is free."""
    match body.tool_choice:
        case "none":
            return [], None
        case "required" if not body.tools:
            raise invalid("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
        case "required":
            return tools, ""
        case {"type": "function", "name": str(name)}:
            check_known_tool(name, tools)
            return tools, name
        case {"type": "function"}:
            raise missing("tool_choice.name")
        case {"type": "allowed_tools", "tools": list(allowed), **more}:
            names = [tool.get("name") for tool in allowed if isinstance(tool, dict)]
            return [tool for tool in tools if tool.name in names], "" if more.get("mode") == "required" else None
        case {"type": str()} | None | "auto":
            return tools, None
        case _:
            raise missing("tool_choice.type")


def _reasons(body: Body) -> bool:
    """A model whose name says `reason`, o1 and later, gpt-5 and later, when the request asks for some effort.

    A path before a name with orders can say it: `reason/sim-words-50`.
    """
    effort = body.reasoning.effort if body.reasoning else None
    return effort not in {None, "none"} and _REASONING_MODEL.search(body.model) is not None


def _schema(form: responses_body.Format | None) -> dict[str, Any] | None:
    if form is None or form.type == "text":
        return None
    return ANY_OBJECT if form.schema is None else form.schema


def _tokens_in(body: Body, given: Input, tools: list[responses_body.Tool]) -> int:
    described = [tool.description or "" for tool in tools if tool.type == "function"]
    words = given.tokens + count_words(body.instructions or "") + sum(1 + count_words(text) for text in described)
    return max(1, words)


def _echo(body: Body, tools: list[responses_body.Tool]) -> dict[str, Any]:
    echo = {name: default if (given := getattr(body, name)) is None else given for name, default in _ECHOED.items()}
    reasoning = body.reasoning or responses_body.Reasoning()
    summary = "detailed" if reasoning.summary == "auto" else reasoning.summary
    echo["reasoning"] = {"context": reasoning.context, "effort": reasoning.effort, "summary": summary}
    text = body.text or responses_body.Text()
    echo["text"] = {"format": _format(text.format), "verbosity": text.verbosity or "medium"}
    echo["tools"] = [_tool(tool, raw) for tool, raw in zip(tools, body.tools or [], strict=True)]
    return echo


def _format(form: responses_body.Format | None) -> dict[str, Any]:
    if form is None or form.type != "json_schema":
        return {"type": form.type if form else "text"}
    return msgspec.structs.asdict(form) | {"strict": form.strict is not False}


def _tool(tool: responses_body.Tool, raw: msgspec.Raw) -> Any:
    if tool.type != "function":
        return raw
    return msgspec.structs.asdict(tool) | {"strict": tool.strict is not False}
