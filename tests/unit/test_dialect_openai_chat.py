"""The Chat Completions dialect: a client's body to the canonical form, answers and errors back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from shared.chat import (
    ChatRequest,
    ChatResponse,
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    Message,
    OutputFormat,
    Reasoning,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    Usage,
)
from shared.dialects.base import Head
from shared.dialects.openai_chat import OPENAI_CHAT as DIALECT
from shared.errors import (
    AuthFailed,
    BudgetExceeded,
    Conflict,
    Garbled,
    GatewayError,
    InvalidRequest,
    LimitExceeded,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Overloaded,
    RateLimited,
    Rejected,
    StoreError,
    TimedOut,
    TooLarge,
    Unreachable,
    Unsupported,
)
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
from shared.jobs import State
from tests.made import A_JOB, A_REQUEST, WITH_USAGE, a_job
from tests.unit.openai_recordings import recordings

HELLO = [{"role": "user", "content": "hi"}]
IMAGE = "data:image/png;base64,aGk="
PDF = "data:application/pdf;base64,aGk="


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO, **fields}).encode()


def parsed(**fields: Any) -> ChatRequest:
    return DIALECT.parse(body(**fields), "m")


def turns(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return parsed(messages=list(messages)).messages


def user_part(part: dict[str, Any]) -> Any:
    (turn,) = turns({"role": "user", "content": [part]})
    return turn.content[0]


# --- the envelope ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "head"),
    [
        (body(), Head("m")),
        (body(stream=True), Head("m", stream=True)),
        (body(stream=None, max_tokens=None), Head("m")),
        (body(fallbacks=["a/b", "c"]), Head("m", fallbacks=("a/b", "c"))),
        (body(fallbacks=[{"model": "x"}]), Head("m")),
        (body(fallbacks="default"), Head("m")),
        (body(messages=[{"role": "assistant", "content": None, "tool_calls": []}]), Head("m")),
    ],
)
def test_the_head_tells_model_stream_and_own_fallbacks(given: bytes, head: Head) -> None:
    assert DIALECT.read_head(given) == head


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (json.dumps({"messages": HELLO}).encode(), "model"),
        (b'{"model": "m"}', "messages"),
        (body(model=3), "model"),
        (body(model=""), "model"),
        (body(messages="hi"), "messages"),
        (body(messages=[]), "messages"),
        (body(messages=["hi"]), "messages[0]"),
        (body(messages=[{"content": "hi"}]), "messages[0].role"),
        (body(messages=[*HELLO, {"role": "bot", "content": "hi"}]), "messages[1].role"),
        (body(messages=[{"role": "user", "content": 3}]), "messages[0].content"),
        (body(stream="true"), "stream"),
        (body(max_tokens="9"), "max_tokens"),
        (body(max_completion_tokens=1.5), "max_completion_tokens"),
        (b"[1]", None),
    ],
)
def test_a_wrong_field_is_refused_by_its_path(given: bytes, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.read_head(given)
    assert caught.value.param == param
    assert (param or "body") in caught.value.message


def test_malformed_json_is_refused_with_its_position() -> None:
    with pytest.raises(InvalidRequest, match="byte 14") as caught:
        DIALECT.read_head(b'{"model": "m" oops}')
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("given", [b"", b'{"model":', b'{"model": "\xff"}', b'{"z":' + b"[" * 100_000])
def test_a_body_that_is_no_json_is_the_callers_error(given: bytes) -> None:
    with pytest.raises(InvalidRequest):
        DIALECT.read_head(given)


def test_an_error_never_quotes_the_message() -> None:
    with pytest.raises(InvalidRequest) as caught:
        DIALECT.read_head(body(messages=[{"role": "my secret role", "content": "x"}]))
    assert "secret" not in caught.value.message


# --- fields ---------------------------------------------------------------------------------------

SCHEMA = {"type": "object"}
FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
RAW_SCHEMA = Raw(b'{"type": "object"}')
TOOL = Tool("f", "d", RAW_SCHEMA, strict=True)


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("max_tokens", 5, "max_tokens", 5),
        ("max_completion_tokens", 6, "max_tokens", 6),
        ("temperature", 0.5, "temperature", 0.5),
        ("top_p", 1, "top_p", 1.0),
        ("seed", 7, "seed", 7),
        ("presence_penalty", 0.1, "presence_penalty", 0.1),
        ("frequency_penalty", -0.1, "frequency_penalty", -0.1),
        ("stop", "x", "stop", ("x",)),
        ("stop", ["x", "y"], "stop", ("x", "y")),
        ("stop", None, "stop", ()),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("reasoning_effort", "high", "reasoning", Reasoning(effort="high")),
        ("user", "u", "user_id", "u"),
        ("safety_identifier", "s", "user_id", "s"),
        ("stream", True, "stream", True),
        ("stream_options", {"include_usage": True, "include_obfuscation": False}, "include_usage", True),
        ("response_format", {"type": "text"}, "output_format", None),
        ("response_format", {"type": "json_object"}, "output_format", OutputFormat()),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            "output_format",
            OutputFormat(RAW_SCHEMA, "n", None, strict=True),
        ),
        ("tools", [{"type": "function", "function": FUNCTION}], "tools", (TOOL,)),
        ("tools", [{"function": FUNCTION}], "tools", (TOOL,)),
        ("tools", [{"type": "function", "function": {"name": "f"}}], "tools", (Tool("f"),)),
        ("tool_choice", "none", "tool_choice", ToolChoice("none")),
        ("tool_choice", "auto", "tool_choice", ToolChoice("auto")),
        ("tool_choice", "required", "tool_choice", ToolChoice("any")),
        (
            "tool_choice",
            {"type": "function", "function": {"name": "f"}},
            "tool_choice",
            ToolChoice("tool", ("f",)),
        ),
        (
            "tool_choice",
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            "tool_choice",
            ToolChoice("subset", ("f",)),
        ),
    ],
)
def test_a_field_gets_its_canonical_meaning(field: str, value: Any, name: str, expected: Any) -> None:
    request = parsed(**{field: value})
    assert getattr(request, name) == expected
    assert request.foreign == ()


def test_the_newer_output_limit_wins() -> None:
    assert parsed(max_tokens=5, max_completion_tokens=6).max_tokens == 6


def test_optionally_allowed_tools_narrow_the_tools() -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}
    tools = [{"type": "function", "function": {"name": name}} for name in "fg"]
    request = parsed(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert request.tools == (Tool("f"),)
    assert request.tool_choice == ToolChoice("auto")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("audio", {"voice": "a"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content"}),
        ("logit_bias", {"50256": -100}),
        ("web_search_options", {"a": 1}),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("service_tier", "flex"),
        ("verbosity", "low"),
        ("prompt_cache_key", "k"),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("provider", {"order": ["x"]}),
        ("fallbacks", [{"model": "x"}]),
        ("something_new", 1),
        ("tool_choice", {"type": "custom", "custom": {"name": "c"}}),
        ("response_format", {"type": "grammar"}),
    ],
)
def test_a_field_without_canonical_meaning_is_kept_as_foreign(field: str, value: Any) -> None:
    (foreign,) = parsed(**{field: value}).foreign
    assert foreign.path == field
    assert json.loads(bytes(foreign.raw)) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 1),
        ("n", None),
        ("logprobs", False),
        ("modalities", ["text"]),
        ("metadata", {}),
        ("fallbacks", ["a/b"]),
        ("provider", "groq"),
        ("audio", None),
    ],
)
def test_a_field_that_says_nothing_leaves_no_trace(field: str, value: Any) -> None:
    assert parsed(**{field: value}).foreign == ()


def test_a_tool_of_another_type_is_foreign() -> None:
    (tool,) = parsed(tools=[{"type": "custom", "custom": {"name": "c"}}]).tools
    assert isinstance(tool, Foreign)
    assert (tool.kind, tool.path) == ("custom", "tools[0]")


# --- messages -------------------------------------------------------------------------------------


def test_leading_system_text_is_lifted_and_later_system_text_keeps_its_place() -> None:
    request = parsed(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "hi", "name": "Ann"},
            {"role": "developer", "content": "c"},
        ]
    )
    assert request.system == (Text("a"), Text("b"))
    assert request.messages == (Message("user", (Text("hi"),), "Ann"), Message("system", (Text("c"),)))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a")),
        ({"type": "image_url", "image_url": {"url": IMAGE}}, Image(Inline("image/png", "aGk="))),
        ({"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}}, Image(Url("https://x/y"), "low")),
        ({"type": "image_url", "image_url": "https://x/y"}, Image(Url("https://x/y"))),
        (
            {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
            Document(Inline("application/pdf", "aGk="), filename="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "aGk=", "filename": "a.pdf"}},
            Document(Inline("application/pdf", "aGk="), filename="a.pdf"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(FileRef("file-1"))),
    ],
)
def test_a_user_part_gets_its_canonical_form(part: dict[str, Any], expected: Any) -> None:
    assert user_part(part) == expected


@pytest.mark.parametrize("kind", ["input_audio", "video_url", "document_url"])
def test_a_part_of_this_wire_alone_is_foreign(kind: str) -> None:
    part = user_part({"type": kind, kind: {"data": "aGk="}})
    assert isinstance(part, Foreign)
    assert (part.wire, part.kind, part.path) == ("openai_chat", kind, "messages[0].content[0]")


def test_an_assistants_turn_keeps_reasoning_text_refusal_and_calls() -> None:
    arguments = '{"a":  1}'
    (turn,) = turns(
        {
            "role": "assistant",
            "content": "t",
            "reasoning_content": "r",
            "refusal": "no",
            "annotations": [],
            "audio": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}],
        }
    )
    thinking = Thinking("r", "openai_chat")
    assert turn.content == (thinking, Text("t"), Refusal("no"), ToolCall("c1", "f", arguments))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning": "r"}, Thinking("r", "openai_chat")),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]},
            Thinking("r", "openai_chat"),
        ),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, Refusal("no")),
    ],
)
def test_vendors_spellings_of_an_assistants_part_are_read(fields: dict[str, Any], expected: Any) -> None:
    (turn,) = turns({"role": "assistant", **fields})
    assert turn.content == (expected,)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "messages[0].function_call"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "messages[0].tool_calls[0]"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0]"),
    ],
)
def test_what_only_this_wire_can_say_in_a_turn_is_foreign(message: dict[str, Any], path: str) -> None:
    (turn,) = turns(message)
    (part,) = turn.content
    assert isinstance(part, Foreign)
    assert part.path == path


def test_consecutive_tool_messages_become_one_user_turn() -> None:
    found = turns(
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": "go on"},
        {"role": "tool", "tool_call_id": "c", "content": None},
    )
    assert found == (
        Message("user", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)))),
        Message("user", (Text("go on"),)),
        Message("user", (ToolResult("c", ()),)),
    )


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "text", "text": 3}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/svg+xml,x"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0].file.file_data"),
        (
            [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}],
            "messages[0].content[0]",
        ),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}], "messages[0].tool_calls[0].id"),
        ([{"role": "assistant", "tool_calls": [{"id": "c"}]}], "messages[0].tool_calls[0].function.name"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_by_its_path(messages: list[Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(messages=messages)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("temperature", "hot", "temperature"),
        ("stop", 3, "stop"),
        ("tool_choice", "maybe", "tool_choice"),
        ("tools", [{"type": "function"}], "tools[0].function"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name"),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_by_its_path(field: str, value: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**{field: value})
    assert caught.value.param == param


# --- answers --------------------------------------------------------------------------------------


def answer(*content: Any, stop: StopReason = StopReason.END, **fields: Any) -> Any:
    return json.loads(DIALECT.render(ChatResponse("id1", "m", content, stop, Usage(), **fields), A_JOB, b""))


def test_an_answer_has_the_vendors_shape() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_write_tokens=2, reasoning_tokens=4)
    response = ChatResponse("id1", "m", (Text("a"), Text("b")), StopReason.END, usage, created_s=7)
    assert json.loads(DIALECT.render(response, A_JOB, b"")) == {
        "id": "id1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 15,
            "completion_tokens": 5,
            "total_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    }


def test_calls_reasoning_and_refusals_have_fields_of_their_own() -> None:
    foreign = Foreign("anthropic", "server_tool_use", "content.0", Raw(b"{}"))
    parts = (Thinking("r", "anthropic", "sig"), RedactedThinking("x", "anthropic"), foreign, Refusal("no"))
    message = answer(*parts, ToolCall("c", "f", ""))["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": "no",
        "reasoning_content": "r",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        (StopReason.END, "stop"),
        (StopReason.STOP_SEQUENCE, "stop"),
        (StopReason.LENGTH, "length"),
        (StopReason.CONTEXT_FULL, "length"),
        (StopReason.TOOL_CALL, "tool_calls"),
        (StopReason.REFUSAL, "content_filter"),
        (StopReason.PAUSE, "stop"),
    ],
)
def test_every_stop_reason_has_a_word(stop: StopReason, word: str) -> None:
    assert answer(Text("a"), stop=stop)["choices"][0]["finish_reason"] == word


def test_a_refusal_that_can_be_read_ends_with_stop() -> None:
    assert answer(Refusal("no"), stop=StopReason.REFUSAL)["choices"][0]["finish_reason"] == "stop"


def test_a_placeholder_has_no_choice() -> None:
    assert json.loads(DIALECT.placeholder(a_job(id="job", model="openai/m", created_ms=9_000), State.QUEUED)) == {
        "id": "job",
        "object": "chat.completion",
        "created": 9,
        "model": "openai/m",
        "choices": [],
    }


@pytest.mark.parametrize("given", [b'{"id":"a","choices":[ ]}', b'{"id":"a","choices":null}', b'{"id":"a"}'])
def test_a_finished_answer_without_choices_gets_an_empty_one(given: bytes) -> None:
    filled = json.loads(DIALECT.fill_empty(given))
    assert filled["id"] == "a"
    assert filled["choices"][0]["message"] == {"role": "assistant", "content": "", "refusal": None}


@pytest.mark.parametrize("given", [b'{ "choices": [ {"message":{}} ] }', b"not json", b"[]"])
def test_any_other_finished_answer_is_left_as_it_is(given: bytes) -> None:
    assert DIALECT.fill_empty(given) == given


# --- streams --------------------------------------------------------------------------------------


def chunks(*events: Event, include_usage: bool = False) -> list[Any]:
    renderer = DIALECT.stream(WITH_USAGE if include_usage else A_REQUEST, A_JOB, b"")
    frames = b"".join(renderer.feed(event) for event in events).decode().split("\n\n")
    assert frames.pop() == ""
    data = [frame.removeprefix("data: ") for frame in frames]
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def deltas(*events: Event) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(STARTED, *events)[1:]]


STARTED = Started("id1", "m", Usage(), created_s=7)
FINISHED = Finished(StopReason.END, Usage(input_tokens=2, output_tokens=3))


def test_a_stream_runs_from_role_to_done() -> None:
    text = (PartStarted(0, Text("")), TextDelta(0, "hi"), TextDelta(0, ""), PartStopped(0))
    first, second, last, done = chunks(STARTED, *text, FINISHED)
    choice = {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None, "logprobs": None}
    shape = {"id": "id1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    assert first == {**shape, "choices": [choice]}
    assert second["choices"][0]["delta"] == {"content": "hi"}
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert done == "[DONE]"


def test_an_answer_that_says_nothing_ends_with_empty_content() -> None:
    _first, last, _done = chunks(STARTED, FINISHED)
    assert last["choices"][0]["delta"] == {"content": ""}


def test_the_usage_chunk_comes_only_when_asked_for() -> None:
    first, _last, usage, done = chunks(STARTED, FINISHED, include_usage=True)
    assert first["usage"] is None
    assert usage["choices"] == []
    assert (usage["usage"]["prompt_tokens"], usage["usage"]["total_tokens"]) == (2, 5)
    assert done == "[DONE]"


def test_tool_calls_are_numbered_among_themselves() -> None:
    found = deltas(
        PartStarted(0, Text("")),
        TextDelta(0, "t"),
        PartStopped(0),
        PartStarted(1, ToolCall("a", "f", "")),
        ArgumentsDelta(1, '{"x":'),
        ArgumentsDelta(1, "1}"),
        PartStopped(1),
        PartStarted(2, ToolCall("b", "g", "")),
        PartStopped(2),
    )
    assert found == [
        {"content": "t"},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
    ]


@pytest.mark.parametrize(
    ("part", "field"),
    [(Text(""), "content"), (Thinking("", "anthropic"), "reasoning_content"), (Refusal(""), "refusal")],
)
def test_a_text_delta_goes_to_the_field_of_its_part(part: Any, field: str) -> None:
    assert deltas(PartStarted(0, part), TextDelta(0, "x"), SignatureDelta(0, "s"), PartStopped(0)) == [{field: "x"}]


def test_redacted_reasoning_has_no_chunk() -> None:
    assert deltas(PartStarted(0, RedactedThinking("x", "anthropic")), PartStopped(0)) == []


def test_a_streamed_refusal_ends_with_stop() -> None:
    refusal = (PartStarted(0, Refusal("")), TextDelta(0, "no"), PartStopped(0))
    last = chunks(STARTED, *refusal, Finished(StopReason.REFUSAL, Usage()))[-2]
    assert last["choices"][0]["finish_reason"] == "stop"


def test_a_broken_stream_ends_with_an_error_and_without_done() -> None:
    found = chunks(STARTED, Broken(Overloaded("busy", provider="p")))
    assert found[-1] == {"error": {"message": "busy", "type": "server_error", "param": None, "code": "overloaded"}}


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequest("x", param="messages"), 400, "invalid_request_error", None),
        (Unsupported("x", code="unsupported_field"), 400, "invalid_request_error", "unsupported_field"),
        (NotAuthenticated("x"), 401, "invalid_request_error", "invalid_api_key"),
        (BudgetExceeded("x"), 402, "insufficient_quota", "insufficient_quota"),
        (NotPermitted("x"), 403, "permission_error", "permission_denied"),
        (NotFound("x", code="job_not_found"), 404, "invalid_request_error", "job_not_found"),
        (Conflict("x"), 409, "invalid_request_error", "conflict"),
        (TooLarge("x"), 413, "invalid_request_error", "request_too_large"),
        (LimitExceeded("x"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (StoreError("x"), 503, "server_error", "service_unavailable"),
        (AuthFailed("x", provider="p", upstream_status=401), 502, "server_error", None),
        (RateLimited("x", provider="p", code="insufficient_quota"), 429, "insufficient_quota", "insufficient_quota"),
        (Overloaded("x", provider="p", upstream_status=529), 503, "server_error", "overloaded"),
        (Unreachable("x", provider="p"), 502, "server_error", None),
        (TimedOut("x", provider="p"), 504, "server_error", "timeout"),
        (Garbled("x", provider="p"), 502, "server_error", None),
        (Rejected("x", provider="p", upstream_status=404), 404, "invalid_request_error", "model_not_found"),
        (Rejected("x", provider="p", upstream_status=422), 400, "invalid_request_error", None),
        (
            Rejected("x", provider="p", upstream_status=400, upstream_type="INVALID_ARGUMENT"),
            400,
            "invalid_request_error",
            None,
        ),
        (
            Rejected("x", provider="p", upstream_status=400, upstream_type="image_error", code="bad_image"),
            400,
            "image_error",
            "bad_image",
        ),
    ],
)
def test_every_error_has_status_type_and_code(error: GatewayError, status: int, kind: str, code: str | None) -> None:
    assert DIALECT.error_status(error) == status
    shown = {"message": "x", "type": kind, "param": error.param, "code": code}
    assert json.loads(DIALECT.render_error(error, "req_1")) == {"error": shown}


# --- recorded traffic -----------------------------------------------------------------------------


def test_every_recorded_request_is_read() -> None:
    covered = 0
    for recording in recordings():
        if recording.request is None:
            continue
        given = msgspec.json.decode(recording.request)
        given.setdefault("model", "deployment")  # in the URL of Azure's older surface
        data = msgspec.json.encode(given)
        assert DIALECT.read_head(data).model == given["model"]
        request = DIALECT.parse(data, "m")
        roles = [message["role"] for message in given["messages"]]
        assert len(request.messages) <= len(roles), recording.name
        calls = [part for turn in request.messages for part in turn.content if isinstance(part, ToolCall)]
        assert len(calls) == sum(len(message.get("tool_calls") or ()) for message in given["messages"]), recording.name
        results = [part for turn in request.messages for part in turn.content if isinstance(part, ToolResult)]
        assert len(results) == roles.count("tool"), recording.name
        covered += 1
    print(f"{covered} recorded requests")
    assert covered > 0
