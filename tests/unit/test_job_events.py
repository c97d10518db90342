"""What a client that follows a job is told, and what it has seen."""

import pytest

from api.job_events import Cursor, _Told, seen_whole
from shared.job_index import Standing
from shared.jobs import Attempt, Job, State

JOB = Job(
    id="1", owner="o", dialect="anthropic", operation="chat", model="m", request_id="r", created_ms=0, ttl_s=1,
    deadline_ms=1,
)  # fmt: skip


def after(*attempts: int, state: State = State.QUEUED) -> Standing:
    tries = tuple(Attempt(number=number, target="t", key="k", started_ms=1, ended_ms=2) for number in attempts)
    return Standing(job=JOB, state=state, attempts=tries, started_ms=1)


def test_an_attempt_is_told_once_though_earlier_ones_are_no_longer_kept():
    told = _Told(Cursor())
    assert len(list(told.changes(after(1, 2, 3)))) == 5
    assert list(told.changes(after(1, 3))) == []
    [event] = told.changes(after(1, 3, 4))
    assert event.startswith(b"id: 6-0-0\nevent: attempt\n")
    assert b'"number":4' in event


@pytest.mark.parametrize(
    ("state", "entry", "expected"),
    [(State.SUCCEEDED, 7, True), (State.SUCCEEDED, 6, False), (State.RUNNING, 7, False)],
    ids=["the end", "what came before it", "a job that has not ended"],
)
def test_a_client_has_seen_all_when_it_was_told_the_end(state, entry, expected):
    assert seen_whole(after(1, 3, 4, state=state), Cursor(entry, 1, 1)) is expected
