"""The Responses dialect: a client's body to the canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from shared.chat import (
    ChatRequest,
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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from shared.dialects.base import Head
from shared.dialects.openai_responses.request import parse, read_head
from shared.errors import InvalidRequest

IMAGE = "data:image/png;base64,aGk="
PDF = "data:application/pdf;base64,aGk="
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xyz"}
A_CALL = ToolCall("c1", "f", "{}")
A_RESULT = ToolResult("c1", (Text("42"),))
A_THOUGHT = Thinking("hm", "openai_responses", "xyz")


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def parsed(**fields: Any) -> ChatRequest:
    return parse(body(**fields), "m")


def turns(*items: dict[str, Any]) -> tuple[Message, ...]:
    return parsed(input=list(items)).messages


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


# --- the envelope ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "head"),
    [
        (body(), Head("m", store=True)),
        (body(store=None, stream=None), Head("m", store=True)),
        (body(store=False), Head("m")),
        (body(stream=True), Head("m", stream=True, store=True)),
        (body(background=True), Head("m", background=True, store=True)),
        (body(previous_response_id="resp_1"), Head("m", store=True, previous="resp_1")),
        (body(previous_response_id="resp_1", input=None), Head("m", store=True, previous="resp_1")),
        (body(previous_response_id="resp_1", input=[]), Head("m", store=True, previous="resp_1")),
        (body(prompt={"id": "p"}, input=None), Head("m", store=True)),
        (body(conversation=None), Head("m", store=True)),
        (body(fallbacks=["a/b", "c"]), Head("m", store=True, fallbacks=("a/b", "c"))),
        (body(fallbacks=[{"model": "x"}]), Head("m", store=True)),
        (body(input=[user("hi"), CALL, OUTPUT, {"type": "web_search_call"}]), Head("m", store=True)),
    ],
)
def test_the_head_tells_how_the_client_waits_and_what_is_kept(given: bytes, head: Head) -> None:
    assert read_head(given) == head


def test_the_head_of_a_count_is_never_streamed_nor_kept() -> None:
    given = body(stream=True, background=True, previous_response_id="resp_1", fallbacks=["a/b"])
    assert read_head(given, "count_tokens") == Head("m", fallbacks=("a/b",), previous="resp_1")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (b'{"input": "hi"}', "model"),
        (b'{"model": "m"}', "input"),
        (body(model=3), "model"),
        (body(model=""), "model"),
        (body(input=""), "input"),
        (body(input=[]), "input"),
        (body(input={}), "input"),
        (body(input=["hi"]), "input[0]"),
        (body(input=[{"content": "hi"}]), "input[0].role"),
        (body(input=[user("hi"), {"role": "tool", "content": "hi"}]), "input[1].role"),
        (body(input=[{"type": "message", "role": "bot", "content": "hi"}]), "input[0].role"),
        (body(input=[{"type": "item_reference", "id": "msg_1"}]), "input[0]"),
        (body(input=[{"id": "msg_1"}]), "input[0]"),
        (body(conversation="conv_1"), "conversation"),
        (body(conversation={"id": "conv_1"}), "conversation"),
        (body(stream="true"), "stream"),
        (body(store=1), "store"),
        (body(background="yes"), "background"),
        (body(previous_response_id=7), "previous_response_id"),
        (body(max_output_tokens="9"), "max_output_tokens"),
        (b"[1]", None),
    ],
)
@pytest.mark.parametrize("operation", ["chat", "count_tokens"])
def test_a_wrong_field_is_refused_by_its_path(given: bytes, param: str | None, operation: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_head(given, operation)
    assert caught.value.param == param
    assert (param or "body") in caught.value.message


@pytest.mark.parametrize("given", [b"", b'{"model":', b'{"model": "\xff"}', b'{"z":' + b"[" * 100_000])
def test_a_body_that_is_no_json_is_the_callers_error(given: bytes) -> None:
    for read in (read_head, lambda data: parse(data, "m")):
        with pytest.raises(InvalidRequest):
            read(given)


def test_fallbacks_that_are_no_text_are_no_list_of_ours() -> None:
    assert read_head(b'{"model": "m", "input": "x", "fallbacks": ["\xff"]}').fallbacks == ()


def test_an_error_never_quotes_the_input() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_head(body(input=[{"role": "my secret role", "content": "x"}]))
    assert "secret" not in caught.value.message


# --- fields ---------------------------------------------------------------------------------------

SCHEMA = {"type": "object"}
RAW_SCHEMA = Raw(b'{"type": "object"}')
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
TOOL = Tool("f", "d", RAW_SCHEMA, strict=True)
JSON_SCHEMA = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "d"}


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("instructions", "be brief", "system", (Text("be brief"),)),
        ("instructions", "", "system", ()),
        ("max_output_tokens", 5, "max_tokens", 5),
        ("temperature", 0.5, "temperature", 0.5),
        ("top_p", 1, "top_p", 1.0),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("reasoning", {"effort": "high", "summary": None}, "reasoning", Reasoning(effort="high")),
        ("reasoning", {"effort": None}, "reasoning", None),
        ("user", "u", "user_id", "u"),
        ("safety_identifier", "s", "user_id", "s"),
        ("stream", True, "stream", True),
        ("text", {}, "output_format", None),
        ("text", {"format": {"type": "text"}, "verbosity": None}, "output_format", None),
        ("text", {"format": {"type": "json_object"}}, "output_format", OutputFormat()),
        ("text", {"format": JSON_SCHEMA}, "output_format", OutputFormat(RAW_SCHEMA, "n", "d", strict=True)),
        ("tools", [FUNCTION], "tools", (TOOL,)),
        ("tools", [{"type": "function", "name": "f", "parameters": None}], "tools", (Tool("f"),)),
        ("tool_choice", "none", "tool_choice", ToolChoice("none")),
        ("tool_choice", "auto", "tool_choice", ToolChoice("auto")),
        ("tool_choice", "required", "tool_choice", ToolChoice("any")),
        ("tool_choice", {"type": "function", "name": "f"}, "tool_choice", ToolChoice("tool", ("f",))),
        (
            "tool_choice",
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            "tool_choice",
            ToolChoice("subset", ("f",)),
        ),
    ],
)
def test_a_field_gets_its_canonical_meaning(field: str, value: Any, name: str, expected: Any) -> None:
    request = parsed(**{field: value})
    assert getattr(request, name) == expected
    assert request.foreign == ()


def test_optionally_allowed_tools_narrow_the_tools() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    request = parsed(tools=[{"type": "function", "name": name} for name in "fg"], tool_choice=allowed)
    assert request.tools == (Tool("f"),)
    assert request.tool_choice == ToolChoice("auto")


@pytest.mark.parametrize(
    ("field", "value", "kind", "path"),
    [
        ("prompt", {"id": "p"}, "prompt", "prompt"),
        ("max_tool_calls", 3, "max_tool_calls", "max_tool_calls"),
        ("truncation", "auto", "truncation", "truncation"),
        ("context_management", [{"type": "compaction"}], "context_management", "context_management"),
        ("moderation", {"model": "m"}, "moderation", "moderation"),
        ("top_logprobs", 2, "top_logprobs", "top_logprobs"),
        ("conversation", "conv_1", "conversation", "conversation"),
        ("include", ["message.output_text.logprobs"], "message.output_text.logprobs", "include[0]"),
        ("tool_choice", {"type": "web_search_preview"}, "web_search_preview", "tool_choice"),
        (
            "tool_choice",
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]},
            "allowed_tools",
            "tool_choice",
        ),
        ("text", {"format": {"type": "grammar"}}, "grammar", "text.format"),
        ("text", {"verbosity": "low"}, "verbosity", "text.verbosity"),
        ("reasoning", {"summary": "auto"}, "reasoning.summary", "reasoning.summary"),
        ("reasoning", {"context": "all_turns"}, "reasoning.context", "reasoning.context"),
        ("reasoning", {"mode": "pro"}, "reasoning.mode", "reasoning.mode"),
        ("metadata", {"a": "b"}, "metadata", "metadata"),
        ("client_metadata", {"a": "b"}, "client_metadata", "client_metadata"),
        ("service_tier", "flex", "service_tier", "service_tier"),
        ("prompt_cache_key", "k", "prompt_cache_key", "prompt_cache_key"),
        ("provider", {"order": ["x"]}, "provider", "provider"),
        ("something_new", 1, "something_new", "something_new"),
        ("tools", [{**FUNCTION, "defer_loading": True}], "defer_loading", "tools[0].defer_loading"),
        ("tools", [{**FUNCTION, "async": True}], "async", "tools[0].async"),
        (
            "input",
            [user([{"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}])],
            "prompt_cache_breakpoint",
            "input[0].content[0].prompt_cache_breakpoint",
        ),
        (
            "input",
            [user([{"type": "input_file", "file_id": "f", "detail": "low"}])],
            "detail",
            "input[0].content[0].detail",
        ),
        ("input", [{**user("hi"), "name": "Ann"}], "name", "input[0].name"),
    ],
)
def test_what_has_no_canonical_meaning_is_kept_under_its_path(field: str, value: Any, kind: str, path: str) -> None:
    (foreign,) = parsed(**{field: value}).foreign
    assert (foreign.wire, foreign.kind, foreign.path) == ("openai_responses", kind, path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", False),
        ("background", True),
        ("previous_response_id", "resp_1"),
        ("stream_options", {"include_obfuscation": False}),
        ("include", ["reasoning.encrypted_content", "message.input_image.image_url"]),
        ("fallbacks", ["a/b"]),
        ("provider", "groq"),
        ("truncation", "disabled"),
        ("top_logprobs", 0),
        ("metadata", {}),
        ("max_tool_calls", None),
        ("service_tier", "auto"),
        ("reasoning", {"context": "auto", "mode": "standard", "generate_summary": None}),
        ("tools", [{**FUNCTION, "defer_loading": False, "async": False, "allowed_callers": ["direct"]}]),
    ],
)
def test_a_field_that_is_served_here_or_says_nothing_leaves_no_trace(field: str, value: Any) -> None:
    assert parsed(**{field: value}).foreign == ()


def test_the_older_name_of_a_user_is_reported_beside_the_newer() -> None:
    request = parsed(user="old", safety_identifier="new")
    assert request.user_id == "new"
    assert [field.path for field in request.foreign] == ["user"]


@pytest.mark.parametrize("kind", ["web_search", "file_search", "mcp", "code_interpreter", "namespace", "custom"])
def test_a_tool_of_another_type_is_foreign(kind: str) -> None:
    request = parsed(tools=[FUNCTION, {"type": kind, "name": "n"}])
    own, other = request.tools
    assert own == TOOL
    assert isinstance(other, Foreign)
    assert (other.kind, other.path) == (kind, "tools[1]")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "strict": "yes"}]}, "tools[0].strict"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"name": "f"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function"}]}},
            "tool_choice.tools[0].name",
        ),
        ({"text": {"format": {"type": "json_schema", "json_schema": {"schema": {}}}}}, "text.format.schema"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"instructions": ["x"]}, "instructions"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"include": "x"}, "include"),
        ({"input": None}, "input"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_by_its_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**fields)
    assert caught.value.param == param


def test_a_prompt_alone_is_left_to_those_who_have_it() -> None:
    request = parsed(prompt={"id": "p"}, input=None)
    assert request.messages == ()
    assert [field.path for field in request.foreign] == ["prompt"]


# --- content --------------------------------------------------------------------------------------


def test_a_string_is_a_message_of_the_user() -> None:
    assert parsed(input="hi").messages == (Message("user", (Text("hi"),)),)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "output_text", "text": "a", "annotations": [{"type": "x"}], "logprobs": [1]}, Text("a")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        ({"type": "input_image", "image_url": IMAGE}, Image(Inline("image/png", "aGk="))),
        (
            {"type": "input_image", "image_url": "https://x/y", "detail": "low", "file_id": None},
            Image(Url("https://x/y"), "low"),
        ),
        ({"type": "input_image", "file_id": "file-1", "detail": "auto"}, Image(FileRef("file-1"), "auto")),
        (
            {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
            Document(Inline("application/pdf", "aGk="), filename="a.pdf"),
        ),
        (
            {"type": "input_file", "file_data": "aGk=", "filename": "a.pdf"},
            Document(Inline("application/pdf", "aGk="), filename="a.pdf"),
        ),
        ({"type": "input_file", "file_id": "file-1"}, Document(FileRef("file-1"))),
        ({"type": "input_file", "file_url": "https://x/y.pdf"}, Document(Url("https://x/y.pdf"))),
    ],
)
def test_a_part_gets_its_canonical_form(part: dict[str, Any], expected: Any) -> None:
    request = parsed(input=[user([part])])
    assert request.messages == (Message("user", (expected,)),)
    assert request.foreign == ()


@pytest.mark.parametrize("kind", ["input_audio", "computer_screenshot", "text"])
def test_a_part_of_this_wire_alone_is_foreign(kind: str) -> None:
    (turn,) = turns(user([{"type": kind, "text": "x"}]))
    (part,) = turn.content
    assert isinstance(part, Foreign)
    assert (part.kind, part.path) == (kind, "input[0].content[0]")


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([user("hi"), user([{"text": "x"}])], "input[1].content[0].type"),
        ([user([{"type": "input_text"}])], "input[0].content[0].text"),
        ([user([{"type": "input_text", "text": "x"}, {"type": "input_image"}])], "input[0].content[1].image_url"),
        ([user([{"type": "input_image", "image_url": {"url": "x"}}])], "input[0].content[0].image_url"),
        ([user([{"type": "input_image", "image_url": "data:image/png,x"}])], "input[0].content[0].image_url"),
        ([user([{"type": "input_file", "filename": "a"}])], "input[0].content[0].file_data"),
        ([user([{"type": "input_file", "file_data": "data:text/plain,x"}])], "input[0].content[0].file_data"),
        ([user(3)], "input[0].content"),
        ([{"role": "user"}], "input[0].content"),
        ([{"role": "system", "content": [{"type": "input_image", "image_url": IMAGE}]}], "input[0].content[0]"),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], "input[0].call_id"),
        ([{**CALL, "call_id": ""}], "input[0].call_id"),
        ([{**CALL, "name": ""}], "input[0].name"),
        ([{**CALL, "arguments": {}}], "input[0].arguments"),
        ([CALL, {"type": "function_call_output", "call_id": "c1"}], "input[1].output"),
        ([CALL, {**OUTPUT, "output": 42}], "input[1].output"),
        ([CALL, {**OUTPUT, "output": [{"type": "refusal", "refusal": "no"}]}], "input[1].output[0]"),
        ([CALL, {**OUTPUT, "output": [{"type": "input_image"}]}], "input[1].output[0].image_url"),
        ([{"type": "reasoning", "summary": "x"}], "input[0].summary"),
        ([{"type": "item_reference", "id": "x"}], "input[0]"),
        ([{"role": "bot", "content": "x"}], "input[0].role"),
    ],
)
def test_an_item_that_cannot_be_read_is_refused_by_its_path(items: list[Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        turns(*items)
    assert caught.value.param == param


# --- turns ----------------------------------------------------------------------------------------


def test_leading_system_text_is_lifted_and_later_system_text_keeps_its_place() -> None:
    request = parsed(
        instructions="first",
        input=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "input_text", "text": "b"}]},
            user("hi"),
            {"role": "developer", "content": "c"},
        ],
    )
    assert request.system == (Text("first"), Text("a"), Text("b"))
    assert request.messages == (Message("user", (Text("hi"),)), Message("system", (Text("c"),)))


def test_calls_stand_with_the_message_before_them_and_their_outputs_in_one_turn() -> None:
    second = {**CALL, "call_id": "c2"}
    answer = {**OUTPUT, "call_id": "c2", "output": [{"type": "input_image", "image_url": IMAGE}]}
    assert turns(user("hi"), assistant("let me see"), CALL, second, OUTPUT, answer, user("and?")) == (
        Message("user", (Text("hi"),)),
        Message("assistant", (Text("let me see"), A_CALL, ToolCall("c2", "f", "{}"))),
        Message("user", (A_RESULT, ToolResult("c2", (Image(Inline("image/png", "aGk=")),)))),
        Message("user", (Text("and?"),)),
    )


def test_reasoning_belongs_to_the_turn_that_follows() -> None:
    assert turns(user("hi"), THOUGHT, CALL, OUTPUT, THOUGHT, assistant("42")) == (
        Message("user", (Text("hi"),)),
        Message("assistant", (A_THOUGHT, A_CALL)),
        Message("user", (A_RESULT,)),
        Message("assistant", (A_THOUGHT, Text("42"))),
    )


def test_messages_of_the_assistant_stay_apart() -> None:
    assert turns(assistant("a"), THOUGHT, assistant("b"), CALL) == (
        Message("assistant", (Text("a"),)),
        Message("assistant", (A_THOUGHT, Text("b"), A_CALL)),
    )


def test_a_message_between_calls_stays_with_them_for_their_outputs_follow() -> None:
    assert turns(CALL, THOUGHT, assistant("and"), {**CALL, "call_id": "c2"}, OUTPUT) == (
        Message("assistant", (A_CALL, A_THOUGHT, Text("and"), ToolCall("c2", "f", "{}"))),
        Message("user", (A_RESULT,)),
    )


def test_each_round_of_calls_is_its_own() -> None:
    assert [turn.role for turn in turns(CALL, OUTPUT, CALL, OUTPUT)] == ["assistant", "user", "assistant", "user"]


def test_reasoning_that_nothing_follows_is_kept() -> None:
    assert turns(THOUGHT, user("go on")) == (Message("assistant", (A_THOUGHT,)), Message("user", (Text("go on"),)))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"encrypted_content": "xyz"}, (Thinking("", "openai_responses", "xyz"),)),
        ({"summary": [{"text": "a"}, {"text": "b"}]}, (Thinking("a\n\nb", "openai_responses"),)),
        (
            {"summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
            (Thinking("a", "openai_responses"),),
        ),
        (
            {"summary": [{"text": "a"}], "encrypted_content": "hermod:anthropic:s:g="},
            (Thinking("a", "anthropic", "s:g="),),
        ),
        ({"encrypted_content": "hermod:openai_chat:"}, (Thinking("", "openai_chat"),)),
        ({"encrypted_content": "hermod-redacted:anthropic:da:ta"}, (RedactedThinking("da:ta", "anthropic"),)),
        ({"id": "rs_1", "summary": [], "encrypted_content": None}, ()),
    ],
)
def test_reasoning_goes_back_to_who_can_read_it(item: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (turn,) = turns({"type": "reasoning", **item}, assistant("x"))
    assert turn.content == (*expected, Text("x"))


@pytest.mark.parametrize(
    "kind",
    ["web_search_call", "custom_tool_call", "custom_tool_call_output", "compaction", "mcp_list_tools", "of_tomorrow"],
)
def test_an_item_of_this_wire_alone_is_foreign(kind: str) -> None:
    _, turn = turns(user("hi"), {"type": kind, "id": "x"})
    (part,) = turn.content
    assert isinstance(part, Foreign)
    assert (part.wire, part.kind, part.path) == ("openai_responses", kind, "input[1]")


def test_what_an_earlier_answer_said_of_itself_is_sent_back_without_a_trace() -> None:
    request = parsed(
        input=[
            {**THOUGHT, "id": "rs_1", "status": "completed"},
            {**assistant("x"), "id": "msg_1", "status": "completed", "phase": "commentary"},
            {**CALL, "id": "fc_1", "status": "completed", "namespace": "n", "caller": {"type": "direct"}},
            {**OUTPUT, "id": None, "name": "f", "status": "completed"},
        ]
    )
    assert request.foreign == ()


def test_every_part_can_be_found_again_in_the_clients_body() -> None:
    output = {**OUTPUT, "output": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": IMAGE}]}
    request = parsed(
        input=[{"role": "system", "content": "s"}, user([{"type": "input_text", "text": "x"}]), THOUGHT, CALL, output]
    )
    assert request.paths == {
        "max_tokens": "max_output_tokens",
        "messages": "input",
        "output_format": "text.format",
        "system": "instructions",
        "user_id": "user",
        "messages.0": "input[1]",
        "messages.0.content.0": "input[1].content[0]",
        "messages.1": "input[2]",
        "messages.1.content.0": "input[2]",
        "messages.1.content.1": "input[3]",
        "messages.2": "input[4]",
        "messages.2.content.0": "input[4]",
        "messages.2.content.0.content.0": "input[4].output[0]",
        "messages.2.content.0.content.1": "input[4].output[1]",
    }


# --- real clients ---------------------------------------------------------------------------------

CODEX = {
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "list the files"}]},
        {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "xyz"},
        {"type": "function_call", "name": "shell", "arguments": '{"cmd":"ls"}', "call_id": "call_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "README.md"},
    ],
    "tools": [{"type": "function", "name": "shell", "description": "", "strict": False, "parameters": SCHEMA}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "019a",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "1"},
}


def test_a_coding_agents_request_is_understood_but_for_hints() -> None:
    assert read_head(body(**CODEX)) == Head("m", stream=True)
    request = parsed(**CODEX)
    assert [turn.role for turn in request.messages] == ["user", "assistant", "user"]
    assert request.system == (Text("You are a coding agent."), Text("<permissions>"))
    assert {field.kind for field in request.foreign} == {
        "prompt_cache_key",
        "client_metadata",
        "reasoning.summary",
        "verbosity",
    }


def test_the_tools_of_a_coding_agent_that_only_openai_has_are_told_by_their_place() -> None:
    tools = [*CODEX["tools"], {"type": "namespace", "name": "n", "tools": []}, {"type": "web_search"}]
    request = parsed(**{**CODEX, "tools": tools})
    assert [tool.path for tool in request.tools if isinstance(tool, Foreign)] == ["tools[1]", "tools[2]"]
