"""What a gateway tells of batches and jobs, as the commands read it and show it."""

import json
from typing import Any

import pytest

from api.batch_views import anthropic_batch, openai_batch
from deploy.client.batch_status import Status, path_of, status_of
from deploy.client.job_teller import answer_text, text_delta
from deploy.client.texts import fields, plain, table
from deploy.client.watch import WINDOW_S, Speed
from shared.batches import BatchState, Counts, Spent
from tests.unit.client_peer import a_progress


def seen(surface: str, state: BatchState, **facts: Any) -> Status:
    progress = a_progress(surface, state, **facts)
    return status_of(anthropic_batch(progress, None) if surface == "anthropic" else openai_batch(progress))


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
def test_both_surfaces_batches_are_read_alike(surface):
    counts = Counts(succeeded=4, errored=3, canceled=2, expired=1)
    status = seen(
        surface, BatchState.CANCELLED, counts=counts, cancelling_ms=1_700_000_001_000, ended_ms=1_700_000_002_000
    )
    assert status.counts == "4 succeeded, 3 errored, 2 canceled, 1 expired"
    assert (status.done, status.total, status.ended, status.cancelled) == (10, 10, True, True)
    assert status.created == "2023-11-14T22:13:20.000Z"
    assert status.finished == "2023-11-14T22:13:22.000Z"
    assert path_of(status.id).endswith(f"batches/{status.id}")
    assert path_of(status.retry_of or "").endswith("2f1f7f0b7a11")


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("state", "counts", "ended", "all_succeeded"),
    [
        (BatchState.VALIDATING, Counts(), False, False),
        (BatchState.IN_PROGRESS, Counts(succeeded=10), False, False),
        (BatchState.FINALIZING, Counts(succeeded=10), False, False),
        (BatchState.COMPLETED, Counts(succeeded=10), True, True),
        (BatchState.COMPLETED, Counts(succeeded=9, errored=1), True, False),
        (BatchState.EXPIRED, Counts(succeeded=9, expired=1), True, False),
    ],
)
def test_only_a_batch_without_a_failure_is_a_success(surface, state, counts, ended, all_succeeded):
    status = seen(surface, state, counts=counts, ended_ms=1 if ended else None)
    assert (status.ended, status.all_succeeded) == (ended, all_succeeded)


@pytest.mark.parametrize("surface", ["anthropic", "openai"])
@pytest.mark.parametrize(
    ("spent", "price"),
    [
        (Spent(native=2, cost=12_000_000, saved=12_000_000), "$0.0120, saved $0.0120"),
        (Spent(direct=2, cost=12_000_000), "$0.0120"),
        (Spent(direct=3, unpriced=1, cost=12_000_000), "$0.0120, 1 requests of unknown cost"),
        (Spent(direct=3, unpriced=3), "unknown (3 requests)"),
    ],
)
def test_what_a_batch_has_cost_is_told_with_what_is_not_known(surface, spent, price):
    status = seen(surface, BatchState.COMPLETED, counts=Counts(succeeded=10), ended_ms=1, spent=spent)
    assert (status.price, status.native) == (price, spent.native)


def test_a_gateway_that_tells_no_cost_is_believed():
    told = anthropic_batch(a_progress("anthropic", BatchState.IN_PROGRESS), None)
    del told["spent"]
    assert status_of(told).price is None


def test_speed_is_that_of_the_last_seconds():
    speed = Speed()
    speed.note(100.0, 0)
    assert speed.per_s == 0
    speed.note(102.0, 50)
    assert speed.per_s == 25
    speed.note(100.0 + WINDOW_S + 1, 50)
    assert speed.per_s == 0


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}, "a"),
        ({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}}, ""),
        ({"type": "response.output_text.delta", "delta": "a"}, "a"),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, ""),
        ({"choices": [{"index": 0, "delta": {"content": "a"}}]}, "a"),
        ({"choices": [{"index": 0, "delta": {"content": None}}]}, ""),
        ({"choices": []}, ""),
        (None, ""),
    ],
)
def test_the_text_of_a_stream_is_found_on_every_surface(data, text):
    assert text_delta(data) == text


SAID = {"type": "text", "text": "a"}
WRITTEN = {"type": "message", "content": [{"type": "output_text", "text": "a"}]}
CALLED = {"type": "tool_use", "name": "weather", "input": {}}


@pytest.mark.parametrize(
    "body",
    [
        {"content": [SAID]},
        {"content": [{"type": "thinking", "thinking": "hm"}, SAID]},
        {"choices": [{"message": {"content": "a"}}]},
        {"output": [WRITTEN]},
        {"output": [{"type": "reasoning", "summary": []}, WRITTEN]},
    ],
)
def test_the_text_of_an_answer_is_found_on_every_surface(body):
    assert answer_text(body) == "a"


@pytest.mark.parametrize(
    "body",
    [
        {"content": [SAID, CALLED]},
        {"content": []},
        {"choices": [{"message": {"content": "a", "tool_calls": [{"id": "1"}]}}]},
        {"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]},
        {"output": [{"type": "function_call", "name": "weather"}]},
        {"object": "list", "data": [{"embedding": [0.5]}]},
    ],
)
def test_an_answer_that_is_more_than_text_is_shown_as_it_is(body):
    assert json.loads(answer_text(body)) == body


def test_tables_align_and_what_is_missing_is_a_dash():
    assert table(("ID", "N"), [("abc", 0), (None, "")]) == "ID   N\nabc  0\n-    -"
    assert fields([("id", "a"), ("status", 1), ("error", None)]) == "id      a\nstatus  1"


def test_what_others_wrote_cannot_steer_the_terminal():
    assert plain("a\x1b[2J\x07\x9bb\tc\nd\u2028é") == "a[2Jb\tc\nd\u2028é"
    assert "\x1b" not in table(("ID",), [("\x1b[31m",)]) + fields([("error", "\x1b[31m")])
