import json

import pytest

from api.answers import finished, read
from shared.dialects import DIALECTS
from shared.dialects.base import Dialect
from shared.jobs import Job, Outcome, State


def a_job(dialect: Dialect) -> Job:
    return Job(
        id="1", owner="o", dialect=dialect.name, operation="chat", model="m", request_id="r", created_ms=0, ttl_s=1,
        deadline_ms=1,
    )  # fmt: skip


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))
@pytest.mark.parametrize(
    ("status", "said", "state"), [(499, "cancelled", State.CANCELLED), (500, "submit it again", State.FAILED)]
)
def test_a_job_that_ended_without_a_body_says_why_in_its_dialect(dialect, status, said, state):
    answer = finished(dialect, a_job(dialect), state, Outcome(status=status))
    assert answer.status_code == status
    assert said in json.loads(answer.body)["error"]["message"]
    assert answer.headers["x-bf-async-status"] == state


@pytest.mark.parametrize(
    ("state", "status", "told"),
    [(State.FAILED, 499, "failed"), (State.CANCELLED, 499, "cancelled"), (State.EXPIRED, 504, "failed")],
    ids=["the provider's 499 is no cancel of ours", "cancelled", "expired unrun"],
)
def test_a_poll_tells_how_the_job_ended_whatever_its_status(state, status, told):
    dialect = DIALECTS["anthropic"]
    answer = finished(dialect, a_job(dialect), state, Outcome(status=status, body=b"{}"))
    assert (answer.headers["x-bf-async-status"], answer.headers["x-should-retry"]) == (told, "false")


@pytest.mark.parametrize(("name", "header"), [("anthropic", "request-id"), ("openai_chat", "x-request-id")])
def test_what_was_looked_up_carries_the_vendors_request_id(name, header):
    assert read(DIALECTS[name], b"{}", {"x-a": "1"}).headers[header].startswith("req_")
