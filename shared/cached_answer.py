"""An answer as the cache keeps it, and how it becomes an outcome or a stream again. Pure.

Kept is what the plain request was answered with, and the answer in canonical form: a stream's events, and what in a
response object belongs to its own request, are made anew for each client.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.cache import Sender
from shared.chat import ChatRequest, ChatResponse, Part, StopReason, Text, Thinking, Usage
from shared.dialects import DIALECTS
from shared.dialects.openai_responses import OPENAI_RESPONSES
from shared.events import Event, Finished, PartStarted, PartStopped, SignatureDelta, Started, TextDelta
from shared.jobs import Job, Outcome

HIT = "x-bf-cache-hit"
ID = "x-bf-cache-id"
SIMILARITY = "x-bf-cache-similarity"
THRESHOLD = "x-bf-cache-threshold"
SERVED = ("x-bf-provider", "x-bf-model", "x-bf-dropped")
"""Headers of the first answer that its repetitions have too."""

_WHOLE = frozenset({StopReason.END, StopReason.STOP_SEQUENCE})


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A text or a thought."""

    kind: Literal["text", "thinking"]
    text: str
    origin: str = ""
    signature: str | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A `ChatResponse` that says something and nothing else."""

    id: str
    model: str
    said: tuple[Said, ...]
    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None
    created_s: int | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What the cache keeps under an id.

    Attributes:
        owner: whose it is; empty for everybody's.
        body: of the plain answer.
        headers: those of SERVED that it had.
        answer: None for embeddings.
    """

    owner: str
    body: bytes
    headers: dict[str, str]
    answer: Answer | None = None


class Hit(msgspec.Struct, frozen=True):
    """An entry that answers a request. `similarity` is of a semantic hit, which its threshold let through."""

    id: str
    entry: Entry
    similarity: float | None = None
    threshold: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """What tells the client of it."""
        told = {**self.entry.headers, ID: self.id, HIT: "direct" if self.similarity is None else "semantic"}
        if self.similarity is not None:
            told |= {SIMILARITY: f"{self.similarity:.4f}", THRESHOLD: f"{self.threshold:g}"}
        return told


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Streamed(msgspec.Struct):
    stream_options: _StreamOptions | None = None


pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(Entry).decode
_read_options = msgspec.json.Decoder(_Streamed).decode


def kept(response: ChatResponse) -> Answer | None:
    """The answer as it is kept; None for one that is cut short, calls tools, or is more than words."""
    said = [_said(part) for part in response.content]
    words = [one for one in said if one is not None]
    if response.stop_reason not in _WHOLE or len(words) < len(said) or not any(one.kind == "text" for one in words):
        return None
    return Answer(
        id=response.id,
        model=response.model,
        said=tuple(words),
        stop_reason=response.stop_reason,
        usage=response.usage,
        stop_sequence=response.stop_sequence,
        created_s=response.created_s,
    )


def sender(job: Job) -> Sender:
    """Of the job's request, what its body does not hold."""
    provider = DIALECTS[job.dialect].default_provider
    return Sender(job.owner, job.dialect, job.operation, job.model, provider, job.headers, job.key)


def outcome(hit: Hit, job: Job, body: bytes) -> Outcome:
    """A hit as the outcome of a job that is not streamed; it costs nothing."""
    answer = hit.entry.answer
    shown = hit.entry.body
    if answer is not None and job.dialect == OPENAI_RESPONSES.name:  # it has its job's id, and repeats its request
        shown = OPENAI_RESPONSES.render(canonical(answer), job, body)
    return Outcome(status=200, body=shown, headers=hit.headers, cost=0)


def stream(hit: Hit, job: Job, body: bytes) -> tuple[bytes, Outcome]:
    """A hit as the events of a streamed job, and its outcome."""
    assert hit.entry.answer is not None, "only chat is streamed"  # noqa: S101 - a promise of the dialects
    response = canonical(hit.entry.answer)
    request = ChatRequest(model=response.model, messages=(), stream=True, include_usage=_asks_usage(body))
    renderer = DIALECTS[job.dialect].stream(request, job, body)
    told = b"".join(map(renderer.feed, _events(response)))
    return told, Outcome(status=200, body=renderer.final, headers=hit.headers, cost=0)


def _said(part: Part) -> Said | None:
    match part:
        case Text(text=text, citations=()):
            return Said("text", text)
        case Thinking():
            return Said("thinking", part.text, part.origin, part.signature)
        case _:
            return None


def canonical(answer: Answer) -> ChatResponse:
    """The answer in canonical form."""
    return ChatResponse(
        id=answer.id,
        model=answer.model,
        content=tuple(_part(one) for one in answer.said),
        stop_reason=answer.stop_reason,
        usage=answer.usage,
        stop_sequence=answer.stop_sequence,
        created_s=answer.created_s,
    )


def _part(said: Said) -> Text | Thinking:
    return Text(said.text) if said.kind == "text" else Thinking(said.text, said.origin, said.signature)


def _events(response: ChatResponse) -> list[Event]:
    events: list[Event] = [Started(response.id, response.model, response.usage, response.created_s)]
    for index, part in enumerate(response.content):
        if isinstance(part, Thinking):
            events += [PartStarted(index, Thinking("", part.origin)), TextDelta(index, part.text)]
            if part.signature:
                events.append(SignatureDelta(index, part.signature))
        elif isinstance(part, Text):
            events += [PartStarted(index, Text("")), TextDelta(index, part.text)]
        events.append(PartStopped(index))
    return [*events, Finished(response.stop_reason, response.usage, response.stop_sequence)]


def _asks_usage(body: bytes) -> bool:
    try:
        options = _read_options(body).stream_options
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return bool(options and options.include_usage)
