"""The simulator breaks off, dawdles and fails exactly as ordered."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import httpx
import pytest

from deploy.simulator.http import MAX_BODY_BYTES, Request
from deploy.simulator.knobs import Knobs
from deploy.simulator.simulator import Simulator
from tests.unit.simulator.questions import CHAT, MESSAGES, asked


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_can_be_cut_in_the_middle(http, path, stream):
    seen = []
    with (
        http.stream("POST", path, json=asked("sim-cut-stream", stream=stream)) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(answer.iter_bytes())
    assert answer.status_code == 200
    assert seen


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_garbage_is_not_json(http, path):
    answer = http.post(path, json=asked("sim-garbage"))
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("path", [MESSAGES, CHAT])
def test_an_error_can_follow_the_head_of_a_stream(http, path):
    answer = http.post(path, json=asked("sim-stream-error-head", stream=True))
    events = [event for event in answer.text.split("\n\n") if event]
    assert len(events) == 2
    assert '"error"' not in events[0]
    assert '"error"' in events[1]


def test_a_fault_ordered_once_hits_each_body_once(http):
    bodies = [asked("sim-429-once", user=name) for name in ("one", "two", "one", "two")]
    assert [http.post(CHAT, json=body).status_code for body in bodies] == [429, 429, 200, 200]


@pytest.mark.parametrize("model", ["sim-latency-150", "sim-rate-50+words-9", "sim-latency-80+rate-100+words-9"])
def test_a_stream_takes_as_long_as_ordered(http, model):
    answer = http.post(CHAT, json=asked(model, stream=True))
    assert answer.elapsed.total_seconds() > 0.14


def test_two_requests_sent_at_once_are_answered_in_their_order(url):
    def request(model: str) -> bytes:
        body = json.dumps(asked(model)).encode()
        return b"POST /ollama/v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    with closing(socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))) as connection:
        connection.sendall(request("sim-latency-50") + request("sim-cut"))
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200") == 1
    assert b"sim-latency-50" in answers


def test_the_error_rate_is_drawn_from_the_seed():
    def statuses(seed: int) -> list[int]:
        simulator = Simulator(Knobs(error_rate=0.5, error_kind="503", seed=seed))
        body = json.dumps(asked()).encode()
        request = Request(method="POST", path=CHAT, query="", headers={"api-key": "k"}, body=body)
        return [simulator.respond(request).status for _ in range(50)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 503}


@pytest.mark.parametrize("knobs", [{"error_rate": 2}, {"error_kind": "nonsense"}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(ValueError, match=r"error_rate|no such fault"):
        Knobs(**knobs)


def test_a_body_beyond_the_vendors_limit_is_refused(http):
    assert http.post(MESSAGES, content=b" " * (MAX_BODY_BYTES + 1)).status_code == 413


def test_a_head_request_gets_no_body_and_the_connection_lives_on(http):
    assert [http.head("/anthropic").status_code for _ in range(2)] == [404, 404]
