"""Output items of a response: the canonical parts of an answer, texts that follow each other in one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, assert_never

from msgspec import UNSET, UnsetType

from shared.chat import Citation, Part, RedactedThinking, Refusal, Text, Thinking, ToolCall
from shared.wire import openai_responses_answer as wire
from shared.wire.openai_responses import REDACTED_TAG, SIGNATURE_TAG, WIRE

Shown: TypeAlias = Text | Thinking | RedactedThinking | ToolCall | Refusal
"""Parts that have a place in this format; what only another wire can say is left out."""

NO_ARGUMENTS = "{}"
"""A call without arguments may have none at all on other wires; clients parse them as JSON."""

IN_PROGRESS = "in_progress"
COMPLETED = "completed"
INCOMPLETE = "incomplete"


def output(job_id: str, content: Iterable[Part], last: str) -> list[wire.OutputItem]:
    """The items of a finished answer in the order of its parts; `last` is the status of the last one."""
    groups: list[list[Shown]] = []
    for part in content:
        if not isinstance(part, Shown):
            continue
        if groups and joins(groups[-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    end = len(groups) - 1
    return [item(job_id, at, parts, last if at == end else COMPLETED) for at, parts in enumerate(groups)]


def joins(parts: Sequence[Shown], part: Shown) -> bool:
    """Whether `part` continues the item made of `parts`: only texts and refusals share a message."""
    return bool(parts) and isinstance(parts[0], Text | Refusal) and isinstance(part, Text | Refusal)


def opened(job_id: str, index: int, part: Shown) -> wire.OutputItem:
    """The item that begins with `part`, before any of its content."""
    match part:
        case Text() | Refusal():
            return wire.OutputMessage(item_id(job_id, index, part), IN_PROGRESS, [])
        case Thinking() | RedactedThinking():
            return wire.OutputReasoning(item_id(job_id, index, part), [])
        case ToolCall(call_id, name):
            return wire.OutputCall(item_id(job_id, index, part), IN_PROGRESS, call_id, name, "")
        case _:
            assert_never(part)


def item(job_id: str, index: int, parts: Sequence[Shown], status: str) -> wire.OutputItem:
    """The finished item made of `parts`, of which only texts and refusals come in numbers."""
    first = parts[0]
    name = item_id(job_id, index, first)
    match first:
        case Text() | Refusal():
            return wire.OutputMessage(name, status, [c for part in parts if (c := content_part(part)) is not None])
        case Thinking(text):
            summary = content_part(first) if text else None
            return wire.OutputReasoning(name, [summary] if summary else [], _sealed(first))
        case RedactedThinking():
            return wire.OutputReasoning(name, [], _sealed(first))
        case ToolCall(call_id, function, arguments):
            return wire.OutputCall(name, status, call_id, function, arguments if arguments.strip() else NO_ARGUMENTS)
        case _:
            assert_never(first)


def content_part(part: Shown) -> wire.ContentPart | None:
    """The part inside its item; None for what is an item by itself."""
    match part:
        case Text(text, citations):
            return wire.OutputText(text, [_annotation(citation, len(text)) for citation in citations])
        case Refusal(text):
            return wire.RefusalText(text)
        case Thinking(text):
            return wire.SummaryText(text)
        case RedactedThinking() | ToolCall():
            return None
        case _:
            assert_never(part)


def _annotation(citation: Citation, length: int) -> wire.UrlCitation:
    """A source of a whole text of `length` characters; one without a title goes by its address."""
    return wire.UrlCitation(0, length, citation.title or citation.url, citation.url)


def item_id(job_id: str, index: int, part: Shown) -> str:
    """The same whenever and however the answer is read; below the 64 characters that OpenAI takes back."""
    prefix = "rs" if isinstance(part, Thinking | RedactedThinking) else "fc" if isinstance(part, ToolCall) else "msg"
    return f"{prefix}_{job_id.replace('-', '')}_{index}"


def _sealed(part: Thinking | RedactedThinking) -> str | UnsetType:
    """`encrypted_content`: marked unless it is this wire's own, so that it, and the text, find back to their maker."""
    tag, sealed = (REDACTED_TAG, part.data) if isinstance(part, RedactedThinking) else (SIGNATURE_TAG, part.signature)
    if part.origin == WIRE:
        return sealed or UNSET
    return f"{tag}{part.origin}:{sealed or ''}"
