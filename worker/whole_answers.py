"""Finished answers read again, as the response cache keeps them, from what the client got, plain or streamed. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from shared.cached_answer import Answer, kept
from shared.chat import ChatResponse, Part, StopReason, Text, Thinking, Usage
from shared.dialects import DIALECTS
from shared.dialects.openai_responses import OPENAI_RESPONSES
from shared.errors import GatewayError
from shared.events import Broken, CitationDelta, Event, Finished, PartStarted, SignatureDelta, Started, TextDelta
from shared.jobs import Job, Outcome
from shared.sse import Frame, FrameReader
from worker.providers.catalog import ROWS
from worker.routing import ADAPTERS, RELAYS

_REASONING = "reasoning"


class _Content(msgspec.Struct):
    type: str
    text: str = ""
    annotations: list[msgspec.Raw] = []


class _Item(msgspec.Struct):
    type: str
    content: list[_Content] | None = None


class _Response(msgspec.Struct):
    """What of a response object is kept: its text. A reasoning item leads to its provider, and is left out."""

    id: str
    model: str
    status: str
    output: list[_Item]
    created_at: float = 0


class _Ended(msgspec.Struct):
    response: msgspec.Raw


_read_response = msgspec.json.Decoder(_Response).decode
_read_ended = msgspec.json.Decoder(_Ended).decode


def answer_of(job: Job, outcome: Outcome, pieces: Iterable[bytes]) -> Answer | None:
    """The answer of a chat that succeeded; `pieces` are its event stream, if it was streamed.

    None for one that is not to be kept, see `kept`, or cannot be read.
    """
    try:
        response = _response(job, outcome.body, pieces)
    except (GatewayError, msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None
    if response is None:
        return None
    usage = response.usage if outcome.usage is None else outcome.usage
    return kept(replace(response, usage=usage))


def plain_body(job: Job, body: bytes, answer: ChatResponse) -> bytes:
    """What a request that was not streamed would have been answered with."""
    return DIALECTS[job.dialect].render(answer, job, body)


def _response(job: Job, body: bytes, pieces: Iterable[bytes]) -> ChatResponse | None:
    dialect = DIALECTS[job.dialect]
    if dialect is OPENAI_RESPONSES:
        return _from_response(_last_response(pieces) if job.stream and not body else body)
    adapter, row = ADAPTERS[dialect.wire], ROWS[dialect.default_provider]
    if not job.stream:
        return adapter.parse(body, row)
    parser = adapter.stream(row)
    events = [event for frame in _frames(pieces) for event in parser.feed(frame)]
    return _gathered([*events, *parser.close()])


def _frames(pieces: Iterable[bytes]) -> list[Frame]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()


def _last_response(pieces: Iterable[bytes]) -> bytes:
    frames = _frames(pieces)
    return bytes(_read_ended(frames[-1].data).response) if frames else b""


def _from_response(body: bytes) -> ChatResponse | None:
    response = _read_response(body)
    if response.status != "completed":
        return None
    content: list[Part] = []
    for item in response.output:
        if item.type == _REASONING:
            continue
        said = item.content if item.type == "message" else None
        if said is None or any(one.type != "output_text" or one.annotations for one in said):
            return None
        content += [Text(one.text) for one in said]
    usage = RELAYS[OPENAI_RESPONSES.wire].usage(body)
    created_s = int(response.created_at) or None
    return ChatResponse(response.id, response.model, tuple(content), StopReason.END, usage, created_s=created_s)


def _gathered(events: list[Event]) -> ChatResponse | None:
    """The answer that a stream brought; None for one that broke off, or brought more than words."""
    begun, ended, parts = Started("", "", Usage(known=False)), None, list[Part]()
    for event in events:
        match event:
            case Started():
                begun = event
            case PartStarted():
                parts.append(event.part)
            case TextDelta() if isinstance(part := parts[-1], Text | Thinking):
                parts[-1] = replace(part, text=part.text + event.text)
            case SignatureDelta() if isinstance(part := parts[-1], Thinking):
                parts[-1] = replace(part, signature=event.signature)
            case Finished():
                ended = event
            case Broken() | CitationDelta():
                return None
            case _:
                pass  # a call's arguments: its part is not kept anyway
    if ended is None:
        return None
    return ChatResponse(
        begun.id, begun.model, tuple(parts), ended.stop_reason, ended.usage, ended.stop_sequence, begun.created_s
    )
