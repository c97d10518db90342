"""Ids that carry a signature: only their maker sees it."""

from __future__ import annotations

import json

import pytest

from shared.chat import ChatRequest, Message, Text, ToolCall, ToolResult
from worker.providers.call_ids import bare, of_length, seal, without_seals
from worker.providers.catalog import ROWS, adapters, relays

SIGNATURE = "EuIDCt8DAWkUfRN3uZOVxKszcoEuIDCt8DAWkUfRN3uZ+/OV"
SEALED = seal("call_1", SIGNATURE)
ASKED = ChatRequest(
    model="m",
    messages=(
        Message("user", (Text("a"),)),
        Message("assistant", (ToolCall(SEALED, "f", "{}"),)),
        Message("user", (ToolResult(SEALED, (Text("b"),)),)),
    ),
)


@pytest.mark.parametrize(
    ("wire", "provider"), [("anthropic", "anthropic"), ("openai_chat", "openai"), ("bedrock", "bedrock")]
)
def test_another_maker_gets_no_signature_in_what_is_rendered(wire: str, provider: str) -> None:
    body = adapters()[wire].render(ASKED, ROWS[provider]).body
    assert SEALED[8:].encode() not in body


@pytest.mark.parametrize(
    ("wire", "provider"), [("anthropic", "anthropic"), ("openai_chat", "openai"), ("openai_responses", "openai")]
)
def test_another_maker_gets_no_signature_in_what_is_passed_on(wire: str, provider: str) -> None:
    body = json.dumps(
        {"model": "m", "anything": [{"id": SEALED}, {"call_id": SEALED, "text": "a __sealed__ b"}]}
    ).encode()
    edited = json.loads({**adapters(), **relays()}[wire].edit(body, ROWS[provider], "m"))
    assert edited["anything"] == [{"id": "call_1"}, {"call_id": "call_1", "text": "a __sealed__ b"}]


def test_a_body_without_signatures_stays_as_it_is() -> None:
    body = b'{"id":"call_1","text":"__sealed__"}'
    assert without_seals(body) == body
    assert bare("call_1") == "call_1"


SHORT = of_length("call_1", 9)


def test_mistral_gets_ids_of_nine_letters_and_digits_in_what_is_rendered() -> None:
    body = json.loads(adapters()["openai_chat"].render(ASKED, ROWS["mistral"]).body)
    assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"] == SHORT
    assert len(SHORT) == 9
    assert SHORT.isalnum()


def test_mistral_gets_them_in_what_is_passed_on_and_keeps_its_own() -> None:
    calls = [{"id": "call_1", "function": {"name": "f"}, "own": 1.0}, {"id": "D681PevKs"}, {"function": {}}]
    messages = [
        {"role": "user", "content": "call_1"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": SEALED, "content": "a"},
        {"role": "tool", "tool_call_id": "D681PevKs", "content": "b"},
        {"role": "assistant", "content": "call_1", "tool_calls": None},
    ]
    asked = json.dumps({"model": "m", "messages": messages}).encode()
    edited = json.loads(adapters()["openai_chat"].edit(asked, ROWS["mistral"], "m"))["messages"]
    messages[1]["tool_calls"] = [calls[0] | {"id": SHORT}, *calls[1:]]
    messages[2]["tool_call_id"] = SHORT
    assert edited == messages


@pytest.mark.parametrize("messages", ["hi", [1], [{"tool_calls": [1]}, {"name": ""}], [{"tool_call_id": 1}], None])
def test_messages_that_mistral_will_refuse_itself_are_passed_on_as_they_came(messages: object) -> None:
    asked = json.dumps({"model": "m", "messages": messages}).encode()
    assert json.loads(adapters()["openai_chat"].edit(asked, ROWS["mistral"], "m"))["messages"] == messages
