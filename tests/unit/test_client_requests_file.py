"""A file of requests: what is wrong with it is told before anything is sent, and what is sent is what it says."""

import io
import json
from typing import Any

import pytest

from api.batch_splitting import MAX_ITEM, MIB
from api.batching import AnthropicRequests, InputFile
from deploy.client.requests_file import (
    ANTHROPIC,
    OPENAI,
    PIECE,
    PROBLEMS_SHOWN,
    Problems,
    Requests,
    anthropic_body,
    openai_file,
    read_requests,
)
from shared.errors import CallerError

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def params(number: int = 0, **more: Any) -> bytes:
    return json.dumps({"custom_id": f"r{number}", "params": BODY} | more).encode()


def call(number: int = 0, **more: Any) -> bytes:
    return json.dumps({"custom_id": f"r{number}", "method": "POST", "url": CHAT, "body": BODY} | more).encode()


def looked(*lines: bytes, endpoint: str = "") -> Requests:
    return read_requests(io.BytesIO(b"\n".join(lines)), endpoint)


def problems(*lines: bytes, endpoint: str = "") -> list[str]:
    with pytest.raises(Problems) as caught:
        looked(*lines, endpoint=endpoint)
    assert caught.value.count == len(caught.value.shown)
    return caught.value.shown


def test_the_form_is_told_by_the_lines():
    assert (looked(params(1), params(2)).form, looked(call(1), call(2)).form) == (ANTHROPIC, OPENAI)


def test_the_endpoint_is_that_of_the_lines_or_the_one_asked_for():
    bare = json.dumps({"custom_id": "a", "body": BODY}).encode()
    assert looked(call(1), bare).endpoint == CHAT
    assert looked(bare, endpoint=RESPONSES).endpoint == RESPONSES
    assert problems(bare) == ["no line has a `url`; name the endpoint of all with --endpoint"]
    assert problems(params(), endpoint=CHAT) == [
        "it is in Anthropic's form, which has no endpoint; leave --endpoint out"
    ]


def test_every_problem_is_told_with_its_line():
    found = problems(
        b"{",
        params(1),
        b"",
        params(1),
        params(2, params=[], custom_id="a b"),
        call(3),
        params(4, zz=1),
        params(5, method="POST"),
        b'{"custom_id": "r6"}',
        b"[]",
    )
    assert found == [
        "line 1: Not valid JSON: Input data was truncated",
        "line 3: blank; each line is one request",
        "line 4.custom_id: already used by line 2; each must be unique",
        "line 5.custom_id: expected 1 to 64 of the characters A-Z, a-z, 0-9, _ and -",
        "line 5.params: expected object",
        "line 6: in OpenAI's form, but the lines before are in Anthropic's; a file has one form",
        "line 7.zz: This field is not known here; leave it out",
        "line 8.method: Anthropic's form has none; leave it out",
        "line 9: expected `params` (Anthropic's form) or else `body` (OpenAI's)",
        "line 10: Expected object, got array",
    ]


def test_the_lines_of_a_file_have_one_endpoint():
    assert problems(call(1), call(2, url=RESPONSES), call(3, url="/v1/images")) == [
        f"line 2.url: expected '{CHAT}' as in the lines before, got '{RESPONSES}'; a batch has one endpoint",
        "line 3.url: expected one of /v1/chat/completions, /v1/responses, /v1/embeddings, got '/v1/images'",
    ]
    assert problems(call(1), endpoint=RESPONSES) == [
        f"line 1.url: expected '{RESPONSES}' as --endpoint says, got '{CHAT}'; a batch has one endpoint"
    ]


def test_of_many_problems_the_first_are_shown():
    with pytest.raises(Problems) as caught:
        looked(*[b"x"] * (PROBLEMS_SHOWN + 5))
    assert (len(caught.value.shown), caught.value.count) == (PROBLEMS_SHOWN, PROBLEMS_SHOWN + 5)


@pytest.mark.parametrize("content", [b'[{"custom_id":"a"}]', b"\xef\xbb\xbf [\n  {\n"])
def test_a_json_array_is_told_as_one_problem(content):
    assert problems(content) == ["line 1: this is a JSON array; write one request a line, as jq -c '.[]' does"]


def test_a_file_of_nothing_is_refused():
    assert problems() == ["it is empty; each line is one request"]


def test_a_file_that_begins_with_too_long_a_line_is_not_called_empty_too():
    assert problems(b"x" * (MAX_ITEM + 1)) == [f"line 1: larger than {MAX_ITEM // MIB} MiB."]


@pytest.mark.parametrize(("line", "most"), [(params, 100_000), (call, 50_000)])
def test_a_file_may_have_as_many_lines_as_a_batch(line, most):
    tail = line().replace(b'"r0"', b'"r%d"')
    lines = [tail % number for number in range(most)]
    assert looked(*lines).size > most
    assert problems(*lines, tail % most) == [
        f"line {most + 1}: a batch has at most {most:,} requests; make several files"
    ]


REFUSED_ALIKE = [
    params(custom_id=""),
    params(custom_id="x" * 65),
    params(custom_id="ü"),
    params(custom_id=5),
    params(params="text"),
    params(params=None),
    params(zz=1),
    params(url=CHAT),
    b'{"custom_id": "a", "params": {"x": }}',
    call(custom_id=""),
    call(custom_id="x" * 513),
    call(method="GET"),
    call(method=None),
    call(url="/v1/images"),
    call(url=5),
    call(body=[]),
    call(body="text"),
    call(zz=1),
    b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"x": "\xff"}}',
    b" ",
]
TAKEN_ALIKE = [
    params(),
    params(custom_id="x" * 64),
    params(params={}),
    call(),
    call(custom_id="x" * 512),
    call(custom_id="ü b"),
    call(body={"text": "\u2028"}),
    call() + b"\r",
    b"\xef\xbb\xbf" + call(),
]


def gateway_takes(line: bytes) -> bool:
    """Whether the gateway's own reading of this one request goes well."""
    source = AnthropicRequests() if b"params" in line else InputFile(CHAT)
    data = b'{"requests":[' + line + b"]}" if b"params" in line else line
    try:
        return len(source.feed(data) + source.close()) == 1
    except CallerError:
        return False


@pytest.mark.parametrize("line", REFUSED_ALIKE)
def test_what_the_gateway_refuses_is_not_sent(line):
    assert not gateway_takes(line)
    assert problems(line)


@pytest.mark.parametrize("line", TAKEN_ALIKE)
def test_what_the_gateway_takes_is_sent(line):
    assert gateway_takes(line)
    assert looked(line)


# --- what is sent ---------------------------------------------------------------------------------------


def test_requests_in_anthropics_form_become_one_body():
    lines = [params(number) for number in range(3)]
    body = b"".join(anthropic_body(io.BytesIO(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\n")))
    assert body == b'{"requests":[' + b",".join(lines) + b"]}"


def test_what_a_line_in_openais_form_lacks_is_filled_in():
    sent = b"".join(openai_file(io.BytesIO(b'{"custom_id":"a","body":{"x": 1.0}}\n' + call()), CHAT))
    assert sent == b'{"custom_id":"a","method":"POST","url":"%b","body":{"x": 1.0}}\n%b\n' % (CHAT.encode(), call())


def test_a_file_is_sent_in_pieces_that_are_neither_small_nor_large():
    line = params(params={"text": "x" * 1000})
    *pieces, last = map(len, anthropic_body(io.BytesIO(b"\n".join([line] * 1000))))
    assert last <= min(pieces)
    assert min(pieces) >= PIECE
    assert max(pieces) <= PIECE + len(line) + 1
