"""A provider that answers exactly what a test wants, over HTTP or TLS, and keeps what it was sent."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Sent:
    """A request that came: header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What to answer. `pause_s` passes before each piece but the first."""

    pieces: list[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    pause_s: float = 0.0


@dataclass
class Peer:
    """Where it listens, what came, and what it answers to the body of a request."""

    url: str
    answer: Callable[[Sent], Reply]
    sent: list[Sent] = field(default_factory=list)


@contextlib.contextmanager
def answering(answer: Callable[[Sent], Reply], tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """A running peer."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.daemon_threads = True
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    peer = Peer(f"{'https' if tls else 'http'}://127.0.0.1:{http.server_address[1]}", answer)
    http.peer = peer  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Closes the connection after each answer, whose length it does not tell."""

    def do_POST(self) -> None:
        peer: Peer = self.server.peer  # type: ignore[attr-defined]
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = Sent(self.path, headers, self.rfile.read(int(headers.get("content-length", "0"))))
        peer.sent.append(sent)
        reply = peer.answer(sent)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the gateway has heard enough
            for number, piece in enumerate(reply.pieces):
                if number and reply.pause_s:
                    time.sleep(reply.pause_s)  # the pace of the answer is what is tested
                self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
