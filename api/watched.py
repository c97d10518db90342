"""The application, watched: each request counted, timed and traced, under its route's template."""

from __future__ import annotations

import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from shared import metrics, traces
from shared.traces import Kind, Span

UNMATCHED = "unmatched"
"""Path of what no route takes: what a client makes up is no label."""
_BROKEN = 500
"""What uvicorn answers when the application does not."""


class Watched:
    """Wraps the application; outermost, so that it also sees what no route takes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began, seen = time.perf_counter(), _Seen(send)
        try:
            if traces.active():
                await self._traced(scope, receive, seen)
            else:
                await self._app(scope, receive, seen.send)
        finally:
            _count(scope, seen, time.perf_counter() - began)

    async def _traced(self, scope: HTTPScope, receive: Receive, seen: _Seen) -> None:
        parent = traces.valid(_value(scope, b"traceparent"))
        with traces.span(scope["method"], Kind.SERVER, parent) as span:
            try:
                await self._app(scope, receive, seen.send)
            finally:
                _note(scope, seen, span)


class _Seen:
    """What was sent of an answer: its status, its body's bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = _BROKEN
        self.size = 0

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.body":
            self.size += len(message["body"])
        elif message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _count(scope: HTTPScope, seen: _Seen, seconds: float) -> None:
    method = scope["method"] if scope["method"] in metrics.HTTP_METHODS else metrics.OTHER
    route = _route(scope)
    metrics.HTTP_REQUESTS.of(route, method, str(seen.status)).value += 1
    metrics.HTTP_SECONDS.of(route, method).observe(seconds)
    metrics.HTTP_RESPONSE_BYTES.of().observe(seen.size)
    if (length := _value(scope, b"content-length")).isdigit():
        metrics.HTTP_REQUEST_BYTES.of().observe(int(length))


def _note(scope: HTTPScope, seen: _Seen, span: Span) -> None:
    span.name(f"{scope['method']} {_route(scope)}")
    span.note(
        {
            "http.request.method": scope["method"],
            "http.route": _route(scope),
            "http.response.status_code": seen.status,
        }
    )
    if seen.status >= _BROKEN:
        span.fail(str(seen.status))


def _route(scope: HTTPScope) -> str:
    return scope.get("path_template") or UNMATCHED


def _value(scope: HTTPScope, name: bytes) -> str:
    return dict(scope["headers"]).get(name, b"").decode("latin-1")
