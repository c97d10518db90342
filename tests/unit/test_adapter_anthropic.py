"""The Anthropic adapter: what goes to the provider, and what its answers, streams and errors mean."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from shared.chat import (
    ChatRequest,
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
from shared.dialects.anthropic import ANTHROPIC as DIALECT
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
    SignatureDelta,
    Started,
    TextDelta,
)
from shared.sse import Frame, FrameReader, write
from tests.made import A_JOB, A_REQUEST
from worker.providers.anthropic import ANTHROPIC
from worker.providers.base import Row

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "anthropic"
ROW = Row(name="anthropic", wire="anthropic", base_url="https://api.anthropic.com", auth="x-api-key")
STOP_REASONS = {"compaction": "end_turn"}


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


# --- where and with which headers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("chat", "/v1/messages"),
        ("count_tokens", "/v1/messages/count_tokens"),
        ("models", "/v1/models?limit=1000"),
    ],
)
def test_every_operation_has_its_path(operation, path):
    assert ANTHROPIC.path(operation) == path


def test_an_unknown_operation_is_unsupported():
    with pytest.raises(Unsupported):
        ANTHROPIC.path("embeddings")


@pytest.mark.parametrize(
    ("auth", "key", "client", "expected"),
    [
        ("x-api-key", "k", {}, {"x-api-key": "k", "anthropic-version": "2023-06-01"}),
        ("bearer", "k", {}, {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}),
        ("bearer", "", {}, {"anthropic-version": "2023-06-01"}),
        (
            "x-api-key",
            "k",
            {"anthropic-version": "2026-10-21", "anthropic-beta": "a,b", "x-api-key": "theirs"},
            {"x-api-key": "k", "anthropic-version": "2026-10-21", "anthropic-beta": "a,b"},
        ),
    ],
)
def test_headers_carry_key_and_version(auth, key, client, expected):
    row = Row(name="a", wire="anthropic", auth=auth)
    assert ANTHROPIC.headers(row, key, client) == {**expected, "content-type": "application/json"}


# --- a body of the same wire ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"anthropic/a","x":1.0,"y":"\\u00e9"}', b'{"model":"a","x":1.0,"y":"\\u00e9"}'),
        (b'{"model":"x","fallbacks":["b/c"],"provider":"p"}', b'{"model":"a"}'),
        (b'{"model":"x","fallbacks":[{"model":"c"}]}', b'{"model":"a","fallbacks":[{"model":"c"}]}'),
        (b'{"model":"x","fallbacks":"default"}', b'{"model":"a","fallbacks":"default"}'),
        (
            b'{"model":"x","messages":[ {"role":"user",  "content":"\\"text\\":\\"\\""} ]}',
            b'{"model":"a","messages":[ {"role":"user",  "content":"\\"text\\":\\"\\""} ]}',
        ),
    ],
)
def test_an_edited_body_keeps_every_other_byte(before, after):
    assert ANTHROPIC.edit(before, ROW, "a") == after


TEXT = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
EMPTY = {"type": "text", "text": ""}
TAGGED = {"type": "thinking", "thinking": "hm", "signature": "hermod:gemini:x"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "sig"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"text": ""}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("user", [TEXT, EMPTY])], [("user", [TEXT])]),
        ([("user", "a"), ("assistant", [EMPTY]), ("user", "b")], [("user", "a"), ("user", "b")]),
        ([("user", [EMPTY])], [("user", [EMPTY])]),
        ([("user", "a"), ("assistant", [CALL])], [("user", "a"), ("assistant", [CALL])]),
        ([("user", "a"), ("assistant", [TAGGED, SIGNED, TEXT])], [("user", "a"), ("assistant", [SIGNED, TEXT])]),
        (
            [("user", "a"), ("assistant", [{"type": "redacted_thinking", "data": "hermod:gemini:x"}, TEXT])],
            [("user", "a"), ("assistant", [TEXT])],
        ),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_blocks_that_anthropic_refuses_are_left_out(before, after, indent):
    def messages(turns):
        return [{"role": role, "content": content} for role, content in turns]

    body = json.dumps({"model": "x", "messages": messages(before)}, indent=indent).encode()
    assert json.loads(ANTHROPIC.edit(body, ROW, "a"))["messages"] == messages(after)


def test_a_body_that_turns_out_broken_where_nobody_looked_is_the_callers_mistake():
    with pytest.raises(InvalidRequest):
        ANTHROPIC.edit(b'{"model":"x","messages":[],"\\ud800":1}', ROW, "a")


# --- a canonical request --------------------------------------------------------------------------

HI = Message("user", (Text("Hi"),))


def render(*messages: Message, model: str = "claude-opus-4-8", **fields) -> tuple[dict, tuple[str, ...]]:
    rendered = ANTHROPIC.render(ChatRequest(model, messages or (HI,), **fields), ROW)
    return json.loads(rendered.body), rendered.dropped


def foreign(kind: str, value: object = True, path: str = "") -> Foreign:
    return Foreign("openai_chat", kind, path or kind, raw(value))


def test_the_smallest_request_has_what_the_wire_demands():
    assert render() == (
        {
            "model": "claude-opus-4-8",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        },
        (),
    )


TOOL = Tool("f", description="d", parameters=raw({"type": "object"}), strict=True)
TOOL_OUT = {"name": "f", "input_schema": {"type": "object"}, "description": "d", "strict": True}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 0}, {"max_tokens": 0}),
        ({"system": (Text("a"), Text(""), Text("b"))}, {"system": [{"type": "text", "text": x} for x in "ab"]}),
        ({"temperature": 0.9, "top_p": 0.5, "top_k": 3}, {"temperature": 0.9, "top_p": 0.5, "top_k": 3}),
        ({"temperature": 1.0, "top_p": 1.0}, {}),
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"stop": ("a",)}, {"stop_sequences": ["a"]}),
        ({"stream": True}, {"stream": True}),
        ({"user_id": "u"}, {"metadata": {"user_id": "u"}}),
        ({"tools": (TOOL,)}, {"tools": [TOOL_OUT]}),
        ({"tools": (Tool("g"),)}, {"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}}}]}),
        (
            {"tools": (Tool("g", parameters=raw({"properties": {}})),)},
            {"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}}}]},
        ),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("tool", ("f",))},
            {"tools": [TOOL_OUT], "tool_choice": {"type": "tool", "name": "f"}},
        ),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("any"), "parallel_tool_calls": False},
            {"tools": [TOOL_OUT], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": (TOOL,), "parallel_tool_calls": False},
            {"tools": [TOOL_OUT], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        ({"tools": (TOOL,), "parallel_tool_calls": True}, {"tools": [TOOL_OUT]}),
        (
            {"tools": (TOOL,), "tool_choice": ToolChoice("none"), "parallel_tool_calls": False},
            {"tools": [TOOL_OUT], "tool_choice": {"type": "none"}},
        ),
        (
            {"tools": (TOOL, Tool("g")), "tool_choice": ToolChoice("subset", ("f",))},
            {"tools": [TOOL_OUT], "tool_choice": {"type": "any"}},
        ),
        ({"tool_choice": ToolChoice("auto")}, {}),
        (
            {"output_format": OutputFormat(raw({"type": "object"}), name="n", strict=True)},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        (
            {"reasoning": Reasoning(effort="none")},
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        ),
        (
            {"reasoning": Reasoning("enabled", "high", 2048)},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"effort": "high"}},
        ),
    ],
)
def test_a_canonical_field_is_written(fields, expected):
    body, dropped = render(**fields)
    for name in ("model", "messages"):
        body.pop(name)
    assert body == {"max_tokens": 4096, **expected}
    assert dropped == ()


@pytest.mark.parametrize(
    ("model", "fields", "expected", "dropped"),
    [
        ("claude-sonnet-4-5", {}, (12_096, {"type": "enabled", "budget_tokens": 8000}), ()),
        ("claude-opus-4-20250514", {"max_tokens": 3000}, (3000, {"type": "enabled", "budget_tokens": 2999}), ()),
        ("claude-sonnet-4-5", {"max_tokens": 1000}, (1000, None), ("reasoning.effort",)),
        ("claude-sonnet-4-5", {"temperature": 0.2}, (4096, None), ("reasoning.effort",)),
        ("claude-haiku-4-5", {"tool_choice": ToolChoice("any")}, (4096, None), ("reasoning.effort",)),
        ("claude-3-5-haiku-latest", {}, (4096, None), ("reasoning.effort",)),
    ],
)
def test_an_effort_is_a_budget_on_models_that_take_none(model, fields, expected, dropped):
    body, lost = render(model=model, reasoning=Reasoning(effort="medium"), **fields)
    assert (body["max_tokens"], body.get("thinking")) == expected
    assert "output_config" not in body
    assert lost == dropped


ADAPTIVE, DISABLED, BETWEEN = ({"type": kind} for kind in ("adaptive", "disabled", "between_tools"))


@pytest.mark.parametrize(
    ("model", "effort", "fields", "expected"),
    [
        ("claude-opus-4-5", "high", {}, (28_096, None, "high", ())),
        ("claude-opus-4-6", "low", {"max_tokens": 500}, (500, ADAPTIVE, "low", ())),
        ("claude-sonnet-4-6", "low", {"top_p": 1.0, "temperature": 1.0}, (6_096, ADAPTIVE, "low", ())),
        ("claude-opus-4-8", "xhigh", {}, (31_096, ADAPTIVE, "xhigh", ())),
        ("claude-opus-4-8", "low", {"temperature": 0.2}, (6_096, None, "low", ("reasoning.effort",))),
        ("claude-opus-4-8", "low", {"tool_choice": ToolChoice("any")}, (6_096, None, "low", ("reasoning.effort",))),
        ("claude-opus-5", "medium", {}, (12_096, None, "medium", ())),
        ("claude-opus-4-8", "none", {}, (4_096, DISABLED, "low", ())),
        ("claude-opus-5", "minimal", {}, (4_096, DISABLED, "low", ())),
        ("claude-haiku-5-5", "none", {}, (4_096, DISABLED, "low", ())),
        ("claude-sonnet-5-5", "none", {}, (4_096, BETWEEN, "low", ("reasoning.effort",))),
        ("claude-opus-5-5", "none", {}, (4_096, None, "low", ("reasoning.effort",))),
        ("claude-fable-5-1", "none", {}, (4_096, None, "low", ("reasoning.effort",))),
        ("claude-haiku-4-5", "none", {}, (4_096, None, None, ())),
    ],
)
def test_an_effort_is_told_as_the_model_understands_it(model, effort, fields, expected):
    body, dropped = render(model=model, reasoning=Reasoning(effort=effort), **fields)
    said = body.get("output_config", {}).get("effort")
    assert (body["max_tokens"], body.get("thinking"), said, dropped) == expected


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("a"), {"type": "text", "text": "a"}),
        (Refusal("no"), {"type": "text", "text": "no"}),
        (
            Image(Inline("image/JPG", "eA==")),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "eA=="}},
        ),
        (Image(Url("https://a/b")), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (Image(FileRef("f")), {"type": "image", "source": {"type": "file", "file_id": "f"}}),
        (
            Document(Inline("application/pdf", "eA=="), filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
                "title": "a.pdf",
            },
        ),
        (
            Document(Inline("text/csv", "YSxi"), title="T", context="C", citations=True),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
        ),
        (
            Document(PlainText("a")),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}},
        ),
        (Thinking("hm", "anthropic", "s"), {"type": "thinking", "thinking": "hm", "signature": "s"}),
        (RedactedThinking("d", "anthropic"), {"type": "redacted_thinking", "data": "d"}),
        (ToolCall("c", "f", '{"a" :1}'), {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}),
        (ToolCall("c", "f", " "), {"type": "tool_use", "id": "c", "name": "f", "input": {}}),
        (ToolResult("c", (Text("a"),)), {"type": "tool_result", "tool_use_id": "c", "content": "a"}),
        (ToolResult("c", (), is_error=True), {"type": "tool_result", "tool_use_id": "c", "is_error": True}),
        (
            ToolResult("c", (Text("a"), Image(Url("https://a/b")))),
            {
                "type": "tool_result",
                "tool_use_id": "c",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
                ],
            },
        ),
    ],
)
def test_a_part_is_written_as_its_block(part, block):
    body, dropped = render(Message("user", (part,)))
    assert body["messages"] == [{"role": "user", "content": [block]}]
    assert dropped == ()


def test_neighbours_of_one_role_become_one_turn_and_a_system_turn_keeps_its_place():
    body, dropped = render(
        Message("user", (Text("a"),), name="ann"),
        Message("assistant", (ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))),
        Message("user", (ToolResult("1", ()),)),
        Message("user", (ToolResult("2", ()),)),
        Message("user", (Text("b"),)),
        Message("system", (Text("now"),)),
        Message("assistant", (Text("c"), Text(" \n"))),
        Message("assistant", (Text(""),)),
        Message("user", (Text("d"),)),
    )
    assert [(turn["role"], [block["type"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["text"]),
        ("assistant", ["tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
        ("system", ["text"]),
        ("assistant", ["text"]),
        ("user", ["text"]),
    ]
    assert dropped == ("messages.0.name",)


ANSWER = Message("assistant", (Text("b"),))
RULE = Message("system", (Text("now"),))
FOLDED = "<system>\nnow\n</system>"


@pytest.mark.parametrize(
    ("model", "messages", "expected"),
    [
        ("claude-opus-4-8", (HI, RULE), [("user", ["Hi"]), ("system", ["now"])]),
        ("claude-opus-4-8", (HI, RULE, ANSWER, HI), None),
        ("claude-sonnet-5", (HI, RULE, RULE, ANSWER, HI), None),
        ("claude-opus-4-8", (HI, RULE, HI), [("user", ["Hi", FOLDED, "Hi"])]),
        ("claude-opus-4-8", (HI, ANSWER, RULE, HI), [("user", ["Hi"]), ("assistant", ["b"]), ("user", [FOLDED, "Hi"])]),
        ("claude-opus-4-8", (RULE, HI), [("user", [FOLDED, "Hi"])]),
        ("claude-opus-4-7", (HI, RULE), [("user", ["Hi", FOLDED])]),
        ("claude-opus-4-1-20250805", (HI, RULE), [("user", ["Hi", FOLDED])]),
        ("claude-opus-4-20250514", (HI, RULE), [("user", ["Hi", FOLDED])]),
        ("claude-sonnet-4-6", (HI, RULE), [("user", ["Hi", FOLDED])]),
        ("claude-3-7-sonnet-latest", (HI, RULE), [("user", ["Hi", FOLDED])]),
        ("deepseek-chat", (HI, RULE), [("user", ["Hi", FOLDED])]),
    ],
)
def test_system_text_amid_the_turns_keeps_its_role_where_model_and_place_allow(model, messages, expected):
    body, dropped = render(*messages, model=model)
    found = [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]]
    if expected is None:
        assert [role for role, _ in found] == ["user", "system", "assistant", "user"]
    else:
        assert found == expected
    folds = any(FOLDED in texts for _, texts in found)
    assert dropped == ((f"messages.{messages.index(RULE)}.role",) if folds else ())


def test_results_come_before_what_else_their_turn_says():
    body, _ = render(
        HI, Message("assistant", (ToolCall("1", "f", "{}"),)), RULE, Message("user", (ToolResult("1", ()),))
    )
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text"]


def test_an_id_that_the_api_refuses_is_made_legal_the_same_way_for_call_and_result():
    odd = "functions.f:0"
    body, _ = render(HI, Message("assistant", (ToolCall(odd, "f", "{}"),)), Message("user", (ToolResult(odd, ()),)))
    (call,), (result,) = (turn["content"] for turn in body["messages"][1:])
    assert call["id"] == result["tool_use_id"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", call["id"])


@pytest.mark.parametrize("messages", [(), (Message("user", (Text(" "),)),)])
def test_a_request_without_a_turn_is_the_callers_mistake(messages):
    with pytest.raises(InvalidRequest, match=r"^messages: "):
        ANTHROPIC.render(ChatRequest("m", messages, system=(Text("Be brief"),)), ROW)


@pytest.mark.parametrize(
    ("messages", "fields", "dropped"),
    [
        ((), {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.0}, ("seed", "presence_penalty")),
        ((), {"foreign": (foreign("store"), foreign("service_tier", "flex"))}, ("store", "service_tier")),
        ((Message("user", (Image(Url("https://a/b"), "high"),)),), {}, ("messages.0.content.0.detail",)),
        ((Message("user", (Image(Url("https://a/b"), "auto"),)),), {}, ()),
        (
            (HI, Message("assistant", (Thinking("a", "openai_chat"), Text("b"), Thinking("c", "anthropic"))), HI),
            {},
            ("messages.1.content.0",),
        ),
        (
            (),
            {"output_format": OutputFormat(raw({}), description="d")},
            ("output_format.description",),
        ),
    ],
)
def test_harmless_losses_are_reported(messages, fields, dropped):
    assert render(*messages, **fields)[1] == dropped


@pytest.mark.parametrize(
    ("parts", "fields", "param"),
    [
        ((), {"temperature": 1.5}, "temperature"),
        ((), {"output_format": OutputFormat()}, "output_format"),
        ((), {"foreign": (foreign("n", 2),)}, "n"),
        ((), {"foreign": (foreign("logprobs"),)}, "logprobs"),
        ((), {"foreign": (foreign("audio", {}),)}, "audio"),
        ((), {"foreign": (foreign("logit_bias", {"1": 2}),)}, "logit_bias"),
        ((), {"tools": (foreign("custom", {}, "tools[0]"),)}, "tools[0]"),
        ((foreign("input_audio", {}, "messages[0].content[0]"),), {}, "messages[0].content[0]"),
        ((Text("a"), Image(Inline("image/bmp", "eA=="))), {}, "messages.0.content.1"),
        ((Document(Inline("application/zip", "eA==")),), {}, "messages.0.content.0"),
        ((ToolResult("c", (Text("a"), foreign("x", {}, "p"))),), {}, "p"),
    ],
)
def test_what_the_wire_cannot_express_is_refused_by_name(parts, fields, param):
    with pytest.raises(Unsupported) as caught:
        render(Message("user", parts or (Text("Hi"),)), **fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize("arguments", ["{", "[1]", "nonsense", '"text"', "1", '{"a":1} x', "[" * 100_000])
def test_arguments_that_are_no_object_are_the_callers_mistake(arguments):
    with pytest.raises(InvalidRequest) as caught:
        render(HI, Message("assistant", (Text("a"), ToolCall("c", "f", arguments))))
    assert caught.value.param == "messages.1.content.1"


def test_a_text_document_that_is_no_text_is_the_callers_mistake():
    with pytest.raises(InvalidRequest):
        render(Message("user", (Document(Inline("text/plain", "/w==")),)))


# --- answers --------------------------------------------------------------------------------------


def answered(**fields) -> bytes:
    made = {"id": "msg_1", "type": "message", "model": "m", "content": [{"type": "text", "text": "Hi"}], **fields}
    return json.dumps(made).encode()


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "citations": [{"x": 1}]}, Text("a")),
        ({"type": "text"}, Text("")),
        ({"type": "thinking", "thinking": "hm", "signature": "s"}, Thinking("hm", "anthropic", "s")),
        ({"type": "redacted_thinking", "data": "d"}, RedactedThinking("d", "anthropic")),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "caller": {}},
            ToolCall("t", "f", '{"a": 1}'),
        ),
        ({"type": "tool_use", "id": "t", "name": "f"}, ToolCall("t", "f", "{}")),
    ],
)
def test_a_block_of_an_answer_becomes_its_part(block, part):
    assert ANTHROPIC.parse(answered(content=[block]), ROW).content == (part,)


@pytest.mark.parametrize(
    ("content", "details", "expected"),
    [
        ([], {"category": "cyber", "explanation": "It is harmful."}, (Refusal("It is harmful."),)),
        ([{"type": "text", "text": ""}], {"explanation": "No."}, (Text(""), Refusal("No."))),
        ([{"type": "text", "text": "Sure"}], {"explanation": "No."}, (Text("Sure"),)),
        ([], {"explanation": None}, ()),
        ([], "odd", ()),
        ([], None, ()),
    ],
)
def test_the_explanation_of_a_refusal_stands_in_for_an_answer_without_words(content, details, expected):
    found = ANTHROPIC.parse(answered(content=content, stop_reason="refusal", stop_details=details), ROW)
    assert (found.content, found.stop_reason) == (expected, StopReason.REFUSAL)


def test_an_answer_that_failed_midway_is_no_answer():
    with pytest.raises(Unreachable):
        ANTHROPIC.parse(answered(stop_reason="error"), ROW)


def test_an_unknown_block_is_kept_as_it_came():
    block = {"type": "web_search_tool_result", "content": [1]}
    (part,) = ANTHROPIC.parse(answered(content=[block]), ROW).content
    assert (part.wire, part.kind, part.path) == ("anthropic", "web_search_tool_result", "content.0")
    assert json.loads(bytes(part.raw)) == block


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", StopReason.END),
        ("stop_sequence", StopReason.STOP_SEQUENCE),
        ("max_tokens", StopReason.LENGTH),
        ("model_context_window_exceeded", StopReason.CONTEXT_FULL),
        ("tool_use", StopReason.TOOL_CALL),
        ("refusal", StopReason.REFUSAL),
        ("pause_turn", StopReason.PAUSE),
        ("compaction", StopReason.END),
        (None, StopReason.END),
    ],
)
def test_every_stop_reason_is_understood(word, reason):
    assert ANTHROPIC.parse(answered(stop_reason=word), ROW).stop_reason is reason


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, Usage(1, 2)),
        (
            {
                "input_tokens": 1,
                "output_tokens": 9,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens_details": {"thinking_tokens": 5},
                "service_tier": "new",
            },
            Usage(1, 9, 2, 7, 4, 5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
            Usage(1, 2, 0, 4, 4),
        ),
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation": None}, Usage(1, 2)),
        ({}, Usage(known=False)),
        (None, Usage(known=False)),
        ("odd", Usage(known=False)),
        ({"input_tokens": -1, "output_tokens": 2}, Usage(known=False)),
        ({"input_tokens": 1, "output_tokens": 10**30}, Usage(known=False)),
    ],
)
def test_usage_is_normalised(found, expected):
    body = answered(usage=found)
    assert ANTHROPIC.usage(body) == expected
    assert ANTHROPIC.parse(body, ROW).usage == expected


def test_usage_of_what_is_not_json_is_not_passed_over():
    assert ANTHROPIC.usage(b'{"usage":[]}') == Usage(known=False)
    with pytest.raises(msgspec.DecodeError):
        ANTHROPIC.usage(b"oops")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content":{}}', b'{"content":["a"]}'])
def test_an_answer_that_is_no_message_is_garbled(body):
    with pytest.raises(Garbled):
        ANTHROPIC.parse(body, ROW)


def test_an_error_under_a_good_status_is_that_error():
    with pytest.raises(Overloaded):
        ANTHROPIC.parse(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', ROW)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ({"data": [], "has_more": True, "last_id": "claude/5"}, "after_id=claude%2F5"),
        ({"data": [], "has_more": False, "last_id": "claude-5"}, ""),
        ({"data": [], "has_more": True, "last_id": None}, ""),
        ([], ""),
    ],
)
def test_the_next_page_of_models_begins_after_the_last(page, query):
    assert ANTHROPIC.next_page(json.dumps(page).encode()) == query


def test_the_model_list_is_read_leniently():
    entry = {"type": "model", "id": "claude-x", "display_name": "X", "created_at": "2026-01-02T00:00:00Z", "new": 1}
    body = json.dumps({"data": [entry, {"id": "y", "created_at": "soon"}, {"no": "id"}]}).encode()
    first, second = ANTHROPIC.models(body)
    assert (first.id, first.display_name, first.created_s) == ("claude-x", "X", 1767312000)
    assert json.loads(bytes(first.raw)) == entry
    assert (second.id, second.created_s) == ("y", None)
    assert ANTHROPIC.models(b"oops") == []


# --- streams --------------------------------------------------------------------------------------


def frame(kind: str, **fields) -> Frame:
    (found,) = FrameReader().feed(write(json.dumps({"type": kind, **fields}).encode(), kind))
    return found


def opened(index: int, kind: str, **fields) -> Frame:
    return frame("content_block_start", index=index, content_block={"type": kind, **fields})


def piece(index: int, kind: str, **fields) -> Frame:
    return frame("content_block_delta", index=index, delta={"type": kind, **fields})


def closed(index: int) -> Frame:
    return frame("content_block_stop", index=index)


START = frame("message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}})
END = frame("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
STOP = frame("message_stop")
STARTED = Started("msg_1", "m", Usage(3, 1))
FINISHED = Finished(StopReason.END, Usage(3, 7))


def events(*frames: Frame) -> list[Event]:
    parser = ANTHROPIC.stream(ROW)
    return [event for one in frames for event in parser.feed(one)] + parser.close()


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], []),
        (
            [opened(0, "text", text=""), frame("ping"), piece(0, "text_delta", text="Hi"), closed(0)],
            [PartStarted(0, Text("")), TextDelta(0, "Hi"), PartStopped(0)],
        ),
        (
            [
                opened(0, "thinking", thinking="", signature=""),
                piece(0, "thinking_delta", thinking="hm"),
                piece(0, "signature_delta", signature="s"),
                closed(0),
            ],
            [PartStarted(0, Thinking("", "anthropic")), TextDelta(0, "hm"), SignatureDelta(0, "s"), PartStopped(0)],
        ),
        (
            [
                opened(0, "tool_use", id="t", name="f", input={}),
                piece(0, "input_json_delta", partial_json=""),
                piece(0, "input_json_delta", partial_json='{"a":1}'),
                closed(0),
            ],
            [PartStarted(0, ToolCall("t", "f", "")), ArgumentsDelta(0, '{"a":1}'), PartStopped(0)],
        ),
        (
            [opened(0, "redacted_thinking", data="d"), closed(0)],
            [PartStarted(0, RedactedThinking("d", "anthropic")), PartStopped(0)],
        ),
        (  # a block that others cannot say is left out and the rest counted anew
            [
                opened(0, "server_tool_use", id="s", name="web_search", input={}),
                piece(0, "input_json_delta", partial_json="{}"),
                closed(0),
                opened(1, "text", text=""),
                piece(1, "citations_delta", citation={}),
                piece(1, "text_delta", text="Hi"),
                closed(1),
            ],
            [PartStarted(0, Text("")), TextDelta(0, "Hi"), PartStopped(0)],
        ),
        (  # a call made by code execution comes whole in its start; other servers forget to close a block
            [opened(0, "text", text="Hi"), opened(1, "tool_use", id="t", name="f", input={"a": 1})],
            [
                PartStarted(0, Text("")),
                TextDelta(0, "Hi"),
                PartStopped(0),
                PartStarted(1, ToolCall("t", "f", "")),
                ArgumentsDelta(1, '{"a": 1}'),
                PartStopped(1),
            ],
        ),
        (  # servers that forget to open it
            [piece(0, "text_delta", text="Hi"), piece(0, "text_delta", text="!")],
            [PartStarted(0, Text("")), TextDelta(0, "Hi"), TextDelta(0, "!"), PartStopped(0)],
        ),
    ],
)
def test_a_stream_becomes_canonical_events(frames, expected):
    assert events(START, *frames, END, STOP) == [STARTED, *expected, FINISHED]


REFUSED = frame(
    "message_delta",
    delta={"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}},
    usage={"output_tokens": 7},
)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([], [PartStarted(0, Refusal("")), TextDelta(0, "No."), PartStopped(0)]),
        (
            [opened(0, "text", text=""), piece(0, "text_delta", text="Sure"), closed(0)],
            [PartStarted(0, Text("")), TextDelta(0, "Sure"), PartStopped(0)],
        ),
    ],
)
def test_the_explanation_of_a_streamed_refusal_stands_in_for_an_answer_without_words(frames, expected):
    assert events(START, *frames, REFUSED, STOP) == [STARTED, *expected, Finished(StopReason.REFUSAL, Usage(3, 7))]


def test_a_stream_that_failed_midway_is_broken():
    *_, last = events(START, frame("message_delta", delta={"stop_reason": "error"}), STOP)
    assert isinstance(last, Broken)
    assert type(last.error) is Unreachable


def test_the_last_counts_win_and_nothing_follows_the_end():
    end = frame(
        "message_delta",
        delta={"stop_reason": "stop_sequence", "stop_sequence": "x"},
        usage={"input_tokens": 9, "cache_read_input_tokens": 2, "output_tokens": 7},
    )
    assert events(START, end, STOP, START, frame("error")) == [
        STARTED,
        Finished(StopReason.STOP_SEQUENCE, Usage(9, 7, 2), "x"),
    ]


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ([], Unreachable),
        ([START, opened(0, "text", text="")], Unreachable),
        ([START, END], Unreachable),
        ([Frame("message_start", b"{oops", b"")], Garbled),
        ([START, opened(0, "tool_use", id="t", name="f"), closed(0), piece(0, "input_json_delta")], Garbled),
    ],
)
def test_a_stream_without_its_end_is_broken(frames, kind):
    *_, last = events(*frames)
    assert isinstance(last, Broken)
    assert type(last.error) is kind


@pytest.mark.parametrize(
    ("upstream", "kind", "status"),
    [
        ("overloaded_error", Overloaded, 529),
        ("rate_limit_error", RateLimited, 429),
        ("timeout_error", TimedOut, 504),
        ("api_error", ServerError, 500),
        ("authentication_error", AuthFailed, 401),
        ("invalid_request_error", Rejected, 400),
        ("something_new", ServerError, 500),
    ],
)
def test_an_error_event_is_the_error_its_type_stands_for(upstream, kind, status):
    error = frame("error", error={"type": upstream, "message": "why"})
    (broken,) = events(error)
    assert type(broken.error) is kind
    assert (broken.error.upstream_status, broken.error.upstream_type) == (status, upstream)
    with pytest.raises(kind, match="why"):
        ANTHROPIC.tap(ROW, A_JOB, b"{}").feed(error)


def test_a_tap_relays_every_byte_and_keeps_the_usage():
    tap = ANTHROPIC.tap(ROW, A_JOB, b"{}")
    assert (tap.usage.known, tap.finished) == (False, False)
    frames = [START, opened(0, "text", text=""), piece(0, "text_delta", text="Hi"), closed(0), END]
    assert [tap.feed(one) for one in frames] == [one.raw for one in frames]
    assert (tap.usage, tap.finished) == (Usage(3, 7), False)
    assert tap.feed(STOP) == STOP.raw
    assert tap.finished


def test_a_relayed_event_without_a_name_gets_the_one_it_has_in_its_data():
    tap = ANTHROPIC.tap(ROW, A_JOB, b"{}")
    for one in (START, STOP):
        unnamed = Frame("", one.data, b"data: " + one.data + b"\n\n")
        assert tap.feed(unnamed) == b"event: " + one.event.encode() + b"\n" + unnamed.raw
    comment = Frame("", b"", b": hi\n\n")
    assert tap.feed(comment) == comment.raw


# --- errors ---------------------------------------------------------------------------------------


def error(status: int, body: bytes | dict = b"", **headers: str) -> ProviderError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ANTHROPIC.error(ROW, status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


@pytest.mark.parametrize(
    ("status", "kind", "seen"),
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
def test_every_status_is_one_of_our_errors(status, kind, seen):
    found = error(status, {"type": "error", "error": {"type": "t", "message": "why", "details": {"error_code": "c"}}})
    assert type(found) is kind
    assert (found.status, found.upstream_status, found.upstream_type) == (seen, status, "t")
    assert "why" in found.message
    assert json.loads(bytes(found.details)) == {"error_code": "c"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({"retry_after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry_after": "Sat, 21 Nov 2026 10:00:30 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-3"}, 0.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert error(429, **headers).retry_after_s == seconds


@pytest.mark.parametrize(("header", "value"), [("true", True), ("false", False), ("maybe", None)])
def test_the_providers_word_on_retrying_is_kept(header, value):
    assert error(500, x_should_retry=header).should_retry is value


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (402, "billing_error", "pay"),
        (400, "billing_error", "pay"),
        (402, "odd", "pay"),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    ],
)
def test_an_unpaid_account_is_the_keys_state_and_not_asked_again(status, kind, message):
    found = error(status, {"error": {"type": kind, "message": message}})
    assert (type(found), found.status, found.code) == (RateLimited, 429, "insufficient_quota")
    assert found.should_retry is False


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "anthropic answered with status 400 and no message."),
        (b"<html><body>Bad gateway</body></html>", "anthropic answered with status 400 and no message."),
        (b"\x00\x01\xff", "anthropic answered with status 400 and no message."),
        (b"error code: 1015\n", "error code: 1015"),
        (b"x" * 5000, "x" * 200),
        ({"error": "model not loaded"}, "model not loaded"),
        ({"message": "no route"}, "no route"),
        ({"detail": "not found"}, "not found"),
        ({"detail": [{"loc": 1}]}, "anthropic answered with status 400 and no message."),
        ({"error": {"message": None}}, "anthropic answered with status 400 and no message."),
        ({"error": {"message": "y" * 5000}}, "y" * 1000),
    ],
)
def test_the_message_is_what_the_provider_said_and_bounded(body, message):
    assert error(400, body).message == message


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-abcdefgh",
        "sk-proj-****wxyz",
        "Bearer abcdef.ghijkl",
        "AKIAABCDEFGHIJKLMNOP",
        "AIzaSyA1234567890abcdefghijk",
        "eyJhbGciOi.eyJzdWIi.c2ln",
        "gsk_abcdefghijkl",
    ],
)
def test_credentials_are_redacted(secret):
    for body in ({"error": {"message": f"bad key {secret}, sorry"}}, f"bad key {secret}, sorry".encode()):
        found = error(400, body).message
        assert found == "bad key [redacted], sorry"


def test_a_key_behind_its_header_name_is_redacted():
    assert "s3cr3t" not in error(400, {"error": {"message": "got x-api-key: s3cr3t"}}).message


# --- recorded traffic -----------------------------------------------------------------------------


def recorded() -> list[tuple[str, dict]]:
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not at hand")
    return [(path.name, json.loads(path.read_bytes())) for path in sorted(RECORDINGS.glob("messages__*.json"))]


def test_editing_a_recorded_request_changes_nothing_but_the_model():
    covered = 0
    for name, record in recorded():
        body = record["request_body"]
        edited = json.loads(ANTHROPIC.edit(json.dumps(body).encode(), ROW, "other"))
        assert edited == {**body, "model": "other"}, name
        covered += 1
    assert covered > 400


def test_every_recorded_request_that_others_can_say_is_written_again():
    covered = 0
    for name, record in recorded():
        body = record["request_body"]
        if not all(isinstance(message, dict) for message in body["messages"]):
            continue
        request = DIALECT.parse(json.dumps(body).encode(), body["model"])
        written = json.loads(ANTHROPIC.render(msgspec.structs.replace(request, foreign=()), ROW).body)
        for field in ("model", "max_tokens", "stop_sequences"):
            assert written.get(field) == body.get(field), name
        for field in ("temperature", "top_p"):
            assert written.get(field, 1) == body.get(field, 1), name
        names = [[tool.get("name") for tool in side.get("tools", [])] for side in (body, written)]
        assert names[0] == names[1], name
        covered += 1
    assert covered > 400


def _shown(message: dict) -> dict:
    usage = message["usage"]
    return {
        "text": "".join(block["text"] for block in message["content"] if block["type"] == "text"),
        "calls": [(block["id"], block["input"]) for block in message["content"] if block["type"] == "tool_use"],
        "kinds": [block["type"] for block in message["content"] if block != EMPTY],
        "stop": STOP_REASONS.get(message["stop_reason"], message["stop_reason"]),
        "stop_sequence": message.get("stop_sequence"),
        "usage": [
            usage.get(name) or 0
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
            )
        ],
    }


def test_every_recorded_answer_says_the_same_after_both_translations():
    covered = 0
    for name, record in recorded():
        message = record["response_body"]
        if record["response_status"] != 200 or not isinstance(message, dict):
            continue
        response = ANTHROPIC.parse(json.dumps(message).encode(), ROW)
        assert _shown(json.loads(DIALECT.render(response, A_JOB, b""))) == _shown(message), name
        covered += 1
    assert covered > 300


def test_every_recorded_error_is_one_of_ours():
    kinds = {
        record["response_status"]: type(error(record["response_status"], record["response_body"]))
        for _, record in recorded()
        if record["response_status"] != 200
    }
    assert kinds == {400: Rejected, 401: AuthFailed, 404: Rejected}


def _frames(text: str) -> list[Frame]:
    reader = FrameReader()
    data = text.encode()
    return [one for start in range(0, len(data), 777) for one in reader.feed(data[start : start + 777])]


def _accumulate(frames: list[Frame]) -> dict:
    """A message from its stream, insisting on the order Anthropic's SDKs rely on."""
    message: dict = {}
    open_block: int | None = None
    for one in frames:
        data = json.loads(one.data)
        assert one.event == data["type"]
        match one.event:
            case "message_start":
                assert not message
                message = data["message"]
            case "content_block_start":
                assert (open_block, data["index"]) == (None, len(message["content"]))
                open_block = data["index"]
                message["content"].append({**data["content_block"], "input_text": ""})
            case "content_block_delta":
                assert data["index"] == open_block
                _grow(message["content"][open_block], data["delta"])
            case "content_block_stop":
                assert data["index"] == open_block
                open_block = None
            case "message_delta":
                assert open_block is None
                message.update(data["delta"])
                message["usage"].update(data["usage"])
    assert frames[-1].event == "message_stop"
    for block in message["content"]:
        text = block.pop("input_text")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text) if text else block["input"]
    return message


def _grow(block: dict, delta: dict) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            block["input_text"] += delta["partial_json"]


def test_every_recorded_stream_says_the_same_after_both_translations():
    covered = 0
    for name, record in recorded():
        if not isinstance(record["response_body"], str):
            continue
        frames = _frames(record["response_body"])
        parser, renderer, tap = (
            ANTHROPIC.stream(ROW),
            DIALECT.stream(A_REQUEST, A_JOB, b""),
            ANTHROPIC.tap(ROW, A_JOB, b"{}"),
        )
        found = [event for one in frames for event in parser.feed(one)] + parser.close()
        before, after = (
            _shown(_accumulate(some)) for some in (frames, FrameReader().feed(b"".join(map(renderer.feed, found))))
        )
        ours = {"text", "thinking", "redacted_thinking", "tool_use"}
        before["kinds"] = [kind for kind in before["kinds"] if kind in ours]
        assert after == before, name
        assert b"".join(map(tap.feed, frames)) == b"".join(one.raw for one in frames)
        assert tap.finished, name
        assert isinstance(found[-1], Finished), name
        assert tap.usage == found[-1].usage, name
        covered += 1
    print(f"{covered} recorded streams")
    assert covered > 70
