"""A receiver of webhooks: a real HTTP or HTTPS server on this machine that keeps what it was sent."""

import contextlib
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One try; names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers the nth try with what `answers` says: a status, and a body."""

    answers: Callable[[int], tuple[int, bytes]] = lambda _: (200, b"ok")
    tls: ssl.SSLContext | None = None
    port: int = 0
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        receiver, turn = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with turn:
                    receiver.received.append(Received(self.path, headers, body))
                    number = len(receiver.received)
                status, answer = receiver.answers(number)
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                if status // 100 == 3:
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                with contextlib.suppress(ConnectionError):  # a sender that was killed
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    @property
    def tries(self) -> Counter[str]:
        """How often each event came, by its id."""
        return Counter(one.id for one in list(self.received))
