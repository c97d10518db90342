"""Bytes on a socket that are no request, two requests, or too much of one: refused, and nobody else notices."""

from __future__ import annotations

import contextlib

import pytest

from tests.security.place import OTHER, OWNER, SECRET, Place
from tests.security.sockets import WITHIN_S, connected, head, resident_mib, said

POST = "POST /v1/chat/completions HTTP/1.1"
KEY = f"Authorization: Bearer {OWNER}"
SMUGGLED = head("GET /v1/jobs HTTP/1.1", KEY)

REFUSED = {
    "a length and chunks": head(POST, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "chunks and a length": head(POST, "Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n",
    "two lengths": head(POST, "Content-Length: 4", "Content-Length: 5") + b"abcde",
    "the same length twice": head(POST, "Content-Length: 5", "Content-Length: 5") + b"abcde",
    "a list of lengths": head(POST, "Content-Length: 5, 5") + b"abcde",
    "a negative length": head(POST, "Content-Length: -5") + b"abcde",
    "a signed length": head(POST, "Content-Length: +5") + b"abcde",
    "a hexadecimal length": head(POST, "Content-Length: 0x5") + b"abcde",
    "a length beyond all numbers": head(POST, "Content-Length: 99999999999999999999999") + b"abcde",
    "another transfer encoding": head(POST, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "an unknown transfer encoding": head(POST, "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunks that are not last": head(POST, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked twice": head(POST, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a chunk beyond all numbers": head(POST, "Transfer-Encoding: chunked") + b"ffffffffffffffffff\r\n",
    "a negative chunk": head(POST, "Transfer-Encoding: chunked") + b"-1\r\n",
    "a chunk with bare line feeds": head(POST, "Transfer-Encoding: chunked") + b"5\nabcde\n0\n\n",
    "a space before the colon": head(POST, "Content-Length: 5", "Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "a folded header": head("GET /health HTTP/1.1", "X-A: a", " b"),
    "bare line feeds": b"GET /health HTTP/1.1\nHost: gateway\n\n",
    "a bare carriage return": b"GET /health HTTP/1.1\r\nHost: gateway\rX-A: b\r\n\r\n",
    "a NUL in a header": head("GET /health HTTP/1.1", "X-A: a\0b"),
    "two hosts": head("GET /health HTTP/1.1", "Host: another"),
    "two bearers": head("GET /v1/jobs HTTP/1.1", KEY, f"authorization: Bearer {OTHER}"),
    **{
        f"two of {name}": head("GET /v1/jobs HTTP/1.1", f"{name}: {OWNER}", f"{name.title()}: {OTHER}")
        for name in ("x-api-key", "x-goog-api-key", "api-key")
    },
    "two virtual keys": head("GET /v1/jobs HTTP/1.1", f"x-bf-vk: {OWNER}", f"X-BF-VK: {OTHER}"),
    "bytes in the path": head("GET /v1/files/\xff\xfe HTTP/1.1"),
    "a version to come": head("GET /health HTTP/3.0"),
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": head("CONNECT example.com:443 HTTP/1.1"),
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an upgrade with a body": head(POST, "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 5") + b"abcde",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_a_400_and_what_follows_it_is_not_read(place: Place, data: bytes):
    told = said(place.port, data + SMUGGLED)
    assert told.statuses == [400]
    assert told.closed
    assert b'"error"' in told.data


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://evil.example/v1/jobs HTTP/1.1", 401),  # the path alone counts
        ("GET http://169.254.169.254/latest/meta-data HTTP/1.1", 404),
        ("GET //evil.example/v1/jobs HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET /v1/files/../../../etc/passwd HTTP/1.1", 404),
        ("GET /v1/files/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1", 404),
        ("GET /v1/../admin/virtual-keys HTTP/1.1", 404),
        ("GET /v1/%2e%2e/admin/virtual-keys HTTP/1.1", 404),
        ("GET /V1/JOBS HTTP/1.1", 404),
        ("GET /admin/virtual-keys;x=/health HTTP/1.1", 404),
        ("GET /health/../admin/virtual-keys HTTP/1.1", 404),
        ("GET /health%2f..%2fadmin HTTP/1.1", 404),
        ("GET /admin%2fvirtual-keys HTTP/1.1", 401),  # decoded before it is matched, and guarded all the same
    ],
)
def test_no_way_of_writing_a_path_leads_past_the_guards(place: Place, line: str, status: int):
    assert said(place.port, head(line, "Connection: close")).statuses == [status]


NAMES = [
    "..%2f..%2fconfig.json",
    "%2e%2e",
    "file-%00",
    "%ff%fe",
    "a" * 5000,
    "%F0%9F%98%80",
    "-",
    "*",
    "file-..",
    "%0d%0aX-Injected:%201",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/{}",
        "/v1/files/{}/content",
        "/v1/batches/{}",
        "/v1/jobs/{}",
        "/v1/responses/{}",
        "/anthropic/v1/files/{}/content",
    ],
)
def test_an_id_that_is_none_finds_nothing(place: Place, path: str, name: str):
    told = said(place.port, head(f"GET {path.format(name)} HTTP/1.1", KEY, "Connection: close"))
    assert told.statuses == [404]
    assert b"\r\nx-injected" not in told.data.lower()


@pytest.mark.parametrize(
    "data",
    [
        head("GET /health HTTP/1.1", "X-A: " + "a" * 70_000),
        head("GET /health HTTP/1.1", "X-" + "a" * 70_000 + ": a"),
        head("GET /health HTTP/1.1", *(f"X-{n}: a" for n in range(201))),
        head("GET /" + "a" * 70_000 + " HTTP/1.1"),
        b"GET /health HTTP/1.1\r\nHost: gateway\r\nX-A: " + b"a" * 8_000_000,
        b"GET /health HTTP/1.1\r\n" + b"X-A: aaaaaaaaaa\r\n" * 500_000,
    ],
    ids=["a value", "a name", "a number", "a URL", "a value without end", "headers without end"],
)
def test_headers_over_the_limit_are_a_431(place: Place, data: bytes):
    told = said(place.port, data)
    assert told.statuses in ([431], [])  # a client that still sends may be cut before it reads
    assert told.closed


def test_headers_up_to_the_limit_are_taken(place: Place):
    assert said(place.port, head("GET /live HTTP/1.1", "X-A: " + "a" * 60_000)).statuses == [200]
    assert said(place.port, head("GET /live HTTP/1.1", *(f"X-{n}: a" for n in range(199)))).statuses == [200]


def test_requests_in_a_row_are_answered_in_their_order(place: Place):
    *paths, last = ["/live", "/v1/jobs", "/ready", "/nowhere"] * 20
    heads = [*(head(f"GET {path} HTTP/1.1") for path in paths), head(f"GET {last} HTTP/1.1", "Connection: close")]
    told = said(place.port, b"".join(heads), quiet_s=WITHIN_S)
    assert told.statuses == [200, 401, 200, 404] * 20


def test_a_body_is_never_taken_for_the_next_request(place: Place):
    last = head("GET /live HTTP/1.1", "Connection: close")
    for refused, status in (
        (head(POST, f"Content-Length: {len(SMUGGLED)}"), 401),
        (head(POST, KEY, f"Content-Length: {len(SMUGGLED)}"), 400),
    ):
        told = said(place.port, refused + SMUGGLED + last, quiet_s=WITHIN_S)
        assert (told.statuses, told.closed) == ([status, 200], True)


def test_a_hostile_host_is_in_no_link(place: Place):
    batch = place.batch("anthropic")
    hostile = ("X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "Forwarded: host=evil.example")
    line = f"GET http://evil.example/anthropic/v1/messages/batches/{batch} HTTP/1.1"
    told = said(
        place.port, f"{line}\r\nHost: evil.example\r\n{KEY}\r\n".encode() + "\r\n".join([*hostile, "", ""]).encode()
    )
    assert told.statuses == [200]
    assert b"results_url" in told.data
    assert b"evil.example" not in told.data


def test_five_hundred_heads_without_end_are_held_in_bounded_memory(place: Place):
    before = resident_mib(place.api_pid)
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            connection = stack.enter_context(connected(place.port))
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: gateway\r\nX-A: " + SECRET.encode() * 2000)
        held = resident_mib(place.api_pid) - before
        print(f"500 heads of 56 KiB: {held:.0f} MiB more in the API process")
        assert said(place.port, head("GET /live HTTP/1.1")).statuses == [200]
    assert held < 120  # what was sent is 27 MiB


@pytest.mark.parametrize("line", [POST, "POST /anthropic/v1/messages HTTP/1.1", "POST /v1/files HTTP/1.1"])
def test_who_is_refused_before_the_body_s_end_is_told_why(place: Place, line: str):
    assert said(place.port, head(line, "Content-Length: 1000000000")).statuses == [401]
