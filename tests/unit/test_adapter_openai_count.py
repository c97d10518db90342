"""Counting tokens at OpenAI: a canonical request as what `POST /responses/input_tokens` takes."""

from __future__ import annotations

import json
from typing import Any

import openai.types.responses
import pydantic
import pytest
from msgspec import Raw

from shared.chat import (
    ChatRequest,
    Document,
    Image,
    Inline,
    Message,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from shared.errors import Unsupported
from worker.providers.catalog import ROWS
from worker.providers.openai import OPENAI

TAKEN = pydantic.TypeAdapter(openai.types.responses.InputTokenCountParams)
USER = Message("user", (Text("hi"),))
SCHEMA = Raw(b'{"type":"object"}')


def counted(provider: str = "openai", **fields: Any) -> dict[str, Any]:
    request = ChatRequest(**{"model": "gpt-5.2", "messages": (USER,), **fields})
    made: dict[str, Any] = json.loads(OPENAI.render(request, ROWS[provider], "count_tokens").body)
    TAKEN.validate_python(made)
    return made


def test_it_is_asked_for_where_the_responses_api_counts() -> None:
    assert OPENAI.path("count_tokens") == "/responses/input_tokens"
    assert OPENAI.count(b'{"object":"response.input_tokens","input_tokens":7}') == 7


def test_what_only_says_how_to_answer_is_left_out() -> None:
    said = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.5, "stop": ("x",), "seed": 1, "stream": True}
    item = {"type": "message", "role": "user", "content": "hi"}
    assert counted(**said) == {"model": "gpt-5.2", "input": [item]}


def test_what_could_not_be_answered_can_be_counted() -> None:
    stops = tuple("abcdef")
    made = counted(messages=(USER, Message("assistant", (Text("Well,"),))), max_tokens=0, stop=stops)
    assert [item["role"] for item in made["input"]] == ["user", "assistant"]


def test_turns_become_items_in_their_order() -> None:
    calls = (Text("Let me see."), ToolCall("call_1", "look", '{"at":1}'), ToolCall("call_2", "look", "{}"))
    results = (ToolResult("call_1", (Text("a"),)), ToolResult("call_2", (Text("b"),), is_error=True), Text("So?"))
    messages = (USER, Message("assistant", calls), Message("user", results))
    assert counted(messages=messages, system=(Text("Be brief."),))["input"] == [
        {"type": "message", "role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": "hi"},
        {"type": "message", "role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at":1}'},
        {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "a"},
        {"type": "function_call_output", "call_id": "call_2", "output": "Error: b"},
        {"type": "message", "role": "user", "content": "So?"},
    ]


def test_a_refusal_stays_one() -> None:
    messages = (USER, Message("assistant", (Refusal("No."),)), USER)
    assert counted(messages=messages)["input"][1:-1] == [
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    ]


def test_images_and_documents_are_counted_too() -> None:
    document = Document(Inline("application/pdf", "AAAA"), title="t.pdf")
    parts = (Text("See"), Image(Url("https://x.test/a.png"), "low"), Image(Inline("image/png", "AAAA")), document)
    assert counted(messages=(Message("user", parts),))["input"][0]["content"] == [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "t.pdf"},
    ]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("any"), "required"),
        (ToolChoice("tool", ("f",)), {"type": "function", "name": "f"}),
    ],
)
def test_tools_are_flat_and_strict_only_when_asked(choice: ToolChoice, written: object) -> None:
    tools = (Tool("f", "finds", SCHEMA), Tool("g", parameters=SCHEMA, strict=True))
    made = counted(tools=tools, tool_choice=choice, parallel_tool_calls=False)
    schema = {"type": "object"}
    assert made["tools"] == [
        {"type": "function", "name": "f", "description": "finds", "parameters": schema, "strict": False},
        {"type": "function", "name": "g", "description": None, "parameters": schema, "strict": True},
    ]
    assert (made["tool_choice"], made["parallel_tool_calls"]) == (written, False)


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (OutputFormat(), {"type": "json_object"}),
        (OutputFormat(SCHEMA), {"type": "json_schema", "name": "response", "schema": {"type": "object"}}),
    ],
)
def test_the_form_and_the_effort_are_counted(wanted: OutputFormat, written: object) -> None:
    made = counted(output_format=wanted, reasoning=Reasoning(effort="low"))
    assert (made["text"], made["reasoning"]) == ({"format": written}, {"effort": "low"})


@pytest.mark.parametrize("provider", [name for name, row in ROWS.items() if row.wire == "openai_chat"])
def test_only_who_has_the_responses_api_counts(provider: str) -> None:
    if provider in {"openai", "azure"}:
        assert counted(provider)["model"] == "gpt-5.2"
        return
    with pytest.raises(Unsupported, match=f"model: provider '{provider}' cannot do this"):
        counted(provider)
