import json

import pytest

from api.answers import finished, read
from shared.dialects import DIALECTS
from shared.jobs import Job, Outcome


@pytest.mark.parametrize("dialect", list(DIALECTS.values()), ids=list(DIALECTS))
@pytest.mark.parametrize(
    ("status", "said", "state"), [(499, "cancelled", "cancelled"), (500, "submit it again", "failed")]
)
def test_a_job_that_ended_without_a_body_says_why_in_its_dialect(dialect, status, said, state):
    job = Job(
        id="1", owner="o", dialect=dialect.name, operation="chat", model="m", request_id="r", created_ms=0, ttl_s=1,
        deadline_ms=1,
    )  # fmt: skip
    answer = finished(dialect, job, Outcome(status=status))
    assert answer.status_code == status
    assert said in json.loads(answer.body)["error"]["message"]
    assert answer.headers["x-bf-async-status"] == state


@pytest.mark.parametrize(("name", "header"), [("anthropic", "request-id"), ("openai_chat", "x-request-id")])
def test_what_was_looked_up_carries_the_vendors_request_id(name, header):
    assert read(DIALECTS[name], b"{}", {"x-a": "1"}).headers[header].startswith("req_")
