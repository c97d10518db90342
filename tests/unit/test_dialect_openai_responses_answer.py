"""The Responses dialect's answers: finished, unfinished, failed, cancelled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types.responses import Response

from shared.chat import (
    ChatResponse,
    Foreign,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects.openai_errors import render_error
from shared.dialects.openai_responses import OPENAI_RESPONSES as DIALECT
from shared.dialects.openai_responses.history import continued
from shared.dialects.openai_responses.states import deleted, placeholder, shown
from shared.errors import AuthFailed, Expired, GatewayError, InvalidRequest, LimitExceeded, RateLimited, Rejected
from shared.ids import response_id
from shared.jobs import Outcome, State
from tests.made import a_job

JOB = a_job(dialect="openai_responses", model="anthropic/m", created_ms=1_763_700_000_900)
CREATED_S = 1_763_700_000
ID = response_id(JOB.id)
USAGE = Usage(input_tokens=5, output_tokens=9, cache_read_tokens=3, cache_write_tokens=2, reasoning_tokens=4)


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def answer(*content: Part, **facts: Any) -> ChatResponse:
    usual = {"stop_reason": StopReason.END, "usage": USAGE, "created_s": CREATED_S + 2}
    return ChatResponse(id="msg_theirs", model="m-2026", content=content, **{**usual, **facts})


def read(rendered: bytes) -> dict[str, Any]:
    """The object, once the SDK's own type has found nothing missing or wrong in it."""
    Response.model_validate_json(rendered)
    found: dict[str, Any] = json.loads(rendered)
    return found


def rendered(*content: Part, asked: bytes = b"", **facts: Any) -> dict[str, Any]:
    return read(DIALECT.render(answer(*content, **facts), JOB, asked))


def item_id(prefix: str, index: int) -> str:
    return f"{prefix}_{JOB.id.replace('-', '')}_{index}"


# --- finished -------------------------------------------------------------------------------------


def test_an_answer_has_the_vendors_shape() -> None:
    assert rendered(Text("hello")) == {
        "id": ID,
        "object": "response",
        "created_at": CREATED_S,
        "completed_at": CREATED_S + 2,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m-2026",
        "output": [
            {
                "type": "message",
                "id": item_id("msg", 0),
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}],
            }
        ],
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 19,
        },
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }


def test_an_answer_repeats_what_was_asked() -> None:
    asked = {
        "background": True,
        "instructions": "be brief",
        "max_output_tokens": 64,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "previous_response_id": "resp_1",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "u",
        "store": False,
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        "top_p": 0.25,
        "truncation": "auto",
        "user": "me",
    }
    found = rendered(Text("x"), asked=body(**asked))
    assert {name: found[name] for name in asked} == asked


@pytest.mark.parametrize(
    ("field", "given", "repeated"),
    [
        ("metadata", None, {}),
        ("tools", None, []),
        ("store", None, True),
        ("text", None, {"format": {"type": "text"}, "verbosity": "medium"}),
        ("text", {"verbosity": "high"}, {"format": {"type": "text"}, "verbosity": "high"}),
        ("text", {"format": None}, {"format": {"type": "text"}, "verbosity": "medium"}),
        ("reasoning", {"effort": "high"}, {"effort": "high", "summary": None}),
        ("service_tier", "priority", "default"),
    ],
)
def test_a_field_that_was_given_by_half_is_filled_up(field: str, given: Any, repeated: Any) -> None:
    assert rendered(Text("x"), asked=body(**{field: given}))[field] == repeated


def test_what_has_the_wrong_type_is_repeated_as_it_is() -> None:
    assert json.loads(placeholder(JOB, State.QUEUED, body(text=3)))["text"] == 3


def test_texts_and_refusals_that_follow_each_other_share_a_message() -> None:
    found = rendered(
        Thinking("a", "anthropic", "sig"),
        Text("b"),
        Refusal("c"),
        Foreign("anthropic", "server_tool_use", "content.3", Raw(b"{}")),
        Text("d"),
        ToolCall("call_1", "f", '{"a": 1}'),
        Text("e"),
    )["output"]
    assert [(item["type"], item["id"]) for item in found] == [
        ("reasoning", item_id("rs", 0)),
        ("message", item_id("msg", 1)),
        ("function_call", item_id("fc", 2)),
        ("message", item_id("msg", 3)),
    ]
    assert found[1]["content"] == [
        {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "c"},
        {"type": "output_text", "text": "d", "annotations": [], "logprobs": []},
    ]


def test_every_id_can_be_sent_back_to_openai() -> None:
    for item in rendered(*[Text("a"), ToolCall("c", "f", "{}"), Thinking("t", "anthropic")] * 100)["output"]:
        assert len(item["id"]) <= 64
        assert item["id"].replace("_", "").isalnum()


@pytest.mark.parametrize(("written", "told"), [("", "{}"), (" ", "{}"), ('{"a": 1}', '{"a": 1}'), ("{", "{")])
def test_a_call_keeps_its_arguments_and_has_some(written: str, told: str) -> None:
    (call,) = rendered(ToolCall("call_1", "f", written), stop_reason=StopReason.TOOL_CALL)["output"]
    assert call == {
        "type": "function_call",
        "id": item_id("fc", 0),
        "status": "completed",
        "call_id": "call_1",
        "name": "f",
        "arguments": told,
    }


@pytest.mark.parametrize(
    ("part", "summary", "sealed"),
    [
        (Thinking("why", "anthropic", "sig"), ["why"], "hermod:anthropic:sig"),
        (Thinking("", "anthropic", "sig"), [], "hermod:anthropic:sig"),
        (Thinking("why", "openai_chat"), ["why"], "hermod:openai_chat:"),
        (Thinking("why", "openai_responses", "gAAA"), ["why"], "gAAA"),
        (Thinking("why", "openai_responses"), ["why"], None),
        (RedactedThinking("xyz", "anthropic"), [], "hermod-redacted:anthropic:xyz"),
    ],
)
def test_reasoning_tells_whose_it_is(part: Part, summary: list[str], sealed: str | None) -> None:
    (item,) = rendered(part)["output"]
    assert item["summary"] == [{"type": "summary_text", "text": text} for text in summary]
    assert item.get("encrypted_content") == sealed


def test_an_answer_that_is_sent_back_says_what_it_said() -> None:
    content = (
        Thinking("why", "anthropic", "sig"),
        RedactedThinking("xyz", "anthropic"),
        Thinking("", "anthropic", "only a signature"),
        Text("a"),
        Text("b"),
        ToolCall("call_1", "f", '{"a":1}'),
    )
    told = {"type": "function_call_output", "call_id": "call_1", "output": "7"}
    whole = continued(body(input=[told]), body(), DIALECT.render(answer(*content), JOB, body()))
    turns = DIALECT.parse(whole, "m").messages
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[1] == Message("assistant", content)


@pytest.mark.parametrize(
    ("stop", "content", "status", "reason"),
    [
        (StopReason.END, (Text("x"),), "completed", None),
        (StopReason.STOP_SEQUENCE, (Text("x"),), "completed", None),
        (StopReason.TOOL_CALL, (ToolCall("c", "f", "{}"),), "completed", None),
        (StopReason.PAUSE, (Text("x"),), "completed", None),
        (StopReason.LENGTH, (Text("x"),), "incomplete", "max_output_tokens"),
        (StopReason.CONTEXT_FULL, (ToolCall("c", "f", "{"),), "incomplete", "max_output_tokens"),
        (StopReason.REFUSAL, (Text("x"),), "incomplete", "content_filter"),
        (StopReason.REFUSAL, (Refusal("no"),), "completed", None),
    ],
)
def test_every_stop_reason_has_a_status(
    stop: StopReason, content: tuple[Part, ...], status: str, reason: str | None
) -> None:
    found = rendered(*content, stop_reason=stop)
    assert found["status"] == status
    assert found["incomplete_details"] == ({"reason": reason} if reason else None)
    assert (found["completed_at"] is None) == (status == "incomplete")
    assert found["output"][-1]["status"] == status


def test_an_answer_that_was_cut_off_is_incomplete_in_its_last_item_only() -> None:
    found = rendered(Text("a"), ToolCall("c", "f", '{"a'), stop_reason=StopReason.LENGTH)["output"]
    assert [item["status"] for item in found] == ["completed", "incomplete"]


def test_an_answer_without_content_has_an_empty_output() -> None:
    found = DIALECT.render(answer(), JOB, b"")
    assert read(found)["output"] == []
    assert Response.model_validate_json(found).output_text == ""
    assert DIALECT.fill_empty(found) == found


def test_unknown_usage_is_told_as_zeros() -> None:
    usage = rendered(Text("x"), usage=Usage(known=False))["usage"]
    assert usage["total_tokens"] == 0
    assert usage["input_tokens_details"]["cached_tokens"] == 0
    assert usage["output_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("dated", [None, CREATED_S - 100])
def test_no_answer_is_completed_before_it_was_asked_for(dated: int | None) -> None:
    assert rendered(Text("x"), created_s=dated)["completed_at"] == CREATED_S


def test_tokens_are_counted_in_an_object_of_their_own() -> None:
    assert json.loads(DIALECT.render_count(7)) == {"object": "response.input_tokens", "input_tokens": 7}


# --- unfinished, failed, cancelled, deleted ---------------------------------------------------------


@pytest.mark.parametrize(("state", "status"), [(State.QUEUED, "queued"), (State.RUNNING, "in_progress")])
@pytest.mark.parametrize(
    ("asked", "name"),
    [(b"", JOB.id), (body(), JOB.id), (body(background=False), JOB.id), (body(background=True), ID)],
)
def test_a_placeholder_has_the_id_by_which_its_client_comes_back(
    state: State, status: str, asked: bytes, name: str
) -> None:
    found = read(DIALECT.placeholder(JOB, state, asked))
    assert (found["id"], found["status"], found["background"]) == (name, status, True)
    assert (found["model"], found["created_at"]) == ("anthropic/m", CREATED_S)
    assert (found["output"], found["usage"], found["error"], found["completed_at"]) == ([], None, None, None)


@pytest.mark.parametrize(
    ("state", "status"),
    [(State.QUEUED, "queued"), (State.RUNNING, "in_progress"), (State.CANCELLED, "cancelled")],
)
def test_an_unfinished_response_is_shown_with_its_status(state: State, status: str) -> None:
    found = read(shown(JOB, state, body(background=True, instructions="be brief"), None))
    assert (found["id"], found["status"], found["output"], found["error"]) == (ID, status, [], None)
    assert (found["background"], found["instructions"]) == (True, "be brief")


def test_a_finished_response_is_shown_as_it_was_answered() -> None:
    told = DIALECT.render(answer(Text("x")), JOB, b"")
    assert shown(JOB, State.SUCCEEDED, b"", Outcome(status=200, body=told)) == told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RateLimited("slow down", provider="p"), "rate_limit_exceeded"),
        (LimitExceeded("slow down"), "rate_limit_exceeded"),
        (Rejected("bad image", provider="p", upstream_status=400, code="invalid_image_url"), "invalid_image_url"),
        (Rejected("no such model", provider="p", upstream_status=404), "invalid_prompt"),
        (InvalidRequest("input: wrong", param="input"), "invalid_prompt"),
        (AuthFailed("bad key", provider="p"), "server_error"),
        (Expired("nobody ran it"), "server_error"),
    ],
)
def test_a_failed_response_tells_its_error_in_words_the_sdk_knows(error: GatewayError, code: str) -> None:
    outcome = Outcome(status=DIALECT.error_status(error), body=render_error(error))
    state = State.EXPIRED if isinstance(error, Expired) else State.FAILED
    found = read(shown(JOB, state, b"", outcome))
    assert (found["id"], found["status"], found["output"]) == (ID, "failed", [])
    assert found["error"] == {"code": code, "message": error.message}


@pytest.mark.parametrize("outcome", [None, Outcome(status=500)])
def test_a_failure_nobody_could_tell_is_told(outcome: Outcome | None) -> None:
    error = read(shown(JOB, State.FAILED, b"", outcome))["error"]
    assert error["code"] == "server_error"
    assert "submit it again" in error["message"]


def test_a_deletion_is_confirmed() -> None:
    assert json.loads(deleted(ID)) == {"id": ID, "object": "response", "deleted": True}
