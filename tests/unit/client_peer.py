"""A server of this machine that stands where a gateway should, and says what a test wants it to say."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from api.batch_views import anthropic_batch
from shared.batches import Batch, BatchState, Progress

JOB = "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11"

Reply = Callable[[BaseHTTPRequestHandler], None]


class Peer:
    """A server of this machine that gives the replies one after the other, the last again and again."""

    def __init__(self, replies: list[Reply]) -> None:
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.taken = 0
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                peer.asked.append((self.command, self.path))
                peer.headers.append({name.lower(): value for name, value in self.headers.items()})
                peer.taken += _read_body(self)
                replies[min(len(peer.asked), len(replies)) - 1](self)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the server's names

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def _read_body(handler: BaseHTTPRequestHandler) -> int:
    """Takes a chunked body, or one of known length; its size."""
    if "chunked" not in handler.headers.get("transfer-encoding", ""):
        return len(handler.rfile.read(int(handler.headers.get("content-length", 0))))
    total = 0
    while size := int(handler.rfile.readline(), 16):
        total += len(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return total


@contextmanager
def peer(*replies: Reply) -> Iterator[Peer]:
    running = Peer(list(replies))
    thread = threading.Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        thread.join()
        running.server.server_close()


def says(status: int, body: Any, kind: str = "application/json") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def breaks_off(content: bytes) -> Reply:
    """Promises more than it sends."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(len(content) + 100))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return reply


def refuses(status: int, message: str) -> Reply:
    return says(status, {"error": {"type": "x", "message": message}})


def batch(state: BatchState, **facts: Any) -> Reply:
    return says(200, anthropic_batch(a_progress("anthropic", state, **facts), None))


def a_progress(surface: str, state: BatchState, **facts: Any) -> Progress:
    batch = Batch(
        id=JOB,
        owner="anonymous",
        surface=surface,
        dialect="anthropic" if surface == "anthropic" else "openai_chat",
        provider=surface,
        total=10,
        shards=1,
        created_ms=1_700_000_000_000,
        endpoint="" if surface == "anthropic" else "/v1/responses",
        retry_of="7f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11",
    )
    return Progress(batch=batch, state=state, **facts)
