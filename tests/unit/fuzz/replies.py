"""Providers' answers: what the simulator says, often with something wrong."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import httpx
import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from shared.jobs import Job
from shared.sse import FrameReader
from tests.unit.fuzz.mutations import Body, hurt, mutated, written
from tests.unit.fuzz.pipeline import PROVIDERS, Way, simulated

Frames = list[tuple[str, Any]]

_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_ASKED = "Please use the tools `weather` and `clock` in parallel."
_TOOLS = [{"name": name, "input_schema": _SCHEMA} for name in ("weather", "clock")]
_FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": _SCHEMA}} for name in ("weather", "clock")]
_FLAT = [{"type": "function", "name": name, "parameters": _SCHEMA, "strict": False} for name in ("weather", "clock")]
_MESSAGES = {"model": "m", "max_tokens": 5_000, "messages": [{"role": "user", "content": _ASKED}]}
_CHAT = {"model": "m", "messages": [{"role": "user", "content": _ASKED}]}
_RESPONSES = {"model": "m", "input": _ASKED}

QUESTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("anthropic", "chat"): [
        _MESSAGES,
        {**_MESSAGES, "tools": _TOOLS},
        {**_MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 2_000}, "stop_sequences": ["gives"]},
    ],
    ("anthropic", "count_tokens"): [_MESSAGES],
    ("openai_chat", "chat"): [
        _CHAT,
        {**_CHAT, "tools": _FUNCTIONS},
        {**_CHAT, "stream_options": {"include_usage": True}, "max_tokens": 3},
    ],
    ("openai_chat", "embeddings"): [{"model": "m", "input": ["a", "b"]}],
    ("openai_responses", "chat"): [
        _RESPONSES,
        {**_RESPONSES, "tools": _FLAT},
        {**_RESPONSES, "reasoning": {"effort": "low", "summary": "auto"}},
    ],
    ("openai_responses", "count_tokens"): [_RESPONSES],
}
"""Requests whose answers differ in kind."""
_STREAMED = "chat"


class Seed(NamedTuple):
    """A job for `provider`, its body, and what the simulator answers."""

    job: Job
    body: bytes
    provider: str
    reply: bytes

    def __repr__(self) -> str:
        return f"<{self.job.dialect} {self.job.operation} at {self.provider}: {self.body!r}>"


def seeds(way: Way, name: str, operation: str) -> list[Seed]:
    """One for every question, for every provider that can be asked it, plain and streamed."""
    found = []
    for question in QUESTIONS[name, operation]:
        for stream in (False, True)[: 1 + (operation == _STREAMED)]:
            asked = {**question, "stream": stream} if stream else _plain(question)
            body = json.dumps(asked).encode()
            job = way.take(name, operation, body, {})
            found += [seed for provider in PROVIDERS if (seed := _seed(way, job, body, provider))]
    return found


def _plain(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name != "stream_options"}


def _seed(way: Way, job: Job, body: bytes, provider: str) -> Seed | None:
    replies: list[bytes] = []

    def hear(request: httpx.Request) -> httpx.Response:
        answer = simulated(request)
        replies.append(answer.content)
        return answer

    ended = way.work(job, provider, body, hear)
    if not replies:
        return None
    assert ended.outcome.status == 200, ended.outcome.body
    return Seed(job, body, provider, replies[0])


@st.composite
def replies(draw: st.DrawFn, of: list[Seed]) -> tuple[Seed, Body]:
    """A seed with its answer, half of the time as it was."""
    seed = draw(st.sampled_from(of))
    if seed.job.stream:
        return seed, draw(_streams(frames(seed.reply)))
    return seed, draw(written(msgspec.json.decode(seed.reply)))


def frames(reply: bytes) -> Frames:
    """The events of a stream, their data decoded where it is JSON."""
    reader = FrameReader()
    found = [*reader.feed(reply), *reader.close()]
    return [(frame.event, _value(frame.data)) for frame in found]


def _value(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return Raw(data)


@st.composite
def _streams(draw: st.DrawFn, of: Frames) -> Body:
    of = list(of)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        of = draw(_disturbed(of))
    ends = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"]))
    stream = b"".join(_frame(event, value) for event, value in of).replace(b"\n", ends)
    return Body(draw(hurt(stream)) if draw(st.integers(0, 7)) == 7 else stream)


@st.composite
def _disturbed(draw: st.DrawFn, of: Frames) -> Frames:
    """The frames with one of them changed, gone, repeated or in another place."""
    at = draw(st.integers(0, len(of) - 1)) if of else 0
    before, here, after = of[:at], of[at : at + 1], of[at + 1 :]
    match draw(st.sampled_from(["changed", "mixed", "gone", "twice", "later", "put in", "renamed"])):
        case "changed":
            return before + [(event, draw(mutated(value))) for event, value in here] + after
        case "mixed":
            return before + [(event, draw(_mixed(value, [data for _, data in of]))) for event, value in here] + after
        case "gone":
            return before + after
        case "twice":
            return before + here + here + after
        case "later":
            return before + after[:1] + here + after[1:]
        case "renamed":
            return before + [(draw(_EVENTS), value) for _, value in here] + after
        case _:
            return [*before, (draw(_EVENTS), draw(st.sampled_from(_STRAY))), *here, *after]


@st.composite
def _mixed(draw: st.DrawFn, value: Any, others: list[Any]) -> Any:
    """The event with one field, or what is in it, as another event has it."""
    other = draw(st.sampled_from([found for found in others if isinstance(found, dict)] or [{}]))
    if not isinstance(value, dict) or not other:
        return value
    name = draw(st.sampled_from(list(other)))
    mine, theirs = value.get(name), other[name]
    if isinstance(mine, dict) and isinstance(theirs, dict) and theirs and draw(st.booleans()):
        inner = draw(st.sampled_from(list(theirs)))
        theirs = {**mine, inner: theirs[inner]}
    return {**value, name: theirs}


_EVENTS = st.sampled_from(["", "error", "ping", "message_stop", "message_start", "response.completed", "no_such_event"])
_STRAY: list[Any] = [
    Raw(b"[DONE]"),
    Raw(b""),
    Raw(b"x"),
    None,
    {},
    {"error": {"message": "no", "type": "rate_limit_error"}},
    {"error": "no"},
    {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
    {"choices": []},
    {"choices": [{"index": 1, "delta": {"content": "other"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "stray", "refusal": "stray"}}]},
    {"choices": [{"index": 0, "delta": {"content": [{"type": "thinking", "thinking": [{"text": "stray"}]}]}}]},
    {"choices": [{"index": 0, "delta": {"function_call": {"name": "f", "arguments": {"a": 10**30}}}}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 5, "function": {"arguments": "{"}}]}}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "", "arguments": "}"}}]}}]},
    {"created": 1e308, "choices": [{"message": {"content": "stray"}}], "usage": {"prompt_tokens": -1}},
    {"type": "response.completed"},
    {"type": "response.completed", "response": {}},
    {"type": "response.failed", "response": {"error": None}},
    {"type": "response.output_text.delta", "delta": "stray"},
    {"type": "error", "code": 1, "message": None},
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 7, "content_block": {"type": "tool_use"}},
    {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "stray"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "stray"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "stray"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "stray"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"type": "x"}}},
    {"type": "message_stop"},
    {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}},
    {"promptFeedback": {"blockReason": "OTHER"}},
    {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]},
    {"candidates": [{"content": {"parts": [{"text": "stray", "thought": True, "thoughtSignature": "c3RyYXk="}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "stray", "thoughtSignature": "c3RyYXk="}]}}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "groundingMetadata": {"a": 1}}]},
    {"candidates": [{"groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://example.com"}}]}}]},
]


def _frame(event: str, value: Any) -> bytes:
    named = b"event: " + event.encode() + b"\n" if event else b""
    return named + b"data: " + msgspec.json.encode(value) + b"\n\n"
