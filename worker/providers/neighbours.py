"""Turns of one role that follow each other, for makers whose API wants the roles to change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar


class Turn(Protocol):
    """What a turn has in every wire; its content may grow."""

    role: str
    content: list[Any]


AnyTurn = TypeVar("AnyTurn", bound=Turn)


def merged(turns: Iterable[AnyTurn]) -> list[AnyTurn]:
    """The turns, neighbours of one role as one, without those that have no content."""
    found: list[AnyTurn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            found[-1].content += turn.content
        elif turn.content:
            found.append(turn)
    return found
