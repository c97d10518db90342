"""Outcomes, placeholders and streams as HTTP responses, each exactly what the surface's vendor would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Receive, Scope, Send

from shared.dialects.base import Dialect
from shared.errors import Cancelled, GatewayError
from shared.ids import request_id
from shared.jobs import Job, Outcome, State

PENDING_RETRY_MS = 1000
"""`retry-after-ms` of a placeholder that was waited for in vain."""


class _Said(msgspec.Struct):
    message: str


class _Failed(msgspec.Struct):
    error: _Said


_read_failed = msgspec.json.Decoder(_Failed).decode


def plain(dialect: Dialect, job: Job, outcome: Outcome) -> ASGIResponse:
    """The outcome as a plain request's answer."""
    return _json(dialect, job, outcome.status, body_of(dialect, job, outcome), outcome.headers)


def finished(dialect: Dialect, job: Job, state: State, outcome: Outcome) -> ASGIResponse:
    """The outcome as a poll's answer: never one that the documented polling loops cannot leave."""
    body = body_of(dialect, job, outcome)
    headers = {**outcome.headers, **async_status(state)}
    if state is State.SUCCEEDED:
        body = dialect.fill_empty(body)
    else:  # the job failed, the poll did not: an SDK that polls again would get the same answer
        headers["x-should-retry"] = "false"
    return _json(dialect, job, outcome.status, body, headers)


def async_status(state: State) -> dict[str, str]:
    """The header that tells how a job stands; whoever polls is told of one that expired unrun that it failed."""
    told = State.FAILED if state is State.EXPIRED else state
    return {"x-bf-async-status": told.value}


def received(answer: ASGIApp, then: Callable[[], Awaitable[object]]) -> ASGIApp:
    """The answer, and what is done once all of it has gone to the connection, unless the client had left before."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(left(receive))
        await asyncio.wait((gone,), timeout=0)
        if gone.done():
            return
        gone.cancel()
        await answer(scope, receive, send)
        await then()

    return app


async def left(receive: Receive) -> None:
    """Wait until the client has closed the connection; what is left of the request's body is dropped."""
    while (await receive())["type"] != "http.disconnect":
        pass


def pending(dialect: Dialect, job: Job, state: State, body: bytes = b"", *, waited: bool) -> ASGIResponse:
    """The placeholder of an accepted or unfinished job, `waited` for when the client wanted to; `body` as there."""
    headers = async_status(state)
    if waited:
        headers["retry-after-ms"] = str(PENDING_RETRY_MS)
    return _json(dialect, job, 200, dialect.placeholder(job, state, body), headers)


def repeated(dialect: Dialect, job: Job, outcome: Outcome, events: bytes = b"") -> ASGIResponse:
    """An answer of the response cache, which no job gave; `events` are all of it when it is streamed."""
    headers = {**outcome.headers, dialect.request_id_header: job.request_id}
    if events:
        headers["cache-control"] = "no-cache"
        return ASGIResponse(body=events, headers=headers, media_type="text/event-stream")
    return ASGIResponse(body=outcome.body, headers=headers, media_type="application/json")


def streamed(
    dialect: Dialect, job: Job, events: AsyncIterator[bytes], headers: Mapping[str, str] = MappingProxyType({})
) -> ASGIResponse:
    """The job's events as they come."""
    headers = _headers(dialect, job, {**headers, "cache-control": "no-cache"})
    return ASGIStreamingResponse(iterator=events, media_type="text/event-stream", headers=headers)


def done(dialect: Dialect, job: Job) -> ASGIResponse:
    """The end of a stream that has been read to its end: upon 204 a browser's EventSource does not come back."""
    return ASGIResponse(body=b"", status_code=204, headers=_headers(dialect, job, {}))


def read(dialect: Dialect, body: bytes, headers: dict[str, str], status: int = 200) -> ASGIResponse:
    """What was looked up rather than run, under a request id of its own."""
    named = {**headers, dialect.request_id_header: request_id()}
    return ASGIResponse(body=body, headers=named, status_code=status, media_type="application/json")


def body_of(dialect: Dialect, job: Job, outcome: Outcome) -> bytes:
    """The outcome's own; a job that was cancelled or refused ended without anybody who could render one."""
    if outcome.body:
        return outcome.body
    error = GatewayError("The job's record could not be read by a worker; submit it again.", code="job_refused")
    if outcome.status == Cancelled.status:
        error = Cancelled("The job was cancelled.", code="cancelled")
    return dialect.render_error(error, job.request_id)


def error_of(dialect: Dialect, job: Job, outcome: Outcome) -> GatewayError:
    """What went wrong, of an outcome that is not to be shown itself."""
    error = GatewayError(_read_failed(body_of(dialect, job, outcome)).error.message)
    error.status = outcome.status
    return error


def _json(dialect: Dialect, job: Job, status: int, body: bytes, headers: dict[str, str]) -> ASGIResponse:
    return ASGIResponse(
        body=body, status_code=status, headers=_headers(dialect, job, headers), media_type="application/json"
    )


def _headers(dialect: Dialect, job: Job, more: dict[str, str]) -> dict[str, str]:
    return {**more, dialect.request_id_header: job.request_id, "x-bf-job-id": job.id}
