"""Bodies made to be dear to read: refused or read in bounded time and memory, never a failure of the gateway."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib

import httpx
import pytest

from shared.json_bounds import MOST_DEPTH, MOST_NESTS
from tests.integration.test_jobs_surface import until
from tests.security.place import CLAUDE, GPT, OWNER, SECRET, TOKEN, Place
from tests.security.sockets import at_best, pauses, resident_mib

MIB = 1024 * 1024
INFERENCE = {
    "/anthropic/v1/messages": {"model": CLAUDE, "max_tokens": 20},
    "/v1/chat/completions": {"model": GPT},
    "/v1/responses": {"model": GPT},
}
FIELD = {"/anthropic/v1/messages": "messages", "/v1/chat/completions": "messages", "/v1/responses": "input"}
READING = [*INFERENCE, "/v1/embeddings", "/anthropic/v1/messages/batches", "/v1/batches", "/v1/files", "/v1/uploads"]


def posted(place: Place, path: str, body: bytes, **headers: str) -> httpx.Response:
    return place.ask("POST", path, OWNER, content=body, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize("path", READING)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "chunked"])
def test_an_encoded_body_is_a_415_that_says_so(place: Place, path: str, encoding: str):
    bomb = gzip.compress(zlib.compress(b"0" * 10 * MIB))
    answer = posted(
        place, path, bomb, **{"content-encoding": encoding, "content-type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 415, answer.text
    assert "Content-Encoding" in answer.json()["error"]["message"]


def test_a_body_said_to_be_as_it_is_is_read(place: Place):
    body = json.dumps({"model": GPT, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    assert posted(place, "/v1/chat/completions", body, **{"content-encoding": "identity"}).status_code == 200


def deep(depth: int, kind: str) -> bytes:
    return b"[" * depth + b"]" * depth if kind == "lists" else b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize("kind", ["lists", "objects"])
@pytest.mark.parametrize("depth", [65, 900, 2_000, 100_000, 3_000_000])
@pytest.mark.parametrize("where", ["whole", "known", "unknown"])
def test_depth_never_takes_a_process_down(place: Place, path: str, kind: str, depth: int, where: str):
    nested = deep(depth, kind)
    if where == "whole":
        body = nested
    else:
        name = FIELD[path] if where == "known" else "tools_of_tomorrow"
        body = json.dumps({**INFERENCE[path], FIELD[path]: [{"role": "user", "content": "Hi"}], name: 0})[:-2].encode()
        body += nested + b"}"
    answer = posted(place, path, body)
    too_deep = depth > MOST_DEPTH
    assert answer.status_code == 400 if too_deep or where != "unknown" else answer.status_code < 500, answer.text
    assert (f"more than {MOST_DEPTH} levels" in answer.text or depth > MOST_NESTS) == too_deep, answer.text


def test_a_deep_item_of_a_batch_is_its_own_error(place: Place):
    params = {"model": CLAUDE, "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}
    requests = [{"custom_id": "flat", "params": params}, {"custom_id": "deep", "params": {**params, "metadata": 0}}]
    body = json.dumps({"requests": requests}).encode().replace(b'"metadata": 0', b'"metadata": ' + deep(300, "objects"))
    batches = "/anthropic/v1/messages/batches"
    made = posted(place, batches, body)
    assert made.status_code == 200, made.text
    results = f"{batches}/{made.json()['id']}/results"
    found = until(lambda: (answer := place.ask("GET", results, OWNER)).status_code == 200 and answer)
    told = {line["custom_id"]: line["result"] for line in map(json.loads, found.text.splitlines())}
    assert told["flat"]["type"] == "succeeded"
    assert f"more than {MOST_DEPTH} levels" in told["deep"]["error"]["error"]["message"]


@pytest.mark.parametrize("path", [*INFERENCE, "/v1/uploads", "/admin/virtual-keys"])
def test_what_is_too_deep_or_too_long_a_number_says_so_on_every_surface(place: Place, path: str):
    for value, words in ((deep(129, "lists"), "128 levels deep"), (b"1" * 1101, "1100 digits")):
        answer = place.ask(
            "POST",
            path,
            TOKEN if path.startswith("/admin") else OWNER,
            content=b'{"model": %s}' % value,
            headers={"content-type": "application/json"},
        )
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True), answer.text


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize(
    "value",
    [
        b"1" * 100_000,
        b"-" + b"9" * 5_000,
        b"1e999999999",
        b"1E-999999999",
        b"0." + b"0" * 100_000 + b"1",
        b"NaN",
        b"-Infinity",
    ],
    ids=["digits", "negative", "huge", "tiny", "long", "nan", "infinite"],
)
@pytest.mark.parametrize("field", ["max_tokens", "max_output_tokens", "temperature", "top_p", "seed", "of_tomorrow"])
def test_numbers_beyond_all_measure_are_no_failure(place: Place, path: str, value: bytes, field: str):
    body = json.dumps({**INFERENCE[path], FIELD[path]: [{"role": "user", "content": "Hi"}], field: 0}).encode()
    body = body.replace(b'"%s": 0' % field.encode(), b'"%s": %s' % (field.encode(), value))
    assert posted(place, path, body).status_code < 500


@pytest.mark.parametrize("path", INFERENCE)
@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\xc0\x80", b"\\u0000", b"\xf4\x90\x80\x80"]
)
def test_text_that_is_no_unicode_is_no_failure(place: Place, path: str, text: bytes):
    body = json.dumps({**INFERENCE[path], FIELD[path]: [{"role": "user", "content": "TEXT"}]}).encode()
    assert posted(place, path, body.replace(b"TEXT", text)).status_code in {200, 400}


@pytest.mark.parametrize("path", INFERENCE)
def test_many_fields_of_one_name_are_read_as_json_is(place: Place, path: str):
    body = json.dumps({**INFERENCE[path], FIELD[path]: [{"role": "user", "content": "Hi"}]})[:-1].encode()
    body += b"".join(b',"x%d":1' % number for number in range(200_000)) + b',"model":1' * 1000 + b"}"
    assert posted(place, path, body).status_code == 400


# --- forms ------------------------------------------------------------------------------------------------


def form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % (head.encode(), body) for head, body in parts) + b"--b--\r\n"


def field(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"'


FILE = ('Content-Disposition: form-data; name="file"; filename="a.txt"', b"x")
FORMS: dict[str, bytes] = {
    "10,000 parts": form(*((field(f"f{number}"), b"x") for number in range(10_000)), FILE),
    "10,000 files": form(*[FILE] * 10_000),
    "a part of 10,000 headers": form((field("file") + "\r\nX-A: a" * 10_000, b"x")),
    "a header of 1 MiB": form((field("a" * MIB), b"x")),
    "a field of 1 MiB": form((field("purpose"), b"x" * MIB), FILE),
    "no end": form(FILE)[:-6],
    "no beginning": b"x" * MIB,
    "a boundary and no more": b"--b\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("path", ["/v1/files", "/anthropic/v1/files"])
@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_a_form_made_to_be_dear_is_a_400(place: Place, path: str, body: bytes):
    before = resident_mib(place.api_pid)

    def taken_s() -> float:
        began = time.monotonic()
        answer = posted(place, path, body, **{"content-type": "multipart/form-data; boundary=b"})
        assert answer.status_code == 400, answer.text
        return time.monotonic() - began

    assert at_best(taken_s, 2.0) < 2.0
    assert resident_mib(place.api_pid) - before < 32


@pytest.mark.parametrize("boundary", ["", "a" * 100_000, '"', "\x00", "b; boundary=c", '"b\\"'])
def test_a_boundary_that_is_none_is_a_400(place: Place, boundary: str):
    kind = f"multipart/form-data; boundary={boundary}"
    try:
        answer = posted(place, "/v1/files", form(FILE), **{"content-type": kind})
    except (httpx.RemoteProtocolError, httpx.LocalProtocolError, httpx.WriteError):
        return
    assert answer.status_code in {400, 431}, answer.text


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\a", "a\x00b", "\u202egpj.exe", "", ".", "a" * 10_000, "<script>"]
)
def test_the_name_of_a_file_is_no_path(place: Place, name: str):
    files = {"file": (name or "x", b"x")}
    answer = place.ask("POST", "/v1/files", OWNER, files=files, data={"purpose": "user_data"})
    if answer.status_code == 200:
        shown = answer.json()["filename"]
        assert not {"/", "\\", "\x00", "\u202e"} & set(shown)
    else:
        assert answer.status_code == 400


# --- large bodies -----------------------------------------------------------------------------------------


LONGEST_MS = 400
"""For which one request may hold up all others."""


def large(path: str, mib: int) -> bytes:
    text = SECRET + " and more of it, with \\n and é; " * (mib * 1000 * 1000 // 32)
    return json.dumps({**INFERENCE[path], FIELD[path]: [{"role": "user", "content": text}]}).encode()


def test_more_than_the_limit_is_a_413_without_being_read(place: Place):
    before = resident_mib(place.api_pid)
    assert posted(place, "/v1/chat/completions", b" " * (33 * MIB)).status_code == 413
    assert resident_mib(place.api_pid) - before < 40


@pytest.mark.parametrize("path", INFERENCE)
def test_large_bodies_hold_nobody_up_for_long(place: Place, path: str):
    body = large(path, 20)
    posted(place, path, body)  # the first of them makes the process grow
    alone, before = pauses(place.port, 1.0)[-1] * 1000, resident_mib(place.api_pid)
    statuses: list[int] = []

    def beside() -> float:
        sending = threading.Thread(
            target=lambda: statuses.extend(posted(place, path, body).status_code for _ in range(2))
        )
        sending.start()
        longest_ms = pauses(place.port, 3.0)[-1] * 1000
        sending.join()
        return longest_ms

    among = at_best(beside, LONGEST_MS)
    grown = resident_mib(place.api_pid) - before
    print(f"{path}: /live beside bodies of 20 MiB: at worst {among:.0f} ms, alone {alone:.0f} ms; {grown:.0f} MiB more")
    assert set(statuses) == {200}
    assert among < LONGEST_MS
    assert grown < 200
