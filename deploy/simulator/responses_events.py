"""Writes the events of a streamed response, in the vendor's order and numbered from 0."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from deploy.simulator import responses_answer
from deploy.simulator.answers import Answer, pieces
from deploy.simulator.openai_answer import STREAM_ERROR
from deploy.simulator.responses_request import ResponsesQuestion
from deploy.simulator.seal import seal
from shared import sse

_FRAGMENT = 12
"""Characters of a function's arguments in one event."""
_PADDED_TO = 16
"""Delta and padding together have a multiple of this many characters."""

_Event = dict[str, Any]

_encode = msgspec.json.Encoder().encode


def stream(question: ResponsesQuestion, answer: Answer, name: str) -> list[bytes]:
    """The same response as events, one delta in a piece."""
    begun = responses_answer.begun(question, name)
    finished = responses_answer.finished(begun, question, answer, name)
    chunks = [[_event("response.created", response=begun), _event("response.in_progress", response=begun)]]
    for index, item in enumerate(finished["output"]):
        before, deltas, after = _content(item, {"item_id": item["id"], "output_index": index})
        chunks[-1] += [_event("response.output_item.added", output_index=index, item=_empty(item)), *before]
        chunks += [[_padded(delta) if question.padded else delta] for delta in deltas]
        chunks[-1] += [*after, _event("response.output_item.done", output_index=index, item=item)]
    chunks.append([_event(f"response.{finished['status']}", response=finished)])
    numbers = itertools.count()
    return [b"".join(_numbered(event, next(numbers)) for event in chunk) for chunk in chunks]


def broken(sent: list[bytes]) -> bytes:
    """Ends a stream with an error, in the shape seen in public reports: no `response.failed` follows."""
    number = sum(chunk.count(b"\n\n") for chunk in sent)
    return _numbered(_event("error", error=STREAM_ERROR | {"code": "server_error"}), number)


def _content(item: dict[str, Any], place: dict[str, Any]) -> tuple[list[_Event], list[_Event], list[_Event]]:
    """The events inside an item: before its deltas, the deltas, after them."""
    match item:
        case {"type": "message", "content": [part]}:
            return _text("response.output_text", "response.content_part", part, place | {"content_index": 0})
        case {"type": "reasoning", "summary": [part]}:
            family = "response.reasoning_summary"
            return _text(f"{family}_text", f"{family}_part", part, place | {"summary_index": 0})
        case {"type": "function_call", "arguments": text}:
            fragments = [text[at : at + _FRAGMENT] for at in range(0, len(text), _FRAGMENT)]
            deltas = _deltas("response.function_call_arguments.delta", fragments, place)
            return [], deltas, [_event("response.function_call_arguments.done", **place, arguments=text)]
        case _:
            return [], [], []


def _text(
    text: str, outer: str, part: dict[str, Any], place: dict[str, Any]
) -> tuple[list[_Event], list[_Event], list[_Event]]:
    """The events of one text part: `text` and `outer` are the families of its own events and those around it."""
    more: dict[str, Any] = {"logprobs": []} if "logprobs" in part else {}
    before = [_event(f"{outer}.added", **place, part=part | {"text": ""})]
    deltas = _deltas(f"{text}.delta", pieces(part["text"]), place | more)
    done = _event(f"{text}.done", **place, text=part["text"], **more)
    return before, deltas, [done, _event(f"{outer}.done", **place, part=part)]


def _deltas(kind: str, texts: Iterable[str], place: dict[str, Any]) -> list[_Event]:
    return [{"type": kind, "delta": text} | place for text in texts]


def _padded(delta: _Event) -> _Event:
    return delta | {"obfuscation": "x" * (-len(delta["delta"]) % _PADDED_TO)}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    """The item as it is announced."""
    match item["type"]:
        case "message":
            return item | {"status": "in_progress", "content": []}
        case "function_call":
            return item | {"status": "in_progress", "arguments": ""}
        case _:
            return item | {"summary": []} | ({"encrypted_content": seal("")} if "encrypted_content" in item else {})


def _event(kind: str, **members: Any) -> _Event:
    return {"type": kind, **members}


def _numbered(event: _Event, number: int) -> bytes:
    return sse.write(_encode(event | {"sequence_number": number}), event["type"])
