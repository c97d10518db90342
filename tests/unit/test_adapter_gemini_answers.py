"""The Gemini adapter: what its answers, streams and errors mean."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shared.chat import Citation, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.errors import (
    AuthFailed,
    Garbled,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unreachable,
)
from shared.events import Broken, Event, Finished, PartStarted, PartStopped, SignatureDelta, Started, TextDelta
from shared.sse import write
from worker.providers.call_ids import unseal
from worker.providers.catalog import ROWS
from worker.providers.gemini import GEMINI

ROW = ROWS["gemini"]
SIGNATURE, OTHER = "c2lnbmF0dXJl", "b3RoZXI="
HELD = {"responseId": "r1", "modelVersion": "gemini-3-pro"}
USED = {"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 12}


def answer(*parts: dict[str, Any], finish: Any = "STOP", **fields: Any) -> dict[str, Any]:
    """An answer, or a chunk of one, with these parts."""
    said = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **fields}
    candidate = {**said, "finishReason": finish} if finish else said
    return {**HELD, "candidates": [candidate], "usageMetadata": USED}


def parsed(body: Any) -> Any:
    return GEMINI.parse(json.dumps(body).encode(), ROW)


def streamed(*chunks: Any) -> list[Event]:
    reader, parser = GEMINI.reader(), GEMINI.stream(ROW)
    sent = b"".join(write(json.dumps(chunk).encode()) for chunk in chunks)
    events = [event for frame in [*reader.feed(sent), *reader.close()] for event in parser.feed(frame)]
    return events + parser.close()


def broke(*chunks: Any) -> ProviderError:
    last = streamed(*chunks)[-1]
    assert isinstance(last, Broken)
    return last.error


# --- plain answers --------------------------------------------------------------------------------


def test_a_plain_answer() -> None:
    found = parsed({**answer({"text": "Hel"}, {"text": "lo"}), "createTime": "2026-01-01T00:00:00.123456Z"})
    assert (found.id, found.model, found.created_s) == ("r1", "gemini-3-pro", 1_767_225_600)
    assert (found.content, found.stop_reason) == ((Text("Hello"),), StopReason.END)
    assert found.usage == Usage(input_tokens=10, output_tokens=2)


def test_calls_get_an_id_of_their_own_that_stays_the_same_and_end_the_answer() -> None:
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    body = answer(call, {"functionCall": {"id": "g1", "name": "g"}}, call)
    first, second, third = parsed(body).content
    assert (first.name, first.arguments, second) == ("f", '{"a": 1}', ToolCall("g1", "g", "{}"))
    assert first.id.startswith("call_")
    assert first.id != third.id
    assert parsed(body).content[0] == first
    assert parsed(body).stop_reason is StopReason.TOOL_CALL


def test_the_signature_of_a_call_is_in_its_id() -> None:
    call = {"functionCall": {"id": "f1", "name": "f", "args": {}}, "thoughtSignature": "+/8="}
    (found,) = parsed(answer(call)).content
    assert unseal(found.id) == ("f1", "+/8=")


def test_thoughts_are_thinking_and_the_signature_of_the_text_stands_with_them() -> None:
    thought, said = {"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": SIGNATURE}
    assert parsed(answer(thought, said)).content == (Thinking("hm", "gemini", SIGNATURE), Text("a"))


def test_without_thoughts_the_signature_of_a_text_is_left_out() -> None:
    assert parsed(answer({"text": "a", "thoughtSignature": SIGNATURE})).content == (Text("a"),)


def test_parts_that_only_gemini_knows_are_left_out() -> None:
    parts = [{"executableCode": {"code": "1"}}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    assert parsed(answer({"text": "a"}, *parts, {"text": "b"})).content == (Text("ab"),)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", StopReason.END),
        (1, StopReason.END),
        ("A_NEW_ONE", StopReason.END),
        (None, StopReason.END),
        ("MAX_TOKENS", StopReason.LENGTH),
        ("CONTINUATION", StopReason.PAUSE),
        *[
            (word, StopReason.REFUSAL)
            for word in (
                "SAFETY",
                "RECITATION",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MODEL_ARMOR",
                "IMAGE_SAFETY",
            )
        ],
    ],
)
def test_why_an_answer_ended(finish: Any, reason: StopReason) -> None:
    assert parsed(answer({"text": "a"}, finish=finish)).stop_reason is reason
    if finish is not None:
        last = streamed(answer({"text": "a"}, finish=finish))[-1]
        assert isinstance(last, Finished)
        assert last.stop_reason is reason


@pytest.mark.parametrize(
    "finish",
    ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "OTHER"],
)
def test_an_answer_that_failed_midway_is_an_error_that_says_why(finish: str) -> None:
    body = answer(finish=finish, finishMessage="no such function")
    with pytest.raises(Unreachable, match=f"{finish}.*no such function"):
        parsed(body)
    assert isinstance(broke(answer({"text": "a"}, finish=None), body), Unreachable)


def test_a_blocked_prompt_is_a_refusal_that_says_why() -> None:
    blocked: dict[str, Any] = {**HELD, "promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USED}
    found = parsed(blocked)
    assert (found.content, found.stop_reason) == ((Refusal("The prompt was blocked: SAFETY."),), StopReason.REFUSAL)
    blocked["promptFeedback"]["blockReasonMessage"] = "no"
    assert parsed(blocked).content == (Refusal("no"),)
    assert [type(event) for event in streamed(blocked)] == [Started, PartStarted, TextDelta, PartStopped, Finished]


def test_an_answer_that_was_stopped_tells_why_when_it_says_nothing_else() -> None:
    assert parsed(answer(finish="SAFETY", finishMessage="no")).content == (Refusal("no"),)
    assert parsed(answer({"text": "a"}, finish="SAFETY", finishMessage="no")).content == (Text("a"),)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"{}", b'{"candidates": []}', b'{"candidates": 1}', b'{"a": "\xff"}']
)
def test_what_is_no_answer_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled):
        GEMINI.parse(body, ROW)


def test_an_error_under_a_good_status_is_that_error() -> None:
    with pytest.raises(Overloaded, match="too many"):
        parsed({"error": {"code": 503, "message": "too many", "status": "UNAVAILABLE"}})


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "usage"),
    [
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 3,
            },
            Usage(input_tokens=45, output_tokens=10, cache_read_tokens=60, reasoning_tokens=3),
        ),
        ({"promptTokenCount": 4}, Usage(input_tokens=4)),
        ({"promptTokenCount": "4", "candidatesTokenCount": 2.0}, Usage(input_tokens=4, output_tokens=2)),
        ({"promptTokenCount": "many"}, Usage(known=False)),
        ({"promptTokenCount": 4, "cachedContentTokenCount": 9}, Usage(cache_read_tokens=4)),
        ({"promptTokenCount": -4, "candidatesTokenCount": 1 << 60}, Usage(output_tokens=1 << 53)),
        (None, Usage(known=False)),
    ],
)
def test_tokens_are_counted_anthropics_way(found: dict[str, object] | None, usage: Usage) -> None:
    body = {**answer({"text": "a"}), "usageMetadata": found}
    assert parsed(body).usage == usage
    assert GEMINI.usage(json.dumps(body).encode()) == usage


def test_usage_of_what_is_not_json_is_an_error_and_of_another_shape_unknown() -> None:
    with pytest.raises(msgspec.DecodeError):
        GEMINI.usage(b"<html>")
    assert not GEMINI.usage(b'{"usageMetadata": 1}').known


# --- streams --------------------------------------------------------------------------------------


def test_a_stream_adds_up_with_the_last_usage() -> None:
    first = {**answer({"text": "Hel"}, finish=None), "usageMetadata": {"promptTokenCount": 10}}
    events = streamed(first, answer({"text": "lo"}, finish=None), answer({"text": ""}))
    assert events == [
        Started("r1", "gemini-3-pro", Usage(input_tokens=10)),
        PartStarted(0, Text("")),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        PartStopped(0),
        Finished(StopReason.END, Usage(input_tokens=10, output_tokens=2)),
    ]


def test_a_signature_with_the_first_piece_of_a_text_ends_the_thinking_before_it() -> None:
    thought = answer({"text": "hm", "thought": True}, finish=None)
    said = answer({"text": "a", "thoughtSignature": SIGNATURE})
    assert streamed(thought, said)[1:-1] == [
        PartStarted(0, Thinking("", "gemini")),
        TextDelta(0, "hm"),
        SignatureDelta(0, SIGNATURE),
        PartStopped(0),
        PartStarted(1, Text("")),
        TextDelta(1, "a"),
        PartStopped(1),
    ]


def test_a_signature_behind_a_text_is_an_empty_thinking_of_its_own() -> None:
    chunks = [answer(part, finish=None) for part in ({"text": "hm", "thought": True}, {"text": "a"})]
    end = answer({"text": "", "thoughtSignature": SIGNATURE})
    assert streamed(*chunks, end)[6:-1] == [
        PartStopped(1),
        PartStarted(2, Thinking("", "gemini")),
        SignatureDelta(2, SIGNATURE),
        PartStopped(2),
    ]


def test_only_the_first_candidate_is_read() -> None:
    other = {"index": 1, "content": {"parts": [{"text": "other"}]}, "finishReason": "SAFETY"}
    body = answer({"text": "a"})
    body["candidates"].append(other)
    assert parsed(body).content == (Text("a"),)
    assert parsed(body).stop_reason is StopReason.END


def test_a_stream_that_ends_without_a_reason_is_broken() -> None:
    assert isinstance(broke(answer({"text": "a"}, finish=None)), Unreachable)
    assert isinstance(broke(), Unreachable)


@pytest.mark.parametrize(
    ("chunk", "kind"),
    [
        ({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}, RateLimited),
        ({"error": {"code": 0, "message": "odd"}}, ServerError),
        ({"error": "odd"}, ServerError),
        ([1], Garbled),
        (answer({"functionCall": {"args": {}}}), Garbled),
        (answer({"functionCall": {"name": "f", "willContinue": True}}), Garbled),
    ],
)
def test_a_chunk_that_is_an_error_or_cannot_be_read_breaks_the_stream_for_good(chunk: Any, kind: type) -> None:
    assert isinstance(broke(answer({"text": "a"}, finish=None), chunk), kind)
    assert isinstance(streamed(chunk, answer({"text": "a"}))[-1], Broken)


# --- sources --------------------------------------------------------------------------------------

PAGES = [{"web": {"uri": "https://a.example", "title": "A"}}, {"web": {"uri": "https://b.example"}}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"groundingMetadata": {"groundingChunks": PAGES}}, ("https://a.example", "https://b.example")),
        (
            {
                "groundingMetadata": {
                    "groundingChunks": PAGES,
                    "groundingSupports": [{"groundingChunkIndices": [1, 7]}, {"groundingChunkIndices": [1]}],
                }
            },
            ("https://b.example",),
        ),
        (
            {"citationMetadata": {"citationSources": [{"uri": "https://c.example"}, {"license": "x"}]}},
            ("https://c.example",),
        ),
        ({"citationMetadata": {"citations": [{"uri": "https://d.example"}]}}, ("https://d.example",)),
        ({"groundingMetadata": {"groundingChunks": 1}}, ()),
    ],
)
def test_the_pages_a_text_rests_on(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    (text,) = parsed(answer({"text": "a"}, **fields)).content
    assert tuple(page.url for page in text.citations) == expected
    chunks = [answer({"text": "a"}, finish=None), answer({"text": ""}, **fields)]
    cited = [event.citation for event in streamed(*chunks, chunks[-1]) if hasattr(event, "citation")]
    assert tuple(page.url for page in cited) == expected


def test_a_document_that_was_found_is_cited_with_its_words() -> None:
    found = {"retrievedContext": {"uri": "https://a.example", "title": "A", "text": "its words"}}
    (text,) = parsed(answer({"text": "a"}, groundingMetadata={"groundingChunks": [found]})).content
    assert text.citations == (Citation("https://a.example", "A", "its words"),)


# --- errors and models ----------------------------------------------------------------------------


def refused(status: int, message: str = "no", *details: dict[str, Any]) -> ProviderError:
    body = {"error": {"code": status, "message": message, "status": "WORD", "details": list(details)}}
    return GEMINI.error(ROW, status, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, AuthFailed),
        (403, AuthFailed),
        (404, Rejected),
        (429, RateLimited),
        (500, ServerError),
        (503, Overloaded),
        (504, TimedOut),
    ],
)
def test_an_error_is_of_the_kind_of_its_status(status: int, kind: type) -> None:
    error = refused(status)
    assert type(error) is kind
    assert (error.upstream_status, error.upstream_type, error.provider) == (status, "WORD", "gemini")
    assert "no" in error.message


def test_a_bad_key_is_the_gateways_fault_though_it_is_a_400() -> None:
    assert type(refused(400, "API key not valid. Please pass a valid API key.")) is AuthFailed
    assert type(refused(400, "no", {"@type": "ErrorInfo", "reason": "API_KEY_INVALID"})) is AuthFailed


def test_when_to_try_again() -> None:
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.5s"}
    assert refused(429, "no", {"links": []}, wait).retry_after_s == 48.5
    assert refused(429, "no", {**wait, "retryDelay": "x"}).retry_after_s is None
    body = b'{"error": {"code": 429, "details": [{"retryDelay": "9s"}]}}'
    assert GEMINI.error(ROW, 429, {"retry-after": "3"}, body).retry_after_s == 3


def test_the_delay_in_the_message_has_the_fraction_that_the_other_has_lost() -> None:
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48s"}
    assert refused(429, "Please retry in 48.939935699s.", wait).retry_after_s == 48.939935699


def violated(quota: str, value: str = "20") -> dict[str, Any]:
    return {"violations": [{"quotaId": f"Generate{quota}PerProjectPerModel-FreeTier", "quotaValue": value}]}


@pytest.mark.parametrize(
    ("now", "hours"), [("14:00:00", 18), ("07:00:00", 1), ("08:00:00", 24), ("", 1)], ids=["day", "night", "reset", "?"]
)
def test_a_quota_of_the_day_comes_back_at_midnight_in_california(now: str, hours: int) -> None:
    details = [violated("RequestsPerMinute"), violated("RequestsPerDay"), {"retryDelay": "18s"}]
    body = json.dumps({"error": {"code": 429, "details": details}}).encode()
    error = GEMINI.error(ROW, 429, {"date": f"Wed, 19 Aug 2026 {now} GMT"} if now else {}, body)
    assert (error.retry_after_s, error.should_retry) == (hours * 3600, None)


def test_the_quotas_of_a_minute_that_are_used_up_are_told() -> None:
    requests, tokens = violated("RequestsPerMinute", "600"), violated("ContentInputTokensPerMinute", "1000000")
    day, *odd = (
        violated("RequestsPerDay", "20"),
        *(violated("RequestsPerMinute", no) for no in ("many", "0", "9" * 5000)),
    )
    assert refused(429, "no", requests, tokens, day, *odd).quotas == (("requests", 600), ("input", 1_000_000))
    assert refused(429, "no").quotas == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"error": {"code": 400, "message": "in a list"}}]', "in a list"),
        (b"upstream timed out", "upstream timed out"),
        (b"<html>", "no message"),
        (b"[]", "no message"),
        (b'{"error": 1}', "no message"),
        (b'{"error": {"message": "key=AIzaSyA1234567890123456789012345678901234"}}', "key="),
    ],
)
def test_whatever_an_error_looks_like_it_says_something_safe(body: bytes, said: str) -> None:
    error = GEMINI.error(ROW, 400, {}, body)
    assert said in error.message
    assert "AIzaSyA123" not in error.message


def test_models_are_listed_under_their_ids() -> None:
    listed = {"models": [{"name": "models/gemini-3-pro", "displayName": "Gemini 3 Pro"}, {"nameless": 1}]}
    (model,) = GEMINI.models(json.dumps(listed).encode())
    assert (model.id, model.display_name, model.owned_by) == ("gemini-3-pro", "Gemini 3 Pro", "google")
    on_vertex = {"publisherModels": [{"name": "publishers/google/models/gemini-3-pro"}]}
    assert [model.id for model in GEMINI.models(json.dumps(on_vertex).encode())] == ["gemini-3-pro"]
    assert GEMINI.models(b"<html>") == []
