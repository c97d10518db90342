"""The answer to a request, the same on every wire: it depends on the request alone."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from typing import Any, Literal

import msgspec

from deploy.simulator.schema import example

_PIECE = re.compile(r"\s*\S+(?:\s+$)?")
_NAMED_TOOL = re.compile(r"use the tool [\"'`]?([A-Za-z0-9_-]+)", re.IGNORECASE)
_SOME_TOOL = re.compile(r"use (?:the )?tools\b", re.IGNORECASE)
_QUOTED = 200
_STABLE = "The simulator gives the same answer to the same question."
_THOUGHT = "The question was read. The answer repeats how it begins."
_FILLER = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]

End = Literal["natural", "length", "stop", "tools"]


class Tool(msgspec.Struct, frozen=True):
    """A tool the answer may call."""

    name: str
    schema: dict[str, Any]


class Ask(msgspec.Struct, kw_only=True):
    """What of a request decides the answer.

    Attributes:
        user_text: text of the last user turn.
        results: texts of the tool results, when the last turn brings some.
        tools: those that may be called; empty when the choice is none.
        forced: None leaves the choice, "" forces some tool, a name forces that one.
        parallel: whether several calls are allowed.
        thinking: `omitted` thinks without showing it.
        schema: of the JSON text to answer; None answers prose.
        limit: words, thinking included; None is unlimited.
        words: exact length of the text.
    """

    user_text: str
    results: list[str] = []
    tools: list[Tool] = []
    forced: str | None = None
    parallel: bool = True
    thinking: Literal["none", "shown", "omitted"] = "none"
    schema: dict[str, Any] | None = None
    limit: int | None = None
    stops: list[str] = []
    words: int | None = None


class Call(msgspec.Struct, frozen=True):
    """A call of a tool; `arguments` is JSON text."""

    name: str
    arguments: bytes


class Answer(msgspec.Struct, kw_only=True):
    """What the simulated model says. A word is a token.

    Attributes:
        thinking: None did not think, "" thought but does not show it.
        stop: the stop string that was hit.
        tokens: words of thinking, text and arguments.
    """

    end: End
    tokens: int
    thinking: str | None = None
    text: str = ""
    calls: list[Call] = []
    stop: str | None = None


def compose(ask: Ask) -> Answer:
    """The answer. Calls of tools are never cut short by the limit, text and thinking are."""
    thought = _THOUGHT if ask.thinking != "none" else ""
    shown = None if ask.thinking == "none" else thought if ask.thinking == "shown" else ""
    if calls := _calls(ask):
        tokens = count_words(thought) + sum(count_words(call.arguments.decode()) for call in calls)
        return Answer(end="tools", tokens=tokens, thinking=shown, calls=calls)
    text, stop = _up_to_stop(_text(ask), ask.stops)
    tokens = count_words(thought) + count_words(text)
    if ask.limit is not None and tokens > ask.limit:
        if ask.limit < count_words(thought):
            thought, text = "".join(pieces(thought)[: ask.limit]), ""
            shown = None if not ask.limit else thought if ask.thinking == "shown" else ""
        else:
            text = "".join(pieces(text)[: ask.limit - count_words(thought)])
        return Answer(end="length", tokens=ask.limit, thinking=shown, text=text)
    return Answer(end="natural" if stop is None else "stop", tokens=tokens, thinking=shown, text=text, stop=stop)


def pieces(text: str) -> list[str]:
    """Cuts text into words, each with the blanks before it; joined they are the text again."""
    return _PIECE.findall(text) or ([text] if text else [])


def count_words(text: str) -> int:
    """Words between blanks, the simulator's tokens."""
    return len(text.split())


def signature(thinking: str) -> str:
    """The stable signature of a thought."""
    return base64.b64encode(b"sim:" + hashlib.sha256(thinking.encode()).digest()).decode()


def _text(ask: Ask) -> str:
    if ask.schema is not None:
        return msgspec.json.format(msgspec.json.encode(example(ask.schema)), indent=0).decode()
    if ask.results:
        quoted = "; ".join(f'"{result[:_QUOTED]}"' for result in ask.results)
        text = f"The tool said: {quoted}. {_STABLE}"
    else:
        text = f'You said: "{ask.user_text[:_QUOTED]}". {_STABLE}'
    return text if ask.words is None else _of_length(text, ask.words)


def _of_length(text: str, words: int) -> str:
    filled = itertools.chain(text.split(), itertools.cycle(_FILLER))
    return " ".join(itertools.islice(filled, words))


def _up_to_stop(text: str, stops: list[str]) -> tuple[str, str | None]:
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _calls(ask: Ask) -> list[Call]:
    chosen = _chosen(ask)
    if not (ask.parallel and "in parallel" in ask.user_text.lower()):
        chosen = chosen[:1]
    elif len(chosen) == 1:
        chosen = chosen * 2
    return [Call(tool.name, msgspec.json.encode(example(tool.schema))) for tool in chosen]


def _chosen(ask: Ask) -> list[Tool]:
    """The first two that fit, in the order of the text or of the request."""
    by_name = {tool.name: tool for tool in ask.tools}
    if ask.forced:
        return [by_name[ask.forced]] if ask.forced in by_name else []
    if ask.results and ask.forced is None:
        return []
    if named := [by_name[name] for name in _NAMED_TOOL.findall(ask.user_text) if name in by_name]:
        return named[:2]
    if ask.forced == "" or _SOME_TOOL.search(ask.user_text):
        return ask.tools[:2]
    return []
