"""Lines of results in the shape of each surface, and their order."""

import json

import msgspec
import pytest

from shared.batch_lines import answered
from shared.batches import Batch, Ending, Item
from shared.jobs import Outcome
from worker.results import assemble, unrun

UUID = "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11"
HEX = "6f0d2c1e8f5b4e0a9d532f1f7f0b7a11"
REQUEST = "req_6f0d2c1e8f5b4e0a9d532f1f"


def a_batch(surface):
    return Batch(id=UUID, owner="me", surface=surface, dialect="d", provider="p", total=1, shards=1, created_ms=1_000)


def an_item(custom_id="first"):
    return Item(0, custom_id, msgspec.Raw(b"{}"))


def line(surface, status, body, custom_id="first"):
    outcome = Outcome(status=status, body=body)
    ending, written = answered(a_batch(surface), an_item(custom_id), UUID, REQUEST, outcome)
    assert (written.count(b"\n"), written[-1:], b"\r" in written) == (1, b"\n", False)
    return ending, json.loads(written)


def test_an_anthropic_result_holds_the_message():
    message = {"type": "message", "content": []}
    ending, written = line("anthropic", 200, json.dumps(message).encode())
    assert ending is Ending.SUCCEEDED
    assert written == {"custom_id": "first", "result": {"type": "succeeded", "message": message}}


def test_an_anthropic_error_stands_whole_in_its_result():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}, "request_id": REQUEST}
    ending, written = line("anthropic", 529, json.dumps(error).encode())
    assert ending is Ending.ERRORED
    assert written == {"custom_id": "first", "result": {"type": "errored", "error": error}}


@pytest.mark.parametrize(("status", "expected"), [(200, Ending.SUCCEEDED), (400, Ending.ERRORED)])
def test_an_openai_line_holds_status_request_id_and_body(status, expected):
    ending, written = line("openai", status, b'{"a":1}')
    assert ending is expected
    response = {"status_code": status, "request_id": REQUEST, "body": {"a": 1}}
    assert written == {"id": f"batch_req_{HEX}", "custom_id": "first", "response": response, "error": None}


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
def test_an_answer_printed_over_several_lines_becomes_one_line_and_means_the_same(surface):
    body = {"text": 'two\nlines, "quoted"', "list": [1, 2]}
    _, written = line(surface, 200, json.dumps(body, indent=2).replace("\n", "\r\n").encode())
    found = written["result"]["message"] if surface == "anthropic" else written["response"]["body"]
    assert found == body


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
@pytest.mark.parametrize("status", [200, 400])
def test_what_pythons_splitlines_cuts_at_is_written_out(surface, status):
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei\rj\nkÂà\u2027\u202al"
    body = msgspec.json.encode({"text": text})
    outcome = Outcome(status=status, body=body)
    for written in (
        answered(a_batch(surface), an_item(text), UUID, REQUEST, outcome)[1],
        unrun(a_batch(surface), an_item(text), UUID, Ending.CANCELED),
    ):
        [only] = written.decode().splitlines()
        assert json.loads(only)["custom_id"] == text
    _, read = line(surface, status, body)
    held = "error" if status == 400 else "message"
    assert (read["result"][held] if surface == "anthropic" else read["response"]["body"]) == {"text": text}


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
@pytest.mark.parametrize("custom_id", ['"', "\\", "ä\u2028\n", "%b %d"])
def test_any_custom_id_comes_back_as_it_was(surface, custom_id):
    _, written = line(surface, 200, b"{}", custom_id)
    assert written["custom_id"] == custom_id
    written = json.loads(unrun(a_batch(surface), an_item(custom_id), UUID, Ending.CANCELED))
    assert written["custom_id"] == custom_id


@pytest.mark.parametrize(("ending", "code"), [(Ending.CANCELED, "batch_cancelled"), (Ending.EXPIRED, "batch_expired")])
def test_an_item_that_was_not_run_says_why(ending, code):
    written = unrun(a_batch("anthropic"), an_item(), UUID, ending)
    assert json.loads(written) == {"custom_id": "first", "result": {"type": ending.value}}
    written = unrun(a_batch("openai"), an_item(), UUID, ending)
    assert written.endswith(b"\n")
    shown = json.loads(written)
    assert (shown["id"], shown["response"], shown["error"]["code"]) == (f"batch_req_{HEX}", None, code)
    assert shown["error"]["message"].endswith(".")


def test_a_shards_lines_are_sorted_by_kind_and_then_as_they_were_submitted():
    results = {
        10: (Ending.SUCCEEDED, b"10\n"),
        2: (Ending.SUCCEEDED, b"2\n"),
        3: (Ending.EXPIRED, b"3\n"),
        1: (Ending.ERRORED, b"1\n"),
        0: (Ending.CANCELED, b"0\n"),
    }
    assert assemble(results) == (b"2\n10\n", b"0\n1\n3\n")
    assert assemble({}) == (b"", b"")
