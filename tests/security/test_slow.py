"""Clients that send little by little, to hold connections: cut after a while, and nobody else waits for them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from api.connection import BODY_S, HEAD_S
from tests.integration.test_jobs_surface import answers, environment, until
from tests.ports import free_port
from tests.security.place import OWNER, Place
from tests.security.sockets import WITHIN_S, Told, at_best, connected, head, listen, p99_ms, pauses

KEY = f"Authorization: Bearer {OWNER}"
PATIENCE_S = {"head": HEAD_S / 50, "body": 2 * BODY_S / 50}
CROWD = 200


@dataclass
class Cut:
    """How a client was cut off, and after how many seconds."""

    told: Told
    after_s: float


@pytest.fixture(scope="module")
def hasty(place: Place) -> Iterator[int]:
    """The port of another API process of the same gateway."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "tests.security.hasty", "api", "--port", str(port), *place.arguments]
    process = subprocess.Popen(command, env=environment())
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield port
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def trickle(port: int, begin: bytes, drop: bytes) -> Cut:
    """Send a drop again and again until the gateway has had enough."""
    began = time.monotonic()
    with connected(port) as connection:
        connection.sendall(begin)
        gone = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not gone.wait(0.02):
                    connection.sendall(drop)

        dripping = threading.Thread(target=drip)
        dripping.start()
        told = listen(connection, WITHIN_S)
        gone.set()
        dripping.join()
    return Cut(told, time.monotonic() - began)


POST = "POST /v1/chat/completions HTTP/1.1"
UPLOAD = "POST /v1/files HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
TRICKLES: dict[str, tuple[str, bytes, bytes]] = {
    "nothing": ("head", b"", b""),
    "line feeds": ("head", b"\r\n", b"\r\n"),
    "a path": ("head", b"GET /", b"a"),
    "a header": ("head", b"GET /live HTTP/1.1\r\nX-A: ", b"a"),
    "headers": ("head", b"GET /live HTTP/1.1\r\n", b"X-A: a\r\n"),
    "the second head": ("head", head("GET /live HTTP/1.1") + b"GET /", b"a"),
    "a body": ("body", head(POST, KEY, "Content-Length: 100000"), b"x"),
    "chunks": ("body", head(POST, KEY, CHUNKED), b"1\r\nx\r\n"),
    "a chunk's size": ("body", head(POST, KEY, CHUNKED), b"0"),
    "a file": ("body", head(UPLOAD, KEY, FORM, "Content-Length: 100000") + PART, b"x"),
    "a batch": ("body", head("POST /anthropic/v1/messages/batches HTTP/1.1", KEY, "Content-Length: 100000"), b" "),
}


@pytest.mark.parametrize(("stage", "begin", "drop"), TRICKLES.values(), ids=TRICKLES)
def test_who_trickles_is_cut(hasty: int, stage: str, begin: bytes, drop: bytes):
    cut = trickle(hasty, begin, drop)
    assert cut.told.closed
    assert PATIENCE_S[stage] * 0.5 < cut.after_s < PATIENCE_S[stage] + 12, "unhurried it would be twenty seconds more"
    assert cut.told.statuses[-1:] in ([408], [400])  # a line of noughts is no chunk, which the parser says first


def test_a_body_that_nobody_wants_is_not_read_to_its_end(hasty: int):
    cut = trickle(hasty, head(POST, CHUNKED), b"1\r\nx\r\n")
    assert cut.told.statuses == [401]
    assert cut.told.closed


def test_who_says_nothing_between_two_requests_is_kept(hasty: int):
    with connected(hasty) as connection:
        for _ in range(3):
            connection.sendall(head("GET /live HTTP/1.1"))
            assert listen(connection, PATIENCE_S["body"] * 1.5).statuses == [200]


def test_a_slow_body_that_moves_is_waited_for(hasty: int):
    began = time.monotonic()
    with connected(hasty) as connection:
        connection.sendall(head(POST, KEY, "Content-Length: 4000000"))
        while time.monotonic() - began < PATIENCE_S["body"] * 2:
            connection.sendall(b" " * 8192)
            time.sleep(BODY_S / 50 / 4)  # half of what the limit asks for would be two of these
        assert listen(connection, 0.1) == Told(b"", closed=False)


def test_a_client_that_waits_long_for_its_answer_is_no_slow_client(hasty: int, place: Place):
    job = place.api.post(
        "/v1/async/chat/completions",
        headers={"x-bf-vk": OWNER},
        json={"model": "openai/sim-latency-5000", "messages": [{"role": "user", "content": "Hi"}]},
    ).json()["id"]
    with connected(hasty) as connection:
        connection.sendall(
            head(f"GET /v1/async/chat/completions/{job} HTTP/1.1", KEY, "Prefer: wait=20", "Connection: close")
        )
        assert listen(connection, WITHIN_S).statuses == [200]


def each(number: int, do: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=do) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_a_crowd_of_slow_clients_holds_nobody_up(place: Place):
    alone = pauses(place.port, 1.0)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(place.port)) for _ in range(CROWD)]
        for number, connection in enumerate(crowd):
            connection.sendall(b"GET /live HTTP/1.1\r\n" if number % 2 else head(POST, KEY, CHUNKED))
        gone = threading.Event()

        def drip() -> None:
            while not gone.wait(0.05):
                for number, connection in enumerate(crowd):
                    connection.sendall(b"X-A: a\r\n" if number % 2 else b"1\r\nx\r\n")

        dripping = each(1, drip)
        among = at_best(lambda: p99_ms(pauses(place.port, 2.0)), 100)
        gone.set()
        dripping[0].join()
    print(f"/live beside {CROWD} slow clients: p99 {among:.1f} ms, alone {p99_ms(alone):.1f} ms")
    assert among < 100
