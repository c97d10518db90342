"""The Responses dialect's streams, as bytes and as OpenAI's SDK reads them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from shared.chat import (
    ChatResponse,
    Part,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects.openai_responses import OPENAI_RESPONSES as DIALECT
from shared.dialects.openai_responses.stream import After, Renderer
from shared.errors import GatewayError, Overloaded, RateLimited, Rejected, StoreError, Unreachable
from shared.events import (
    ArgumentsDelta,
    Broken,
    Event,
    Finished,
    PartStarted,
    PartStopped,
    SignatureDelta,
    Started,
    TextDelta,
)
from shared.ids import response_id
from shared.jobs import State
from shared.sse import COMMENT, FrameReader, write
from tests.made import A_REQUEST, a_job
from tests.unit.raw_provider import answering, provider

JOB = a_job(dialect="openai_responses", created_ms=1_763_700_000_900)
ID = response_id(JOB.id)
BODY = json.dumps({"model": "m", "input": "hi", "instructions": "be brief", "metadata": {"a": "b"}}).encode()
USAGE = Usage(input_tokens=5, output_tokens=9, cache_read_tokens=3)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

ANSWERS: dict[str, tuple[tuple[Part, ...], StopReason]] = {
    "a text": ((Text("hello there"),), StopReason.END),
    "two texts": ((Text("hello"), Text("there")), StopReason.END),
    "reasoning, text and calls": (
        (
            Thinking("let me see", "anthropic", "sig"),
            RedactedThinking("xyz", "anthropic"),
            Thinking("", "anthropic", "only a signature"),
            Text("calling"),
            ToolCall("call_1", "f", '{"a": 1}'),
            ToolCall("call_2", "g", ""),
        ),
        StopReason.TOOL_CALL,
    ),
    "reasoning between texts": (
        (Text("a"), Thinking("b", "openai_chat"), Text("c"), Text("d"), ToolCall("call_1", "f", "{}"), Text("e")),
        StopReason.END,
    ),
    "a refusal": ((Text("well"), Refusal("I will not")), StopReason.REFUSAL),
    "a text cut off": ((Text("hello"),), StopReason.LENGTH),
    "a call cut off": ((Text("hello"), ToolCall("call_1", "f", '{"a')), StopReason.CONTEXT_FULL),
    "a text that was withheld": ((Text("hello"),), StopReason.REFUSAL),
    "an empty text": ((Text(""), ToolCall("call_1", "f", "{}")), StopReason.TOOL_CALL),
    "nothing": ((), StopReason.END),
}
WHOLE = [name for name, (_, stop) in ANSWERS.items() if stop in {StopReason.END, StopReason.TOOL_CALL}]


def answer(name: str) -> ChatResponse:
    content, stop = ANSWERS[name]
    return ChatResponse("theirs", "m-2026", content, stop, USAGE, created_s=1_763_700_003)


def events(response: ChatResponse) -> Iterator[Event]:
    """The events of a stream that adds up to `response`, its text in pieces of four characters."""
    yield Started(response.id, response.model, Usage(), response.created_s)
    for index, part in enumerate(response.content):
        yield from _events(index, part)
    yield Finished(response.stop_reason, response.usage)


def _events(index: int, part: Part) -> Iterator[Event]:
    match part:
        case Text(text) | Refusal(text):
            yield PartStarted(index, type(part)(""))
            yield from (TextDelta(index, piece) for piece in _pieces(text))
        case Thinking(text, origin, signature):
            yield PartStarted(index, Thinking("", origin))
            yield from (TextDelta(index, piece) for piece in _pieces(text))
            if signature:
                yield SignatureDelta(index, signature)
        case RedactedThinking():
            yield PartStarted(index, part)
        case ToolCall(call_id, name, arguments):
            yield PartStarted(index, ToolCall(call_id, name, ""))
            yield from (ArgumentsDelta(index, piece) for piece in _pieces(arguments))
    yield PartStopped(index)


def _pieces(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def frames(sent: bytes) -> list[dict[str, Any]]:
    """The events, each of which the SDK's own types accept, with its name on the wire that of its type."""
    found = []
    for frame in FrameReader().feed(sent):
        if frame.data:
            EVENT.validate_json(frame.data)
            found.append(json.loads(frame.data))
            assert frame.event == found[-1]["type"]
    return found


def streamed(name: str) -> tuple[bytes, Renderer]:
    renderer = Renderer(JOB, BODY)
    return b"".join(map(renderer.feed, events(answer(name)))), renderer


def begun(count: int) -> bytes:
    """The first `count` frames of a stream."""
    sent, _ = streamed("a text")
    return b"".join(frame.raw for frame in FrameReader().feed(sent)[:count])


# --- the events -----------------------------------------------------------------------------------


def short(event: dict[str, Any]) -> tuple[Any, ...]:
    kind = event["type"].removeprefix("response.")
    told = event.get("delta", event.get("text", event.get("refusal", event.get("arguments"))))
    return (kind, told) if told is not None else (kind,)


def test_a_text_is_told_in_the_vendors_order() -> None:
    assert [short(event) for event in frames(streamed("a text")[0])] == [
        ("created",),
        ("in_progress",),
        ("output_item.added",),
        ("content_part.added",),
        ("output_text.delta", "hell"),
        ("output_text.delta", "o th"),
        ("output_text.delta", "ere"),
        ("output_text.done", "hello there"),
        ("content_part.done",),
        ("output_item.done",),
        ("completed",),
    ]


def test_reasoning_and_calls_are_told_in_the_vendors_order() -> None:
    assert [short(event) for event in frames(streamed("reasoning, text and calls")[0])[2:]] == [
        ("output_item.added",),
        ("reasoning_summary_part.added",),
        ("reasoning_summary_text.delta", "let "),
        ("reasoning_summary_text.delta", "me s"),
        ("reasoning_summary_text.delta", "ee"),
        ("reasoning_summary_text.done", "let me see"),
        ("reasoning_summary_part.done",),
        ("output_item.done",),
        ("output_item.added",),
        ("output_item.done",),
        ("output_item.added",),
        ("output_item.done",),
        ("output_item.added",),
        ("content_part.added",),
        ("output_text.delta", "call"),
        ("output_text.delta", "ing"),
        ("output_text.done", "calling"),
        ("content_part.done",),
        ("output_item.done",),
        ("output_item.added",),
        ("function_call_arguments.delta", '{"a"'),
        ("function_call_arguments.delta", ": 1}"),
        ("function_call_arguments.done", '{"a": 1}'),
        ("output_item.done",),
        ("output_item.added",),
        ("function_call_arguments.delta", "{}"),
        ("function_call_arguments.done", "{}"),
        ("output_item.done",),
        ("completed",),
    ]


def test_a_refusal_is_a_content_part_beside_the_text() -> None:
    assert [short(event) for event in frames(streamed("a refusal")[0])[2:]] == [
        ("output_item.added",),
        ("content_part.added",),
        ("output_text.delta", "well"),
        ("output_text.done", "well"),
        ("content_part.done",),
        ("content_part.added",),
        ("refusal.delta", "I wi"),
        ("refusal.delta", "ll n"),
        ("refusal.delta", "ot"),
        ("refusal.done", "I will not"),
        ("content_part.done",),
        ("output_item.done",),
        ("completed",),
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_events_are_numbered_from_zero_without_a_gap(name: str) -> None:
    numbers = [event["sequence_number"] for event in frames(streamed(name)[0])]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("name", ANSWERS)
def test_the_first_events_carry_the_response_without_output(name: str) -> None:
    created, in_progress = frames(streamed(name)[0])[:2]
    assert created["response"] == in_progress["response"]
    response = created["response"]
    assert (response["id"], response["status"], response["model"]) == (ID, "in_progress", "m-2026")
    assert (response["output"], response["usage"]) == ([], None)
    assert response["metadata"] == {"a": "b"}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_streamed_answer_is_the_plain_one_byte_for_byte(name: str) -> None:
    sent, renderer = streamed(name)
    plain = DIALECT.render(answer(name), JOB, BODY)
    assert renderer.final == plain
    last = frames(sent)[-1]
    assert last["response"] == json.loads(plain)
    assert last["type"] == f"response.{last['response']['status']}"


@pytest.mark.parametrize("name", ANSWERS)
def test_items_are_announced_filled_and_finished_where_they_stand_in_the_output(name: str) -> None:
    told = frames(streamed(name)[0])
    items: list[dict[str, Any]] = []
    for event in told[2:-1]:
        at = event["output_index"]
        if event["type"] == "response.output_item.added":
            assert at == len(items)
            items.append(event["item"])
        elif event["type"] == "response.output_item.done":
            assert event["item"]["id"] == items[at]["id"]
            items[at] = event["item"]
        else:
            assert (at, event["item_id"]) == (len(items) - 1, items[-1]["id"])
        if event["type"].endswith("_part.done"):
            index = event.get("content_index", event.get("summary_index"))
            final = told[-1]["response"]["output"][at]
            assert (final.get("content") or final["summary"])[index] == event["part"]
    assert items == told[-1]["response"]["output"]


def test_the_answer_is_known_only_after_its_end() -> None:
    renderer = Renderer(JOB, BODY)
    for event in events(answer("a text")):
        assert renderer.final == b""
        renderer.feed(event)
    assert renderer.final


def test_the_dialect_makes_such_streams() -> None:
    renderer = DIALECT.stream(A_REQUEST, JOB, BODY)
    assert b"".join(map(renderer.feed, events(answer("a text")))) == streamed("a text")[0]
    assert renderer.final == streamed("a text")[1].final


# --- streams that break ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RateLimited("slow down", provider="p"), "rate_limit_exceeded"),
        (Overloaded("too many", provider="p"), "server_error"),
        (Unreachable("it broke", provider="p"), "server_error"),
        (StoreError("no store"), "server_error"),
        (Rejected("no", provider="p", upstream_status=400), "invalid_prompt"),
    ],
)
def test_a_stream_that_has_begun_ends_with_the_next_number(error: GatewayError, code: str) -> None:
    (last,) = frames(DIALECT.stream_error(error, JOB, begun(5)))
    assert (last["type"], last["sequence_number"]) == ("response.failed", 5)
    response = last["response"]
    assert (response["id"], response["status"], response["output"]) == (ID, "failed", [])
    assert response["error"] == {"code": code, "message": error.message}


@pytest.mark.parametrize(
    "last",
    [
        begun(5) + COMMENT,
        write(b'{"sequence_number":4,"type":"x","item":{"sequence_number":9}}', "x"),
        write(b'{"type":"x","delta":"\\"sequence_number\\":9","sequence_number": 4}', "x"),
        write(b'{"sequence_number":4}') + write(b"[DONE]"),
        b'event: x\r\ndata: {"sequence_number":4}\r\n\r\n',
    ],
)
def test_the_last_number_is_found_in_whatever_was_sent(last: bytes) -> None:
    (end,) = frames(DIALECT.stream_error(StoreError("no store"), JOB, last))
    assert end["sequence_number"] == 5


@pytest.mark.parametrize("last", [b"", COMMENT])
def test_a_stream_that_has_not_begun_begins_before_it_fails(last: bytes) -> None:
    created, end = frames(DIALECT.stream_error(StoreError("no store"), JOB, last))
    assert [created["type"], end["type"]] == ["response.created", "response.failed"]
    assert [created["sequence_number"], end["sequence_number"]] == [0, 1]
    assert created["response"]["status"] == "in_progress"


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_provider_that_breaks_off_fails_the_response(count: int) -> None:
    renderer = Renderer(JOB, BODY)
    happened = [*list(events(answer("a text")))[:count], Broken(Unreachable("it broke", provider="p"))]
    told = frames(b"".join(map(renderer.feed, happened)))
    assert told[0]["type"] == "response.created"
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["metadata"] == {"a": "b"}
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert renderer.final == b""


# --- streams that are resumed -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("seen", [-1, 0, 4, 9, 10, 99])
def test_a_client_that_resumes_gets_what_it_has_not_seen(seen: int, size: int) -> None:
    sent, _ = streamed("a text")
    raws = [frame.raw for frame in FrameReader().feed(sent)]
    after = After(seen)
    got = b"".join(after(COMMENT + b"".join(raws[at : at + size])) for at in range(0, len(raws), size))
    assert got.replace(COMMENT, b"") == b"".join(raws[seen + 1 :])


def test_what_follows_is_passed_on_unread() -> None:
    after = After(1)
    assert after(begun(2)) == b""
    assert after(begun(4)).count(b"\n\n") == 2
    assert after(b"anything at all") == b"anything at all"


# --- as the SDK reads them --------------------------------------------------------------------------


@asynccontextmanager
async def client(told: bytes, content_type: str) -> AsyncIterator[openai.AsyncOpenAI]:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"
    async with (
        provider(answering(head.encode(), told)) as (url, _),
        openai.AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0) as sdk,
    ):
        yield sdk


def streaming(told: bytes) -> Any:
    return client(told, "text/event-stream")


def plain(told: bytes) -> Any:
    return client(told, "application/json")


def text_of(name: str) -> str:
    return "".join(part.text for part in ANSWERS[name][0] if isinstance(part, Text))


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_sdk_reads_an_answer(name: str) -> None:
    async with plain(DIALECT.render(answer(name), JOB, BODY)) as sdk:
        response = await sdk.responses.create(model="m", input="hi")
    assert (response.id, response.output_text) == (ID, text_of(name))
    assert response.usage.total_tokens == 17


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
async def test_the_sdk_reads_a_placeholder(state: State) -> None:
    async with plain(DIALECT.placeholder(JOB, state, BODY)) as sdk:
        response = await sdk.responses.retrieve(JOB.id)
    assert (response.id, response.output_text, response.output) == (JOB.id, "", [])


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_sdk_reads_a_stream(name: str) -> None:
    sent, renderer = streamed(name)
    async with streaming(COMMENT + sent) as sdk:
        stream = await sdk.responses.create(model="m", input="hi", stream=True)
        told = [event async for event in stream]
    text = "".join(event.delta for event in told if event.type == "response.output_text.delta")
    assert text == text_of(name)
    assert told[-1].response.to_dict() == json.loads(renderer.final)


@pytest.mark.parametrize("name", WHOLE)
async def test_the_sdks_helper_gathers_the_answer(name: str) -> None:
    sent, renderer = streamed(name)
    async with streaming(sent) as sdk, sdk.responses.stream(model="m", input="hi") as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "response.output_text.delta"]
        response = await stream.get_final_response()
    assert response.output_text == text_of(name)
    assert not snapshots or response.output_text.endswith(snapshots[-1])
    assert [item["id"] for item in json.loads(renderer.final)["output"]] == [item.id for item in response.output]


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - set(WHOLE)))
async def test_the_sdks_helper_reads_an_answer_that_was_cut_short(name: str) -> None:
    sent, renderer = streamed(name)
    async with streaming(sent) as sdk, sdk.responses.stream(model="m", input="hi") as stream:
        told = [event async for event in stream]
    assert told[-1].type == f"response.{json.loads(renderer.final)['status']}"


@pytest.mark.parametrize("before", [b"", begun(1), begun(6)])
async def test_the_sdks_helper_reads_a_stream_that_fails(before: bytes) -> None:
    end = DIALECT.stream_error(RateLimited("slow down", provider="p"), JOB, before)
    async with streaming(before + end) as sdk, sdk.responses.stream(model="m", input="hi") as stream:
        told = [event async for event in stream]
    assert told[-1].type == "response.failed"
    assert told[-1].response.error.code == "rate_limit_exceeded"


async def test_the_sdk_reads_a_resumed_stream() -> None:
    sent, _ = streamed("a text")
    async with streaming(After(4)(sent)) as sdk:
        stream = await sdk.responses.retrieve(ID, stream=True, starting_after=4)
        told = [event.sequence_number async for event in stream]
    assert told == [5, 6, 7, 8, 9, 10]
