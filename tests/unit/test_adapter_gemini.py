"""The Gemini adapter: what goes to the provider, and where."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared.chat import (
    ChatRequest,
    Document,
    FileRef,
    Foreign,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    PlainText,
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
from shared.errors import InvalidRequest, Unsupported
from worker.providers.call_ids import seal, unseal
from worker.providers.catalog import ROWS
from worker.providers.gemini import GEMINI

ROW, VERTEX = ROWS["gemini"], ROWS["vertex"]
OLD, NEW = "gemini-2.5-flash", "gemini-3-pro"
UNSIGNED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
PNG = Inline("image/png", "iVBORw0KGgo=")
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"string"}}}')
HELLO = Message("user", (Text("Hello"),))


def asking(*parts: Part, model: str = OLD, **fields: Any) -> ChatRequest:
    """A request whose only turn has these parts, or the usual word."""
    return ChatRequest(model=model, messages=(Message("user", parts or (Text("Hello"),)),), **fields)


def talk(*turns: tuple[Any, tuple[Part, ...]], model: str = OLD) -> ChatRequest:
    return ChatRequest(model=model, messages=tuple(Message(role, parts) for role, parts in turns))


def sent(request: ChatRequest, operation: str = "chat", row: Any = ROW) -> Any:
    return json.loads(GEMINI.render(request, row, operation).body)


def dropped(request: ChatRequest) -> tuple[str, ...]:
    return GEMINI.render(request, ROW).dropped


def config(request: ChatRequest) -> Any:
    return sent(request).get("generationConfig", {})


# --- where and with which headers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "stream", "path"),
    [
        ("chat", False, "/models/gemini-3-pro:generateContent"),
        ("chat", True, "/models/gemini-3-pro:streamGenerateContent?alt=sse"),
        ("count_tokens", False, "/models/gemini-3-pro:countTokens"),
        ("models", False, "/models?pageSize=1000"),
    ],
)
def test_each_operation_has_its_path(operation: str, stream: bool, path: str) -> None:
    assert GEMINI.path(operation, NEW, stream=stream) == path


@pytest.mark.parametrize(
    ("model", "named"),
    [("models/gemini-3-pro", "gemini-3-pro"), ("a/../b", "a%2F..%2Fb"), ("a:b?c#d", "a%3Ab%3Fc%23d"), ("x@1", "x@1")],
)
def test_a_model_name_cannot_lead_elsewhere(model: str, named: str) -> None:
    assert GEMINI.path("chat", model) == f"/models/{named}:generateContent"


def test_an_operation_it_does_not_have_is_refused() -> None:
    with pytest.raises(Unsupported, match="embeddings"):
        GEMINI.path("embeddings")


def test_the_key_goes_where_the_row_says() -> None:
    client = {"anthropic-version": "2023-06-01", "x-mine": "1"}
    assert GEMINI.headers(ROW, "k", client) == {
        "x-mine": "1",
        "content-type": "application/json",
        "x-goog-api-key": "k",
    }
    assert GEMINI.headers(replace(ROW, auth="bearer"), "k", {})["authorization"] == "Bearer k"
    assert "x-goog-api-key" not in GEMINI.headers(ROW, "", {})


def test_nobody_speaks_this_wire_to_the_gateway() -> None:
    with pytest.raises(Unsupported):
        GEMINI.edit(b"{}", ROW, "m")


# --- counting -------------------------------------------------------------------------------------


def test_the_gemini_api_counts_the_whole_request_when_it_is_put_inside() -> None:
    request = asking(system=(Text("Be brief."),), tools=(Tool("f"),))
    whole = sent(request)
    assert sent(request, "count_tokens") == {"generateContentRequest": {**whole, "model": f"models/{OLD}"}}
    assert sent(request, "count_tokens", VERTEX) == whole
    assert GEMINI.count(b'{"totalTokens": 7, "promptTokensDetails": []}') == 7


# --- fields ---------------------------------------------------------------------------------------


def test_a_plain_request_has_nothing_but_its_turn() -> None:
    assert sent(asking(stream=True)) == {"contents": [{"parts": [{"text": "Hello"}], "role": "user"}]}


def test_every_field_has_its_place() -> None:
    request = asking(
        system=(Text("Be brief."), Text("")),
        max_tokens=9,
        temperature=0,
        top_p=0.5,
        top_k=3,
        stop=("END",),
        seed=0,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        output_format=OutputFormat(SCHEMA, name="n", description="d"),
    )
    body = sent(request)
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["END"],
        "seed": 0,
        "presencePenalty": 0.1,
        "frequencyPenalty": -0.1,
        "responseMimeType": "application/json",
        "responseJsonSchema": json.loads(bytes(SCHEMA)),
    }
    assert dropped(request) == ("output_format.description",)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("any"), {"mode": "ANY"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("tool", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice("subset", ("f", "g")), {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice, expected: dict[str, Any]) -> None:
    tools = (Tool("f", "It is f.", SCHEMA, strict=True), Tool("g"))
    request = asking(tools=tools, tool_choice=choice, parallel_tool_calls=False)
    body = sent(request)
    declared = [
        {"name": "f", "description": "It is f.", "parametersJsonSchema": json.loads(bytes(SCHEMA))},
        {"name": "g"},
    ]
    assert body["tools"] == [{"functionDeclarations": declared}]
    assert body["toolConfig"] == {"functionCallingConfig": expected}
    assert dropped(request) == ("tools.0.strict", "parallel_tool_calls")


def test_a_choice_without_tools_is_left_out() -> None:
    body = sent(asking(tool_choice=ToolChoice("auto"), parallel_tool_calls=False))
    assert not {"tools", "toolConfig"} & body.keys()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": tuple("abcdef")}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": (Foreign("anthropic", "web_search", "tools.0", msgspec.Raw(b"{}")),)}, "tools.0"),
        ({"foreign": (Foreign("openai_chat", "logprobs", "logprobs", msgspec.Raw(b"true")),)}, "logprobs"),
    ],
)
def test_what_it_cannot_express_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Unsupported) as refused:
        GEMINI.render(asking(**fields), ROW)
    assert refused.value.param == param


def test_harmless_hints_are_reported() -> None:
    hint = Foreign("openai_chat", "prompt_cache_key", "prompt_cache_key", msgspec.Raw(b'"k"'))
    assert dropped(asking(user_id="u", foreign=(hint,))) == ("prompt_cache_key", "user_id")


# --- reasoning ------------------------------------------------------------------------------------

SHOWN = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "wanted", "expected", "lost"),
    [
        (OLD, Reasoning(effort="none"), {"thinkingBudget": 0}, ()),
        (OLD, Reasoning(mode="disabled"), {"thinkingBudget": 0}, ()),
        (OLD, Reasoning(mode="adaptive"), {**SHOWN, "thinkingBudget": -1}, ()),
        (OLD, Reasoning(mode="enabled", budget_tokens=2000), {**SHOWN, "thinkingBudget": 2000}, ()),
        (OLD, Reasoning(mode="enabled", budget_tokens=99_999), {**SHOWN, "thinkingBudget": 24_576}, ("budget_tokens",)),
        (OLD, Reasoning(effort="low"), {**SHOWN, "thinkingBudget": 1_024}, ()),
        (OLD, Reasoning(effort="max"), {**SHOWN, "thinkingBudget": 24_576}, ()),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 128}, ("effort",)),
        ("gemini-2.5-pro", Reasoning(effort="max"), {**SHOWN, "thinkingBudget": 32_768}, ()),
        ("gemini-2.5-flash-lite", Reasoning(budget_tokens=9), {**SHOWN, "thinkingBudget": 512}, ("budget_tokens",)),
        (NEW, Reasoning(effort="none"), {"thinkingLevel": "LOW"}, ("effort",)),
        (NEW, Reasoning(effort="medium"), {**SHOWN, "thinkingLevel": "HIGH"}, ("effort",)),
        (NEW, Reasoning(effort="max"), {**SHOWN, "thinkingLevel": "HIGH"}, ("effort",)),
        (NEW, Reasoning(mode="adaptive"), SHOWN, ()),
        ("gemini-3-flash-preview", Reasoning(effort="none"), {"thinkingLevel": "MINIMAL"}, ()),
        ("gemini-3.8-flash", Reasoning(effort="minimal"), {**SHOWN, "thinkingLevel": "LOW"}, ("effort",)),
        ("gemini-flash-latest", Reasoning(effort="high"), {**SHOWN, "thinkingLevel": "HIGH"}, ()),
        (
            "gemini-3.1-pro-preview",
            Reasoning(mode="enabled", budget_tokens=8_000),
            {**SHOWN, "thinkingLevel": "MEDIUM"},
            ("budget_tokens",),
        ),
        ("gemini-2.0-flash", Reasoning(effort="high"), None, ("effort",)),
        ("gemini-2.0-flash", Reasoning(effort="none"), None, ()),
        ("gemma-3-27b-it", Reasoning(effort="high"), None, ("effort",)),
        (NEW, None, None, ()),
    ],
)
def test_reasoning_is_put_as_the_model_understands_it(
    model: str, wanted: Reasoning | None, expected: dict[str, Any] | None, lost: tuple[str, ...]
) -> None:
    request = asking(model=model, reasoning=wanted)
    assert config(request).get("thinkingConfig") == expected
    assert dropped(request) == tuple(f"reasoning.{name}" for name in lost)


# --- content --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(PNG), {"inlineData": {"mimeType": "image/png", "data": PNG.data}}),
        (Image(Inline("image/JPG", "aGk=")), {"inlineData": {"mimeType": "image/jpeg", "data": "aGk="}}),
        (Image(Url("gs://b/a.webp")), {"fileData": {"fileUri": "gs://b/a.webp", "mimeType": "image/webp"}}),
        (
            Image(Url("https://www.youtube.com/watch?v=x")),
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x", "mimeType": "video/mp4"}},
        ),
        (
            Document(Url("https://youtu.be/x")),
            {"fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"}},
        ),
        (
            Document(Url("https://generativelanguage.googleapis.com/v1beta/files/abc")),
            {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        ),
        (Document(Inline("application/pdf", "aGk=")), {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}),
        (Document(Url("gs://b/a")), {"fileData": {"fileUri": "gs://b/a", "mimeType": "application/pdf"}}),
        (Document(PlainText("a note")), {"text": "a note"}),
        (Document(Inline("text/csv", base64.b64encode(b"a,b").decode())), {"text": "a,b"}),
    ],
)
def test_files_go_as_bytes_or_by_address(part: Part, expected: dict[str, Any]) -> None:
    assert sent(asking(part))["contents"][0]["parts"] == [expected]


@pytest.mark.parametrize(
    "part",
    [
        Image(FileRef("file-1")),
        Document(FileRef("file-1")),
        Document(Inline("application/zip", "aGk=")),
        Document(PlainText("x"), citations=True),
        ToolCall("c", "f", "{}"),
        Foreign("openai_chat", "input_audio", "messages.0.content.0", msgspec.Raw(b"{}")),
    ],
)
def test_a_part_it_cannot_take_is_named(part: Part) -> None:
    with pytest.raises(Unsupported) as refused:
        GEMINI.render(asking(part), ROW)
    assert refused.value.param == "messages.0.content.0"


def test_what_describes_a_file_is_reported() -> None:
    paper = Document(Inline("application/pdf", "aGk="), title="t", context="c")
    assert dropped(asking(Image(PNG, "high"), paper)) == (
        "messages.0.content.0.detail",
        "messages.0.content.1.context",
        "messages.0.content.1.title",
    )


def test_text_that_says_nothing_is_left_out() -> None:
    request = talk(("user", (Text(""), Text("a"))), ("assistant", (Text(""),)), ("user", (Refusal("b"),)))
    assert sent(request)["contents"] == [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "user", "parts": [{"text": "b"}]},
    ]


def test_a_request_that_says_nothing_is_invalid() -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        GEMINI.render(asking(Text("")), ROW)


def test_neighbours_of_one_role_are_one_turn_and_system_text_among_them_is_marked() -> None:
    request = talk(("user", (Text("a"),)), ("system", (Text("b"),)), ("user", (Text("c"),)))
    texts = ["a", "<system>\nb\n</system>", "c"]
    assert sent(request)["contents"] == [{"role": "user", "parts": [{"text": text} for text in texts]}]
    assert dropped(request) == ("messages.1.role",)


def test_a_name_is_reported() -> None:
    assert dropped(ChatRequest(OLD, (Message("user", (Text("a"),), "Ann"),))) == ("messages.0.name",)


def test_an_answer_cannot_go_on_with_the_assistants_words() -> None:
    with pytest.raises(Unsupported) as refused:
        GEMINI.render(talk(("user", (Text("a"),)), ("assistant", (Text("b"),))), ROW)
    assert refused.value.param == "messages.1"


# --- tools in the history -------------------------------------------------------------------------


def called(*results: ToolResult, model: str = OLD, call_id: str = "c1") -> ChatRequest:
    calls = (ToolCall(call_id, "f", '{"a": 1}'), ToolCall("c2", "g", " "))
    return talk(("user", (Text("Hello"),)), ("assistant", calls), ("user", results), model=model)


def test_results_name_their_function_and_stand_in_a_turn_of_their_own() -> None:
    request = called(ToolResult("c2", (Text("x"), Text("y"))), ToolResult("c1", (Text("no"),), is_error=True))
    request = replace(request, messages=(*request.messages, HELLO))
    _, calls, results, rest = sent(request)["contents"]
    assert calls == {
        "role": "model",
        "parts": [
            {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
            {"functionCall": {"id": "c2", "name": "g", "args": {}}},
        ],
    }
    assert results["parts"] == [
        {"functionResponse": {"id": "c2", "name": "g", "response": {"output": "x\n\ny"}}},
        {"functionResponse": {"id": "c1", "name": "f", "response": {"error": "no"}}},
    ]
    assert rest == {"role": "user", "parts": [{"text": "Hello"}]}


def test_a_picture_in_a_result_stays_in_it_from_gemini_3_on_and_follows_it_before() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG.data}}
    result = ToolResult("c1", (Text("x"), Image(PNG)))
    response = {"id": "c1", "name": "f", "response": {"output": "x"}}
    latest = sent(called(result, model=NEW))["contents"]
    assert latest[2]["parts"] == [{"functionResponse": {**response, "parts": [picture]}}]
    before = sent(called(result))["contents"]
    assert before[2]["parts"] == [{"functionResponse": response}]
    assert before[3]["parts"] == [{"text": "From the result of tool call c1:"}, picture]


def test_a_result_without_its_call_is_invalid() -> None:
    with pytest.raises(InvalidRequest) as invalid:
        GEMINI.render(called(ToolResult("other", ())), ROW)
    assert invalid.value.param == "messages.2.content.0"


@pytest.mark.parametrize("arguments", ["[1]", "x", '"a"', '{"a":'])
def test_arguments_that_are_no_object_are_invalid(arguments: str) -> None:
    turns = [("user", (Text("a"),)), ("assistant", (ToolCall("c", "f", arguments),)), ("user", (Text("b"),))]
    with pytest.raises(InvalidRequest) as invalid:
        GEMINI.render(talk(*turns), ROW)
    assert invalid.value.param == "messages.1.content.0"


# --- signatures -----------------------------------------------------------------------------------


def model_parts(*parts: Part, model: str = NEW) -> Any:
    return sent(talk(("user", (Text("a"),)), ("assistant", parts), ("user", (Text("b"),)), model=model))["contents"][1]


@pytest.mark.parametrize("signature", ["+/+/", "YQ==", "YWI=", "YWJj", "a" * 4096])
def test_a_signature_travels_in_the_id_of_its_call(signature: str) -> None:
    sealed = seal("call_1", signature)
    assert sealed.replace("_", "").replace("-", "").isalnum()
    assert unseal(sealed) == ("call_1", signature)
    assert unseal("call_1") == ("call_1", None)
    request = called(ToolResult(sealed, (Text("x"),)), call_id=sealed, model=NEW)
    _, calls, results = sent(request)["contents"]
    assert calls["parts"][0]["thoughtSignature"] == signature
    assert "thoughtSignature" not in calls["parts"][1]
    assert calls["parts"][0]["functionCall"]["id"] == results["parts"][0]["functionResponse"]["id"] == "call_1"


def test_the_first_call_of_another_maker_says_that_it_has_no_signature_where_one_is_demanded() -> None:
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}"))
    assert [part.get("thoughtSignature") for part in model_parts(*calls)["parts"]] == [UNSIGNED, None]
    assert [part.get("thoughtSignature") for part in model_parts(*calls, model=OLD)["parts"]] == [None, None]


def test_a_signature_of_a_text_goes_back_to_where_it_was() -> None:
    before = model_parts(Thinking("hm", "gemini", "c2ln"), Text("a"))
    assert before["parts"] == [{"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": "c2ln"}]
    behind = model_parts(Thinking("hm", "gemini"), Text("a"), Thinking("", "gemini", "c2ln"))
    assert behind["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "a"},
        {"text": "", "thoughtSignature": "c2ln"},
    ]


def test_thinking_of_another_maker_stays_behind() -> None:
    parts = (Thinking("hm", "anthropic", "sig"), RedactedThinking("x", "anthropic"), Text("a"))
    request = talk(("user", (Text("a"),)), ("assistant", parts), ("user", (Text("b"),)))
    assert sent(request)["contents"][1]["parts"] == [{"text": "a"}]
    assert dropped(request) == ("messages.1.content.0",)
