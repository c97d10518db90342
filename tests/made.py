"""Jobs and requests for tests that need one, whatever is in it."""

from shared.chat import ChatRequest
from shared.jobs import Job


def a_job(**facts) -> Job:
    """A job with these facts; the others do not matter."""
    usual = {
        "id": "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11",
        "owner": "anonymous",
        "dialect": "openai_chat",
        "operation": "chat",
        "model": "m",
        "request_id": "req_1",
        "created_ms": 1_000,
        "ttl_s": 60,
        "deadline_ms": 9_000_000_000_000,
    }
    return Job(**{**usual, **facts})


A_JOB = a_job()
A_REQUEST = ChatRequest(model="m", messages=())
WITH_USAGE = ChatRequest(model="m", messages=(), include_usage=True)
