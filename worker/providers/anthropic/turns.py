"""Canonical messages as Anthropic's turns: neighbours of one role as one, system text where the model takes it."""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest, Message
from shared.wire import anthropic as wire
from worker.providers.anthropic.content import blocks
from worker.providers.losses import Losses
from worker.providers.neighbours import merged

_TAKES_SYSTEM_TURNS = re.compile(
    r"claude-(?!instant|2|3|(?:haiku|sonnet)-4|opus-4(?:-[0-7](?!\d)|-20\d{6}|@|$))",
)
"""Claude from Opus 4.8 on; the ones before, and the models of compatible servers, refuse the role."""


class _Turn(msgspec.Struct):
    role: str
    content: list[wire.Block | Raw]
    path: str


def turns(request: ChatRequest, losses: Losses) -> list[wire.TurnOut]:
    """The turns, without those that have no content.

    Raises:
        Unsupported: a part that this wire cannot express.
        InvalidRequest: nothing is left, or a part that no Anthropic request could hold.
    """
    found = merged(_turn(message, index, losses) for index, message in enumerate(request.messages))
    takes_system = _TAKES_SYSTEM_TURNS.search(request.model) is not None
    folded = [
        turn if turn.role != "system" or (takes_system and _has_its_place(found, index)) else _fold(turn, losses)
        for index, turn in enumerate(found)
    ]
    found = merged(folded)
    if not found:
        raise losses.invalid("messages", "At least one message must have content beside the system prompt.")
    return [wire.TurnOut(turn.role, _results_first(turn)) for turn in found]


def _turn(message: Message, index: int, losses: Losses) -> _Turn:
    path = f"messages.{index}"
    if message.name:
        losses.drop(f"{path}.name", "name")
    return _Turn(message.role, blocks(message.content, f"{path}.content", losses), path)


def _has_its_place(found: list[_Turn], index: int) -> bool:
    """A system turn stands behind a user's, and last or before an assistant's."""
    return (
        index > 0
        and found[index - 1].role == "user"
        and (index + 1 == len(found) or found[index + 1].role == "assistant")
    )


def _fold(turn: _Turn, losses: Losses) -> _Turn:
    """The system text as marked text of a user's turn: its words stay, the authority of its role is lost."""
    losses.drop(f"{turn.path}.role", "role")
    marked = [
        wire.TextBlock(f"<system>\n{block.text}\n</system>") if isinstance(block, wire.TextBlock) else block
        for block in turn.content
    ]
    return _Turn("user", list(marked), turn.path)


def _results_first(turn: _Turn) -> list[wire.Block | Raw]:
    """The API demands that the results of the calls before come before what else the turn says."""
    return sorted(turn.content, key=lambda block: not isinstance(block, wire.ToolResultOut))
