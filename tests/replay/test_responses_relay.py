"""Recorded Responses traffic of OpenAI and Azure through the pass-through: only what is the gateway's own changes."""

import functools
import json

import msgspec
import pytest

from shared.errors import AuthFailed, ProviderError, RateLimited, Rejected
from shared.sse import FrameReader
from shared.wire.openai_chat import NULL
from tests.made import a_job
from tests.replay.recordings import COUNTS, FOLDER, Recording
from tests.replay.test_recordings import failures, report
from worker.providers.catalog import ROWS, relays

WIRE = relays()["openai_responses"]
JOB = a_job(dialect="openai_responses")
LABELS = {"id", "previous_response_id", "store", "background"}

FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


@functools.cache
def responses() -> tuple[Recording, ...]:
    """Every recording of the wire by a provider whose row passes it through."""
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings: {FOLDER} is absent")
    lines = [
        line
        for index in (FOLDER / "index.jsonl", FOLDER / "_responses_only" / "index.jsonl")
        for line in index.read_bytes().splitlines()
    ]
    chosen = [entry for entry in map(json.loads, lines) if entry["kind"] == "responses"]
    found = tuple(
        msgspec.json.decode((FOLDER / entry["file"]).read_bytes(), type=Recording)
        for entry in chosen
        if entry["provider"] in ROWS and "openai_responses" in ROWS[entry["provider"]].relays
    )
    assert found
    return found


def pieces(raw):
    return {name: bytes(value) for name, value in FIELDS.decode(raw).items()}


def reasons(model):
    """Known by name; an Azure deployment may be called anything."""
    return model.startswith(("gpt-5", "gpt-6", "o3", "o4")) and "-chat" not in model


def test_every_request_keeps_the_bytes_of_all_fields_but_the_gateways_own():
    def edits(recording):
        asked = pieces(recording.question)
        model = json.loads(asked.pop("model", b'"gpt-4o"'))
        sent = pieces(WIRE.edit(recording.question, ROWS[recording.provider], f"renamed/{model}"))
        assert json.loads(sent.pop("model")) == f"renamed/{model}"
        assert sent.pop("store") == b"false"
        stored = asked.pop("store", b"null") != b"false"
        for name in ("previous_response_id", "background"):
            assert name not in sent
            asked.pop(name, None)
        include = json.loads(asked.get("include", b"null")) or []
        if stored and reasons(model) and "reasoning.encrypted_content" not in include:
            assert json.loads(sent.pop("include")) == [*include, "reasoning.encrypted_content"]
            asked.pop("include", None)
        if sent == asked:
            return "byte for byte"
        return without_unsealed(asked, sent)

    def without_unsealed(asked, sent):
        """Only reasoning that lies in the provider's store was left out, and with it the ids that ask for it."""
        items, kept = json.loads(asked.pop("input")), json.loads(sent.pop("input"))
        assert sent == asked
        expected = [item for item in items if item.get("type") != "reasoning" or item.get("encrypted_content")]
        assert len(kept) == len(expected) < len(items)
        for item, one in zip(expected, kept, strict=True):
            assert one in (item, {name: value for name, value in item.items() if name != "id"})
        return "without reasoning that is stored elsewhere"

    report(failures(edits, [r for r in responses() if r.question and r.question != b"null"]))


def check_relabelled(ours, theirs):
    """Both are bytes of a response object; nothing but the labels differs."""
    theirs, ours = pieces(theirs), pieces(ours)
    assert ours["id"] == b'"resp_6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"'
    assert {**theirs, **{name: ours[name] for name in LABELS}} == ours


def check_counted(usage, answer):
    """The recorded figures, counted OpenAI's way."""
    found = answer["usage"]
    assert usage.known
    assert usage.total_input_tokens == found["input_tokens"]
    assert usage.output_tokens == found["output_tokens"]
    assert usage.cache_read_tokens == found["input_tokens_details"]["cached_tokens"]
    assert usage.reasoning_tokens == found["output_tokens_details"]["reasoning_tokens"]


def test_every_plain_answer_changes_only_its_labels():
    def relabels(recording):
        answer = json.loads(recording.answer)
        if answer.get("object") != "response":
            with pytest.raises(msgspec.DecodeError):
                WIRE.relabel(recording.answer, JOB, b"{}")
            return "not a response"
        check_relabelled(WIRE.relabel(recording.answer, JOB, recording.question or b"{}"), recording.answer)
        if answer["status"] == "queued":
            assert not WIRE.usage(recording.answer).known
            return "queued"
        check_counted(WIRE.usage(recording.answer), answer)
        return "relabelled"

    report(failures(relabels, [r for r in responses() if r.answered and not r.streamed]))


def check_frame(relayed, frame):
    """A frame as it came, or with nothing but its response relabelled."""
    response = {} if frame.data == b"[DONE]" else json.loads(frame.data).get("response")
    if not response:
        assert relayed == frame.raw
        return
    [again] = FrameReader().feed(relayed)
    assert again.event == frame.event
    ours, theirs = pieces(again.data), pieces(frame.data)
    check_relabelled(ours.pop("response"), theirs.pop("response"))
    assert ours == theirs


def test_every_stream_is_relayed_frame_by_frame_to_its_end():
    def taps(recording):
        tap = WIRE.tap(ROWS[recording.provider], JOB, recording.question or b"{}")
        reader = FrameReader()
        frames = [*reader.feed(recording.answer), *reader.close()]
        for frame in frames:
            try:
                relayed = tap.feed(frame)
            except RateLimited:
                assert frame.event == "error"
                assert not tap.finished
                return "ends with RateLimited"
            check_frame(relayed, frame)
        if not tap.finished:
            assert b"response.completed" not in recording.answer
            return "not a responses stream"
        last = next(frame for frame in reversed(frames) if b'"response"' in frame.data)
        check_relabelled(tap.final, FIELDS.decode(last.data)["response"])
        check_counted(tap.usage, json.loads(last.data)["response"])
        return "to its end"

    report(failures(taps, [r for r in responses() if r.answered and r.streamed]))


def test_every_recorded_refusal_is_the_error_of_its_status():
    kinds = {400: Rejected, 401: AuthFailed, 429: RateLimited}
    refused = [r for r in responses() if not r.streamed and FIELDS.decode(r.answer).get("error", NULL) != NULL]
    for recording in refused:
        status = recording.response_status or 429  # the one without a status is about a quota
        error = WIRE.error(ROWS[recording.provider], status, {}, recording.answer)
        assert isinstance(error, ProviderError)
        assert type(error) is kinds[status], recording.id
        said = json.loads(recording.answer)["error"]
        assert said["message"][:20] in error.message
        assert (error.param, error.code) == (said["param"], said["code"])
    COUNTS.append(f"replayed, refusals of responses: {len(refused)} recordings")
    assert len(refused) > 5
