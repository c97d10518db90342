"""Batches as the surfaces show them, in every state; and what a listing may be asked for."""

import json
import uuid

import pytest
from anthropic.types.messages import MessageBatch
from openai.types import Batch as OpenAIBatch

from api import batch_views as views
from api.batch_views import Page, read_page
from shared.batches import Batch, BatchState, Counts, Progress, Spent
from shared.errors import InvalidRequest

ID, FILE, OLD = str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=3))
CREATED = 1_763_700_000_123


def a_batch(**facts):
    usual = {
        "id": ID,
        "owner": "anonymous",
        "surface": "openai",
        "dialect": "openai_chat",
        "provider": "openai",
        "total": 10,
        "shards": 1,
        "created_ms": CREATED,
        "endpoint": "/v1/chat/completions",
    }
    return Batch(**usual | facts)


def at(state, counts=(), batch=None, **facts):
    return Progress(batch=batch or a_batch(), state=BatchState(state), counts=Counts(*counts), **facts)


def as_json(value):
    return json.loads(views._list([value], more=False))["data"][0]


NOTHING = {
    "cost_usd": 0.0,
    "saved_usd": 0.0,
    "unpriced": 0,
    "native": 0,
    "direct": 0,
    "usage": {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    },
}

STATES = [
    ("validating", {}, "in_progress", "validating"),
    ("in_progress", {"started_ms": 1}, "in_progress", "in_progress"),
    ("finalizing", {"finalizing_ms": 1}, "in_progress", "finalizing"),
    ("cancelling", {"cancelling_ms": 1}, "canceling", "cancelling"),
    ("finalizing", {"cancelling_ms": 1, "finalizing_ms": 2}, "canceling", "cancelling"),
    ("cancelled", {"cancelling_ms": 1, "ended_ms": 3}, "ended", "cancelled"),
    ("completed", {"ended_ms": 3}, "ended", "completed"),
    ("completed", {"cancelling_ms": 1, "ended_ms": 3}, "ended", "completed"),
    ("expired", {"ended_ms": 3}, "ended", "expired"),
    ("failed", {"ended_ms": 3}, "ended", "failed"),
]


def test_every_state_is_in_the_table():
    assert {state for state, *_ in STATES} == {*BatchState}


@pytest.mark.parametrize(("state", "times", "anthropic", "openai"), STATES)
def test_a_state_is_one_of_each_vendors_words(state, times, anthropic, openai):
    progress = at(state, **times)
    assert as_json(views.anthropic_batch(progress, None))["processing_status"] == anthropic
    assert as_json(views.openai_batch(progress))["status"] == openai


@pytest.mark.parametrize("counts", [(), (1,), (1, 2), (1, 2, 3, 4), (0, 0, 10), (10,)])
def test_counts_sum_to_the_total_whatever_has_ended(counts):
    progress = at("in_progress", counts)
    shown = views.anthropic_batch(progress, None)["request_counts"]
    assert sum(shown.values()) == 10
    other = views.openai_batch(progress)["request_counts"]
    assert other.pop("total") == sum(other.values()) == 10
    assert (other["completed"], other["failed"]) == (shown["succeeded"], shown["errored"])


def test_an_anthropic_batch_has_all_fields_of_its_api():
    shown = as_json(views.anthropic_batch(at("in_progress", (1, 2)), None))
    assert shown == {
        "id": "msgbatch_00000000000000000000000000000001",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {"processing": 7, "succeeded": 1, "errored": 2, "canceled": 0, "expired": 0},
        "created_at": "2025-11-21T04:40:00.123Z",
        "expires_at": "2025-11-22T04:40:00.123Z",
        "ended_at": None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": None,
        "retry_of": None,
        "spent": NOTHING,
    }


@pytest.mark.parametrize(
    ("public_url", "base"), [(None, ""), ("https://gw.example/llm", "https://gw.example/llm/anthropic")]
)
def test_results_have_a_url_once_there_are_results_and_never_anothers(public_url, base):
    assert views.anthropic_batch(at("finalizing"), public_url)["results_url"] is None
    shown = views.anthropic_batch(at("completed", (10,), ended_ms=CREATED + 1000, cancelling_ms=CREATED), public_url)
    assert shown["results_url"] == f"{base}/v1/messages/batches/{shown['id']}/results"
    assert (shown["ended_at"], shown["cancel_initiated_at"]) == ("2025-11-21T04:40:01.123Z", "2025-11-21T04:40:00.123Z")


def test_an_openai_batch_has_all_fields_of_its_api():
    batch = a_batch(input_file=FILE, metadata={"a": "b"}, retry_of=OLD)
    progress = at(
        "completed",
        (9, 1),
        batch,
        started_ms=CREATED + 1000,
        finalizing_ms=CREATED + 2000,
        ended_ms=CREATED + 3000,
        output_file=OLD,
    )
    assert as_json(views.openai_batch(progress)) == {
        "id": "batch_00000000000000000000000000000001",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": None,
        "errors": None,
        "input_file_id": "file-00000000000000000000000000000002",
        "completion_window": "24h",
        "status": "completed",
        "output_file_id": "file-00000000000000000000000000000003",
        "error_file_id": None,
        "created_at": 1_763_700_000,
        "in_progress_at": 1_763_700_001,
        "expires_at": 1_763_786_400,
        "finalizing_at": 1_763_700_002,
        "completed_at": 1_763_700_003,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {
            "total": 10,
            "completed": 9,
            "failed": 1,
            "canceled": 0,
            "expired": 0,
            "processing": 0,
        },
        "metadata": {"a": "b"},
        "usage": None,
        "retry_of": "batch_00000000000000000000000000000003",
        "spent": NOTHING,
    }


SPENT = Spent(
    native=6, direct=2, unpriced=3, cost=1_200_000, saved=1_000_000, input=90, cached=40, output=10, reasoning=4
)
USAGE = {
    "input_tokens": 90,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 100,
}


def test_both_surfaces_tell_what_a_batch_has_cost_and_the_vendors_sdks_take_it():
    progress = at("in_progress", (8,), spent=SPENT)
    for shown in (views.anthropic_batch(progress, None), views.openai_batch(progress)):
        assert shown["spent"] == {
            "cost_usd": 0.0012,
            "saved_usd": 0.001,
            "unpriced": 3,
            "native": 6,
            "direct": 2,
            "usage": USAGE,
        }
    assert MessageBatch.model_validate(as_json(views.anthropic_batch(progress, None)), strict=False).id
    read = OpenAIBatch.model_validate(as_json(views.openai_batch(progress)))
    assert read.usage is not None
    assert (read.usage.total_tokens, read.usage.input_tokens_details.cached_tokens) == (100, 40)


@pytest.mark.parametrize(
    ("spent", "cost_usd"),
    [(Spent(), 0), (Spent(direct=2, unpriced=2), None), (Spent(direct=2, unpriced=1, cost=10**9), 1.0)],
)
def test_what_is_not_known_is_not_said_to_cost_nothing(spent, cost_usd):
    assert views.openai_batch(at("completed", spent=spent, ended_ms=1))["spent"]["cost_usd"] == cost_usd


@pytest.mark.parametrize("state", ["completed", "failed", "expired", "cancelled"])
def test_the_end_has_its_time_under_its_own_name_only(state):
    shown = views.openai_batch(at(state, ended_ms=CREATED))
    ends = {name: shown[name] for name in ("completed_at", "failed_at", "expired_at", "cancelled_at")}
    assert {name: value for name, value in ends.items() if value} == {f"{state}_at": CREATED // 1000}


def rows(count):
    return [at("completed", batch=a_batch(id=str(uuid.UUID(int=number + 1)))) for number in range(count)]


def test_a_page_shows_what_is_next_to_its_cursor_and_says_whether_there_is_more():
    ids = [views.openai_id(row.batch.id) for row in rows(3)]
    for found, page, shown, more in (
        (rows(3), Page(2), ids[:2], True),
        (rows(2), Page(2), ids[:2], False),
        (rows(3), Page(2, "x", "before_id", newer=True), ids[1:], True),
        (rows(1), Page(2, "x", "before_id", newer=True), ids[:1], False),
        ([], Page(2), [], False),
    ):
        listed = json.loads(views.openai_list(found, page))
        assert (listed["object"], [one["id"] for one in listed["data"]], listed["has_more"]) == ("list", shown, more)
        ends = (shown[0], shown[-1]) if shown else (None, None)
        assert (listed["first_id"], listed["last_id"]) == ends
        other = json.loads(views.anthropic_list(found, page, None))
        assert [one["id"].removeprefix("msg") for one in other["data"]] == shown
        assert other["has_more"] == more


def test_a_query_names_a_page():
    def page(**query):
        return read_page(query, most=100, after="after_id", before="before_id")

    assert page() == Page(20)
    assert page(limit="100", after_id="a") == Page(100, "a", "after_id")
    assert page(before_id="b", after_id="") == Page(20, "b", "before_id", newer=True)
    assert read_page({"after": "a", "before_id": "b"}, most=100, after="after") == Page(20, "a", "after")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "", "x", "1.5", "1" * 30, "٣"])
def test_a_limit_out_of_range_is_a_400(limit):
    with pytest.raises(InvalidRequest) as refused:
        read_page({"limit": limit}, most=100, after="after")
    assert refused.value.param == "limit"
