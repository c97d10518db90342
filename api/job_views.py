"""Jobs as `/v1/jobs` shows them, and what its query may ask for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from api.times import rfc3339
from shared.cached_answer import HIT
from shared.errors import InvalidRequest
from shared.job_index import Cursor, Standing, Waiting
from shared.jobs import Attempt, Outcome, State
from shared.paging import page_size
from shared.prices import dollars

DEFAULT_PAGE = 20
MAX_PAGE = 100

_CURSOR = re.compile(r"([0-9]{1,15})_([0-9a-f-]{36})")


class Page(msgspec.Struct, frozen=True):
    """Which jobs a listing shows: at most `limit` that come after `after`, in one state unless None."""

    limit: int
    after: Cursor | None
    state: State | None


class _ErrorBody(msgspec.Struct):
    """What the error bodies of all surfaces share."""

    error: msgspec.Raw


_read_error = msgspec.json.Decoder(_ErrorBody).decode


def read_page(query: Mapping[str, str]) -> Page:
    """The query of a listing: `limit`, `after` (`next` of the page before), `status`. Raises InvalidRequest."""
    return Page(
        page_size(query.get("limit"), usual=DEFAULT_PAGE, most=MAX_PAGE),
        _cursor(query.get("after")),
        _state(query.get("status")),
    )


def listing(standings: list[Standing], limit: int) -> bytes:
    """One page of `{object, data, has_more, next}`; `standings` holds one more than `limit` when there is more."""
    shown, more = standings[:limit], len(standings) > limit
    last = shown[-1].job if more else None
    page = {
        "object": "list",
        "data": [_fields(standing) for standing in shown],
        "has_more": more,
        "next": f"{last.created_ms}_{last.id}" if last else None,
    }
    return msgspec.json.encode(page)


def job_object(standing: Standing) -> bytes:
    """One job: besides what a listing shows, what it waits for, its error in its surface's words and what it cost.

    `cached` says that the response cache had its answer.
    """
    more = {
        "waiting": waiting_view(standing.waiting) if standing.waiting else None,
        "error": _error(standing.outcome) if standing.outcome and standing.state is not State.SUCCEEDED else None,
        "cost_usd": dollars(standing.outcome.cost) if standing.outcome else None,
        "cached": HIT in standing.outcome.headers if standing.outcome else False,
    }
    return msgspec.json.encode({**_fields(standing), **more})


def _fields(standing: Standing) -> dict[str, Any]:
    job, ended_ms = standing.job, standing.ended_ms
    return {
        "id": job.id,
        "object": "job",
        "status": standing.state,
        "lane": job.lane,
        "operation": job.operation,
        "dialect": job.dialect,
        "model": job.model,
        "created_at": _time(job.created_ms),
        "started_at": _time(standing.started_ms),
        "completed_at": _time(ended_ms),
        "expires_at": None if ended_ms is None else _time(ended_ms + job.ttl_s * 1000),
        "attempts": [attempt_view(attempt) for attempt in standing.attempts],
    }


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    """One try, with why it failed and what the policy decided then."""
    failure = attempt.failure
    return {
        "number": attempt.number,
        "target": attempt.target,
        "key": attempt.key,
        "started_at": _time(attempt.started_ms),
        "ended_at": _time(attempt.ended_ms),
        "reason": failure
        and {"kind": failure.kind, "upstream_status": failure.upstream_status, "message": failure.message},
        "decision": attempt.then or None,
    }


def waiting_view(waiting: Waiting) -> dict[str, Any]:
    """Why a queued job is not running."""
    reason, _, target = waiting.why.partition(" ")
    if not reason:
        reason = "deferred" if waiting.due_ms is not None else "running_cap" if waiting.capped else "in_line"
    return {
        "reason": reason,
        "position": waiting.position,
        "until": _time(waiting.due_ms),
        "target": target or None,
    }


def error_in(body: bytes) -> msgspec.Raw:
    """The error of an error body, in the words of its surface."""
    return _read_error(body).error


def _error(outcome: Outcome) -> msgspec.Raw | None:
    """A job that could not even be read ends without a body."""
    return error_in(outcome.body) if outcome.body else None


def _time(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    if not (match := _CURSOR.fullmatch(text)):
        raise InvalidRequest("after: expected the `next` of an earlier page.", param="after")
    return Cursor(int(match[1]), match[2])


def _state(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        message = f"status: expected one of {', '.join(State)}, got {text[:40]!r}."
        raise InvalidRequest(message, param="status") from None
