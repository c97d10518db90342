"""Ids that carry a signature: only their maker sees it."""

from __future__ import annotations

import json

import pytest

from shared.chat import ChatRequest, Message, Text, ToolCall, ToolResult
from worker.providers.call_ids import bare, seal, without_seals
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
