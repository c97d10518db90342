"""Real requests to `/responses`: the head of each is read, and the whole is understood or refused by a field's name."""

import functools
import json
from collections import Counter

import msgspec
import pytest

from shared.chat import Foreign
from shared.dialects.openai_responses.history import continued, read_input
from shared.dialects.openai_responses.request import parse, read_head
from shared.dialects.openai_responses.resource import input_items
from shared.errors import InvalidRequest, Unsupported
from tests.replay.recordings import COUNTS, FOLDER, Recording
from worker.providers.catalog import ROWS, adapters

COUNTED = "/responses/input_tokens"
ADAPTERS = adapters()
TARGETS = {"anthropic": ROWS["anthropic"], "openai_chat": ROWS["openai"]}


@functools.cache
def asked() -> tuple[tuple[str, Recording], ...]:
    """Every recorded request that a route of ours would take, with its operation."""
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings: {FOLDER} is absent")
    found = []
    for line in (FOLDER / "index.jsonl").read_bytes().splitlines():
        entry = json.loads(line)
        if entry["kind"] not in {"responses", "responses_aux"}:
            continue
        data = (FOLDER / entry["file"]).read_bytes()
        recording = msgspec.json.decode(data, type=Recording)
        url = json.loads(data)["endpoint"]["url"].partition("?")[0]
        counts = url.endswith(COUNTED)
        if recording.question not in {b"", b"null"} and (counts or entry["kind"] == "responses"):
            found.append(("count_tokens" if counts else "chat", recording))
    assert len(found) > 300
    return tuple(found)


def counted(check):
    """Run `check` over all; what it says is counted and printed, what it raises fails with the recording's id."""
    said, failed = Counter(), {}
    for operation, recording in asked():
        try:
            said[check(operation, recording)] += 1
        except Exception as error:  # noqa: BLE001 - collected and asserted on
            failed[f"{recording.provider} {recording.id}"] = f"{type(error).__name__}: {error}"[:300]
    COUNTS.append(f"replayed, responses {check.__name__}: {said.total()} recordings {dict(said.most_common())}")
    assert not failed, "\n".join(f"{name}: {why}" for name, why in list(failed.items())[:20])


def place(param):
    return param.split(".")[0].split("[")[0]


def test_every_head_is_read_or_names_what_is_missing():
    def read(operation, recording):
        fields = json.loads(recording.question)
        try:
            head = read_head(recording.question, operation)
        except InvalidRequest as refusal:
            assert refusal.param == "model"
            assert "model" not in fields  # it is in the stored prompt, which only its owner can look into
            return "refused: no model"
        assert head.model == fields["model"]
        assert head.stream is fields.get("stream", False)
        assert head.store is (operation == "chat" and fields.get("store", True))
        assert head.previous == (fields.get("previous_response_id") or "")
        return "read"

    counted(read)


def test_every_request_is_understood_or_refused_by_the_name_of_its_field():
    def understood(_, recording):
        try:
            request = parse(recording.question, "m")
        except InvalidRequest as refusal:
            assert refusal.param
            assert not recording.answered, refusal.message
            return f"refused: {place(refusal.param)}"
        fields = json.loads(recording.question)
        parts = [part for turn in request.messages for part in turn.content]
        strange = [*request.foreign, *(part for part in (*parts, *request.tools) if isinstance(part, Foreign))]
        assert not any(place(field.path) not in fields for field in strange)
        assert set(request.paths.values()) >= {field.path for field in parts if isinstance(field, Foreign)}
        return "understood in part" if strange else "understood"

    counted(understood)


@pytest.mark.parametrize("wire", TARGETS)
def test_every_request_reaches_a_provider_of_another_wire_or_is_refused_by_the_name_of_its_field(wire):
    def rendered(_, recording):
        try:
            request = parse(recording.question, "m")
            body = ADAPTERS[wire].render(request, TARGETS[wire]).body
        except (Unsupported, InvalidRequest) as refusal:
            assert refusal.param, refusal.message
            assert place(refusal.param) in json.loads(recording.question), refusal.message
            return f"refused: {place(refusal.param)}"
        assert json.loads(body)["model"] == "m"
        return f"to {wire}"

    counted(rendered)


def test_every_conversation_is_continued_and_listed():
    def continues(operation, recording):
        if operation != "chat" or not recording.answered or recording.streamed:
            return "no plain answer"
        output = json.loads(recording.answer)["output"]
        made = continued(b'{"model":"m","input":"and?"}', recording.question, recording.answer)
        items = json.loads(made)["input"]
        before = len(read_input(recording.question))
        assert items[-1]["content"] == "and?"
        assert [item for item in items[before:-1] if item not in output] == []
        left_out = [item for item in output if item not in items]
        assert {item["type"] for item in left_out} <= {"reasoning"}
        parse(made, "m")
        listed = json.loads(input_items(made, {"limit": "100"}))
        assert len(listed["data"]) == min(len(items), 100)
        assert all(item["id"] and item["type"] for item in listed["data"])
        return "without unreadable reasoning" if left_out else "whole"

    counted(continues)
