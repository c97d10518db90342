"""What must hold of every answer."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from shared.dialects.base import Dialect
from shared.errors import CallerError
from shared.jobs import Job
from shared.sse import FrameReader
from tests.unit.fuzz.pipeline import Ended, Way

_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
"""A header's value: RFC 9110, section 5.5."""
_OF_THE_WHOLE = ("body", "JSON", "header")
_LONGEST_MESSAGE = 2_000


def is_json(body: bytes, *, doubtful: bool = True) -> bool:
    """Python's own reader judges; what is nested too deeply for it is `doubtful`."""
    try:
        json.loads(body, parse_int=str, parse_float=str)
    except RecursionError:
        return doubtful
    except ValueError:
        return False
    return True


def is_header(value: bytes) -> bool:
    return _VALUE.fullmatch(value) is not None


def names_the_place(dialect: Dialect, error: CallerError) -> None:
    """The refusal says where in the request it is wrong, or that the whole of it is."""
    assert 400 <= dialect.error_status(error) < 500
    said = is_error(dialect.name, dialect.render_error(error, "req_1"))
    assert said["message"] == error.message
    assert len(error.message) < _LONGEST_MESSAGE
    assert error.param in error.message if error.param else any(word in error.message for word in _OF_THE_WHOLE)


def is_error(name: str, body: bytes) -> dict[str, Any]:
    """The error in `body`, which has the shape of the surface."""
    found = json.loads(body, parse_int=str, parse_float=str)
    error: dict[str, Any] = found["error"]
    assert isinstance(error["message"], str)
    assert error["message"]
    if name == "anthropic":
        assert found["type"] == "error"
        assert isinstance(error["type"], str)
    else:
        assert error.keys() == {"message", "type", "param", "code"}
    return error


def told(way: Way, job: Job, body: bytes, ended: Ended, *, well_formed: bool = True) -> None:
    """What the client is told of the job that `body` asked for can be read: head, body, stream, and what is kept.

    What is relayed untouched is only as `well_formed` as it came.
    """
    outcome = ended.outcome
    for message in way.answered(job, outcome):
        if message["type"] == "http.response.start":
            assert all(is_header(value) for _, value in message["headers"])
    if outcome.status >= 400:
        is_error(job.dialect, outcome.body)
        assert not ended.pieces or b"error" in ended.pieces[-1]
    elif well_formed and not job.stream:
        assert is_json(outcome.body)
    reader = FrameReader()
    for frame in [*reader.feed(b"".join(ended.pieces)), *reader.close()]:
        assert not well_formed or frame.data in {b"", b"[DONE]"} or is_json(frame.data), frame
    with contextlib.suppress(CallerError):
        assert all(is_json(found) for found in way.looked_up(job, body, ended)) or not well_formed
