"""What Bedrock answers: plain, as an event stream however it is cut, and as an error."""

import base64
import json

import pytest

from deploy.simulator import bedrock_frames
from shared.chat import Citation, Foreign, RedactedThinking, StopReason, Text, Thinking, ToolCall, Usage
from shared.errors import (
    AuthFailed,
    Garbled,
    Overloaded,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unreachable,
)
from shared.events import (
    ArgumentsDelta,
    Broken,
    CitationDelta,
    Finished,
    PartStarted,
    PartStopped,
    SignatureDelta,
    Started,
    TextDelta,
)
from worker.providers.bedrock import BEDROCK
from worker.providers.catalog import ROWS

ROW = ROWS["bedrock"]
PAGE = {"citation": {"title": "Ruby", "location": {"web": {"url": "https://example.com"}}}}
CITED = Citation("https://example.com", "Ruby")
COUNTS = {"inputTokens": 3, "outputTokens": 4}
END = (("messageStop", {"stopReason": "end_turn"}), ("metadata", {"usage": COUNTS}))


def answer(*blocks, stop="end_turn", **fields):
    return json.dumps(
        {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stop, **fields}
    ).encode()


def parsed(*blocks, **fields):
    return BEDROCK.parse(answer(*blocks, **fields), ROW)


def frames(*events):
    return b"".join(bedrock_frames.event(name, json.dumps(said).encode()) for name, said in events)


def delta(index, **said):
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": said}


def called(index, text):
    return delta(index, toolUse={"input": text})


def opened(index, name):
    return "contentBlockStart", {
        "contentBlockIndex": index,
        "start": {"toolUse": {"toolUseId": f"id_{name}", "name": name}},
    }


def stopped(index):
    return "contentBlockStop", {"contentBlockIndex": index}


def heard(body, step=None):
    """The events of a stream that comes in pieces of `step` bytes."""
    reader, parser, events = BEDROCK.reader(), BEDROCK.stream(ROW), []
    step = step or len(body) or 1
    for at in range(0, len(body), step):
        for frame in reader.feed(body[at : at + step]):
            events += parser.feed(frame)
    for frame in reader.close():
        events += parser.feed(frame)
    return events + parser.close()


def parts(*events):
    """What stands between the first event and the last."""
    first, *between, last = heard(frames(("messageStart", {"role": "assistant"}), *events, *END))
    assert isinstance(first, Started)
    assert last == Finished(StopReason.END, Usage(input_tokens=3, output_tokens=4))
    return between


# --- plain answers ---------------------------------------------------------------------------------------


def test_counts_exclude_what_was_cached():
    counts = {
        **COUNTS,
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 9,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 7}, {"ttl": "5m", "inputTokens": 2}],
    }
    assert parsed({"text": "x"}, usage=counts).usage == Usage(
        input_tokens=3, output_tokens=4, cache_read_tokens=5, cache_write_tokens=9, cache_write_1h_tokens=7
    )
    assert BEDROCK.usage(answer(usage=counts)).cache_write_tokens == 9
    assert not parsed({"text": "x"}).usage.known
    assert not parsed({"text": "x"}, usage="many").usage.known
    assert parsed({"text": "x"}, usage={"inputTokens": "3", "outputTokens": 4.0}).usage == Usage(3, 4)


def test_every_kind_of_block_becomes_a_part():
    found = parsed(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "cmVk"}},
        {"text": "It is so."},
        {"citationsContent": {"citations": [PAGE["citation"]]}},
        {"citationsContent": {"content": [{"text": "And so."}], "citations": [PAGE["citation"]]}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "u", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
        {"video": {}},
    ).content
    assert found[:6] == (
        Thinking("hm", "bedrock", "s"),
        RedactedThinking("cmVk", "bedrock"),
        Text("It is so.", (CITED,)),
        Text("And so.", (CITED,)),
        ToolCall("t", "f", '{"a": 1}'),
        found[5],
    )
    assert [part.kind for part in found[5:] if isinstance(part, Foreign)] == ["toolUse", "video"]


@pytest.mark.parametrize("stop", ["guardrail_intervened", "content_filtered"])
def test_what_a_guardrail_stopped_is_a_refusal(stop):
    assert parsed({"text": "Sorry."}, stop=stop).stop_reason is StopReason.REFUSAL


def test_a_new_stop_reason_is_an_end():
    assert parsed({"text": "x"}, stop="tired").stop_reason is StopReason.END


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_failed_midway_is_none(stop):
    with pytest.raises(Unreachable):
        parsed({"text": "x"}, stop=stop)
    body = frames(("messageStart", {}), delta(0, text="x"), ("messageStop", {"stopReason": stop}))
    assert isinstance(heard(body)[-1].error, Unreachable)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"output":{"message":{}}}', answer(5), b"\xff"])
def test_what_is_no_answer_is_garbled(body):
    with pytest.raises(Garbled):
        BEDROCK.parse(body, ROW)


# --- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 64, None])
def test_a_stream_reads_the_same_however_it_is_cut(step):
    body = frames(("messageStart", {"role": "assistant"}), delta(0, text="Hé"), delta(0, text="llo"), stopped(0), *END)
    assert heard(body, step) == [
        Started("", "", Usage(known=False)),
        PartStarted(0, Text("")),
        TextDelta(0, "Hé"),
        TextDelta(0, "llo"),
        PartStopped(0),
        Finished(StopReason.END, Usage(input_tokens=3, output_tokens=4)),
    ]


def test_a_wrong_checksum_is_no_stream():
    good = frames(("messageStart", {}))
    for at in (0, 9, 20, len(good) - 1):
        broken = bytearray(good)
        broken[at] ^= 0x40
        with pytest.raises(ValueError, match="event stream"):
            BEDROCK.reader().feed(bytes(broken))


def test_a_page_is_no_stream():
    with pytest.raises(ValueError, match="event stream"):
        BEDROCK.reader().feed(b"<html><body>Bad gateway</body></html>")


def test_a_thought_is_signed_at_its_end():
    assert parts(
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"signature": "a"}),
        delta(0, reasoningContent={"signature": "b"}),
        stopped(0),
        delta(1, text="Hi"),
    ) == [
        PartStarted(0, Thinking("", "bedrock")),
        TextDelta(0, "h"),
        SignatureDelta(0, "ab"),
        PartStopped(0),
        PartStarted(1, Text("")),
        TextDelta(1, "Hi"),
        PartStopped(1),
    ]


def test_a_redacted_thought_comes_whole_though_it_was_sent_in_pieces():
    pieces = [base64.b64encode(piece).decode() for piece in (b"a", b"bc")]
    told = parts(*(delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces), stopped(0))
    assert told == [PartStarted(0, RedactedThinking(base64.b64encode(b"abc").decode(), "bedrock")), PartStopped(0)]


def test_mixed_calls_are_told_one_after_the_other():
    assert parts(
        opened(0, "f"),
        called(0, '{"a"'),
        opened(1, "g"),
        called(1, "{"),
        called(0, ":1}"),
        called(1, "}"),
        stopped(1),
        stopped(0),
        opened(2, "h"),
        stopped(2),
    ) == [
        PartStarted(0, ToolCall("id_f", "f", "")),
        ArgumentsDelta(0, '{"a"'),
        ArgumentsDelta(0, ":1}"),
        PartStopped(0),
        PartStarted(1, ToolCall("id_g", "g", "")),
        ArgumentsDelta(1, "{"),
        ArgumentsDelta(1, "}"),
        PartStopped(1),
        PartStarted(2, ToolCall("id_h", "h", "")),
        PartStopped(2),
    ]


def test_what_was_never_closed_is_closed_at_the_end():
    told = parts(opened(0, "f"), called(0, "{}"), opened(1, "g"), opened(2, "h"), called(2, "{}"))
    assert [event.index for event in told if isinstance(event, PartStopped)] == [0, 1, 2]
    assert [event.part.name for event in told if isinstance(event, PartStarted)] == ["f", "g", "h"]


def test_sources_behind_a_text_are_the_texts():
    assert parts(delta(0, text="So."), stopped(0), delta(1, **PAGE), stopped(1), delta(2, text="!"), stopped(2)) == [
        PartStarted(0, Text("")),
        TextDelta(0, "So."),
        CitationDelta(0, CITED),
        PartStopped(0),
        PartStarted(1, Text("")),
        TextDelta(1, "!"),
        PartStopped(1),
    ]


def test_sources_before_a_text_of_their_block_are_that_texts():
    assert parts(delta(0, text="A"), stopped(0), delta(1, **PAGE), delta(1, text="B"), stopped(1)) == [
        PartStarted(0, Text("")),
        TextDelta(0, "A"),
        PartStopped(0),
        PartStarted(1, Text("")),
        CitationDelta(1, CITED),
        TextDelta(1, "B"),
        PartStopped(1),
    ]


def test_what_bedrock_runs_itself_is_left_out():
    search = {"toolUseId": "t", "name": "nova_grounding", "type": "server_tool_use"}
    told = parts(
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": search}}),
        called(0, "{}"),
        stopped(0),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "t"}}}),
        delta(1, toolResult=[{"text": "x"}]),
        stopped(1),
        delta(2, text="Found."),
    )
    assert told == [PartStarted(0, Text("")), TextDelta(0, "Found."), PartStopped(0)]


def test_a_stream_may_begin_without_its_start_and_end_without_counts():
    events = heard(frames(delta(0, text="x"), ("messageStop", {"stopReason": "max_tokens"})))
    assert isinstance(events[0], Started)
    assert events[-1] == Finished(StopReason.LENGTH, Usage(known=False))


def test_counts_may_come_before_the_stop():
    events = heard(frames(("messageStart", {}), *reversed(END)))
    assert events[-1] == Finished(StopReason.END, Usage(input_tokens=3, output_tokens=4))


@pytest.mark.parametrize("body", [b"", frames(("messageStart", {}), delta(0, text="x")), frames(END[0])[:-3]])
def test_a_stream_that_is_cut_is_broken(body):
    assert isinstance(heard(body)[-1].error, Unreachable)


def test_an_event_that_is_not_json_breaks_the_stream():
    (last,) = heard(bedrock_frames.event("messageStart", b"<html>"))
    assert isinstance(last.error, Garbled)


# --- errors ----------------------------------------------------------------------------------------------

KINDS = [
    ("ValidationException", 400, Rejected, 400),
    ("ResourceNotFoundException", 404, Rejected, 404),
    ("AccessDeniedException", 403, AuthFailed, 502),
    ("UnrecognizedClientException", 403, AuthFailed, 502),
    ("ExpiredTokenException", 400, AuthFailed, 502),
    ("ThrottlingException", 429, RateLimited, 429),
    ("ModelNotReadyException", 429, RateLimited, 429),
    ("ServiceQuotaExceededException", 400, RateLimited, 429),
    ("ModelTimeoutException", 408, TimedOut, 504),
    ("ModelErrorException", 424, ServerError, 500),
    ("ModelStreamErrorException", 424, ServerError, 500),
    ("InternalServerException", 500, ServerError, 500),
    ("ServiceUnavailableException", 503, Overloaded, 529),
    ("SomethingNewException", 400, Rejected, 400),
]


@pytest.mark.parametrize(("name", "status", "kind", "told"), KINDS)
def test_an_exception_is_an_error_by_its_name(name, status, kind, told):
    by_header = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    in_body = json.dumps({"__type": f"com.amazon.coral.service#{name}", "Message": "no"}).encode()
    for headers, body in ((by_header, b'{"message":"no"}'), ({}, in_body)):
        error = BEDROCK.error(ROW, status, headers, body)
        assert (type(error), error.status, error.upstream_status) == (kind, told, status)
        assert error.upstream_type == name
        assert error.message.endswith("no")
        assert error.should_retry is (False if name.startswith("ServiceQuota") else None)


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, _, kind, _ in KINDS[:-1]])
def test_an_exception_in_a_stream_breaks_it_with_the_same_error(name, kind):
    begun = frames(("messageStart", {}), delta(0, text="x"))
    exception = bedrock_frames.exception(name[0].lower() + name[1:], b'{"message":"no"}')
    events = heard(begun + exception + frames(*END))
    assert isinstance(events[-1], Broken)
    assert type(events[-1].error) is kind
    assert events[-1].error.message.endswith("no")
    assert not any(isinstance(event, Finished) for event in events)


def test_an_error_that_the_service_does_not_know_breaks_the_stream_too():
    (last,) = heard(bedrock_frames.error("ThrottlingException", "slow down"))
    assert isinstance(last.error, RateLimited)
    (last,) = heard(bedrock_frames.error("internal", "it broke"))
    assert (type(last.error), last.error.message) == (ServerError, "it broke")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message":5}'])
def test_an_error_that_says_nothing_is_told_by_its_status(body):
    error = BEDROCK.error(ROW, 503, {}, body)
    assert isinstance(error, Overloaded)
    assert "503" in error.message


def test_a_throttling_for_the_day_is_not_asked_again_in_seconds():
    def said(message):
        body = json.dumps({"message": message}).encode()
        return BEDROCK.error(ROW, 429, {"x-amzn-errortype": "ThrottlingException:http://x/"}, body).retry_after_s

    assert said("Too many tokens per day, please wait before trying again.") == 600
    assert said("Too many tokens, please wait before trying again.") is None


def test_no_credential_is_repeated():
    secret = "sk-ant-REDACT-ME-0123456789abcdef"
    assert secret not in BEDROCK.error(ROW, 400, {}, json.dumps({"message": f"bad {secret}"}).encode()).message
