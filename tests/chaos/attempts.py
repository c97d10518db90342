"""What the workers have on record of the attempts at jobs: when each began and ended, and what was decided then."""

from collections import Counter

from shared.job_values import JobValues, unpack_job
from shared.jobs import Attempt
from shared.sealing import CLEAR
from tests.chaos.fleet import Fleet
from tests.chaos.jobs import Asked

HEARD_MS = 500
"""After which all workers have heard, on a busy machine; what they sent before was on its way."""
RECORDED_MS = 250
"""Up to which an attempt's end is on record after its answer has come, on a busy machine."""


def inside_windows(fleet: Fleet, jobs: list[Asked]) -> float:
    """The share of attempts that began although an earlier one had been told to wait, by the workers' own record."""
    made = sorted(all_attempts(fleet, jobs), key=lambda attempt: attempt.started_ms)
    told = [
        (attempt.ended_ms + HEARD_MS, attempt.ended_ms + attempt.failure.retry_after_s * 1000 - RECORDED_MS)
        for attempt in made
        if attempt.then == "wait" and attempt.failure and attempt.failure.retry_after_s
    ]
    return sum(any(since < attempt.started_ms < till for since, till in told) for attempt in made) / len(made)


def all_attempts(fleet: Fleet, jobs: list[Asked]) -> list[Attempt]:
    records = fleet.records()
    found = [records[job.id] for job in jobs]
    values = JobValues(CLEAR)
    return [one for record in found for one in values.read_attempts(unpack_job(record[b"spec"]), record[b"attempts"])]


def decisions(fleet: Fleet, jobs: list[Asked]) -> Counter[str]:
    """How often each decision is on the jobs' records."""
    return Counter(attempt.then for attempt in all_attempts(fleet, jobs))
