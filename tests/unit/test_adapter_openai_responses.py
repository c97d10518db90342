"""The pass-through for OpenAI's Responses API: bodies edited, answers under the gateway's id, streams watched."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shared.chat import Usage
from shared.errors import (
    AuthFailed,
    InvalidRequest,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unsupported,
)
from shared.sse import Frame, FrameReader, write
from shared.wire.openai_responses import REDACTED_TAG, SIGNATURE_TAG
from tests.made import a_job
from worker.providers.catalog import ROWS
from worker.providers.openai.responses import OpenAIResponses
from worker.providers.openai.responses_stream import Tap

WIRE = OpenAIResponses()
ROW = ROWS["openai"]
JOB = a_job(dialect="openai_responses")
COUNT = a_job(dialect="openai_responses", operation="count_tokens")
OUR_ID = "resp_6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"

USER = {"role": "user", "content": "hi"}
SEALED = "reasoning.encrypted_content"


# --- envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operation", "path"), [("chat", "/responses"), ("count_tokens", "/responses/input_tokens")])
def test_an_operation_has_its_path(operation: str, path: str) -> None:
    assert WIRE.path(operation) == path


@pytest.mark.parametrize("operation", ["embeddings", "models", "responses/compact"])
def test_other_operations_are_refused_by_name(operation: str) -> None:
    with pytest.raises(Unsupported, match=operation):
        WIRE.path(operation)


@pytest.mark.parametrize(("name", "expected"), [("openai", {"authorization": "Bearer k"}), ("azure", {"api-key": "k"})])
def test_the_key_travels_in_the_rows_header_and_anthropics_headers_stay_out(
    name: str, expected: dict[str, str]
) -> None:
    client = {"anthropic-version": "2023-06-01", "x-own": "1"}
    assert WIRE.headers(ROWS[name], "k", client) == {"content-type": "application/json", "x-own": "1", **expected}


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Rejected), (401, AuthFailed), (429, RateLimited), (500, ServerError), (503, Overloaded)]
)
def test_an_error_answer_is_read_as_on_chat_completions(status: int, kind: type[ProviderError]) -> None:
    body = b'{"error": {"message": "no", "type": "t", "param": "input", "code": "c"}}'
    error = WIRE.error(ROW, status, {"retry-after": "7"}, body)
    assert type(error) is kind
    assert (error.provider, error.param, error.code, error.retry_after_s) == ("openai", "input", "c", 7.0)


# --- edit -----------------------------------------------------------------------------------------


def edited(body: dict[str, Any], model: str = "gpt-4o", operation: str = "chat") -> dict[str, Any]:
    made = json.loads(WIRE.edit(json.dumps(body).encode(), ROW, model, operation))
    assert isinstance(made, dict)
    return made


def test_editing_keeps_the_bytes_of_every_other_field() -> None:
    given = b'{"input": [ {"role" : "user"} ], "model":"openai/m", "x": 1.0e2, "y": "\\u00e9", "store":false}'
    expected = b'{"input":[ {"role" : "user"} ],"model":"m","x":1.0e2,"y":"\\u00e9","store":false}'
    assert WIRE.edit(given, ROW, "m") == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"fallbacks": ["a/b"], "provider": "azure"},
        {"previous_response_id": "resp_1", "background": True},
        {"store": True},
        {"store": None},
    ],
)
def test_the_gateways_own_fields_are_taken_out_and_nothing_is_stored_at_the_provider(fields: dict[str, Any]) -> None:
    assert edited({"model": "x", "input": "hi", **fields}) == {"model": "gpt-4o", "input": "hi", "store": False}


@pytest.mark.parametrize(
    "fields",
    [
        {"fallbacks": [{"model": "x"}], "provider": {"order": []}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"conversation": None, "prompt": {"id": "p"}},
    ],
)
def test_fields_that_only_look_like_the_gateways_own_travel(fields: dict[str, Any]) -> None:
    assert edited({"model": "x", **fields}) == {"model": "gpt-4o", "store": False, **fields}


def test_a_body_to_be_counted_gets_no_field_that_only_an_answer_has() -> None:
    body = {"model": "x", "input": "hi", "store": True, "background": False, "previous_response_id": "resp_1"}
    assert edited(body, "o4-mini", "count_tokens") == {"model": "o4-mini", "input": "hi"}


@pytest.mark.parametrize(
    ("fields", "include"),
    [
        ({}, [SEALED]),
        ({"store": True}, [SEALED]),
        ({"include": None}, [SEALED]),
        ({"include": []}, [SEALED]),
        ({"include": ["x"]}, ["x", SEALED]),
        ({"include": [SEALED, "x"]}, [SEALED, "x"]),
        ({"include": "x"}, "x"),
        ({"include": ["x"], "store": False}, ["x"]),
    ],
)
def test_a_reasoning_model_is_asked_for_what_a_later_request_needs(fields: dict[str, Any], include: Any) -> None:
    assert edited({"model": "x", **fields}, "o4-mini")["include"] == include


def test_a_client_that_stores_nothing_says_itself_what_it_needs() -> None:
    assert "include" not in edited({"model": "x", "store": False}, "o4-mini")


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("gpt-5", True),
        ("gpt-5.2-codex", True),
        ("gpt-6-astra", True),
        ("o3", True),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("gpt-5-chat-latest", False),
        ("gpt-5.2-chat", False),
        ("my-deployment", False),
    ],
)
def test_only_models_that_reason_are_asked_for_reasoning(model: str, reasons: bool) -> None:
    assert ("include" in edited({"model": "x"}, model)) is reasons


KEPT_REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    "sealed",
    [
        {},
        {"encrypted_content": None},
        {"encrypted_content": ""},
        {"encrypted_content": SIGNATURE_TAG + "anthropic:abc"},
        {"encrypted_content": REDACTED_TAG + "anthropic:abc"},
    ],
)
def test_reasoning_that_the_provider_cannot_read_is_left_out(sealed: dict[str, Any]) -> None:
    theirs = {"type": "reasoning", "id": "rs_0", "summary": [{"type": "summary_text", "text": "hm"}], **sealed}
    assert edited({"model": "x", "input": [USER, theirs, CALL, KEPT_REASONING]})["input"] == [
        USER,
        CALL,
        KEPT_REASONING,
    ]


def test_what_followed_left_out_reasoning_goes_without_the_id_that_would_ask_for_it() -> None:
    message = {"type": "message", "role": "assistant", "content": []}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    items = [{"type": "reasoning", "id": "rs_0"}, {**CALL, "id": "fc_1"}, {**message, "id": "msg_1"}, search]
    assert edited({"model": "x", "input": items})["input"] == [CALL, message, search]


@pytest.mark.parametrize(
    "items",
    [
        [KEPT_REASONING, {**CALL, "id": "fc_1"}],
        [USER, {"type": "message", "role": "user", "content": '{"type": "reasoning"}'}],
        [{"type": "reasoning", "encrypted_content": "gAAAA"}, 7, None, {"type": 7}, {"type": "compaction"}],
    ],
)
def test_items_stay_as_they_are_when_none_is_left_out(items: list[Any]) -> None:
    body = json.dumps({"model": "x", "input": items}).encode()
    assert json.dumps(items).encode() in WIRE.edit(body, ROW, "m")


@pytest.mark.parametrize("body", [b"[]", b"no", b'"x"', b'{"input": "\xff"', b'{"x":' + b"[" * 5_000])
def test_a_body_that_is_no_object_cannot_be_edited(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        WIRE.edit(body, ROW, "m")


# --- relabel --------------------------------------------------------------------------------------

ANSWER = {"id": "resp_theirs", "object": "response", "status": "completed", "output": [], "store": False}


def relabelled(answer: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    made = json.loads(WIRE.relabel(json.dumps(answer).encode(), JOB, json.dumps(asked).encode()))
    assert isinstance(made, dict)
    return made


def test_an_answer_keeps_the_bytes_of_all_but_its_labels() -> None:
    given = b'{ "id" : "resp_x", "object": "response", "store":false, "output": [ {"a" : 1.0e2} ], "background":false}'
    assert WIRE.relabel(given, JOB, b'{"model":"m"}') == (
        b'{"id":"' + OUR_ID.encode() + b'","object":"response","store":true,"output":[ {"a" : 1.0e2} ],'
        b'"background":false,"previous_response_id":null}'
    )


@pytest.mark.parametrize(
    ("asked", "labels"),
    [
        ({}, (True, False, None)),
        ({"store": None, "background": None}, (True, False, None)),
        ({"store": False, "background": True}, (False, True, None)),
        ({"previous_response_id": "resp_before"}, (True, False, "resp_before")),
    ],
)
def test_an_answer_shows_what_the_client_asked_not_what_the_provider_was_asked(
    asked: dict[str, Any], labels: tuple[Any, ...]
) -> None:
    made = relabelled({**ANSWER, "previous_response_id": None}, {"model": "m", "input": "hi", **asked})
    assert made["id"] == OUR_ID
    assert (made["store"], made["background"], made["previous_response_id"]) == labels


def test_a_count_is_answered_as_it_came() -> None:
    body = b'{"object": "response.input_tokens", "input_tokens": 11}'
    assert WIRE.relabel(body, COUNT, b"{}") == body
    assert not WIRE.usage(body).known


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", b'{"object": "chat.completion"}', b'{"x":' + b"[" * 5_000, b'{"\xff": 1}'],
)
def test_what_is_no_response_object_is_not_passed_on(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        WIRE.relabel(body, JOB, b"{}")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ServerError),
        ("rate_limit_exceeded", RateLimited),
        ("invalid_prompt", Rejected),
        ("image_too_large", Rejected),
        ("empty_image_file", Rejected),
        ("bio_policy", Rejected),
        ("data_residency_mismatch", Rejected),
        ("vector_store_timeout", TimedOut),
        ("something_new", ServerError),
        (None, ServerError),
    ],
)
def test_a_failed_response_is_the_error_its_code_stands_for(code: str | None, kind: type[ProviderError]) -> None:
    answer = {**ANSWER, "status": "failed", "error": {"code": code, "message": "what happened"}}
    with pytest.raises(ProviderError, match="what happened") as caught:
        relabelled(answer, {})
    assert type(caught.value) is kind
    assert caught.value.code == code
    with pytest.raises(ProviderError) as again:
        tapped(event("response.failed", response=answer))
    assert type(again.value) is kind


@pytest.mark.parametrize("error", [None, "text", [1]])
def test_a_failed_response_without_readable_facts_is_still_an_error(error: Any) -> None:
    with pytest.raises(ServerError):
        relabelled({**ANSWER, "status": "failed", "error": error}, {})


def test_an_incomplete_response_is_an_answer() -> None:
    details = {"reason": "max_output_tokens"}
    made = relabelled({**ANSWER, "status": "incomplete", "incomplete_details": details}, {})
    assert (made["status"], made["incomplete_details"]) == ("incomplete", details)


# --- usage ----------------------------------------------------------------------------------------

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 25},
    "total_tokens": 140,
}
COUNTED = Usage(input_tokens=50, output_tokens=40, cache_read_tokens=30, cache_write_tokens=20, reasoning_tokens=25)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (USAGE, COUNTED),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
        ({"input_tokens": 3, "input_tokens_details": None}, Usage(input_tokens=3)),
        (None, Usage(known=False)),
        ("many", Usage(known=False)),
    ],
)
def test_usage_counts_caches_apart_from_the_input(found: Any, expected: Usage) -> None:
    assert WIRE.usage(json.dumps({**ANSWER, "usage": found}).encode()) == expected


def test_usage_of_what_is_not_json_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        WIRE.usage(b"<html>")


# --- tap ------------------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> Frame:
    return framed(write(json.dumps({"type": kind, **fields}).encode(), kind))


def framed(raw: bytes) -> Frame:
    [frame] = FrameReader().feed(raw)
    return frame


def tapped(*frames: Frame, asked: bytes = b"{}") -> tuple[list[bytes], Tap]:
    tap = WIRE.tap(ROW, JOB, asked)
    assert isinstance(tap, Tap)
    return [tap.feed(frame) for frame in frames], tap


def data_of(raw: bytes) -> Any:
    return json.loads(framed(raw).data)


CREATED = event("response.created", sequence_number=0, response={**ANSWER, "status": "in_progress"})
DELTA = framed(b'event: response.output_text.delta\ndata: {"type" :"response.output_text.delta", "delta":"a"}\n\n')
COMPLETED = event("response.completed", sequence_number=2, response={**ANSWER, "usage": USAGE})


def test_every_event_is_relayed_and_its_response_has_the_gateways_id() -> None:
    relayed, tap = tapped(CREATED, DELTA, COMPLETED, asked=b'{"previous_response_id": "resp_before"}')
    assert relayed[1] == DELTA.raw
    for raw, number, kind in ((relayed[0], 0, "response.created"), (relayed[2], 2, "response.completed")):
        assert framed(raw).event == kind
        data = data_of(raw)
        assert (data["type"], data["sequence_number"], data["response"]["id"]) == (kind, number, OUR_ID)
        assert (data["response"]["previous_response_id"], data["response"]["store"]) == ("resp_before", True)
    assert tap.finished
    assert tap.usage == COUNTED
    assert json.loads(tap.final) == data_of(relayed[2])["response"]


@pytest.mark.parametrize("kind", ["response.created", "response.queued", "response.in_progress"])
def test_a_stream_that_has_begun_is_not_finished(kind: str) -> None:
    relayed, tap = tapped(event(kind, response=ANSWER), DELTA, framed(b"data: [DONE]\n\n"))
    assert data_of(relayed[0])["response"]["id"] == OUR_ID
    assert (tap.finished, tap.final, tap.usage.known) == (False, b"", False)


def test_an_incomplete_answer_ends_its_stream() -> None:
    _, tap = tapped(event("response.incomplete", response={**ANSWER, "status": "incomplete", "usage": USAGE}))
    assert tap.finished
    assert json.loads(tap.final)["status"] == "incomplete"
    assert tap.usage == COUNTED


def test_an_event_without_its_line_is_known_by_its_type() -> None:
    relayed, tap = tapped(framed(b"data: " + COMPLETED.data + b"\n\n"))
    assert tap.finished
    assert framed(relayed[0]).event == ""
    assert data_of(relayed[0])["response"]["id"] == OUR_ID


def test_comments_and_done_are_relayed_and_empty_data_lines_are_not() -> None:
    comment, done, empty = Frame("", b"", b": hi\n\n"), framed(b"data: [DONE]\n\n"), Frame("", b"", b"data:\n\n")
    assert tapped(comment, COMPLETED, done, empty)[0][::2] == [comment.raw, done.raw]
    assert tapped(empty)[0] == [b""]


def test_a_delta_is_not_read() -> None:
    broken = framed(b"event: response.output_text.delta\ndata: {not json\n\n")
    assert tapped(broken)[0] == [broken.raw]


@pytest.mark.parametrize("data", [b"{not json", b"{}", b'{"response": null}', b'{"response": {"object": "x"}}'])
def test_an_event_without_the_response_it_must_hold_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        tapped(framed(write(data, "response.completed")))


QUOTA = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "no credit", "param": None}


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        (write(json.dumps({"type": "error", "error": QUOTA}).encode(), "error"), RateLimited, "no credit"),
        (write(json.dumps({"type": "error", "error": QUOTA}).encode()), RateLimited, "no credit"),
        (write(json.dumps({"error": QUOTA}).encode()), RateLimited, "no credit"),
        (b'event: error\ndata: {"type":"error","code":"server_error","message":"oh"}\n\n', ServerError, "oh"),
        (b'data: {"type":"error","code":"rate_limit_exceeded","message":"slow"}\n\n', RateLimited, "slow"),
        (b'data: {"type":"error","code":"invalid_prompt","message":"bad","param":"input"}\n\n', Rejected, "bad"),
        (b'data: {"type":"error","code":null,"message":"oh","error":null}\n\n', ServerError, "oh"),
        (b"event: error\ndata: upstream gone\n\n", ServerError, "openai answered with status 500"),
    ],
)
def test_an_error_event_of_either_form_is_raised_instead_of_relayed(
    raw: bytes, kind: type[ProviderError], message: str
) -> None:
    with pytest.raises(ProviderError, match=message) as caught:
        tapped(framed(raw))
    assert type(caught.value) is kind
    assert caught.value.provider == "openai"
    assert caught.value.upstream_type != "error"


def test_no_credit_is_not_tried_again() -> None:
    with pytest.raises(RateLimited) as caught:
        tapped(event("error", error=QUOTA))
    assert caught.value.should_retry is False
