"""The Chat Completions adapter: requests out, answers, streams and errors of many servers in."""

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
from shared.dialects.openai_chat import OPENAI_CHAT as DIALECT
from shared.errors import (
    AuthFailed,
    Garbled,
    InvalidRequest,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
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
    Started,
    TextDelta,
)
from shared.sse import Frame, FrameReader, write
from tests.made import A_JOB, WITH_USAGE
from tests.unit.openai_recordings import Recording, recordings
from worker.providers.base import Row
from worker.providers.openai import OPENAI

ROW = Row(name="openai", wire="openai_chat", max_tokens_field="max_completion_tokens", system_role="developer")
PLAIN = Row(name="local", wire="openai_chat")
STRICT = Row(name="mistral", wire="openai_chat", strict_fields=True, stream_usage=False)
KEY = "sk-test-1234567890"
USER = Message("user", (Text("hi"),))


# --- envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "path"), [("chat", "/chat/completions"), ("models", "/models")])
def test_an_operation_has_its_path(operation: str, path: str) -> None:
    assert OPENAI.path(operation) == path


@pytest.mark.parametrize(
    ("auth", "key", "expected"),
    [
        ("bearer", "k", {"authorization": "Bearer k"}),
        ("api-key", "k", {"api-key": "k"}),
        ("x-api-key", "k", {"x-api-key": "k"}),
        ("bearer", "", {}),
    ],
)
def test_the_key_travels_in_the_rows_header(auth: str, key: str, expected: dict[str, str]) -> None:
    row = Row(name="p", wire="openai_chat", auth=auth)
    assert OPENAI.headers(row, key, {}) == {"content-type": "application/json", **expected}


def test_passed_on_headers_never_replace_the_key_and_anthropics_stay_out() -> None:
    client = {"anthropic-version": "2023-06-01", "anthropic-beta": "x", "x-own": "1", "authorization": "Bearer no"}
    expected = {"content-type": "application/json", "authorization": "Bearer k", "x-own": "1"}
    assert OPENAI.headers(PLAIN, "k", client) == expected


# --- edit -----------------------------------------------------------------------------------------

TURN = {"role": "assistant", "content": None}
EMPTY = {"refusal": None, "annotations": [], "audio": None, "name": ""}


def test_editing_changes_the_model_and_nothing_else() -> None:
    given = b'{"messages": [ {"role" : "user"} ], "model":"openai/m", "x": 1.0e2, "y": "\\u00e9"}'
    edited = OPENAI.edit(given, PLAIN, "m")
    assert edited == b'{"messages":[ {"role" : "user"} ],"model":"m","x":1.0e2,"y":"\\u00e9"}'


@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        (PLAIN, {"fallbacks": ["a/b"], "provider": "groq"}, {}),
        (PLAIN, {"fallbacks": []}, {}),
        (PLAIN, {"fallbacks": [{"model": "x"}]}, {"fallbacks": [{"model": "x"}]}),
        (PLAIN, {"provider": {"order": ["x"]}}, {"provider": {"order": ["x"]}}),
        (PLAIN, {"max_tokens": 5}, {"max_tokens": 5}),
        (PLAIN, {"stream": False}, {"stream": False}),
        (PLAIN, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        (
            PLAIN,
            {"stream": True, "stream_options": None},
            {"stream": True, "stream_options": {"include_usage": True}},
        ),
        (
            PLAIN,
            {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}},
            {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        ),
        (PLAIN, {"stream": True, "stream_options": 3}, {"stream": True, "stream_options": 3}),
        (STRICT, {"stream": True}, {"stream": True}),
        (STRICT, {"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        (STRICT, {"max_completion_tokens": 5}, {"max_tokens": 5}),
        (STRICT, {"max_completion_tokens": 5, "max_tokens": 6}, {"max_tokens": 6}),
        (PLAIN, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (STRICT, {"messages": [{**TURN, **EMPTY, "x": 0}]}, {"messages": [{**TURN, "x": 0}]}),
        (PLAIN, {"messages": [{**TURN, **EMPTY}]}, {"messages": [{**TURN, **EMPTY}]}),
    ],
)
def test_editing_removes_the_gateways_own_and_asks_for_usage(
    row: Row, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    edited = OPENAI.edit(json.dumps({"model": "a/b", **fields}).encode(), row, "b")
    assert json.loads(edited) == {"model": "b", **expected}


def test_a_body_that_is_no_object_cannot_be_edited() -> None:
    with pytest.raises(InvalidRequest):
        OPENAI.edit(b"[]", PLAIN, "m")


# --- render: fields -------------------------------------------------------------------------------


def rendered(row: Row = PLAIN, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    fields.setdefault("messages", (USER,))
    fields.setdefault("model", "m")
    made = OPENAI.render(ChatRequest(**fields), row)
    return json.loads(made.body), made.dropped


SCHEMA = {"type": "object"}
RAW_SCHEMA = Raw(b'{"type":"object"}')
TOOL = Tool("f", "d", RAW_SCHEMA, strict=True)
WIRE_TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"seed": 0}, {"seed": 0}),
        (
            {"presence_penalty": 0.1, "frequency_penalty": 0.2},
            {"presence_penalty": 0.1, "frequency_penalty": 0.2},
        ),
        ({"user_id": "u"}, {"user": "u"}),
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"tools": (TOOL,)}, {"tools": [WIRE_TOOL]}),
        ({"tools": (Tool("f"),)}, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ({"tool_choice": ToolChoice("auto")}, {}),
        ({"tool_choice": ToolChoice("none")}, {}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice("auto")}, {"tools": [WIRE_TOOL], "tool_choice": "auto"}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice("none")}, {"tools": [WIRE_TOOL], "tool_choice": "none"}),
        ({"tools": (TOOL,), "tool_choice": ToolChoice("any")}, {"tools": [WIRE_TOOL], "tool_choice": "required"}),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("tool", ("f",))},
            {"tools": [WIRE_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"tools": (TOOL, Tool("g")), "tool_choice": ToolChoice("subset", ("f",))},
            {"tools": [WIRE_TOOL], "tool_choice": "required"},
        ),
        ({"tools": (TOOL,), "parallel_tool_calls": False}, {"tools": [WIRE_TOOL], "parallel_tool_calls": False}),
        ({"output_format": OutputFormat()}, {"response_format": {"type": "json_object"}}),
        (
            {"output_format": OutputFormat(RAW_SCHEMA)},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": SCHEMA}}},
        ),
        (
            {"output_format": OutputFormat(RAW_SCHEMA, "n", "d", strict=True)},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        ({"reasoning": Reasoning(effort="xhigh")}, {"reasoning_effort": "xhigh"}),
        ({"reasoning": Reasoning("adaptive")}, {}),
        ({"reasoning": Reasoning("adaptive", "low")}, {"reasoning_effort": "low"}),
    ],
)
def test_a_field_is_written_without_loss(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body, dropped = rendered(**fields)
    assert body == {"model": "m", "messages": [{"role": "user", "content": "hi"}], **expected}
    assert dropped == ()


@pytest.mark.parametrize(
    ("model", "reasoning", "effort", "dropped"),
    [
        ("m", Reasoning("enabled", None, 1_024), "low", ("reasoning.budget_tokens",)),
        ("m", Reasoning("enabled", None, 8_000), "medium", ("reasoning.budget_tokens",)),
        ("m", Reasoning("enabled", None, 24_000), "high", ("reasoning.budget_tokens",)),
        ("m", Reasoning("enabled", None, 60_000), "xhigh", ("reasoning.budget_tokens",)),
        ("m", Reasoning("enabled", "max", 1_024), "max", ("reasoning.budget_tokens",)),
        ("m", Reasoning("disabled"), None, ("reasoning",)),
        ("gpt-5", Reasoning("disabled"), None, ("reasoning",)),
        ("gpt-5.2", Reasoning("disabled"), "none", ()),
        ("openai/gpt-6-mini", Reasoning("disabled", "high"), "none", ()),
        ("m", Reasoning("between_tools", "low"), "low", ("reasoning",)),
        ("gpt-5", Reasoning("enabled", None, 60_000), "high", ("reasoning.budget_tokens",)),
        ("gpt-5.1", Reasoning("enabled", None, 60_000), "high", ("reasoning.budget_tokens",)),
        ("gpt-5.1-codex-max", Reasoning("enabled", None, 60_000), "xhigh", ("reasoning.budget_tokens",)),
        ("gpt-5.2", Reasoning("enabled", None, 60_000), "xhigh", ("reasoning.budget_tokens",)),
        ("openai/gpt-oss-120b", Reasoning("enabled", None, 60_000), "high", ("reasoning.budget_tokens",)),
        ("gpt-4o", Reasoning("enabled", None, 60_000), None, ("reasoning",)),
        ("gpt-4.1-mini", Reasoning(effort="high"), None, ("reasoning.effort",)),
        ("gpt-4o", Reasoning("disabled"), None, ()),
        ("gpt-4o", Reasoning(effort="none"), None, ()),
    ],
)
def test_thinking_becomes_an_effort(model: str, reasoning: Reasoning, effort: str | None, dropped: Any) -> None:
    body, lost = rendered(model=model, reasoning=reasoning)
    assert body.get("reasoning_effort") == effort
    assert lost == dropped


def test_the_output_limit_has_the_name_the_server_knows() -> None:
    assert rendered(ROW, max_tokens=5)[0]["max_completion_tokens"] == 5


def test_a_strict_server_gets_no_openai_only_field() -> None:
    body, dropped = rendered(
        STRICT,
        seed=1,
        user_id="u",
        stream=True,
        reasoning=Reasoning(effort="low"),
        tools=(TOOL, Tool("g")),
        tool_choice=ToolChoice("subset", ("f",)),
    )
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [WIRE_TOOL],
        "tool_choice": "required",
        "stream": True,
    }
    assert dropped == ("seed", "reasoning.effort", "user_id")


OLLAMA = Row(name="ollama", wire="openai_chat", chooses_freely=True)


@pytest.mark.parametrize("choice", [ToolChoice("any"), ToolChoice("tool", ("f",)), ToolChoice("subset", ("f",))])
def test_a_server_that_hears_no_tool_choice_is_not_asked_to_force_a_tool(choice: ToolChoice) -> None:
    with pytest.raises(Unsupported, match=r"^tool_choice: "):
        rendered(OLLAMA, tools=(TOOL,), tool_choice=choice)


def test_a_server_that_hears_no_tool_choice_gets_no_tools_when_none_may_be_called() -> None:
    assert "tools" not in rendered(OLLAMA, tools=(TOOL,), tool_choice=ToolChoice("none"))[0]
    body, dropped = rendered(OLLAMA, tools=(TOOL,), tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    assert (body["tools"], "tool_choice" in body, dropped) == ([WIRE_TOOL], False, ("parallel_tool_calls",))


def foreign(name: str, raw: bytes = b"{}", kind: str = "") -> Foreign:
    return Foreign("anthropic", kind or name.rpartition(".")[2], name, Raw(raw))


@pytest.mark.parametrize(
    "field",
    [
        foreign("service_tier"),
        foreign("messages.0.content.0.cache_control"),
        foreign("metadata.team"),
        foreign("context_management", b'{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}'),
    ],
)
def test_a_harmless_field_is_dropped_and_reported(field: Foreign) -> None:
    assert rendered(foreign=(field,))[1] == (field.path,)


def test_top_k_is_dropped_and_reported() -> None:
    body, dropped = rendered(top_k=4)
    assert "top_k" not in body
    assert dropped == ("top_k",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"foreign": (foreign("mcp_servers"),)}, "mcp_servers"),
        ({"foreign": (foreign("container"),)}, "container"),
        ({"foreign": (foreign("thread"),)}, "thread"),
        (
            {"foreign": (foreign("context_management", b'{"edits":[{"type":"clear_tool_uses_20250919"}]}'),)},
            "context_management",
        ),
        ({"tools": (foreign("tools.0", kind="web_search_20250305"),)}, "tools.0"),
        ({"stop": tuple("abcde")}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_field_that_cannot_be_expressed_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        rendered(**fields)
    assert caught.value.param == param
    assert param in caught.value.message


def test_a_thread_is_refused_with_the_code_upon_which_the_sdk_falls_back() -> None:
    with pytest.raises(Unsupported) as caught:
        rendered(foreign=(foreign("thread"),))
    assert caught.value.code == "thread_unsupported_request"


# --- render: messages -----------------------------------------------------------------------------


def messages(*given: Message, row: Row = PLAIN, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rendered(row, messages=given, **fields)[0]["messages"]
    return found


@pytest.mark.parametrize(
    ("row", "model", "role"),
    [
        (ROW, "gpt-4o", "system"),
        (ROW, "o3-mini", "developer"),
        (ROW, "gpt-5.2", "developer"),
        (PLAIN, "gpt-5.2", "system"),
    ],
)
def test_system_text_is_one_leading_message_and_later_ones_keep_their_place(row: Row, model: str, role: str) -> None:
    later = Message("system", (Text("c"),))
    assert messages(USER, later, row=row, model=model, system=(Text("a"), Text("b"))) == [
        {"role": role, "content": "a\n\nb"},
        {"role": "user", "content": "hi"},
        {"role": role, "content": "c"},
    ]


PDF = "data:application/pdf;base64,aGk="


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            Image(Inline("image/png", "aGk=")),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        ),
        (
            Image(Url("https://x/y"), "low"),
            {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}},
        ),
        (
            Document(Inline("application/pdf", "aGk=")),
            {"type": "file", "file": {"file_data": PDF, "filename": "document.pdf"}},
        ),
        (
            Document(Inline("application/pdf", "aGk="), title="T"),
            {"type": "file", "file": {"file_data": PDF, "filename": "T"}},
        ),
        (Document(FileRef("file-1")), {"type": "file", "file": {"file_id": "file-1"}}),
    ],
)
def test_a_user_part_has_its_wire_form(part: Any, expected: dict[str, Any]) -> None:
    (message,) = messages(Message("user", (part,)))
    assert message == {"role": "user", "content": [expected]}


def test_a_text_document_becomes_text_and_its_title_is_reported() -> None:
    document = Document(PlainText("body"), title="T", context="C")
    body, dropped = rendered(messages=(Message("user", (document,)),))
    assert body["messages"] == [{"role": "user", "content": "body"}]
    assert dropped == ("messages.0.content.0.context", "messages.0.content.0.title")


def test_a_document_of_text_in_bytes_becomes_text_and_its_name_is_reported() -> None:
    document = Document(Inline("text/csv", "YSxi"), filename="a.csv")
    body, dropped = rendered(messages=(Message("user", (document,)),))
    assert body["messages"] == [{"role": "user", "content": "a,b"}]
    assert dropped == ("messages.0.content.0.filename",)


@pytest.mark.parametrize("data", ["/w==", "?"])
def test_a_text_document_that_is_no_text_is_the_callers_mistake(data: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages(Message("user", (Document(Inline("text/plain", data)),)))
    assert caught.value.param == "messages.0.content.0"


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (Image(FileRef("file-1")), "messages.0.content.0"),
        (Document(Url("https://x/y.pdf")), "messages.0.content.0"),
        (Document(Inline("application/zip", "aGk=")), "messages.0.content.0"),
        (Document(PlainText("x"), citations=True), "messages.0.content.0"),
        (ToolResult("c", (Document(PlainText("x"), citations=True),)), "messages.0.content.0.content.0"),
        (ToolResult("c", (foreign("messages.9"),)), "messages.9"),
        (foreign("messages.0.content.0", kind="search_result"), "messages.0.content.0"),
    ],
)
def test_a_part_that_cannot_be_expressed_is_refused_by_its_path(part: Any, path: str) -> None:
    with pytest.raises(Unsupported) as caught:
        messages(Message("user", (part,)))
    assert caught.value.param == path


def test_tool_results_come_first_and_their_images_move_to_the_user_message() -> None:
    image = Image(Inline("image/png", "aGk="))
    turn = Message(
        "user",
        (
            Text("go on"),
            ToolResult("a", (Text("1"), Text("2"), image)),
            ToolResult("b", (Text("boom"),), is_error=True),
        ),
    )
    assert messages(turn) == [
        {"role": "tool", "tool_call_id": "a", "content": "1\n\n2"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: boom"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "go on"},
                {"type": "text", "text": "From the result of tool call a:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
    ]


def test_a_text_document_stays_in_its_tool_result() -> None:
    (message,) = messages(Message("user", (ToolResult("a", (Text("1"), Document(PlainText("2")))),)))
    assert message == {"role": "tool", "tool_call_id": "a", "content": "1\n\n2"}


def test_an_answer_that_is_to_be_gone_on_with_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"^messages\.1: "):
        messages(USER, Message("assistant", (Text("The answer is ("),)))


def test_a_turn_of_results_alone_has_no_user_message() -> None:
    found = messages(Message("user", (ToolResult("a", ()),)))
    assert found == [{"role": "tool", "tool_call_id": "a", "content": ""}]


def test_an_assistants_turn_keeps_text_refusal_and_calls() -> None:
    parts = (Text("a"), Text("b"), Refusal("no"), ToolCall("c", "f", '{"x": 1}'))
    message, _ = messages(Message("assistant", parts), USER)
    assert message == {
        "role": "assistant",
        "content": "ab",
        "refusal": "no",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
    }


def test_a_turn_of_calls_alone_has_no_content() -> None:
    message, _ = messages(Message("assistant", (ToolCall("c", "f", "{}"),)), USER)
    assert "content" not in message


@pytest.mark.parametrize(
    ("row", "part", "expected", "dropped"),
    [
        (PLAIN, Thinking("r", "anthropic", "s"), {}, ("messages.0.content.0",)),
        (PLAIN, RedactedThinking("r", "anthropic"), {}, ("messages.0.content.0",)),
        (PLAIN, Thinking("r", "openai_chat"), {}, ("messages.0.content.0",)),
        (
            Row(name="deepseek", wire="openai_chat", reasoning_field="reasoning_content"),
            Thinking("r", "openai_chat"),
            {"reasoning_content": "r"},
            (),
        ),
        (
            Row(name="deepseek", wire="openai_chat", reasoning_field="reasoning_content"),
            Thinking("r", "anthropic", "s"),
            {},
            ("messages.0.content.0",),
        ),
    ],
)
def test_reasoning_goes_back_only_to_the_wire_it_came_from(
    row: Row, part: Any, expected: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    body, lost = rendered(row, messages=(Message("assistant", (part,)), USER))
    assert body["messages"][0] == {"role": "assistant", "content": "", **expected}
    assert lost == dropped


# --- plain answers --------------------------------------------------------------------------------


def answer(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> ChatResponse:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    given = {"id": "id1", "model": "m", "created": 7, "choices": [choice], **fields}
    return OPENAI.parse(json.dumps(given).encode(), PLAIN)


CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
THINKING = Thinking("r", "openai_chat")


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "a"}, (Text("a"),)),
        ({"content": ""}, ()),
        ({"content": None}, ()),
        ({"content": "a", "reasoning_content": "r"}, (THINKING, Text("a"))),
        ({"content": "a", "reasoning": "r"}, (THINKING, Text("a"))),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        ({"tool_calls": [CALL]}, (ToolCall("c", "f", "{}"),)),
        (
            {"tool_calls": [{**CALL, "function": {"name": "f", "arguments": {"x": 1}}}]},
            (ToolCall("c", "f", '{"x":1}'),),
        ),
        ({"tool_calls": [{**CALL, "function": {"name": "f", "arguments": None}}]}, (ToolCall("c", "f", ""),)),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}, {"text": "a"}]},
            (THINKING, Text("a")),
        ),
    ],
)
def test_a_message_is_read_however_the_server_spells_it(message: dict[str, Any], content: Any) -> None:
    assert answer(message).content == content


def test_a_missing_call_id_is_made_the_same_way_every_time() -> None:
    message = {"tool_calls": [{"function": {"name": name, "arguments": "{}"}} for name in "fg"]}
    first, second = answer(message).content
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id != second.id
    assert answer(message).content == (first, second)


@pytest.mark.parametrize(
    ("finish", "message", "reason"),
    [
        ("stop", {"content": "a"}, StopReason.END),
        ("eos", {"content": "a"}, StopReason.END),
        (None, {"content": "a"}, StopReason.END),
        ("something_new", {"content": "a"}, StopReason.END),
        ("length", {"content": "a"}, StopReason.LENGTH),
        ("length", {"tool_calls": [CALL]}, StopReason.LENGTH),
        ("tool_calls", {"tool_calls": [CALL]}, StopReason.TOOL_CALL),
        ("stop", {"tool_calls": [CALL]}, StopReason.TOOL_CALL),
        ("function_call", {"function_call": {"name": "f", "arguments": "{}"}}, StopReason.TOOL_CALL),
        ("content_filter", {"content": ""}, StopReason.REFUSAL),
        ("stop", {"refusal": "no"}, StopReason.REFUSAL),
    ],
)
def test_every_finish_reason_has_a_meaning(finish: str | None, message: dict[str, Any], reason: StopReason) -> None:
    assert answer(message, finish).stop_reason is reason


def test_a_call_that_is_said_in_both_forms_is_one_call() -> None:
    both = {"tool_calls": [CALL], "function_call": CALL["function"]}
    assert len(answer(both, "tool_calls").content) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Usage(known=False)),
        ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(10, 5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(5, 5, cache_read_tokens=3, cache_write_tokens=2, reasoning_tokens=4),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "num_cached_tokens": 4}, Usage(6, 5, cache_read_tokens=4)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(0, 5, cache_read_tokens=10),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, 25, reasoning_tokens=20),
        ),
        ({"prompt_tokens": 1, "completion_tokens": None, "prompt_tokens_details": None}, Usage(1, 0)),
        ({"prompt_tokens": -1, "completion_tokens": 10**30}, Usage(0, 2**53)),
        ({"prompt_tokens": "10", "completion_tokens": 5.0}, Usage(10, 5)),
        ({"prompt_tokens": "many", "completion_tokens": 5}, Usage(known=False)),
        ([1], Usage(known=False)),
    ],
)
def test_usage_is_counted_the_canonical_way(given: Any, expected: Usage) -> None:
    assert answer({"content": "a"}, usage=given).usage == expected
    assert OPENAI.usage(json.dumps({"usage": given}).encode()) == expected


@pytest.mark.parametrize(("created", "seconds"), [(7, 7), (7.9, 7), (None, None), (-1, None), (1e300, None)])
def test_a_time_that_is_none_is_left_out(created: float | None, seconds: int | None) -> None:
    assert answer({"content": "a"}, created=created).created_s == seconds
    assert OPENAI.stream(PLAIN).feed(frame({"created": created, "choices": [{"delta": {}}]})) == [
        Started("", "", Usage(known=False), seconds)
    ]


def test_usage_of_what_is_not_json_is_not_passed_over() -> None:
    assert not OPENAI.usage(b'{"usage":[]}').known
    with pytest.raises(msgspec.DecodeError):
        OPENAI.usage(b"<html>")


@pytest.mark.parametrize("given", [b"<html>", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":3}', b"null"])
def test_an_unreadable_answer_is_garbled(given: bytes) -> None:
    with pytest.raises(Garbled):
        OPENAI.parse(given, PLAIN)


def test_an_error_under_status_200_is_an_error() -> None:
    with pytest.raises(RateLimited, match="slow"):
        OPENAI.parse(b'{"error": {"message": "slow", "code": 429}}', PLAIN)


def test_an_answer_that_failed_midway_is_not_an_answer() -> None:
    with pytest.raises(Unreachable):
        answer({"content": "a"}, "error")


@pytest.mark.parametrize("given", ['{"object":"list","data":[%s]}', "[%s]"])
def test_a_model_list_is_read(given: str) -> None:
    entry = '{"id":"m","object":"model","created":7,"owned_by":"o"}'
    (model,) = OPENAI.models((given % entry).encode())
    assert (model.id, model.created_s, model.owned_by) == ("m", 7, "o")
    assert bytes(model.raw or b"") == entry.encode()


def test_an_unreadable_model_list_is_garbled() -> None:
    with pytest.raises(Garbled):
        OPENAI.models(b"{}")


# --- streams --------------------------------------------------------------------------------------


def frame(data: Any, event: str = "") -> Frame:
    (made,) = FrameReader().feed(write(data if isinstance(data, bytes) else json.dumps(data).encode(), event))
    return made


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> Frame:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return frame({"id": "id1", "model": "m", "created": 7, "choices": choices, **fields})


def call(index: int | None, arguments: str | None = None, name: str | None = None, id_: str | None = None) -> Frame:
    fragment = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [fragment]})


DONE = frame(b"[DONE]")
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")


def events(*frames: Frame) -> list[Event]:
    parser = OPENAI.stream(PLAIN)
    found = [event for one in frames for event in parser.feed(one)]
    return found + parser.close()


def parts(*frames: Frame) -> list[Event]:
    first, *middle, last = events(*frames)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    return middle


def test_a_streamed_call_that_is_said_in_both_forms_is_one_call() -> None:
    function = {"name": "f", "arguments": "{}"}
    both = chunk({"tool_calls": [{"index": 0, "id": "c", "function": function}], "function_call": function})
    assert "".join(event.text for event in parts(both, CALLED) if isinstance(event, ArgumentsDelta)) == "{}"


def test_a_text_stream_becomes_events_with_the_usage_at_the_end() -> None:
    role = chunk({"role": "assistant", "content": ""})
    assert events(role, chunk({"content": "a"}), chunk({"content": "b"}), STOP, chunk(usage=USAGE), DONE) == [
        Started("id1", "m", Usage(known=False), 7),
        PartStarted(0, Text("")),
        TextDelta(0, "a"),
        TextDelta(0, "b"),
        PartStopped(0),
        Finished(StopReason.END, Usage(2, 3)),
    ]


@pytest.mark.parametrize(
    "ending",
    [
        (chunk({}, "stop", usage=USAGE), DONE),
        (chunk({}, "stop", x_groq={"usage": USAGE}), DONE),
        (STOP, chunk(usage=USAGE), DONE),
        (STOP, chunk({"content": ""}, usage=USAGE), DONE),
        (STOP, chunk(usage=USAGE)),
    ],
)
def test_usage_is_found_wherever_the_server_puts_it(ending: tuple[Frame, ...]) -> None:
    assert events(chunk({"content": "a"}), *ending)[-1] == Finished(StopReason.END, Usage(2, 3))


def test_an_opening_chunk_without_choices_is_no_answer_yet() -> None:
    azure = frame({"id": "", "model": "", "choices": [], "prompt_filter_results": []})
    assert events(azure, chunk({"content": "a"}), STOP, DONE)[0] == Started("id1", "m", Usage(known=False), 7)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_part_of_its_own(field: str) -> None:
    assert parts(chunk({field: "r"}), chunk({"content": "a", field: None}), STOP, DONE) == [
        PartStarted(0, Thinking("", "openai_chat")),
        TextDelta(0, "r"),
        PartStopped(0),
        PartStarted(1, Text("")),
        TextDelta(1, "a"),
        PartStopped(1),
    ]


def test_reasoning_in_a_content_list_is_read() -> None:
    listed = chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]})
    assert parts(listed, STOP, DONE)[:2] == [PartStarted(0, Thinking("", "openai_chat")), TextDelta(0, "r")]


def test_a_refusal_is_a_part_and_the_reason_to_stop() -> None:
    found = events(chunk({"refusal": "no"}), STOP, DONE)
    assert found[1:3] == [PartStarted(0, Refusal("")), TextDelta(0, "no")]
    assert isinstance(found[-1], Finished)
    assert found[-1].stop_reason is StopReason.REFUSAL


def test_tool_calls_in_turn_are_passed_on_as_they_come() -> None:
    parser = OPENAI.stream(PLAIN)
    steps = [
        parser.feed(one)
        for one in (
            call(0, "", "f", "a"),
            call(0, '{"x":'),
            call(0, "1}"),
            call(1, "", "g", "b"),
            call(1, "{}"),
            CALLED,
        )
    ]
    assert steps == [
        [Started("id1", "m", Usage(known=False), 7), PartStarted(0, ToolCall("a", "f", ""))],
        [ArgumentsDelta(0, '{"x":')],
        [ArgumentsDelta(0, "1}")],
        [PartStopped(0), PartStarted(1, ToolCall("b", "g", ""))],
        [ArgumentsDelta(1, "{}")],
        [],
    ]
    assert parser.feed(DONE) == [PartStopped(1), Finished(StopReason.TOOL_CALL, Usage(known=False))]


def test_interleaved_tool_calls_are_put_one_after_the_other() -> None:
    mixed = (
        call(0, '{"x":', "f", "a"),
        call(1, '{"y":', "g", "b"),
        call(0, "1}"),
        call(1, "2}"),
    )
    assert parts(*mixed, CALLED, DONE) == [
        PartStarted(0, ToolCall("a", "f", "")),
        ArgumentsDelta(0, '{"x":'),
        ArgumentsDelta(0, "1}"),
        PartStopped(0),
        PartStarted(1, ToolCall("b", "g", "")),
        ArgumentsDelta(1, '{"y":'),
        ArgumentsDelta(1, "2}"),
        PartStopped(1),
    ]


def test_text_amid_a_tool_call_waits_for_it() -> None:
    assert parts(call(0, '{"x":', "f", "a"), chunk({"content": "t"}), call(0, "1}"), CALLED, DONE) == [
        PartStarted(0, ToolCall("a", "f", "")),
        ArgumentsDelta(0, '{"x":'),
        ArgumentsDelta(0, "1}"),
        PartStopped(0),
        PartStarted(1, Text("")),
        TextDelta(1, "t"),
        PartStopped(1),
    ]


def test_calls_that_share_a_number_are_told_apart_by_their_ids() -> None:
    found = parts(call(0, "{}", "f", "a"), call(0, "{}", "f", "b"), CALLED, DONE)
    assert [event.part for event in found if isinstance(event, PartStarted)] == [
        ToolCall("a", "f", ""),
        ToolCall("b", "f", ""),
    ]


def test_calls_without_number_and_id_are_told_apart_by_their_names() -> None:
    found = parts(call(None, '{"x":', "f"), call(None, "1}"), call(None, "{}", "g"), CALLED, DONE)
    calls = [event.part for event in found if isinstance(event, PartStarted)]
    assert [one.name for one in calls if isinstance(one, ToolCall)] == ["f", "g"]
    assert [event.text for event in found if isinstance(event, ArgumentsDelta)] == ['{"x":', "1}", "{}"]


def test_an_empty_name_in_a_later_fragment_changes_nothing() -> None:
    found = parts(call(0, "", "f", "a"), call(0, "{}", ""), CALLED, DONE)
    assert found == [PartStarted(0, ToolCall("a", "f", "")), ArgumentsDelta(0, "{}"), PartStopped(0)]


def test_a_missing_call_id_and_number_are_made_up_for() -> None:
    once, again = (parts(call(None, "{}", "f"), CALLED, DONE) for _ in range(2))
    assert isinstance(once[0], PartStarted)
    assert isinstance(once[0].part, ToolCall)
    assert once[0].part.id.startswith("call_")
    assert once == again


def test_a_forced_call_that_ends_with_stop_is_still_a_call() -> None:
    last = events(call(0, "{}", "f", "a"), STOP, DONE)[-1]
    assert isinstance(last, Finished)
    assert last.stop_reason is StopReason.TOOL_CALL


@pytest.mark.parametrize("ending", [(DONE,), (STOP,), (STOP, DONE, chunk({"content": "late"}))])
def test_a_stream_ends_with_done_or_with_a_finish_reason(ending: tuple[Frame, ...]) -> None:
    assert events(chunk({"content": "a"}), *ending)[-1] == Finished(StopReason.END, Usage(known=False))


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ((), Unreachable),
        ((chunk({"content": "a"}),), Unreachable),
        ((DONE,), Garbled),
        ((chunk({"content": "a"}), frame(b"{oops")), Garbled),
        ((call(0, "{}", None, "a"), CALLED, DONE), Garbled),
        ((call(0, "{}", "f", "a"), call(1, "", "g", "b"), call(0, "more")), Garbled),
        ((chunk({"content": "a"}, "error"),), Unreachable),
        ((chunk({"content": "a"}, "insufficient_system_resource"),), Unreachable),
        ((frame({"error": {"message": "x", "type": "rate_limit_error"}}),), RateLimited),
        ((frame({"error": {"message": "x", "code": 503}}),), Overloaded),
        ((frame({"error": {"message": "x", "type": "invalid_request_error", "status_code": 400}}, "error"),), Rejected),
        ((frame({"error": {"message": "x", "type": "server_error"}}),), ServerError),
        ((frame({"error": "x"}),), ServerError),
        ((frame({"message": "x", "type": "authentication_error"}, "error"),), AuthFailed),
        ((frame(b"oops", "error"),), ServerError),
    ],
)
def test_a_stream_that_fails_is_broken_once(frames: tuple[Frame, ...], kind: type[ProviderError]) -> None:
    found = events(*frames, STOP) if frames and frames[-1] is not frames[0] else events(*frames)
    broken = [event for event in found if isinstance(event, Broken)]
    assert found[-1:] == broken
    assert type(broken[0].error) is kind
    assert broken[0].error.provider == "local"


def test_comments_and_empty_data_are_no_events() -> None:
    keep_alive = Frame("", b"", b": hi\n\n")
    assert events(keep_alive, chunk({"content": "a"}), keep_alive, STOP, DONE)[-1] == Finished(
        StopReason.END, Usage(known=False)
    )


# --- tap ------------------------------------------------------------------------------------------


def tapped(body: dict[str, Any], *frames: Frame, row: Row = PLAIN) -> tuple[list[bool], Usage, bool]:
    tap = OPENAI.tap(row, A_JOB, json.dumps(body).encode())
    relayed = [tap.feed(one) == one.raw for one in frames]
    return relayed, tap.usage, tap.finished


@pytest.mark.parametrize(
    ("row", "options", "relayed"),
    [
        (PLAIN, None, False),
        (PLAIN, {"include_usage": False}, False),
        (PLAIN, {"include_usage": True}, True),
        (STRICT, None, True),
    ],
)
def test_a_usage_chunk_the_client_did_not_ask_for_is_not_relayed(row: Row, options: Any, relayed: bool) -> None:
    body = {"stream": True, "stream_options": options}
    found, usage, finished = tapped(body, chunk({"content": "a"}), STOP, chunk(usage=USAGE), DONE, row=row)
    assert found == [True, True, relayed, True]
    assert usage == Usage(2, 3)
    assert finished


@pytest.mark.parametrize(
    ("frames", "finished"),
    [
        ((chunk({"content": "a"}),), False),
        ((chunk({"content": "a"}), STOP), True),
        ((chunk({"content": "a"}), DONE), True),
        ((chunk({"content": "a"}), chunk({}, 3)), True),
        ((chunk({"content": "a"}), chunk({}, "stop", usage="?")), True),
        ((DONE,), False),
        ((frame({"choices": [], "prompt_filter_results": []}),), False),
        ((frame(b"not json"),), False),
    ],
)
def test_a_relayed_stream_is_finished_by_its_reason_or_done(frames: tuple[Frame, ...], finished: bool) -> None:
    relayed, _usage, found = tapped({}, *frames)
    assert all(relayed)
    assert found is finished


def test_comments_are_relayed_and_empty_data_lines_are_not() -> None:
    tap = OPENAI.tap(PLAIN, A_JOB, b"{}")
    assert tap.feed(Frame("", b"", b": hi\n\n")) == b": hi\n\n"
    assert tap.feed(Frame("", b"", b"data:\n\n")) == b""


def test_an_error_frame_is_raised_instead_of_relayed() -> None:
    tap = OPENAI.tap(PLAIN, A_JOB, b"{}")
    with pytest.raises(Overloaded, match="busy"):
        tap.feed(frame({"error": {"message": "busy", "type": "overloaded_error"}}))


# --- errors ---------------------------------------------------------------------------------------


def failed(status: int, body: Any, **headers: str) -> ProviderError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OPENAI.error(PLAIN, status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.mark.parametrize(
    ("status", "kind", "shown"),
    [
        (400, Rejected, 400),
        (401, AuthFailed, 502),
        (402, RateLimited, 429),
        (403, AuthFailed, 502),
        (404, Rejected, 404),
        (408, TimedOut, 504),
        (413, Rejected, 413),
        (422, Rejected, 400),
        (429, RateLimited, 429),
        (500, ServerError, 500),
        (502, ServerError, 502),
        (503, Overloaded, 529),
        (504, TimedOut, 504),
        (529, Overloaded, 529),
    ],
)
def test_every_status_is_an_error_of_ours(status: int, kind: type[ProviderError], shown: int) -> None:
    error = failed(status, {"error": {"message": "x"}})
    assert type(error) is kind
    assert (error.upstream_status, error.status, error.provider) == (status, shown, "local")


NAMED = "messages.0.user.name"
EXTRA = {"type": "extra_forbidden", "loc": ["body", "n"], "msg": "Extra", "input": "secret"}
MISSING = {"type": "missing", "loc": ["body", "messages", 0, "user", "name"], "msg": "Missing", "input": {"a": "b"}}


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"error": {"message": "x", "type": "t", "param": "p", "code": "c"}}, ("x", "t", "p", "c")),
        ({"error": {"message": "x", "code": 400}}, ("x", None, None, "400")),
        ({"error": "x"}, ("x", None, None, None)),
        ({"detail": "x"}, ("x", None, None, None)),
        (
            [{"error": {"message": "x", "status": "INVALID_ARGUMENT", "code": 400}}],
            ("x", "INVALID_ARGUMENT", None, "400"),
        ),
        ({"object": "error", "message": "x", "type": "BadRequestError"}, ("x", "BadRequestError", None, None)),
        (b"x", ("x", None, None, None)),
        ({"detail": [EXTRA, MISSING]}, ("n: Extra; messages.0.user.name: Missing", None, "n", None)),
        ({"object": "error", "message": {"detail": [MISSING]}, "type": "t"}, (f"{NAMED}: Missing", None, NAMED, None)),
        ({"detail": [EXTRA] * 9}, ("n: Extra; n: Extra; n: Extra", None, "n", None)),
    ],
)
def test_what_the_provider_said_is_found(body: Any, facts: tuple[str | None, ...]) -> None:
    error = failed(400, body)
    assert (error.message, error.upstream_type, error.param, error.code) == facts


@pytest.mark.parametrize(
    "body", [b"", b"<html>secret</html>", b"\x00\x01", b"{oops", {"detail": [{"input": "secret"}]}]
)
def test_what_cannot_be_read_is_not_shown(body: Any) -> None:
    assert failed(500, body).message == "local answered with status 500 and no message."


def test_a_long_message_is_cut() -> None:
    assert len(failed(400, {"error": "x" * 100_000}).message) == 1_000
    assert len(failed(400, b"x" * 100_000).message) == 200


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}. Look",
        "Authorization: Bearer abcdef123456 refused",
        "key gsk_abcdefgh12345678 is bad",
        "key AIzaSyA1234567890123456789012 is bad",
        "Your api key: hunter2-key is invalid",
        "api-key: hunter2-key",
    ],
)
def test_credentials_are_redacted(text: str) -> None:
    message = failed(401, {"error": {"message": text}}).message
    assert "[redacted]" in message
    for secret in (KEY, "abcdef123456", "gsk_abcdefgh", "AIzaSyA", "hunter2"):
        assert secret not in message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "3"}, 3.0),
        ({"retry_after_ms": "250", "retry_after": "3"}, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "3"}, 3),
        ({"retry_after": "-1"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"date": "Sat, 21 Nov 2026 08:00:00 GMT", "retry_after": "Sat, 21 Nov 2026 08:00:09 GMT"}, 9.0),
    ],
)
def test_the_time_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert failed(429, {}, **headers).retry_after_s == seconds


@pytest.mark.parametrize(
    ("status", "error", "headers", "expected"),
    [
        (429, {"code": "insufficient_quota"}, {}, False),
        (429, {"type": "insufficient_quota"}, {}, False),
        (402, {}, {}, False),
        (400, {"code": "billing_hard_limit_reached"}, {}, False),
        (429, {"code": "rate_limit_exceeded"}, {}, None),
        (500, {}, {"x_should_retry": "false"}, False),
        (500, {}, {"x_should_retry": "true"}, True),
    ],
)
def test_an_empty_account_is_not_worth_a_retry(
    status: int, error: dict[str, str], headers: dict[str, str], expected: bool | None
) -> None:
    assert failed(status, {"error": {"message": "x", **error}}, **headers).should_retry is expected


# --- recorded traffic -----------------------------------------------------------------------------


def row_of(recording: Recording) -> Row:
    return Row(name=recording.provider, wire="openai_chat")


def said(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def test_editing_a_recorded_request_loses_nothing() -> None:
    covered = 0
    for recording in recordings():
        if recording.request is None:
            continue
        before = msgspec.json.decode(recording.request, type=dict[str, Raw])
        after = msgspec.json.decode(OPENAI.edit(recording.request, PLAIN, "other"), type=dict[str, Raw])
        assert bytes(after.pop("model")) == b'"other"'
        before.pop("model", None)
        options = [json.loads(bytes(one.pop("stream_options", Raw(b"null")))) or {} for one in (before, after)]
        streams = bytes(before.get("stream", Raw(b""))) == b"true"
        assert options[1] == ({**options[0], "include_usage": True} if streams else options[0]), recording.name
        assert {name: bytes(raw) for name, raw in before.items()} == {name: bytes(raw) for name, raw in after.items()}
        covered += 1
    print(f"{covered} recorded requests")
    assert covered > 0


def test_a_recorded_answer_keeps_text_usage_and_reason() -> None:
    covered = 0
    for recording in recordings():
        if recording.streamed or recording.status >= 400 or "choices" not in recording.body:
            continue
        before = recording.body
        after = json.loads(DIALECT.render(OPENAI.parse(recording.response, row_of(recording)), A_JOB, b""))
        choice, made = before["choices"][0], after["choices"][0]
        calls = choice["message"].get("tool_calls") or []
        called = bool(calls or choice["message"].get("function_call"))
        assert after["id"] == before["id"]
        assert (made["message"]["content"] or "") == said(choice["message"]), recording.name
        made_ids = [one["id"] for one in made["message"].get("tool_calls", ())]
        assert all(made_ids)
        assert all(one["id"] in {"", made_id} for one, made_id in zip(calls, made_ids, strict=False)), recording.name
        assert len(made_ids) == max(len(calls), called), recording.name
        expected = {"eos": "stop", None: "stop"}.get(choice.get("finish_reason"), choice.get("finish_reason"))
        assert made["finish_reason"] == ("tool_calls" if called else expected), recording.name
        same_usage(before["usage"], after["usage"], recording.name)
        covered += 1
    print(f"{covered} recorded answers")
    assert covered > 0


def same_usage(before: dict[str, Any], after: dict[str, Any], name: str) -> None:
    """Reasoning that the server counted in the total only is now inside the completion."""
    assert after["prompt_tokens"] == before["prompt_tokens"], name
    assert after["total_tokens"] == before["total_tokens"], name
    if before["total_tokens"] == before["prompt_tokens"] + before["completion_tokens"]:
        assert after["completion_tokens"] == before["completion_tokens"], name


def test_a_recorded_stream_keeps_text_calls_usage_and_reason() -> None:
    covered = 0
    for recording in recordings():
        if not recording.streamed or recording.status >= 400:
            continue
        frames = FrameReader().feed(recording.response)
        parser = OPENAI.stream(row_of(recording))
        found = [event for one in frames for event in parser.feed(one)] + parser.close()
        in_order(found, recording.name)
        renderer = DIALECT.stream(WITH_USAGE, A_JOB, b"")
        made = FrameReader().feed(b"".join(renderer.feed(event) for event in found))
        before, after = Seen(frames), Seen(made)
        assert after.text == before.text, recording.name
        assert after.reasoning == before.reasoning, recording.name
        assert after.broken == before.broken, recording.name
        assert list(after.arguments.values()) == list(before.arguments.values()), recording.name
        if not before.broken:
            expected = "tool_calls" if before.arguments else {"eos": "stop"}.get(before.finish, before.finish)
            assert after.finish == expected, recording.name
            if before.usage:
                same_usage(before.usage, after.usage, recording.name)
        covered += 1
    print(f"{covered} recorded streams")
    assert covered > 0


class Seen:
    """What a client collects of a stream's first choice."""

    def __init__(self, frames: list[Frame]) -> None:
        self.text = self.reasoning = self.finish = ""
        self.usage: dict[str, Any] = {}
        self.arguments: dict[int, str] = {}
        self.broken = False
        for one in frames:
            if one.data and one.data != b"[DONE]":
                self._chunk(json.loads(one.data))

    def _chunk(self, data: dict[str, Any]) -> None:
        self.broken = self.broken or "error" in data
        self.usage = data.get("usage") or (data.get("x_groq") or {}).get("usage") or self.usage
        for choice in data.get("choices") or ():
            if choice["index"]:
                continue
            delta = choice.get("delta", {})
            self.finish = choice.get("finish_reason") or self.finish
            self.text += said(delta)
            self.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
            if isinstance(delta.get("content"), list):
                self.reasoning += "".join(
                    piece["text"] for part in delta["content"] for piece in part.get("thinking", ())
                )
            for fragment in delta.get("tool_calls") or ():
                arguments = (fragment.get("function") or {}).get("arguments") or ""
                number = fragment.get("index", len(self.arguments))
                self.arguments[number] = self.arguments.get(number, "") + arguments


def in_order(found: list[Event], name: str) -> None:
    """The promise of `shared/events.py`."""
    opened, made = False, 0
    for place, event in enumerate(found):
        last = place == len(found) - 1
        match event:
            case Started():
                assert place == 0, name
            case PartStarted():
                assert not opened, name
                assert event.index == made, name
                opened, made = True, made + 1
            case PartStopped():
                assert opened, name
                opened = False
            case Finished():
                assert last, name
                assert not opened, name
            case Broken():
                assert last, name
            case _:
                assert opened, name
                assert event.index == made - 1, name


def test_a_recorded_stream_is_relayed_whole_to_a_client_that_asked_for_usage() -> None:
    covered = 0
    for recording in recordings():
        if not recording.streamed or recording.status >= 400 or b'data: {"error"' in recording.response:
            continue
        tap = OPENAI.tap(PLAIN, A_JOB, b'{"stream_options":{"include_usage":true}}')
        frames = FrameReader().feed(recording.response)
        assert [tap.feed(one) for one in frames] == [one.raw for one in frames], recording.name
        assert tap.finished, recording.name
        covered += 1
    print(f"{covered} relayed streams")
    assert covered > 0


def test_a_recorded_error_becomes_one_of_ours() -> None:
    covered = 0
    for recording in recordings():
        if recording.status < 400:
            continue
        error = OPENAI.error(row_of(recording), recording.status, {}, recording.response)
        assert error.upstream_status == recording.status
        assert "no message" not in error.message, recording.name
        if recording.status in {401, 403}:
            assert isinstance(error, AuthFailed), recording.name
        covered += 1
    print(f"{covered} recorded errors")
    assert covered > 0
