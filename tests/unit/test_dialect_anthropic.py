"""The Anthropic dialect: what clients send becomes canonical, what is canonical becomes what their SDKs read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from shared.chat import (
    ChatRequest,
    ChatResponse,
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    PlainText,
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
from shared.dialects.anthropic import ANTHROPIC
from shared.dialects.base import Head
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
from shared.sse import FrameReader
from tests.made import A_JOB, A_REQUEST, a_job
from worker.providers.catalog import ROWS
from worker.providers.openai import OPENAI

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "anthropic"
USER = {"role": "user", "content": "Hi"}


def body(**fields) -> bytes:
    """A request body; a field given as None is left out."""
    made = {"model": "claude-x", "max_tokens": 10, "messages": [USER], **fields}
    return json.dumps({name: value for name, value in made.items() if value is not None}).encode()


def parse(**fields) -> ChatRequest:
    return ANTHROPIC.parse(body(**fields), "claude-x")


def parse_blocks(*blocks: object, role: str = "user"):
    return parse(messages=[{"role": role, "content": list(blocks)}]).messages[0].content


# --- envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        ({}, Head("claude-x")),
        ({"model": "openai/gpt-x", "stream": True}, Head("openai/gpt-x", stream=True)),
        ({"max_tokens": 0}, Head("claude-x")),
        ({"stream": False, "system": "s", "unknown": {"a": [1]}}, Head("claude-x")),
        ({"fallbacks": ["openai/gpt-x", "groq/y"]}, Head("claude-x", fallbacks=("openai/gpt-x", "groq/y"))),
        ({"fallbacks": [{"model": "claude-y"}]}, Head("claude-x")),
        ({"fallbacks": "default"}, Head("claude-x")),
        ({"messages": [{"role": "system", "content": [{"type": "text", "text": "x"}]}]}, Head("claude-x")),
    ],
)
def test_the_head_holds_what_routing_needs(fields, head):
    assert ANTHROPIC.read_head(body(**fields)) == head


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"model": None}, "model", "model: Field required"),
        ({"max_tokens": None}, "max_tokens", "max_tokens: Field required"),
        ({"messages": None}, "messages", "messages: Field required"),
        ({"model": 7}, "model", "model: Expected str, got int"),
        ({"model": ""}, "model", None),
        ({"max_tokens": "10"}, "max_tokens", "max_tokens: Expected int, got str"),
        ({"max_tokens": -1}, "max_tokens", None),
        ({"max_tokens": 1.5}, "max_tokens", None),
        ({"messages": "Hi"}, "messages", None),
        ({"messages": []}, "messages", None),
        ({"messages": ["Hi"]}, "messages.0", "messages.0: Expected object, got str"),
        ({"messages": [USER, {"content": "Hi"}]}, "messages.1.role", "messages.1.role: Field required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "messages.0.content: Field required"),
        ({"messages": [{"role": "tool", "content": "Hi"}]}, "messages.0.role", None),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content", None),
        ({"stream": "yes"}, "stream", None),
    ],
)
def test_a_wrong_envelope_is_refused_with_the_path_of_the_field(fields, param, message):
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.read_head(body(**fields))
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")
    assert message is None or caught.value.message == message


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "line 1, column 1"),
        (b'{"model": ', "ends early at line 1, column 11"),
        (b'{"model": "x",\n  "max_tokens": }', "line 2, column 17"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"model": "\xff"}', "UTF-8"),
        (body(unread="x").replace(b'"x"', b'"\xff"'), "UTF-8"),
        (b'{"a":' + b"[" * 100_000, "nested more than 128 levels deep"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_place(raw, words):
    with pytest.raises(InvalidRequest, match=words):
        ANTHROPIC.read_head(raw)


def test_counting_tokens_needs_no_max_tokens():
    assert ANTHROPIC.read_head(body(max_tokens=None), "count_tokens") == Head("claude-x")


# --- request --------------------------------------------------------------------------------------

PNG = {"type": "base64", "media_type": "image/png", "data": "aWNvbg=="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "Hi"}, Text("Hi")),
        ({"type": "text", "text": "Hi", "citations": None}, Text("Hi")),
        ({"type": "image", "source": PNG}, Image(Inline("image/png", "aWNvbg=="))),
        ({"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}, Image(Url("https://a/b.png"))),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Image(FileRef("file_1"))),
        (
            {"type": "document", "source": PDF, "title": "T", "context": "C", "citations": {"enabled": True}},
            Document(Inline("application/pdf", "cGRm"), title="T", context="C", citations=True),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}},
            Document(PlainText("abc")),
        ),
        ({"type": "document", "source": {"type": "content", "content": "abc"}}, Document(PlainText("abc"))),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": x} for x in "ab"]}},
            Document(PlainText("a\n\nb")),
        ),
        (
            {"type": "search_result", "source": "https://s", "title": "T", "content": [{"type": "text", "text": "a"}]},
            Text("T\nhttps://s\n\na"),
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, Document(FileRef("file_1"))),
        ({"type": "thinking", "thinking": "hm", "signature": "sig"}, Thinking("hm", "anthropic", "sig")),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, Thinking("hm", "anthropic")),
        ({"type": "thinking", "thinking": "hm", "signature": "hermod:gemini:a:b"}, Thinking("hm", "gemini", "a:b")),
        ({"type": "thinking", "thinking": "hm", "signature": "hermod:openai_chat:"}, Thinking("hm", "openai_chat")),
        ({"type": "redacted_thinking", "data": "xx"}, RedactedThinking("xx", "anthropic")),
        ({"type": "redacted_thinking", "data": "hermod:gemini:xx"}, RedactedThinking("xx", "gemini")),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, ToolCall("t1", "f", "{}")),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "42"},
            ToolResult("t1", (Text("42"),)),
        ),
        ({"type": "tool_result", "tool_use_id": "t1", "is_error": True}, ToolResult("t1", (), is_error=True)),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": PNG}]},
            ToolResult("t1", (Image(Inline("image/png", "aWNvbg==")),)),
        ),
    ],
)
def test_a_block_becomes_its_canonical_part(block, part):
    assert parse_blocks(block) == (part,)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": [], "citations": {"enabled": True}},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "block_of_tomorrow", "a": [1, {"b": None}]},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": PNG}]}},
    ],
)
def test_a_block_that_only_anthropic_knows_is_kept_as_it_came(block):
    (part,) = parse_blocks(block)
    assert isinstance(part, Foreign)
    assert (part.wire, part.kind, part.path) == ("anthropic", block["type"], "messages.0.content.0")
    assert json.loads(bytes(part.raw)) == block


def test_tool_input_is_carried_as_the_text_the_client_wrote():
    raw = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":'
        b'[{"type":"tool_use","id":"t","name":"f","input":{"b" : 1.0, "a":"\\u00e9"}}]}]}'
    )
    (call,) = ANTHROPIC.parse(raw, "m").messages[0].content
    assert call == ToolCall("t", "f", '{"b" : 1.0, "a":"\\u00e9"}')


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ("Hi", "messages.0.content.0"),
        ({"text": "Hi"}, "messages.0.content.0.type"),
        ({"type": 1}, "messages.0.content.0.type"),
        ({"type": "text"}, "messages.0.content.0.text"),
        ({"type": "text", "text": 1}, "messages.0.content.0.text"),
        ({"type": "image", "source": {"type": "base64"}}, "messages.0.content.0.source"),
        ({"type": "tool_use", "id": "t", "name": "f"}, "messages.0.content.0.input"),
        ({"type": "tool_result", "content": "x"}, "messages.0.content.0.tool_use_id"),
        (
            {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "image", "source": PNG}]},
            "messages.0.content.0.content",
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": 1}]},
            "messages.0.content.0.content.0.text",
        ),
    ],
)
def test_a_block_that_cannot_be_read_is_refused_with_its_path(block, param):
    with pytest.raises(InvalidRequest) as caught:
        parse_blocks(block)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "a"}, "stop_sequences"),
        ({"system": [{"type": "image", "source": PNG}]}, "system.0"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tools": [{"type": 1, "name": "f"}]}, "tools.0.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"thinking": {"type": "hard"}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format.type"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_with_its_path(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"system": "Be brief"}, "system", (Text("Be brief"),)),
        ({"system": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]}, "system", (Text("a"),)),
        ({"max_tokens": 0}, "max_tokens", 0),
        ({"max_tokens": None}, "max_tokens", None),
        ({"temperature": 1}, "temperature", 1.0),
        ({"top_p": 0.5}, "top_p", 0.5),
        ({"top_k": 5}, "top_k", 5),
        ({"stop_sequences": ["a", "b"]}, "stop", ("a", "b")),
        ({"stream": True}, "stream", True),
        ({"metadata": {"user_id": "u"}}, "user_id", "u"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice", ToolChoice("auto")),
        ({"tool_choice": {"type": "any"}}, "tool_choice", ToolChoice("any")),
        ({"tool_choice": {"type": "none"}}, "tool_choice", ToolChoice("none")),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice", ToolChoice("tool", ("f",))),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, "parallel_tool_calls", False),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": False}}, "parallel_tool_calls", None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            "reasoning",
            Reasoning("enabled", budget_tokens=2048),
        ),
        ({"thinking": {"type": "between_tools"}}, "reasoning", Reasoning("between_tools")),
        ({"output_config": {"effort": "high"}}, "reasoning", Reasoning(effort="high")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            "reasoning",
            Reasoning("adaptive", "max"),
        ),
    ],
)
def test_a_field_becomes_its_canonical_one(fields, name, value):
    request = parse(**fields)
    assert getattr(request, name) == value
    assert request.foreign == ()


@pytest.mark.parametrize("holder", [lambda f: {"output_config": {"format": f}}, lambda f: {"output_format": f}])
def test_structured_output_is_read_under_both_its_names(holder):
    request = parse(**holder({"type": "json_schema", "schema": {"type": "object"}}))
    assert json.loads(bytes(request.output_format.schema)) == {"type": "object"}


def test_custom_tools_become_tools_and_built_in_ones_stay_foreign():
    custom = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}
    built_in = {"type": "web_search_20250305", "name": "web_search"}
    first, second, third = parse(tools=[custom, {**custom, "type": "custom"}, built_in]).tools
    assert first == second == Tool("f", description="d", parameters=first.parameters, strict=True)
    assert json.loads(bytes(first.parameters)) == {"type": "object"}
    assert (third.kind, third.path) == ("web_search_20250305", "tools.2")


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"service_tier": "priority", "x_new": 1}, [("service_tier", "service_tier"), ("x_new", "x_new")]),
        ({"service_tier": "auto"}, []),
        ({"messages": [{**USER, "output_config": {"effort": "low"}}]}, [("output_config", "messages.0.output_config")]),
        ({"container": None, "mcp_servers": []}, []),
        ({"fallbacks": ["a/b"], "provider": "x"}, []),
        ({"fallbacks": [{"model": "a"}]}, [("fallbacks", "fallbacks")]),
        ({"fallbacks": "default"}, [("fallbacks", "fallbacks")]),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, [("display", "thinking.display")]),
        ({"output_config": {"task_budget": {"total": 1}}}, [("task_budget", "output_config.task_budget")]),
        (
            {"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]},
            [("defer_loading", "tools.0.defer_loading")],
        ),
    ],
)
def test_fields_without_a_canonical_meaning_are_carried_by_name(fields, found):
    assert [(field.kind, field.path) for field in parse(**fields).foreign] == found


def test_a_hint_on_many_blocks_is_noted_once():
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    request = parse(messages=[{"role": "user", "content": [marked, marked]}], system=[marked])
    assert [(field.kind, field.path) for field in request.foreign] == [
        ("cache_control", "messages.0.content.0.cache_control"),
    ]


def test_a_cache_hint_marks_what_it_stands_at_by_its_canonical_place():
    def marked(**block):
        return {**block, "cache_control": {"type": "ephemeral", "ttl": "1h"}}

    empty, short = {"type": "text", "text": ""}, {"type": "ephemeral"}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [marked(type="text", text="r")]}
    request = parse(
        system=[empty, marked(type="text", text="s")],
        tools=[{"name": "f", "input_schema": {}}, marked(name="g", input_schema={})],
        messages=[
            {"role": "user", "content": [empty]},
            {"role": "user", "content": [empty, {"type": "text", "text": "a", "cache_control": short}, result]},
            {"role": "assistant", "content": "b"},
        ],
        cache_control={"type": "ephemeral", "ttl": None},
    )
    assert request.cache_marks == {
        "system.0": "1h",
        "tools.1": "1h",
        "messages.0.content.0": "5m",
        "messages.0.content.1": "1h",
        "messages.1.content.0": "5m",
    }


def test_a_part_behind_empty_ones_is_told_by_its_own_place():
    empty = {"type": "text", "text": ""}
    picture = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    turns = [USER, {"role": "assistant", "content": [empty]}, {"role": "user", "content": [empty, picture]}]
    with pytest.raises(Unsupported) as caught:
        OPENAI.render(parse(messages=turns), ROWS["openai"])
    assert caught.value.param == "messages.2.content.1"
    assert caught.value.message.startswith("messages.2.content.1: ")


def test_empty_text_is_stripped_and_a_turn_of_nothing_else_with_it():
    empty = {"type": "text", "text": ""}
    request = parse(messages=[USER, {"role": "assistant", "content": [empty]}, USER])
    assert [message.role for message in request.messages] == ["user", "user"]
    assert parse_blocks(empty, {"type": "text", "text": "a"}) == (Text("a"),)


def test_a_system_turn_keeps_its_place():
    request = parse(messages=[USER, {"role": "system", "content": "From now on"}, USER])
    assert [message.role for message in request.messages] == ["user", "system", "user"]


# --- answer ---------------------------------------------------------------------------------------


def answer(*content, stop_reason=StopReason.END, usage=Usage(), **fields) -> dict:  # noqa: B008 - immutable
    response = ChatResponse("msg_1", "m", tuple(content), stop_reason, usage, **fields)
    return json.loads(ANTHROPIC.render(response, A_JOB, b""))


def test_an_answer_has_every_field_the_sdks_read():
    assert answer(Text("Hi"), usage=Usage(3, 4, 5, 6, 2, 1)) == {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 6,
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 2},
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    }


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Thinking("hm", "anthropic", "sig"), {"type": "thinking", "thinking": "hm", "signature": "sig"}),
        (Thinking("hm", "gemini", "a:b"), {"type": "thinking", "thinking": "hm", "signature": "hermod:gemini:a:b"}),
        (Thinking("hm", "openai_chat"), {"type": "thinking", "thinking": "hm", "signature": "hermod:openai_chat:"}),
        (RedactedThinking("xx", "anthropic"), {"type": "redacted_thinking", "data": "xx"}),
        (ToolCall("c1", "f", '{"a": 1}'), {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}),
        (ToolCall("c1", "f", ""), {"type": "tool_use", "id": "c1", "name": "f", "input": {}}),
        (ToolCall("c1", "f", '{"a": '), {"type": "tool_use", "id": "c1", "name": "f", "input": {"_raw": '{"a": '}}),
        (ToolCall("c1", "f", "[1]"), {"type": "tool_use", "id": "c1", "name": "f", "input": {"_raw": "[1]"}}),
        (Foreign("anthropic", "x", "content.0", msgspec.Raw(b'{"type":"x"}')), {"type": "x"}),
    ],
)
def test_a_part_becomes_its_block(part, block):
    assert answer(part)["content"] == [block]


@pytest.mark.parametrize(
    "part", [Thinking("hm", "gemini", "a:b"), Thinking("hm", "openai_chat"), RedactedThinking("d", "gemini")]
)
def test_foreign_thinking_finds_back_to_its_maker(part):
    assert parse_blocks(*answer(part)["content"], role="assistant") == (part,)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.END, "end_turn"),
        (StopReason.STOP_SEQUENCE, "stop_sequence"),
        (StopReason.LENGTH, "max_tokens"),
        (StopReason.CONTEXT_FULL, "model_context_window_exceeded"),
        (StopReason.TOOL_CALL, "tool_use"),
        (StopReason.REFUSAL, "refusal"),
        (StopReason.PAUSE, "pause_turn"),
    ],
)
def test_every_stop_reason_has_a_word(reason, word):
    assert answer(stop_reason=reason)["stop_reason"] == word


def test_a_refusal_is_text_with_its_own_stop_reason():
    found = answer(Refusal("No."))
    assert found["content"] == [{"type": "text", "text": "No."}]
    assert found["stop_reason"] == "refusal"
    assert found["stop_details"] == {"type": "refusal", "category": None, "explanation": "No."}


def test_the_placeholder_is_a_message_without_content():
    assert json.loads(ANTHROPIC.placeholder(a_job(id="job", model="openai/m"), State.QUEUED)) == {
        "type": "message",
        "id": "job",
        "role": "assistant",
        "model": "openai/m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"id":"m","content":[],"x": 1.0}', b'{"id":"m","content":[{"type":"text","text":""}],"x":1.0}'),
        (b'{"content":null}', b'{"content":[{"type":"text","text":""}]}'),
        (b'{ "content" : [ {"type":"text"} ] }', b'{ "content" : [ {"type":"text"} ] }'),
        (b'{"input_tokens": 5}', b'{"input_tokens": 5}'),
        (b"not json", b"not json"),
    ],
)
def test_only_an_answer_without_content_is_filled(before, after):
    assert ANTHROPIC.fill_empty(before) == after


# --- stream ---------------------------------------------------------------------------------------


def stream(*events: Event) -> list[tuple[str, dict]]:
    renderer = ANTHROPIC.stream(A_REQUEST, A_JOB, b"")
    frames = FrameReader().feed(b"".join(renderer.feed(event) for event in events))
    read = [(frame.event, json.loads(frame.data)) for frame in frames]
    assert all(name == data["type"] for name, data in read)
    return read


def test_a_stream_has_the_order_and_the_shells_the_sdks_need():
    found = stream(
        Started("msg_1", "m", Usage(3)),
        PartStarted(0, Text("")),
        TextDelta(0, "Hi"),
        PartStopped(0),
        PartStarted(1, ToolCall("c1", "f", "")),
        ArgumentsDelta(1, '{"a":'),
        ArgumentsDelta(1, "1}"),
        PartStopped(1),
        Finished(StopReason.TOOL_CALL, Usage(9, 4, 1)),
    )
    start, *blocks, end, stop = [data for _, data in found]
    assert start["message"]["content"] == []
    assert start["message"]["stop_reason"] is None
    assert start["message"]["usage"]["input_tokens"] == 3
    tool = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    pieces = [{"type": "input_json_delta", "partial_json": text} for text in ('{"a":', "1}")]
    assert blocks == [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        {"type": "content_block_delta", "index": 1, "delta": pieces[0]},
        {"type": "content_block_delta", "index": 1, "delta": pieces[1]},
        {"type": "content_block_stop", "index": 1},
    ]
    assert end["delta"] == {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None}
    assert (end["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (9, 4)
    assert end["usage"]["cache_read_input_tokens"] == 1
    assert stop == {"type": "message_stop"}


@pytest.mark.parametrize(
    ("origin", "signatures", "expected"),
    [
        ("anthropic", ["sig"], ["sig"]),
        ("anthropic", [], []),
        ("gemini", ["sig"], ["hermod:gemini:sig"]),
        ("openai_chat", [], ["hermod:openai_chat:"]),
    ],
)
def test_streamed_thinking_of_another_maker_is_always_marked(origin, signatures, expected):
    found = stream(
        PartStarted(0, Thinking("", origin)),
        TextDelta(0, "hm"),
        *[SignatureDelta(0, signature) for signature in signatures],
        PartStopped(0),
    )
    assert found[0][1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert found[1][1]["delta"] == {"type": "thinking_delta", "thinking": "hm"}
    assert [data["delta"]["signature"] for name, data in found[2:] if name == "content_block_delta"] == expected


def test_a_streamed_refusal_ends_as_one():
    found = stream(PartStarted(0, Refusal("")), TextDelta(0, "No."), PartStopped(0), Finished(StopReason.END, Usage()))
    assert found[1][1]["delta"] == {"type": "text_delta", "text": "No."}
    assert found[3][1]["delta"]["stop_reason"] == "refusal"
    assert found[3][1]["delta"]["stop_details"]["explanation"] == "No."


def test_a_broken_stream_ends_with_an_error_event():
    assert stream(Started("m", "m", Usage()), Broken(Overloaded("busy", provider="p")))[1:] == [
        ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
    ]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidRequest("x"), 400, "invalid_request_error"),
        (Unsupported("x"), 400, "invalid_request_error"),
        (NotAuthenticated("x"), 401, "authentication_error"),
        (BudgetExceeded("x"), 402, "billing_error"),
        (NotPermitted("x"), 403, "permission_error"),
        (NotFound("x"), 404, "not_found_error"),
        (Conflict("x"), 409, "conflict_error"),
        (TooLarge("x"), 413, "request_too_large"),
        (LimitExceeded("x"), 429, "rate_limit_error"),
        (StoreError("x"), 503, "api_error"),
        (GatewayError("x"), 500, "api_error"),
        (AuthFailed("x", provider="p", upstream_status=401, upstream_type="authentication_error"), 502, "api_error"),
        (RateLimited("x", provider="p", upstream_status=429), 429, "rate_limit_error"),
        (Overloaded("x", provider="p", upstream_status=503), 529, "overloaded_error"),
        (Unreachable("x", provider="p"), 502, "api_error"),
        (TimedOut("x", provider="p", upstream_status=408), 504, "timeout_error"),
        (Garbled("x", provider="p"), 502, "api_error"),
        (Rejected("x", provider="p", upstream_status=400), 400, "invalid_request_error"),
        (Rejected("x", provider="p", upstream_status=422), 400, "invalid_request_error"),
        (RateLimited("x", provider="p", upstream_status=402, upstream_type="billing_error"), 429, "rate_limit_error"),
        (
            Rejected("x", provider="p", upstream_status=404, upstream_type="invalid_request_error"),
            404,
            "not_found_error",
        ),
        (Rejected("x", provider="p", upstream_status=400, upstream_type="odd"), 400, "invalid_request_error"),
    ],
)
def test_every_error_has_its_status_and_type(error, status, kind):
    assert ANTHROPIC.error_status(error) == status
    assert json.loads(ANTHROPIC.render_error(error, "req_1")) == {
        "type": "error",
        "error": {"type": kind, "message": "x"},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (NotFound("x", code="job_not_found"), {"error_code": "job_not_found"}),
        (Unsupported("x", param="thread", code="unsupported_field"), {"error_code": "thread_unsupported_request"}),
        (Rejected("x", provider="p", code="c", details=msgspec.Raw(b'{"error_code":"file_expired"}')), None),
    ],
)
def test_error_details_carry_the_code(error, details):
    found = json.loads(ANTHROPIC.render_error(error, ""))
    assert found["error"]["details"] == (details or {"error_code": "file_expired"})
    assert "request_id" not in found


def test_a_stream_error_is_an_error_event():
    (frame,) = FrameReader().feed(
        ANTHROPIC.stream_error(TimedOut("late", provider="p"), a_job(request_id="req_1"), b"")
    )
    assert frame.event == "error"
    assert json.loads(frame.data) == {
        "type": "error",
        "error": {"type": "timeout_error", "message": "late"},
        "request_id": "req_1",
    }


# --- recorded traffic -----------------------------------------------------------------------------


def recorded(kind: str) -> list[tuple[str, dict]]:
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not at hand")
    return [(path.name, json.loads(path.read_bytes())) for path in sorted(RECORDINGS.glob(f"{kind}__*.json"))]


def test_every_recorded_request_is_accepted_and_parsed():
    covered = 0
    for name, record in recorded("messages"):
        data = json.dumps(record["request_body"]).encode()
        if not all(isinstance(message, dict) for message in record["request_body"]["messages"]):
            with pytest.raises(InvalidRequest, match=r"^messages\.0: "):
                ANTHROPIC.read_head(data)
            continue
        head = ANTHROPIC.read_head(data)
        assert head.stream is bool(record["request_body"].get("stream")), name
        request = ANTHROPIC.parse(data, head.model)
        turns = [turn for turn in record["request_body"]["messages"] if turn["content"]]
        assert [message.role for message in request.messages] == [turn["role"] for turn in turns], name
        covered += 1
    print(f"{covered} recorded requests")
    assert covered > 400


def test_every_recorded_count_is_accepted():
    requests = recorded("count_tokens")
    for _, record in requests:
        assert ANTHROPIC.read_head(json.dumps(record["request_body"]).encode(), "count_tokens").model
    assert requests
