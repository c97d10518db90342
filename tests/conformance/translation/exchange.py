"""A small server that translates as the worker does, between a real SDK and the answer a provider would give."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from shared.dialects.base import Dialect
from shared.errors import GatewayError
from shared.jobs import Job
from tests.conformance.translation.dialects import DIALECTS
from tests.made import a_job
from worker.providers.base import Adapter, PassThrough, Row
from worker.relay import Relay, SameWire, Told, Translated

TOLD = Told(id="ours", model="as-asked", created_s=1_700_000_000)


class Answer(msgspec.Struct):
    """What the provider sends: a plain body, or the same as a stream."""

    body: bytes
    stream: bytes = b""
    status: int = 200
    headers: dict[str, str] = {}


class Exchange:
    """One dialect on one wire.

    Attributes:
        asked: the bodies the provider got.
        dropped: what the last request lost.
    """

    def __init__(self, dialect: Dialect, adapter: Adapter | PassThrough, row: Row, model: str, answer: Answer) -> None:
        self.dialect = dialect
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.dropped: tuple[str, ...] = ()
        self._adapter = adapter
        self._row = row
        self._model = model
        self._same = dialect.wire == adapter.wire

    def handle(self, body: bytes, out: BaseHTTPRequestHandler) -> None:
        """Answer a client's body."""
        job = a_job(dialect=self.dialect.name)
        try:
            head = self.dialect.read_head(body)
            relay = self._send(body, job)
            if self.answer.status >= 400:
                raise self._adapter.error(self._row, self.answer.status, self.answer.headers, self.answer.body)
            if head.stream:
                self._stream(relay, job, out)
            else:
                _write(out, 200, "application/json", self._plain(body, job))
        except GatewayError as error:
            rendered = self.dialect.render_error(error, job.request_id)
            _write(out, self.dialect.error_status(error), "application/json", rendered, error.headers())

    def _send(self, body: bytes, job: Job) -> Relay:
        if self._same:
            self.asked.append(json.loads(self._adapter.edit(body, self._row, self._model)))
            return SameWire(self._adapter.tap(self._row, job, body), self._row.name)
        request = self.dialect.parse(body, self._model)
        rendered = self._adapter.render(request, self._row)
        self.asked.append(json.loads(rendered.body))
        self.dropped = rendered.dropped
        renderer = self.dialect.stream(request, job, body)
        return Translated(self._adapter.stream(self._row), renderer, self._row.name, TOLD)

    def _plain(self, body: bytes, job: Job) -> bytes:
        if self._same:
            return self._adapter.relabel(self.answer.body, job, body)
        found = self._adapter.parse(self.answer.body, self._row)
        return self.dialect.render(TOLD.complete(found), job, body)

    def _stream(self, relay: Relay, job: Job, out: BaseHTTPRequestHandler) -> None:
        reader, sent = self._adapter.reader(), b""
        try:
            for frame in [*reader.feed(self.answer.stream), *reader.close()]:
                sent += relay.feed(frame)
            sent += relay.close()
        except GatewayError as error:
            sent += self.dialect.stream_error(error, job, sent)
        _write(out, 200, "text/event-stream", sent)


def _write(
    out: BaseHTTPRequestHandler, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
) -> None:
    out.send_response(status)
    for name, value in {"content-type": kind, "content-length": str(len(body)), **(headers or {})}.items():
        out.send_header(name, value)
    out.end_headers()
    out.wfile.write(body)


class Server:
    """The server.

    Attributes:
        exchange: what the next requests go through.
        clients: an SDK client of each dialect.
    """

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        handler = type("Handler", (_Handler,), {"server_": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.clients = {dialect.DIALECT: dialect.connect(url) for dialect in DIALECTS}

    def close(self) -> None:
        """Stop."""
        for client in self.clients.values():
            client.close()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server_.exchange.handle(body, self)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A running server."""
    server = Server()
    try:
        yield server
    finally:
        server.close()
