"""Canonical messages as Converse's turns: user and assistant in turn, the system's text within a user's."""

from __future__ import annotations

import msgspec

from shared.chat import ChatRequest, Message
from shared.wire import bedrock as wire
from worker.providers.bedrock.caching import Points
from worker.providers.bedrock.content import Content
from worker.providers.losses import Losses
from worker.providers.neighbours import merged


class _Turn(msgspec.Struct):
    role: str
    content: list[wire.Block]


def turns(request: ChatRequest, cache_points: Points, losses: Losses) -> list[wire.Message]:
    """The turns, without those that have no content.

    Raises:
        Unsupported: a part that this wire cannot express.
        InvalidRequest: nothing is left, or a part that no Converse request could hold.
    """
    content = Content(losses, cache_points)
    found = merged(
        _turn(message, f"messages.{index}", content, losses) for index, message in enumerate(request.messages)
    )
    if not found:
        raise losses.invalid("messages", "At least one message must have content beside the system prompt.")
    return [wire.Message(turn.role, _ordered(turn.content)) for turn in found]


def _turn(message: Message, path: str, content: Content, losses: Losses) -> _Turn:
    if message.name:
        losses.drop(f"{path}.name", "name")
    blocks = content.blocks(message.content, f"{path}.content")
    if message.role != "system":
        return _Turn(message.role, blocks)
    losses.drop(f"{path}.role", "role")
    return _Turn("user", [_marked(block) for block in blocks])


def _marked(block: wire.Block) -> wire.Block:
    """Text of the system's amid the turns: few models take a turn of its role, so its words stay, marked."""
    return block if block.text is None else wire.Block(text=f"<system>\n{block.text}\n</system>")


def _ordered(content: list[wire.Block]) -> list[wire.Block]:
    """Results first, as Claude demands; and beside a document some text, as the API does: else its name."""
    ordered = sorted(content, key=lambda block: block.tool_result is None)
    named = next((block.document.name for block in ordered if block.document is not None), None)
    if named is not None and all(block.text is None for block in ordered):
        ordered.append(wire.Block(text=named))
    return ordered
