"""One HTTP/1.1 connection: requests in, replies out, and every way to break off in between.

An ASGI server would do but for the faults: it cannot close a connection without a byte of an answer.
"""

from __future__ import annotations

import asyncio
import http
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import httptools
import msgspec

from deploy.simulator.ledger import Entry

MAX_BODY_BYTES = 32 * 1024 * 1024
"""The Messages API's own limit; what lies beyond is read but not kept."""

JSON = b"content-type: application/json\r\n"
EVENT_STREAM = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
HTML = b"content-type: text/html\r\n"

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_OVERLOADED = 529  # Anthropic's own, unknown to the registry


class Request(msgspec.Struct, kw_only=True):
    """A whole request. Header names are lower case; `path` is as sent, without the query."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    too_large: bool = False


class Reply(msgspec.Struct, kw_only=True):
    """What to send, when, and whether to break off.

    Attributes:
        status: 0 sends no byte of an answer.
        headers: lines that each end in CRLF.
        chunks: the body in the pieces in which it is sent.
        length: `content-length`; None sends chunked.
        whole: False closes the connection after the last chunk without ending the answer.
        wait_s: seconds before the first byte.
        gap_s: seconds between two chunks.
        entry: of the ledger, told what becomes of the reply.
    """

    status: int
    chunks: list[bytes]
    headers: bytes = JSON
    length: int | None = None
    whole: bool = True
    wait_s: float = 0.0
    gap_s: float = 0.0
    entry: Entry | None = None


class Connection(asyncio.Protocol):
    """Answers the requests of one connection in their order, with what `respond` returns for each.

    asyncio calls the first five methods, httptools those that begin with `on_`.
    """

    def __init__(self, respond: Callable[[Request], Reply], loop: asyncio.AbstractEventLoop) -> None:
        self._respond = respond
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._playing: asyncio.Task[None] | None = None
        self._entry: Entry | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def connection_lost(self, _: Exception | None) -> None:
        """The client has gone, or the simulator has closed."""
        if self._playing is not None:
            self._playing.cancel()
            if self._entry is not None:
                self._entry.aborted = True

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._transport.write(_BAD_REQUEST)
            self._transport.close()
            return
        self._advance()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Invites the body when the client waits for that."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._size += len(piece)
        if self._size <= MAX_BODY_BYTES:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        """The request is whole; `data_received` answers it, where an error has a plain traceback."""
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            method=self._parser.get_method().decode("latin-1"),
            path=path,
            query=query,
            headers=self._headers,
            body=b"".join(self._body),
            too_large=self._size > MAX_BODY_BYTES,
        )
        self._waiting.append((request, self._parser.should_keep_alive()))

    def _advance(self) -> None:
        while self._waiting and self._playing is None and not self._transport.is_closing():
            request, keep_alive = self._waiting.popleft()
            reply = self._respond(request)
            if request.method == "HEAD":
                reply.chunks = []
            if reply.wait_s or reply.gap_s:
                self._entry = reply.entry
                self._playing = self._loop.create_task(self._play(reply, keep_alive))
            else:
                body = b"".join(reply.chunks)
                self._transport.write(_head(reply, keep_alive) + _framed(reply, body))
                self._end(reply, keep_alive)

    async def _play(self, reply: Reply, keep_alive: bool) -> None:
        await asyncio.sleep(reply.wait_s)
        self._transport.write(_head(reply, keep_alive))
        if reply.entry is not None:
            reply.entry.status = reply.status
        began = self._loop.time()
        for number, chunk in enumerate(reply.chunks):
            pause_s = began + number * reply.gap_s - self._loop.time()
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            await self._writable.wait()
            self._transport.write(_framed(reply, chunk))
        self._playing = None
        self._end(reply, keep_alive)
        self._advance()

    def _end(self, reply: Reply, keep_alive: bool) -> None:
        if reply.whole and reply.length is None:
            self._transport.write(b"0\r\n\r\n")
        if reply.entry is not None:
            reply.entry.status = reply.status
            reply.entry.finished = True
        if not (reply.whole and keep_alive):
            self._transport.close()


def _head(reply: Reply, keep_alive: bool) -> bytes:
    if not reply.status:
        return b""
    framing = b"transfer-encoding: chunked\r\n" if reply.length is None else b"content-length: %d\r\n" % reply.length
    closing = b"" if keep_alive else b"connection: close\r\n"
    return b"%b%b%b%b\r\n" % (_status_line(reply.status), reply.headers, framing, closing)


def _framed(reply: Reply, body: bytes) -> bytes:
    if reply.length is None and body:
        return b"%x\r\n%b\r\n" % (len(body), body)
    return body


@lru_cache
def _status_line(status: int) -> bytes:
    known = {member.value: member.phrase for member in http.HTTPStatus} | {_OVERLOADED: "Overloaded"}
    return f"HTTP/1.1 {status} {known.get(status, 'Unknown')}\r\n".encode()
