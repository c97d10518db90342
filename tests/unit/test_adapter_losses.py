"""What adapters tell of what they leave out or refuse: in the client's own words, bounded and safe for a header."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from shared.chat import ChatRequest, Foreign
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest, Unsupported
from worker.providers.catalog import ROWS, adapters
from worker.providers.gemini import GEMINI
from worker.providers.losses import Losses

ANTHROPIC = adapters()["anthropic"]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/bmp;base64,aGk="}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
SYSTEM = {"role": "system", "content": "Be brief"}
USER = {"role": "user", "content": "hi"}


def translated(*messages: dict[str, Any], **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = json.dumps({"model": "m", "messages": [*messages] or [USER], **fields}).encode()
    made = ANTHROPIC.render(OPENAI_CHAT.parse(body, "claude-opus-4-8"), ROWS["anthropic"])
    return json.loads(made.body), made.dropped


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "user", "content": [PICTURE]}], "messages[0].content[0]"),
        ([SYSTEM, SYSTEM, {"role": "user", "content": ["t", PICTURE]}], "messages[2].content[1]"),
        ([SYSTEM, USER, {"role": "assistant", "content": "a", "tool_calls": [CALL]}], "messages[2].tool_calls[0]"),
        (
            [
                SYSTEM,
                USER,
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": ["t", PICTURE]},
            ],
            "messages[3].content[1]",
        ),
        (
            [
                {"role": "tool", "tool_call_id": "a", "content": "1"},
                {"role": "tool", "tool_call_id": "b", "content": "2"},
                {"role": "user", "content": [PICTURE]},
            ],
            "messages[2].content[0]",
        ),
    ],
)
def test_a_refused_part_is_named_by_its_place_in_the_clients_body(messages: list[dict[str, Any]], param: str) -> None:
    text = {"type": "text", "text": "t"}
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [text if part == "t" else part for part in message["content"]]
    with pytest.raises((Unsupported, InvalidRequest)) as caught:
        translated(*messages)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")


@pytest.mark.parametrize(
    ("messages", "fields", "dropped"),
    [
        ([SYSTEM, {**USER, "name": "Ann"}, {**USER, "name": "Bob"}], {}, ("messages[1].name",)),
        ([SYSTEM, USER, {"role": "assistant", "reasoning": "hm"}, USER], {}, ("messages[2].reasoning",)),
        ([SYSTEM, USER, SYSTEM, USER], {}, ("messages[2].role",)),
        ([USER], {"user": "a", "safety_identifier": "b"}, ("user",)),
        ([USER], {"reasoning_effort": "low", "temperature": 0.5}, ("reasoning_effort",)),
        ([USER], {"service_tier": "auto", "top_logprobs": 0, "n": 1}, ()),
        ([{**USER, "cache_control": {"type": "ephemeral"}}], {}, ("messages[0].cache_control",)),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "x"}}]}],
            {},
            ("messages[0].content[0].prompt_cache_breakpoint",),
        ),
        (
            [USER, {"role": "assistant", "content": "a", "annotations": [1], "reasoning_details": [2]}, USER],
            {},
            ("messages[1].annotations",),
        ),
        (
            [USER],
            {"tools": [{"type": "function", "function": {"name": "f", "requires_confirmation": True, "why": 1}}]},
            ("tools[0].function.requires_confirmation",),
        ),
        (
            [USER],
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}, "description": "d"},
                }
            },
            ("response_format.json_schema.description",),
        ),
    ],
)
def test_what_is_left_out_is_reported_under_the_clients_name(
    messages: list[dict[str, Any]], fields: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    assert translated(*messages, **fields)[1] == dropped


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([USER], {"response_format": {"type": "json_object"}}, "response_format"),
        ([{**USER, "priority": 1}], {}, "messages[0].priority"),
        ([{**USER, "content": [{"type": "text", "text": "a", "voice": "x"}]}], {}, "messages[0].content[0].voice"),
    ],
)
def test_what_cannot_be_said_is_refused_under_the_clients_name(
    messages: list[dict[str, Any]], fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        translated(*messages, **fields)
    assert caught.value.param == param


def test_reported_names_are_few_and_fit_into_a_header() -> None:
    losses = Losses("p", ChatRequest("m", ()))
    for number in range(1_000):
        losses.drop(f"messages.{number}.content.0", "thinking")
        losses.drop_field(Foreign("anthropic", f"k{number}", f"metadata.{number}\r\nx-evil: é", Raw(b"1")))
    assert losses.names() == ("messages.0.content.0", "metadata.0??x-evil???")
    losses.drop("x" * 10_000)
    assert len(losses.names()[-1]) == 100


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"safety_identifier": "b"}, ("safety_identifier",)),
        ({"user": "a"}, ("user",)),
        ({"user": "a", "safety_identifier": "b"}, ("user", "safety_identifier")),
    ],
)
def test_who_asks_is_dropped_under_the_name_the_client_gave_it(
    fields: dict[str, str], dropped: tuple[str, ...]
) -> None:
    body = json.dumps({"model": "m", "messages": [USER], **fields}).encode()
    assert set(GEMINI.render(OPENAI_CHAT.parse(body, "gemini-2.5-flash"), ROWS["gemini"]).dropped) == set(dropped)
