"""Real provider traffic through the translation, both ways: nothing raises, nothing that both sides can say is lost."""

import json
import re
from collections import Counter

import pytest

from shared.chat import Refusal, StopReason, Text, Thinking, ToolCall
from shared.dialects import DIALECTS
from shared.errors import Garbled, GatewayError, InvalidRequest, ProviderError, Unreachable, Unsupported
from shared.events import ArgumentsDelta, Broken, CitationDelta, Finished, PartStarted, PartStopped, Started, TextDelta
from tests.made import A_JOB, WITH_USAGE
from tests.replay.converse import assert_taken_by_aws
from tests.replay.generate_content import assert_taken_by_google
from tests.replay.recordings import COUNTS, Recording, recordings
from worker.providers.base import Row
from worker.providers.catalog import ROWS, adapters

ADAPTERS = adapters()
ROW = {
    "anthropic": ROWS["anthropic"],
    "openai_chat": ROWS["openai"],
    "bedrock": ROWS["bedrock"],
    "gemini": ROWS["gemini"],
}
DIALECT = {"anthropic": DIALECTS["anthropic"], "openai_chat": DIALECTS["openai_chat"]}

ANSWERS = re.compile(rb'"(?:choices|candidates|content)"')
"""What every wire's answers have one of."""

NARROWED = {
    StopReason.STOP_SEQUENCE: StopReason.END,
    StopReason.PAUSE: StopReason.END,
    StopReason.CONTEXT_FULL: StopReason.LENGTH,
}
"""Stop reasons that OpenAI has no word of its own for."""


def narrowed(reason, calls, wire):
    """The reason as `wire` can say it; an answer with calls that ended by itself reads as one that awaits them."""
    if wire == "anthropic":
        return reason
    reason = NARROWED.get(reason, reason)
    return StopReason.TOOL_CALL if reason is StopReason.END and calls else reason


def failures(check, chosen):
    """Run `check` over every chosen recording; all that fail, by id, so that one run shows the whole picture."""
    failed, passed, vendors = {}, Counter(), Counter()
    for recording in chosen:
        try:
            passed[check(recording)] += 1
            vendors[recording.vendor] += 1
        except Exception as error:  # noqa: BLE001 - collected and asserted on
            failed[f"{recording.provider} {recording.kind} {recording.id}"] = f"{type(error).__name__}: {error}"[:300]
    COUNTS.append(f"replayed, {check.__name__}: {sum(passed.values())} recordings {dict(passed)} of {dict(vendors)}")
    assert sum(passed.values()) + len(failed) > 100
    return failed


def report(failed):
    assert not failed, "\n".join(f"{name}: {why}" for name, why in list(failed.items())[:20])


def is_wrong_by_itself(recording: Recording) -> bool:
    """The provider refused it as malformed, or no provider was ever asked."""
    return not recording.answered


def asked():
    """The requests that clients can make: Converse is nobody's dialect."""
    return [r for r in recordings() if r.wire in DIALECT and r.question and r.question != b"null"]


def test_every_request_is_read_and_travels_untouched_on_its_own_wire():
    def travels(recording):
        dialect, adapter, row = DIALECT[recording.wire], ADAPTERS[recording.wire], recording.row
        try:
            head = dialect.read_head(recording.question)
        except InvalidRequest as refusal:
            if b'"model"' not in recording.question:  # Azure's deployment URLs name the model; no route of ours does
                assert refusal.param == "model"
                return "refused: no model"
            if is_wrong_by_itself(recording):
                return "refused as its provider refused it"
            raise
        sent = json.loads(adapter.edit(recording.question, row, "another-model"))
        asked = json.loads(recording.question)
        assert head.model == asked["model"]
        assert sent.pop("model") == "another-model"
        del asked["model"]
        if head.stream and recording.wire == "openai_chat" and row.stream_usage:
            assert sent.pop("stream_options")["include_usage"] is True
            asked.pop("stream_options", None)
        if sent != asked:
            return without_empty_texts(asked, sent)
        return "lossless"

    def without_empty_texts(asked, sent):
        """Only empty text blocks, which the provider would refuse, were left out."""
        for message in asked["messages"]:
            if isinstance(message["content"], list):
                message["content"] = [b for b in message["content"] if b.get("text", "x") or b.get("type") != "text"]
        asked["messages"] = [message for message in asked["messages"] if message["content"] != []]
        assert sent == asked
        return "lossless but for empty text blocks"

    report(failures(travels, asked()))


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat", "bedrock", "gemini"])
def test_every_request_is_translated_or_refused_by_the_name_of_its_field(wire):
    def translates(recording):
        try:
            request = DIALECT[recording.wire].parse(recording.question, "m")
            body = ADAPTERS[wire].render(request, ROW[wire]).body
        except (Unsupported, InvalidRequest) as refusal:
            assert refusal.param, refusal.message
            assert not isinstance(refusal, InvalidRequest) or is_wrong_by_itself(recording), refusal.message
            return f"refused: {refusal.param.split('.')[0].split('[')[0]}"
        if wire == "bedrock":
            assert_taken_by_aws(body)
            return "translated"
        if wire == "gemini":
            assert_taken_by_google(body)
            return "translated"
        assert json.loads(body)["model"] == "m"
        DIALECT[wire].read_head(body)
        return "translated"

    report(failures(translates, asked()))


def test_every_request_is_rendered_for_the_provider_it_was_recorded_of():
    def renders(recording):
        row = recording.row
        try:
            body = ADAPTERS[row.wire].render(DIALECT[recording.wire].parse(recording.question, "m"), row).body
        except (Unsupported, InvalidRequest) as refusal:
            assert refusal.param, refusal.message
            assert not isinstance(refusal, InvalidRequest) or is_wrong_by_itself(recording), refusal.message
            return f"refused: {refusal.param.split('.')[0].split('[')[0]}"
        sent = json.loads(body)
        if row.strict_fields:
            assert not sent.keys() & {"seed", "user", "reasoning_effort", "metadata", "store"}
        if row.chooses_freely:
            assert not sent.keys() & {"tool_choice", "parallel_tool_calls"}
        assert ("stream_options" in sent) <= row.stream_usage
        assert not sent.keys() & {"max_tokens", "max_completion_tokens"} - {row.max_tokens_field}
        return "rendered"

    report(failures(renders, asked()))


def said(parts):
    """What an answer says: text, reasoning left out, calls with parsed arguments, and the pages it cites."""
    text = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    calls = [(part.name, arguments(part.arguments)) for part in parts if isinstance(part, ToolCall)]
    return text, calls, {cited.url for part in parts if isinstance(part, Text) for cited in part.citations}


def same(words):
    return "same answer and sources" if words[2] else "same answer"


def arguments(text):
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {"_raw": text}


def totals(usage):
    return usage.total_input_tokens, usage.output_tokens, usage.cache_read_tokens


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_every_plain_answer_says_the_same_in_both_dialects(wire):
    def rendered(recording):
        try:
            answer = ADAPTERS[recording.wire].parse(recording.answer, recording.row)
        except Garbled:
            assert not ANSWERS.search(recording.answer)  # a transcription or an embedding, filed under chat
            return "not a chat answer"
        except Unreachable:
            assert b"UNEXPECTED_TOOL_CALL" in recording.answer
            return "failed midway"
        again = ADAPTERS[wire].parse(DIALECT[wire].render(answer, A_JOB, b""), ROW[wire])
        assert said(again.content) == said(answer.content)
        assert totals(again.usage) == totals(answer.usage)
        assert again.stop_reason == narrowed(answer.stop_reason, said(answer.content)[1], wire)
        return same(said(answer.content))

    report(failures(rendered, [r for r in recordings() if r.answered and not r.streamed]))


def events_of(body: bytes, wire: str, row: Row | None = None):
    reader, parser, events = ADAPTERS[wire].reader(), ADAPTERS[wire].stream(row or ROW[wire]), []
    for frame in [*reader.feed(body), *reader.close()]:
        events += parser.feed(frame)
    return events + parser.close()


def gathered(events):
    """The answer that a stream adds up to; asserts the promise of `shared/events.py` on the way."""
    assert isinstance(events[0], Started), events[:1]
    assert isinstance(events[-1], Finished), events[-1:]
    parts, is_open, cited = [], False, set()
    for event in events[1:-1]:
        match event:
            case PartStarted(index=index, part=part):
                assert not is_open
                assert index == len(parts)
                is_open = True
                parts.append([part, ""])
            case TextDelta(index=index, text=text) | ArgumentsDelta(index=index, text=text):
                assert is_open
                assert index == len(parts) - 1
                parts[-1][1] += text
            case CitationDelta(index=index, citation=citation):
                assert is_open
                assert index == len(parts) - 1
                assert isinstance(parts[-1][0], Text)
                cited.add(citation.url)
            case PartStopped(index=index):
                assert is_open
                assert index == len(parts) - 1
                is_open = False
            case Broken():
                pytest.fail(f"broken: {event.error.message}")
    assert not is_open
    text = "".join(so_far for part, so_far in parts if isinstance(part, Text | Refusal))
    calls = [(part.name, arguments(part.arguments + so_far)) for part, so_far in parts if isinstance(part, ToolCall)]
    thoughts = sum(isinstance(part, Thinking) for part, _ in parts)
    return (text, calls, cited), events[-1], thoughts


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_every_stream_adds_up_to_the_same_answer_in_both_dialects(wire):
    def streams(recording):
        events = events_of(recording.answer, recording.wire, recording.row)
        if isinstance(events[-1], Broken):
            assert isinstance(events[-1].error, ProviderError)
            assert b"".join(map(DIALECT[wire].stream(WITH_USAGE, A_JOB, b"").feed, events[:-1])) is not None
            return f"ends with {type(events[-1].error).__name__}"
        renderer = DIALECT[wire].stream(WITH_USAGE, A_JOB, b"")
        again = events_of(b"".join(map(renderer.feed, events)), wire)
        words, end, _ = gathered(events)
        words_again, end_again, _ = gathered(again)
        assert words_again == words
        assert end_again.stop_reason == narrowed(end.stop_reason, words[1], wire)
        assert totals(end_again.usage) == totals(end.usage)
        return same(words)

    report(failures(streams, [r for r in recordings() if r.answered and r.streamed]))


def test_every_same_wire_stream_is_relayed_to_its_end():
    def relayed(recording):
        adapter, row = ADAPTERS[recording.wire], recording.row
        tap, reader, out = adapter.tap(row, A_JOB, b'{"stream_options":{"include_usage":true}}'), adapter.reader(), b""
        body = recording.answer.replace(b"\r\n", b"\n")
        try:
            for frame in [*reader.feed(recording.answer), *reader.close()]:
                out += tap.feed(frame)
        except ProviderError as error:
            return f"ends with {type(error).__name__}"
        assert out.split() == body.split()
        return "to its end" if tap.finished else "cut as recorded"

    report(failures(relayed, [r for r in recordings() if r.wire in DIALECT and r.answered and r.streamed]))


def test_every_recorded_refusal_becomes_an_error_both_dialects_can_tell():
    refused = [r for r in recordings() if (r.response_status or 0) >= 400]
    for recording in refused:
        headers = recording.response_headers or {}
        error = ADAPTERS[recording.wire].error(recording.row, recording.response_status, headers, recording.answer)
        assert isinstance(error, ProviderError)
        for dialect in DIALECTS.values():
            assert 400 <= dialect.error_status(error) < 600
            assert "message" in json.loads(dialect.render_error(error, "req_1"))["error"]
    COUNTS.append(f"replayed, refusals: {len(refused)} recordings")
    assert refused
    assert issubclass(ProviderError, GatewayError)
