"""Jobs as `/v1/jobs` shows them."""

import json

import msgspec
import pytest

from api.job_views import Page, job_object, listing, read_page
from shared.dialects import DIALECTS
from shared.errors import Expired, InvalidRequest
from shared.failures import Failure
from shared.job_index import Cursor, Standing, Waiting
from shared.jobs import Attempt, Job, Outcome, State
from shared.lanes import Lane

AT_MS = 1_794_500_000_007
AT = "2026-11-12T16:13:20.007Z"
JOB = Job(
    id="6f0dd3ba-2c7b-4f2e-9a0e-0d5f4f2a5a11",
    owner="anonymous",
    dialect="anthropic",
    operation="chat",
    model="claude",
    request_id="req_1",
    created_ms=AT_MS,
    ttl_s=60,
    deadline_ms=AT_MS + 1000,
    lane=Lane.ASYNC,
)
FAILED = Attempt(
    number=1,
    target="anthropic/claude",
    key="main",
    started_ms=AT_MS + 10,
    ended_ms=AT_MS + 20,
    failure=Failure(kind="Overloaded", message="Overloaded.", provider="anthropic", upstream_status=529),
    then="retry",
)
SERVED = Attempt(number=2, target="anthropic/claude", key="spare", started_ms=AT_MS + 30, ended_ms=AT_MS + 40)


def shown(**facts) -> dict:
    return json.loads(job_object(Standing(job=JOB, **facts)))


def test_what_a_job_cost_is_shown_in_dollars_when_it_is_known():
    assert shown(state=State.SUCCEEDED, outcome=Outcome(status=200, cost=3_500_000))["cost_usd"] == 0.0035
    assert shown(state=State.SUCCEEDED, outcome=Outcome(status=200))["cost_usd"] is None


def test_a_finished_job_is_shown_with_its_times_and_attempts():
    job = shown(state=State.SUCCEEDED, attempts=(FAILED, SERVED), started_ms=AT_MS + 5, ended_ms=AT_MS + 1993)
    assert job == {
        "id": JOB.id,
        "object": "job",
        "status": "succeeded",
        "lane": "async",
        "operation": "chat",
        "dialect": "anthropic",
        "model": "claude",
        "created_at": "2026-11-12T16:13:20.007Z",
        "started_at": "2026-11-12T16:13:20.012Z",
        "completed_at": "2026-11-12T16:13:22.000Z",
        "expires_at": "2026-11-12T16:14:22.000Z",
        "attempts": [
            {
                "number": 1,
                "target": "anthropic/claude",
                "key": "main",
                "started_at": "2026-11-12T16:13:20.017Z",
                "ended_at": "2026-11-12T16:13:20.027Z",
                "reason": {"kind": "Overloaded", "upstream_status": 529, "message": "Overloaded."},
                "decision": "retry",
            },
            {
                "number": 2,
                "target": "anthropic/claude",
                "key": "spare",
                "started_at": "2026-11-12T16:13:20.037Z",
                "ended_at": "2026-11-12T16:13:20.047Z",
                "reason": None,
                "decision": None,
            },
        ],
        "waiting": None,
        "error": None,
        "cost_usd": None,
        "cached": False,
    }


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (Waiting(position=3), {"reason": "in_line", "position": 3, "until": None, "target": None}),
        (Waiting(), {"reason": "in_line", "position": None, "until": None, "target": None}),
        (Waiting(position=1, capped=True), {"reason": "running_cap", "position": 1, "until": None, "target": None}),
        (Waiting(due_ms=AT_MS), {"reason": "deferred", "position": None, "until": AT, "target": None}),
        (
            Waiting(due_ms=AT_MS, why="rate_limited openai/gpt 4o"),
            {"reason": "rate_limited", "position": None, "until": AT, "target": "openai/gpt 4o"},
        ),
    ],
    ids=["in line", "far back in line", "behind its owner's cap", "put off", "put off for a limit"],
)
def test_a_queued_job_says_why_it_waits(waiting, expected):
    job = shown(state=State.QUEUED, waiting=waiting)
    assert job["waiting"] == expected
    assert (job["started_at"], job["completed_at"], job["expires_at"]) == (None, None, None)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_failed_job_says_why_in_the_words_of_its_surface(dialect):
    body = dialect.render_error(Expired("Too late.", code="expired"), "req_1")
    job = shown(state=State.EXPIRED, outcome=Outcome(status=504, body=body))
    assert job["error"] == json.loads(body)["error"]
    assert job["error"]["message"] == "Too late."


def test_a_failed_job_without_a_body_is_shown():
    assert shown(state=State.FAILED, outcome=Outcome(status=500))["error"] is None


def test_a_page_ends_before_the_one_that_shows_that_there_is_more():
    standings = [
        Standing(job=msgspec.structs.replace(JOB, created_ms=AT_MS - number), state=State.QUEUED) for number in range(3)
    ]
    page = json.loads(listing(standings, 2))
    assert (len(page["data"]), page["has_more"]) == (2, True)
    assert read_page({"after": page["next"]}).after == Cursor(AT_MS - 1, JOB.id)
    last = json.loads(listing(standings, 3))
    assert (len(last["data"]), last["has_more"], last["next"]) == (3, False, None)
    assert json.loads(listing([], 20)) == {"object": "list", "data": [], "has_more": False, "next": None}


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({}, Page(20, None, None)),
        ({"limit": "1", "status": "running"}, Page(1, None, State.RUNNING)),
        ({"limit": "100", "after": f"12_{JOB.id}"}, Page(100, Cursor(12, JOB.id), None)),
    ],
)
def test_the_query_of_a_listing(query, page):
    assert read_page(query) == page


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "101", "-1", "", "x", "1.0", "9" * 5000, "٣")),
        *(("after", value) for value in ("", JOB.id, "x_" + JOB.id, "12_", "12_" + JOB.id + "x")),
        *(("status", value) for value in ("", "pending", "QUEUED")),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused_by_name(name, value):
    with pytest.raises(InvalidRequest, match=name) as caught:
        read_page({name: value})
    assert caught.value.param == name
