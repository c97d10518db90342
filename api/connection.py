"""A client's connection: uvicorn's, with limits on how much a request's head may hold and how long it may take.

    head   at most MOST_HEAD_BYTES and MOST_HEADERS (431), within HEAD_S of the connection or its first byte (408)
    body   in each of two following BODY_S at least LEAST_BYTES, unless it is we who do not read (408); its size is the
           routes' affair
    after  an answer given before the body's end (401, 413) waits LINGER_S for the client to see it, no longer

A host or a key sent twice is a 400, and so is what the parser (llhttp, in its strict mode) refuses: a length together
with chunks, twice or not a number, bare line feeds, folded headers, spaces before a colon, bytes that no header holds.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.errors import dialect_of
from shared.errors import GatewayError, InvalidRequest, Stalled
from shared.ids import request_id

MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 200
HEAD_S = 20.0
BODY_S = 35.0
"""Longer than half of the time after which a route itself gives a silent client up: it can say so in its own words."""
LEAST_BYTES = 4096
LINGER_S = 10.0
_ONCE = (b"host", b"authorization", b"x-bf-vk", b"x-api-key", b"x-goog-api-key", b"api-key")
"""Headers that say who is asked and who asks: of two, whoever stands in front may have looked at the other."""


class HeadTooLarge(InvalidRequest):
    """431: the request line and headers are over the limit."""

    status = 431


class Connection(HttpToolsProtocol):
    """One connection. The timer that runs is for the head, for the body or for the end, never for two."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._wants_head = True
        self._messages = self._head_bytes = self._taken = self._seen = 0
        self._slow = False
        self._refusal: GatewayError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._set(HEAD_S, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._taken += len(data)
        if self._wants_head and self._timer is None:
            self._set(HEAD_S, self._head_is_late)
        before = self._messages if self._wants_head else -1
        super().data_received(data)
        if self._wants_head and self._messages == before:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._messages += 1
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Let the request in, or not: what is raised here stops the parser."""
        self._wants_head = False
        self._refusal = self._why_not()
        if self._refusal:
            raise self._refusal
        super().on_headers_complete()
        self._seen, self._slow = self._taken, False
        self._set(BODY_S, self._look_at_body)

    def on_message_complete(self) -> None:
        """The body is there."""
        super().on_message_complete()
        self._wants_head = True
        self._set()

    def on_response_complete(self) -> None:
        """The answer has been sent, perhaps before the body's end."""
        super().on_response_complete()
        if not self._wants_head and not self.transport.is_closing():
            self._set(LINGER_S, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser has stopped."""
        self._refuse(self._refusal or InvalidRequest(msg, code="invalid_http"))

    def _why_not(self) -> GatewayError | None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            return _too_large()
        found = [name for name, _ in self.headers]
        if twice := next((name.decode() for name in _ONCE if found.count(name) > 1), None):
            return InvalidRequest(f"{twice}: sent twice.", param=twice, code="invalid_http")
        lengths = {b"content-length": b"0", b"transfer-encoding": b"chunked"}
        for name, value in self.headers:
            if name == b"transfer-encoding" and value.strip().lower() != lengths[name]:
                return InvalidRequest("Transfer-Encoding: only `chunked` is read.", code="invalid_http")
            if name in lengths and value != b"0" and self.parser.should_upgrade():
                return InvalidRequest("Upgrade: not served, and not with a body.", param="Upgrade", code="invalid_http")
        return None

    def _head_is_late(self) -> None:
        self._timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._set(HEAD_S, self._head_is_late)  # it is we who keep it waiting
        elif not self.transport.is_closing():
            self._refuse(Stalled(f"The request's headers have not arrived within {HEAD_S:g} s."))

    def _look_at_body(self) -> None:
        came, self._seen = self._taken - self._seen, self._taken
        slow = came < LEAST_BYTES and not self.flow.read_paused
        if slow and self._slow:
            self._refuse(Stalled(f"The request's body has all but stopped for {2 * BODY_S:g} s; send it again."))
            return
        self._slow = slow
        self._set(BODY_S, self._look_at_body)

    def _refuse(self, error: GatewayError) -> None:
        """Answer in the place of the application, unless it has begun to, and close."""
        self._set()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            url = getattr(self, "url", b"")  # there is none before the first byte
            dialect = dialect_of(url.decode("latin-1"))
            rid = request_id()
            body = dialect.render_error(error, rid)
            head = f"content-type: application/json\r\n{dialect.request_id_header}: {rid}\r\n"
            tail = f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[error.status] + (head + tail).encode() + body)
        self.transport.close()

    def _set(self, seconds: float = 0.0, then: object = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, then) if callable(then) else None


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(
        f"The request line and headers are over {MOST_HEAD_BYTES // 1024} KiB, or more than {MOST_HEADERS} headers.",
        code="headers_too_large",
    )
