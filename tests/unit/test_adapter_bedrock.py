"""What Bedrock is asked: bodies that AWS's own SDK would take, and what is left out of them or refused."""

import json

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from shared.errors import InvalidRequest, Unsupported
from tests.replay.converse import assert_taken_by_aws
from worker.providers.bedrock import BEDROCK
from worker.providers.catalog import ROWS

ROW = ROWS["bedrock"]
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OLD_CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"
NOVA, NOVA_2, GPT_OSS, LLAMA = (
    "amazon.nova-pro-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "meta.llama3-1-70b-instruct-v1:0",
)
HELLO = Message("user", (Text("Hello"),))
WEATHER = Tool("weather", "Tells it.", msgspec.Raw(b'{"properties":{}}'))
CALLED = Message("assistant", (ToolCall("call_1", "weather", '{"city":"Paris"}'),))
ANSWERED = Message("user", (ToolResult("call_1", (Text("sunny"),)),))


def asked(*messages, model=CLAUDE, **fields):
    """The body, which AWS would take, and what was left out."""
    rendered = BEDROCK.render(ChatRequest(model=model, messages=messages or (HELLO,), **fields), ROW)
    assert_taken_by_aws(rendered.body)
    return json.loads(rendered.body), rendered.dropped


def content(*parts):
    (message,) = asked(Message("user", parts))[0]["messages"]
    return message["content"]


@pytest.mark.parametrize(
    ("operation", "stream", "path"),
    [
        ("chat", False, "/model/us.anthropic.claude-v1%3A0/converse"),
        ("chat", True, "/model/us.anthropic.claude-v1%3A0/converse-stream"),
        ("count_tokens", True, "/model/us.anthropic.claude-v1%3A0/count-tokens"),
    ],
)
def test_the_path_names_the_model(operation, stream, path):
    assert BEDROCK.path(operation, "us.anthropic.claude-v1:0", stream=stream) == path


def test_an_arn_is_one_segment_of_the_path():
    arn = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x"
    assert BEDROCK.path("chat", arn).count("/") == 3


@pytest.mark.parametrize("operation", ["models", "embeddings"])
def test_what_converse_cannot_do_is_refused(operation):
    with pytest.raises(Unsupported, match=operation):
        BEDROCK.path(operation, "m")


def test_a_key_is_sent_and_nothing_of_anthropics():
    client = {"anthropic-version": "2023-06-01", "anthropic-beta": "x", "x-mine": "1"}
    assert BEDROCK.headers(ROW, "k", client) == {
        "x-mine": "1",
        "content-type": "application/json",
        "authorization": "Bearer k",
    }
    assert "authorization" not in BEDROCK.headers(ROW, "", client)


def test_a_request_without_a_limit_leaves_it_to_the_model():
    body, dropped = asked()
    assert body == {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    assert dropped == ()


def test_neighbours_of_one_role_become_one_turn_and_blank_text_none():
    messages, _ = asked(HELLO, Message("system", (Text("Be brief."),)), Message("user", (Text(" "), Text("Now"))))
    texts = [block["text"] for block in messages["messages"][0]["content"]]
    assert texts == ["Hello", "<system>\nBe brief.\n</system>", "Now"]
    with pytest.raises(InvalidRequest, match="messages: "):
        asked(Message("user", (Text(""),)))


def test_results_come_before_what_else_the_turn_says():
    body, _ = asked(HELLO, CALLED, Message("user", (Text("And?"), *ANSWERED.content)), tools=(WEATHER,))
    assert [next(iter(block)) for block in body["messages"][-1]["content"]] == ["toolResult", "text"]


def test_a_result_without_content_says_so_and_a_failed_one_too():
    results = Message("user", (ToolResult("call_1", (), is_error=True),))
    body, _ = asked(HELLO, CALLED, results, tools=(WEATHER,))
    (block,) = body["messages"][-1]["content"]
    assert block["toolResult"] == {"toolUseId": "call_1", "content": [{"text": "(no content)"}], "status": "error"}


def test_an_id_that_bedrock_refuses_is_replaced_alike_in_call_and_result():
    odd = "call 1/" + "x" * 80
    call = Message("assistant", (ToolCall(odd, "weather", ""),))
    body, _ = asked(HELLO, call, Message("user", (ToolResult(odd, (Text("x"),)),)), tools=(WEATHER,))
    used = body["messages"][1]["content"][0]["toolUse"]
    assert used["input"] == {}
    assert used["toolUseId"] == body["messages"][2]["content"][0]["toolResult"]["toolUseId"] != odd


def test_arguments_that_are_no_object_are_the_callers_fault():
    with pytest.raises(InvalidRequest, match="JSON object"):
        asked(HELLO, Message("assistant", (ToolCall("c", "weather", "[1]"),)), tools=(WEATHER,))


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        (ToolChoice("auto"), None),
        (ToolChoice("any"), {"any": {}}),
        (ToolChoice("tool", ("weather",)), {"tool": {"name": "weather"}}),
        (ToolChoice("subset", ("weather",)), {"any": {}}),
    ],
)
def test_a_choice_of_tools(choice, told):
    body, dropped = asked(tools=(WEATHER, Tool("clock")), tool_choice=choice)
    assert body["toolConfig"].get("toolChoice") == told
    named = [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]]
    assert named == (["weather"] if choice and choice.mode == "subset" else ["weather", "clock"])
    assert all(tool["toolSpec"]["inputSchema"]["json"]["type"] == "object" for tool in body["toolConfig"]["tools"])
    assert not dropped


def test_no_tools_are_sent_where_none_may_be_called():
    assert "toolConfig" not in asked(tools=(WEATHER,), tool_choice=ToolChoice("none"))[0]


@pytest.mark.parametrize(
    ("fields", "dropped"), [({"tools": (WEATHER,), "tool_choice": ToolChoice("none")}, ("tool_choice",)), ({}, ())]
)
def test_beside_calls_in_the_history_tools_stay_and_the_model_is_told_not_to_call(fields, dropped):
    body, lost = asked(HELLO, CALLED, ANSWERED, **fields)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["weather"]
    assert body["system"] == [{"text": "Answer without calling a tool."}]
    assert lost == dropped


@pytest.mark.parametrize(
    ("model", "choice", "told"),
    [(CLAUDE, None, True), (CLAUDE, ToolChoice("any"), False), (OLD_CLAUDE, None, False), (NOVA, None, False)],
)
def test_one_call_at_a_time_where_the_model_can(model, choice, told):
    body, dropped = asked(model=model, tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=False)
    one = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert body.get("additionalModelRequestFields") == (one if told else None)
    assert dropped == (() if told else ("parallel_tool_calls",))


@pytest.mark.parametrize(
    ("model", "fields"),
    [(CLAUDE, {"top_k": 5}), ("mistral.large", {"top_k": 5}), (NOVA, {"inferenceConfig": {"topK": 5}}), (LLAMA, None)],
)
def test_top_k_in_the_makers_words(model, fields):
    body, dropped = asked(model=model, top_k=5)
    assert body.get("additionalModelRequestFields") == fields
    assert dropped == (() if fields else ("top_k",))


@pytest.mark.parametrize(
    ("model", "wanted", "fields", "dropped"),
    [
        (CLAUDE, Reasoning("enabled", None, 2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, ()),
        (CLAUDE, Reasoning(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, ()),
        (OLD_CLAUDE, Reasoning(effort="low"), None, ("reasoning.effort",)),
        (NOVA_2, Reasoning(effort="xhigh"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}, ()),
        (GPT_OSS, Reasoning(effort="minimal"), {"reasoning_effort": "low"}, ()),
        (LLAMA, Reasoning(effort="high"), None, ("reasoning.effort",)),
        (LLAMA, Reasoning("enabled", None, 2000), None, ("reasoning",)),
        (LLAMA, Reasoning(effort="none"), None, ()),
        (LLAMA, Reasoning("disabled"), None, ()),
    ],
)
def test_how_hard_to_think_in_the_makers_words(model, wanted, fields, dropped):
    body, lost = asked(model=model, reasoning=wanted)
    assert body.get("additionalModelRequestFields") == fields
    assert lost == dropped


def test_what_a_model_thought_goes_back_when_it_is_signed():
    thoughts = (
        Thinking("a", "bedrock", "sig"),
        RedactedThinking("cmVk", "bedrock"),
        Thinking("unsigned", "bedrock"),
        Thinking("b", "anthropic", "sig"),
        RedactedThinking("b", "anthropic"),
        Text("Hi"),
    )
    body, dropped = asked(HELLO, Message("assistant", thoughts), HELLO)
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "Hi"},
    ]
    assert dropped == ("messages.1.content.2",)


@pytest.mark.parametrize("given", ["image/jpeg", "image/jpg", "IMAGE/JPEG"])
def test_an_image_by_its_type(given):
    assert content(Image(Inline(given, "aGk="))) == [{"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}]


def test_objects_in_s3_are_read_by_bedrock_itself():
    picture, paper = content(Image(Url("s3://bucket/cat.jpg")), Document(Url("s3://bucket/a.pdf")))[:2]
    assert picture["image"] == {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/cat.jpg"}}}
    assert paper["document"]["source"] == {"s3Location": {"uri": "s3://bucket/a.pdf"}}


@pytest.mark.parametrize(
    "part",
    [
        Image(Url("https://example.com/cat.png")),
        Image(FileRef("file-1")),
        Image(Inline("image/tiff", "aGk=")),
        Image(Url("s3://bucket/cat")),
        Document(Url("https://example.com/a.pdf")),
        Document(Url("s3://bucket/a.exe")),
        Document(Inline("application/zip", "aGk=")),
        Document(PlainText("x"), citations=True),
        Foreign("openai_chat", "input_audio", "messages[0].content[0]", msgspec.Raw(b"{}")),
    ],
)
def test_what_bedrock_cannot_read_is_refused_by_its_place(part):
    with pytest.raises(Unsupported) as refused:
        content(Text("See:"), part)
    assert refused.value.param in {"messages.0.content.1", "messages[0].content[0]"}


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/pdf", "pdf"),
        ("text/csv", "csv"),
        ("text/html", "html"),
        ("text/markdown", "md"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ],
)
def test_a_document_by_its_type(media_type, kind):
    (block, _) = content(Document(Inline(media_type, "aGk="), filename="a.b"))
    assert block["document"]["format"] == kind
    assert block["document"]["source"] == {"bytes": "aGk="}


def test_documents_have_names_that_bedrock_takes_each_its_own():
    papers = [Document(PlainText("x"), title=name) for name in ("Q3: a/b.pdf", "Q3: a/b.pdf", "…", None)]
    papers += [Document(PlainText("x"), context="c", filename="n" * 300)]
    blocks = content(*papers, Text("Compare."))
    names = [block["document"]["name"] for block in blocks[:-1]]
    assert names[:4] == ["Q3- a-b", "Q3- a-b 2", "-", "document"]
    assert len(names[4]) <= 200
    assert blocks[4]["document"]["context"] == "c"


def test_a_document_alone_gets_the_text_that_bedrock_wants_beside_it():
    assert content(Document(PlainText("x"), title="note.txt"))[-1] == {"text": "note"}


def test_structured_output_carries_the_schema_as_text():
    schema = b'{"type":"object","properties":{"a":{"type":"string"}}}'
    body, dropped = asked(output_format=OutputFormat(msgspec.Raw(schema), description="d", strict=True))
    form = {"schema": schema.decode(), "name": "response", "description": "d"}
    assert body["outputConfig"]["textFormat"] == {"type": "json_schema", "structure": {"jsonSchema": form}}
    assert dropped == ()
    with pytest.raises(Unsupported, match="output_format"):
        asked(output_format=OutputFormat())


def test_sampling_is_said_where_it_says_something():
    body, dropped = asked(temperature=1.0, top_p=1.0, seed=1, presence_penalty=0.5, frequency_penalty=0.5)
    assert "inferenceConfig" not in body
    assert dropped == ("seed", "presence_penalty", "frequency_penalty")
    body, _ = asked(model=NOVA, temperature=1.0, top_p=1.0, max_tokens=9, stop=("END",))
    assert body["inferenceConfig"] == {"temperature": 1.0, "topP": 1.0, "maxTokens": 9, "stopSequences": ["END"]}
    for refused in ({"temperature": 1.5}, {"max_tokens": 0}):
        with pytest.raises(Unsupported, match=next(iter(refused))):
            asked(**refused)


def test_a_user_that_fits_goes_into_the_metadata():
    assert asked(user_id="me@example.com")[0]["requestMetadata"] == {"user_id": "me@example.com"}
    body, dropped = asked(user_id="{}")
    assert "requestMetadata" not in body
    assert dropped == ("user_id",)


def own(name, raw):
    return Foreign("openai_chat", name, name, msgspec.Raw(raw))


def test_fields_of_converses_own_travel_untouched():
    fields = (
        own("guardrailConfig", b'{"guardrailIdentifier":"g","guardrailVersion":"1"}'),
        own("performanceConfig", b'{"latency":"optimized"}'),
        own("serviceTier", b'{"type":"priority"}'),
        own("additionalModelRequestFields", b'{"top_k":9,"anthropic_beta":["x"]}'),
    )
    body, dropped = asked(foreign=fields, top_k=5)
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    assert (body["performanceConfig"], body["serviceTier"]) == ({"latency": "optimized"}, {"type": "priority"})
    assert body["additionalModelRequestFields"] == {"top_k": 9, "anthropic_beta": ["x"]}
    assert dropped == ()
    with pytest.raises(InvalidRequest, match="additionalModelRequestFields"):
        asked(foreign=(own("additionalModelRequestFields", b"[]"),))
    with pytest.raises(Unsupported, match="promptVariables"):
        asked(foreign=(own("promptVariables", b"{}"),))


def test_only_what_the_model_reads_is_counted():
    request = ChatRequest(model=CLAUDE, messages=(HELLO,), system=(Text("Hm."),), max_tokens=5, temperature=0.5)
    body = json.loads(BEDROCK.render(request, ROW, "count_tokens").body)
    assert body == {
        "input": {
            "converse": {"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "system": [{"text": "Hm."}]}
        }
    }
    assert BEDROCK.count(b'{"inputTokens":7}') == 7
    with pytest.raises(msgspec.DecodeError):
        BEDROCK.count(b"{}")


# --- the prompt cache --------------------------------------------------------------------------------------

HINT = Foreign("anthropic", "cache_control", "messages.0.content.0.cache_control", msgspec.Raw(b'{"type":"ephemeral"}'))
POINT = {"cachePoint": {"type": "default"}}
MARKED = {"system.1": "5m", "tools.0": "5m", "messages.0.content.0": "5m", "messages.2.content.0": "5m"}


def cached(model=CLAUDE, marks=MARKED):
    return asked(
        HELLO,
        CALLED,
        ANSWERED,
        model=model,
        system=(Text("one"), Text("two"), Text("three")),
        tools=(WEATHER, Tool("other")),
        foreign=(HINT,),
        cache_marks=marks,
    )


def test_a_cache_point_follows_what_is_marked():
    body, dropped = cached()
    assert dropped == ()
    assert body["system"] == [{"text": "one"}, {"text": "two"}, POINT, {"text": "three"}]
    assert [next(iter(tool)) for tool in body["toolConfig"]["tools"]] == ["toolSpec", "cachePoint", "toolSpec"]
    first, _, last = body["messages"]
    assert first["content"] == [{"text": "Hello"}, POINT]
    assert [next(iter(block)) for block in last["content"]] == ["toolResult", "cachePoint"]


def test_an_hour_is_asked_for_where_the_model_keeps_so_long():
    marks = {"messages.0.content.0": "1h"}
    body, dropped = cached(marks=marks)
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert dropped == ()
    body, dropped = cached("us.anthropic.claude-sonnet-4-20250514-v1:0", marks)
    assert body["messages"][0]["content"][1] == POINT
    assert dropped == ("messages.0.content.0.cache_control.ttl",)


@pytest.mark.parametrize("model", [OLD_CLAUDE, "anthropic.claude-3-5-sonnet-20240620-v1:0", NOVA, LLAMA])
def test_a_model_without_such_a_cache_gets_none_and_the_client_is_told(model):
    body, dropped = cached(model)
    assert b"cachePoint" not in json.dumps(body).encode()
    assert "messages.0.content.0.cache_control" in dropped


@pytest.mark.parametrize(
    "model", ["anthropic.claude-3-5-haiku-20241022-v1:0", "us.anthropic.claude-opus-4-1-20250805-v1:0"]
)
def test_models_that_cache_for_minutes(model):
    body, _ = cached(model)
    assert POINT in body["system"]
