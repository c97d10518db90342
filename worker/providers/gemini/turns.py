"""Canonical messages as Gemini's turns: neighbours of one role together, results of tools in a turn of their own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec

from shared.chat import ChatRequest, Message, Part, Text, ToolCall, ToolResult
from shared.wire import gemini as wire
from worker.providers.gemini import content
from worker.providers.gemini.reasoning import FROM_3
from worker.providers.losses import Losses

_Role: TypeAlias = Literal["user", "model"]


class _Placed(msgspec.Struct):
    """A part with its canonical path."""

    part: Part
    path: str


def contents(request: ChatRequest, losses: Losses) -> list[wire.Content]:
    """The turns, without those that have no content.

    Raises:
        Unsupported: a part that this wire cannot express, or a last turn that is the assistant's: Anthropic goes on
            with it, this wire would answer it.
        InvalidRequest: nothing is left, a part that no Gemini request could hold, or a result without its call.
    """
    if request.messages and request.messages[-1].role == "assistant":
        path = f"messages.{len(request.messages) - 1}"
        raise losses.refuse(path, "the answer cannot go on with an assistant's turn here; end with a user's.")
    latest = FROM_3.match(request.model) is not None
    names = _names(request.messages)
    made: list[wire.Content] = []
    for role, group in groupby(enumerate(request.messages), key=lambda numbered: _role(numbered[1])):
        placed = [each for index, message in group for each in _parts(message, f"messages.{index}", losses)]
        if role == "model":
            parts = content.said([(each.part, each.path) for each in placed], losses, signed=latest)
            made.append(wire.Content(parts, role))
        else:
            made += _asked(placed, names, losses, latest=latest)
    made = [turn for turn in made if turn.parts]
    if not made:
        raise losses.invalid("messages", "At least one message must have content beside the system prompt.")
    return made


def _role(message: Message) -> _Role:
    return "model" if message.role == "assistant" else "user"


def _names(messages: tuple[Message, ...]) -> dict[str, str]:
    """The functions' names by the ids of their calls: a result has to name its function."""
    return {part.id: part.name for message in messages for part in message.content if isinstance(part, ToolCall)}


def _parts(message: Message, path: str, losses: Losses) -> Iterator[_Placed]:
    """The parts of a message; system text amid the turns as marked text of a user's, without its authority."""
    if message.name:
        losses.drop(f"{path}.name", "name")
    if message.role == "system":
        losses.drop(f"{path}.role", "role")
    for index, part in enumerate(message.content):
        if message.role == "system" and isinstance(part, Text) and part.text:
            part = Text(f"<system>\n{part.text}\n</system>")  # noqa: PLW2901 - the same part, marked
        yield _Placed(part, f"{path}.content.{index}")


def _asked(placed: list[_Placed], names: dict[str, str], losses: Losses, *, latest: bool) -> Iterator[wire.Content]:
    """A user's turn: the results, all of one step together, as the API counts them; then the rest."""
    results, rest = [], []
    for each in placed:
        if isinstance(each.part, ToolResult):
            response, moved = content.result(each.part, each.path, names, losses, latest=latest)
            results.append(wire.Part(function_response=response))
            rest += moved
        else:
            rest += content.asked(each.part, each.path, losses)
    yield wire.Content(results, "user")
    yield wire.Content(rest, "user")
