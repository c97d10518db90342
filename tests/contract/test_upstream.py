"""How the gateway calls providers, as configured, and what it makes of answers that are none: to the byte."""

import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract import process
from tests.contract.asking import KEY, completion, message, turn
from tests.contract.process import Gateway
from tests.contract.provider_peer import Peer, Reply, Sent, answering
from tests.contract.wire import TIMEOUT_S, ask
from tests.unit.certificates import self_signed

SECRET = "sk-of-the-operator-0123456789"
MIB = 1024 * 1024
STREAMED = {"content-type": "text/event-stream"}


def chat(text: str = "ok") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    facts = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(facts).encode()


def claude(text: str = "ok") -> bytes:
    block = [{"type": "text", "text": text}]
    usage = {"input_tokens": 3, "output_tokens": 4}
    facts = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": block, "usage": usage}
    return json.dumps({**facts, "stop_reason": "end_turn", "stop_sequence": None}).encode()


def event(kind: str, **facts: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **facts})}\n\n".encode()


def chunk(**delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return f"data: {json.dumps({'id': 'c1', 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()


def response(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "model": "m", "output": [], "error": None, **more}


HEADS = {
    "anthropic": event("message_start", message=json.loads(claude()) | {"content": [], "stop_reason": None})
    + event("ping"),
    "chat": chunk(role="assistant", content=""),
    "responses": event("response.created", sequence_number=0, response=response("in_progress"))
    + event("response.in_progress", sequence_number=1, response=response("in_progress")),
}
"""What opens a stream, of each surface's own wire."""
BROKEN = {
    "anthropic": event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    "chat": b'data: {"error": {"message": "too many others", "type": "server_error", "code": "overloaded"}}\n\n',
    "responses": event(
        "response.failed",
        sequence_number=2,
        response=response("failed", error={"code": "server_error", "message": "it broke"}),
    ),
}
WORDS = {
    "anthropic": event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello there"})
    + event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2})
    + event("message_stop"),
    "chat": chunk(content="hello there")
    + b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    "responses": event("response.output_text.delta", sequence_number=2, delta="hello there", item_id="i")
    + event("response.completed", sequence_number=3, response=response("completed")),
}
"""The rest of a stream that ends well."""
SURFACES = {
    "anthropic": ("/anthropic/v1/messages", message(model="claude/m", stream=True)),
    "chat": ("/openai/chat/completions", completion(model="gpt/m", stream=True)),
    "responses": ("/openai/responses", {"model": "openai/m", "input": "Hi", "stream": True}),
}
EVERY_SURFACE = pytest.mark.parametrize("surface", list(SURFACES))


def own(body: dict[str, Any]) -> dict[str, Any]:
    """The same for a model of this test's own: what is learnt of a model's failures holds for a while."""
    return {**body, "model": f"{body['model']}-{uuid.uuid4().hex[:8]}"}


class Stage:
    """The peers of the gateway's providers, all answering what the test has last asked for."""

    def __init__(self) -> None:
        self.play: Callable[[Sent], Reply] = lambda _: Reply([chat()])

    def answer(self, sent: Sent) -> Reply:
        return self.play(sent)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


@pytest.fixture(scope="module")
def peer(stage: Stage) -> Iterator[Peer]:
    with answering(stage.answer) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Peer]:
    """A host to which no key may go."""
    with answering(lambda _: Reply([chat("from elsewhere")])) as running:
        yield running


@pytest.fixture(scope="module")
def sealed(stage: Stage, tls: tuple[ssl.SSLContext, Path]) -> Iterator[Peer]:
    with answering(stage.answer, tls[0]) as running:
        yield running


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, peer: Peer, sealed: Peer, tls: tuple[ssl.SSLContext, Path]
) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("upstream")

    def custom(kind: str, url: str, proxy: dict[str, Any] | None = None, **network: Any) -> dict[str, Any]:
        quick = {"max_retries": 1, "retry_backoff_initial": 10, "retry_backoff_max": 20}
        made = {
            "keys": [{"name": "k", "value": SECRET}],
            "network_config": {"base_url": url, **quick, **network},
            "custom_provider_config": {"base_provider_type": kind},
        }
        return made | ({"proxy_config": proxy} if proxy else {})

    guard = {"minimum_output_characters_per_second": 50, "probe_window_in_seconds": 1}
    providers = {
        "openai": {
            "keys": [{"name": "k", "value": SECRET}],
            "network_config": {"base_url": f"{peer.url}/v1", "max_retries": 1, "retry_backoff_initial": 10},
        },
        "claude": custom("anthropic", peer.url),
        "gpt": custom("openai", peer.url),
        "second": custom("openai", peer.url),
        "small": custom("openai", peer.url, max_response_mb=1),
        "slow": custom("openai", peer.url, stream_throughput_guard=guard, max_retries=0),
        "dressed": custom("openai", peer.url, extra_headers={"x-team": "blue"}),
        "trusted": custom("openai", sealed.url, ca_cert_pem=tls[1].read_text()),
        "untrusted": custom("openai", sealed.url),
        "proxied": custom("openai", "http://provider.invalid", {"type": "http", "url": peer.url}),
    }
    file = folder / "config.json"
    file.write_text(json.dumps({"providers": providers}))
    started = process.start(folder, file)
    yield started
    assert process.stop(started) == 0


@pytest.fixture(autouse=True)
def nothing_sent(peer: Peer, sealed: Peer, elsewhere: Peer) -> None:
    for one in (peer, sealed, elsewhere):
        one.sent.clear()


def told(answer: Any) -> str:
    assert SECRET not in answer.body.decode()
    return str(answer.json["error"]["message"])


# --- where a key goes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("model", ["gpt/m", "proxied/m", "trusted/m"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_is_not_followed_and_is_a_502(
    gateway: Gateway, stage: Stage, elsewhere: Peer, *, status: int, model: str, stream: bool
):
    stage.play = lambda _: Reply([b""], status, {"location": f"{elsewhere.url}/v1/chat/completions"})
    answer = ask(gateway.openai, "POST", "/chat/completions", own(completion(model=model, stream=stream)))
    assert answer.status == 502
    assert "redirect" in told(answer)
    assert elsewhere.sent == []


def test_a_redirect_to_the_same_host_under_tls_is_not_followed_either(
    gateway: Gateway, stage: Stage, peer: Peer, sealed: Peer
):
    stage.play = lambda _: Reply([b""], 308, {"location": f"{sealed.url}/v1/chat/completions"})
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="gpt/m"))).status == 502
    assert (len(peer.sent), sealed.sent) == (1, [])


def test_a_key_goes_through_the_proxy_of_its_provider_and_extra_headers_with_it(
    gateway: Gateway, stage: Stage, peer: Peer
):
    stage.play = lambda _: Reply([chat()])
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="proxied/m"))).status == 200
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="dressed/m"))).status == 200
    proxied, dressed = peer.sent
    assert proxied.path == "http://provider.invalid/v1/chat/completions"
    assert proxied.headers["authorization"] == f"Bearer {SECRET}"
    assert "x-team" not in proxied.headers
    assert dressed.headers["x-team"] == "blue"


def test_an_authority_of_ones_own_is_trusted_where_it_is_configured_and_nowhere_else(
    gateway: Gateway, stage: Stage, sealed: Peer
):
    stage.play = lambda _: Reply([chat()])
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="trusted/m"))).status == 200
    assert len(sealed.sent) == 1
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="untrusted/m"))).status == 502
    assert len(sealed.sent) == 1, "nothing was sent before the certificate was checked"


# --- how much, how fast -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_beyond_the_cap_is_a_502_that_names_the_setting(gateway: Gateway, stage: Stage, *, stream: bool):
    pieces = [chunk(content="x" * (MIB // 16))] * 32 if stream else [chat("x" * 2 * MIB)]
    stage.play = lambda _: Reply(pieces, headers=STREAMED if stream else {"content-type": "application/json"})
    answer = ask(gateway.openai, "POST", "/chat/completions", own(completion(model="small/m", stream=stream)))
    assert "max_response_mb" in answer.body.decode()
    assert answer.status == (200 if stream else 502), "a stream has begun by then"


def test_a_stream_that_trickles_is_given_up_and_the_fallback_serves(gateway: Gateway, stage: Stage, peer: Peer):
    def play(_: Sent) -> Reply:
        if len(peer.sent) == 1:
            return Reply([chunk(role="assistant"), *[chunk(content="x")] * 30], headers=STREAMED, pause_s=0.1)
        return Reply([chunk(role="assistant"), WORDS["chat"]], headers=STREAMED)

    stage.play = play
    body = completion(model="slow/m", fallbacks=["second/m"], stream=True)
    answer = ask(gateway.openai, "POST", "/chat/completions", body)
    assert (answer.status, answer.headers["x-bf-provider"], answer.headers["x-bf-fallback-index"]) == (
        200,
        "second",
        "1",
    )
    assert b"hello there" in answer.body


# --- errors that do not look it ---------------------------------------------------------------------------


@EVERY_SURFACE
def test_a_stream_that_fails_after_its_head_is_tried_again_and_nobody_notices(
    gateway: Gateway, stage: Stage, peer: Peer, surface: str
):
    rest = [BROKEN[surface], WORDS[surface]]
    stage.play = lambda _: Reply([HEADS[surface], rest[min(len(peer.sent), 2) - 1]], headers=STREAMED)
    path, body = SURFACES[surface]
    answer = ask(gateway.url, "POST", path, own(body))
    assert (answer.status, len(peer.sent)) == (200, 2)
    assert b"hello there" in answer.body
    assert answer.body.count(b"response.created") in {0, 2}, "one event, which names itself twice"
    assert answer.body.count(b"message_start") in {0, 2}


@EVERY_SURFACE
def test_one_that_fails_so_for_good_is_a_plain_error(gateway: Gateway, stage: Stage, peer: Peer, surface: str):
    stage.play = lambda _: Reply([HEADS[surface], BROKEN[surface]], headers=STREAMED)
    path, body = SURFACES[surface]
    answer = ask(gateway.url, "POST", path, own(body))
    assert answer.status in {500, 503, 529}
    assert told(answer)
    assert len(peer.sent) == 2


def test_a_head_is_shown_when_the_answer_takes_its_time(gateway: Gateway, stage: Stage, peer: Peer):
    stage.play = lambda _: Reply([HEADS["responses"], BROKEN["responses"]], headers=STREAMED, pause_s=4)
    path, body = SURFACES["responses"]
    answer = ask(gateway.url, "POST", path, own(body))
    assert answer.status == 200
    assert b"response.created" in answer.body
    assert b"it broke" in answer.body
    assert len(peer.sent) == 1


ERROR = {"error": {"message": "the model is not well", "type": "server_error", "code": 503}}


@pytest.mark.parametrize(
    ("path", "body", "error", "status"),
    [
        ("/openai/chat/completions", completion(model="gpt/m"), ERROR, 503),
        ("/openai/chat/completions", completion(model="gpt/m", stream=True), ERROR, 503),
        ("/openai/chat/completions", completion(model="gpt/m"), {**ERROR, "choices": []}, 503),
        ("/openai/chat/completions", completion(model="gpt/m"), {"error": {"message": "no", "code": 400}}, 400),
        ("/openai/embeddings", {"model": "gpt/m", "input": "x"}, ERROR, 503),
        ("/openai/responses", {"model": "openai/m", "input": "x"}, ERROR, 503),
        (
            "/anthropic/v1/messages",
            message(model="claude/m"),
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            529,
        ),
        ("/anthropic/v1/messages", message(model="gpt/m"), ERROR, 529),
    ],
)
def test_an_error_under_status_200_is_the_error_that_it_is(
    gateway: Gateway, stage: Stage, path: str, body: dict[str, Any], error: dict[str, Any], status: int
):
    stage.play = lambda _: Reply([json.dumps(error).encode()])
    answer = ask(gateway.url, "POST", path, own(body))
    assert answer.status == status, answer.body
    assert told(answer) == error["error"]["message"]


def test_an_answer_that_only_speaks_of_errors_is_an_answer(gateway: Gateway, stage: Stage):
    stage.play = lambda _: Reply([chat('what is {"error": 1}?')])
    assert ask(gateway.openai, "POST", "/chat/completions", own(completion(model="gpt/m"))).status == 200
    stage.play = lambda _: Reply([claude('what is "error"?')])
    assert ask(gateway.anthropic, "POST", "/v1/messages", own(message(model="claude/m"))).status == 200


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/openai/chat/completions", completion(model="gpt/unpaid"), ERROR),
        ("/openai/responses", {"model": "openai/unpaid", "input": "x"}, ERROR),
        ("/anthropic/v1/messages", message(model="claude/unpaid"), ERROR),
        ("/anthropic/v1/messages", message(model="gpt/unpaid"), ERROR),
        ("/openai/chat/completions", completion(model="claude/unpaid"), ERROR),
    ],
)
def test_an_account_of_the_gateways_that_is_empty_is_not_the_callers_402(
    gateway: Gateway, stage: Stage, peer: Peer, path: str, body: dict[str, Any], said: dict[str, Any]
):
    stage.play = lambda _: Reply([json.dumps(said).encode()], 402)
    body = own(body)
    kind = "rate_limit_error" if path.startswith("/anthropic") else "insufficient_quota"
    for answer in (ask(gateway.url, "POST", path, body) for _ in range(2)):
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert answer.json["error"]["type"] == kind
    assert len(peer.sent) == 1, "the key is set aside"


def test_the_sdk_raises_it_as_a_limit_and_does_not_try_again(gateway: Gateway, stage: Stage, peer: Peer):
    stage.play = lambda _: Reply([json.dumps(ERROR).encode()], 402)
    client = openai.OpenAI(base_url=gateway.openai, api_key=KEY, max_retries=2, timeout=TIMEOUT_S)
    with client, pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model=own({"model": "gpt/unpaid"})["model"], messages=turn())
    assert (raised.value.code, len(peer.sent)) == ("insufficient_quota", 1)


# --- documents by URL -------------------------------------------------------------------------------------


def test_a_document_by_url_that_leads_inside_is_a_400_and_no_call_is_made(gateway: Gateway, peer: Peer):
    paper = {"type": "document", "source": {"type": "url", "url": f"{peer.url}/paper.pdf"}}
    answer = ask(gateway.anthropic, "POST", "/v1/messages", own(message(model="gpt/m", messages=turn([paper]))))
    assert answer.status == 400
    assert "messages.0.content.0" in told(answer)
    assert peer.sent == []
