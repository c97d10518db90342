"""Gemini's plain answers, which are streams of one chunk, and what answers and chunks have in common."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

import msgspec
from msgspec import Raw, structs

from shared.chat import ChatResponse, Part, Refusal, StopReason, Text, Thinking, Usage
from shared.errors import Garbled
from shared.events import (
    ArgumentsDelta,
    Broken,
    CitationDelta,
    Event,
    Finished,
    PartStarted,
    SignatureDelta,
    Started,
    TextDelta,
)
from shared.wire import gemini_answer as answer
from worker.providers.base import Model
from worker.providers.gemini.chunks import Chunks
from worker.providers.gemini.usage import told

_ANSWER = msgspec.json.Decoder(answer.Answer)
_MODELS = msgspec.json.Decoder(answer.ModelList)
_MODEL = msgspec.json.Decoder(answer.ModelEntry)
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


class _Held(msgspec.Struct, rename="camel"):
    usage_metadata: Raw = answer.NULL


_HELD = msgspec.json.Decoder(_Held)


def parse(provider: str, body: bytes) -> ChatResponse:
    """A finished answer.

    Raises:
        Garbled: not JSON, or neither an answer nor a reason why there is none.
        ProviderError: an error under a good status, or an answer that failed midway.
    """
    try:
        found = _ANSWER.decode(body)
    except _UNREADABLE as error:
        raise Garbled(f"{provider} sent an answer that cannot be read.", provider=provider) from error
    if not found.candidates and found.prompt_feedback is None and found.error == answer.NULL:
        raise Garbled(f"{provider} sent an answer without a candidate.", provider=provider)
    chunks = Chunks(provider)
    return _gathered([*chunks.feed(found), *chunks.end(whole=True)])


def _gathered(events: Iterable[Event]) -> ChatResponse:
    """The answer that events add up to. Raises the error of a Broken one."""
    response = ChatResponse("", "", (), StopReason.END, Usage())
    parts: list[Part] = []
    for event in events:
        match event:
            case Started(answer_id, model, _, created_s):
                response = structs.replace(response, id=answer_id, model=model, created_s=created_s)
            case PartStarted(_, part):
                parts.append(part)
            case Finished(reason, usage):
                response = structs.replace(response, content=tuple(parts), stop_reason=reason, usage=usage)
            case Broken(error):
                raise error
            case _:
                parts[-1] = _with(parts[-1], event)
    return response


def _with(part: Part, event: Event) -> Part:
    match event, part:
        case TextDelta(_, text), Text() | Thinking() | Refusal():
            return structs.replace(part, text=part.text + text)
        case ArgumentsDelta(_, text), _:
            return structs.replace(part, arguments=text)
        case SignatureDelta(_, signature), _:
            return structs.replace(part, signature=signature)
        case CitationDelta(_, citation), Text():
            return structs.replace(part, citations=(*part.citations, citation))
        case _:
            return part


def usage(body: bytes) -> Usage:
    """Only the usage of a finished answer, unknown when there is none; msgspec.DecodeError when it is not JSON."""
    try:
        return told(_HELD.decode(body).usage_metadata) or Usage(known=False)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Usage(known=False)


def models(body: bytes) -> list[Model]:
    """The model list; entries without a name are left out, an unreadable list is empty."""
    try:
        found = _MODELS.decode(body)
    except _UNREADABLE:
        return []
    entries = (*found.models, *found.publisher_models)
    return [model for raw in entries if (model := _model(raw)) is not None]


def next_page(body: bytes) -> str:
    """The query of the page of models after this one; empty for none."""
    try:
        token = _MODELS.decode(body).next_page_token
    except _UNREADABLE:
        return ""
    return f"pageToken={quote(token, safe='')}" if token else ""


def _model(raw: Raw) -> Model | None:
    try:
        bytes(raw).decode()  # what is not read is passed on, and one bad byte would spoil the whole list
        entry = _MODEL.decode(raw)
    except _UNREADABLE:
        return None
    return Model(entry.name.rpartition("/")[2], display_name=entry.display_name, owned_by="google", raw=raw)
