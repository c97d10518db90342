"""The response cache of real processes, by meaning: what is asked in other words is answered without a call."""

import json
import uuid

import pytest

from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask

SOON_S = 60.0
CHAT, MESSAGES = "/openai/v1/chat/completions", "/anthropic/v1/messages"
ASKED = "What is the capital city of France"
ALIKE = "what is the capital city of france please"
UNLIKE = "How many people live on the moon tonight"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, server):
    running = Fleet(
        tmp_path_factory.mktemp("fleet"),
        server.url,
        providers={name: {"keys": [{"value": "sk-simulated"}]} for name in ("anthropic", "openai")},
        cache={"provider": "openai", "embedding_model": "text-embedding-3-small"},
    )
    running.worker().until_ready()
    yield running
    running.close()


@pytest.fixture
def cache():
    """Headers with a cache key that no other test uses."""
    return {"x-bf-cache-key": f"tests {uuid.uuid4().hex}"}


def post(fleet, headers, *texts, path=CHAT, **more):
    turns = [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    model = "gpt-4o" if path == CHAT else "claude"
    body = {"model": model, "max_tokens": 50, "messages": turns, **more}
    answer = ask(fleet.url, "POST", path, body, headers)
    assert answer.status == 200, answer.body
    return answer


def until_placed(fleet, answer):
    """The answer can be found by its meaning."""

    def placed():
        streams = fleet.client.scan_iter("hermod:meanings:*")
        return any(
            answer.headers["x-bf-cache-id"].encode() in entry[b"i"]
            for key in streams
            for _, entry in fleet.client.xrange(key)
        )

    eventually(placed, SOON_S, "the answer is not kept")


def answered(fleet):
    """Calls of the provider but those for vectors."""
    return sum("embeddings" not in json.dumps(call) for call in fleet.calls())


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_means_the_same_is_answered_without_a_call(fleet, cache, path):
    first = post(fleet, cache, ASKED, path=path)
    until_placed(fleet, first)
    before = answered(fleet)
    again = post(fleet, cache, ALIKE, path=path)
    assert answered(fleet) == before
    assert again.body == first.body
    assert again.headers["x-bf-cache-hit"] == "semantic"
    assert again.headers["x-bf-cache-id"] == first.headers["x-bf-cache-id"]
    assert 0.8 <= float(again.headers["x-bf-cache-similarity"]) < 1
    assert "x-bf-cache-hit" not in post(fleet, cache, UNLIKE, path=path).headers
    assert answered(fleet) == before + 1


def test_a_stream_says_in_its_headers_that_it_is_a_semantic_hit(fleet, cache):
    first = post(fleet, cache, ASKED)
    until_placed(fleet, first)
    again = post(fleet, cache, ALIKE, stream=True)
    assert again.headers["x-bf-cache-hit"] == "semantic"
    assert again.headers["content-type"].startswith("text/event-stream")
    chunks = [json.loads(line[6:]) for line in again.body.decode().splitlines() if line.startswith("data: {")]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == first.json["choices"][0]["message"]["content"]
    assert again.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("headers", "hit"),
    [
        ({"x-bf-cache-type": "direct"}, None),
        ({"x-bf-cache-threshold": "0.99"}, None),
        ({"x-bf-cache-threshold": "7"}, None),
        ({"x-bf-cache-threshold": "0.5"}, "semantic"),
        ({"x-bf-cache-type": "semantic"}, "semantic"),
        ({"x-bf-cache-key": "another"}, None),
        ({"x-bf-vk": "sk-bf-another"}, None),
    ],
    ids=str,
)
def test_headers_decide_what_is_near_enough(fleet, cache, headers, hit):
    until_placed(fleet, post(fleet, cache, ASKED))
    answer = post(fleet, {**cache, "x-bf-cache-no-store": "true", **headers}, ALIKE)
    assert answer.headers.get("x-bf-cache-hit") == hit


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.5}, {"model": "gpt-4o-mini"}, {"max_tokens": 51}, {"response_format": {"type": "text"}}],
    ids=str,
)
def test_what_is_alike_but_asked_for_otherwise_is_another_request(fleet, cache, change):
    until_placed(fleet, post(fleet, cache, ASKED))
    assert "x-bf-cache-hit" not in post(fleet, {**cache, "x-bf-cache-no-store": "true"}, ALIKE, **change).headers


def test_another_system_prompt_is_another_request(fleet, cache):
    until_placed(fleet, post(fleet, cache, ASKED, path=MESSAGES, system="Be kind."))
    careful = {**cache, "x-bf-cache-no-store": "true"}
    assert "x-bf-cache-hit" not in post(fleet, careful, ALIKE, path=MESSAGES, system="Be rude.").headers
    assert "x-bf-cache-hit" in post(fleet, careful, ALIKE, path=MESSAGES, system="Be kind.").headers


def test_a_long_conversation_is_found_only_when_it_is_equal(fleet, cache):
    said = [ASKED, "Paris.", "And of Spain?", "Madrid.", ASKED]
    first = post(fleet, cache, *said)
    entry = "hermod:cached:" + first.headers["x-bf-cache-id"]
    eventually(lambda: fleet.client.exists(entry), SOON_S, "the answer is not kept")
    assert "x-bf-cache-hit" not in post(fleet, {**cache, "x-bf-cache-no-store": "true"}, *said[:-1], ALIKE).headers
    assert post(fleet, cache, *said).headers["x-bf-cache-hit"] == "direct"


def test_another_worker_finds_what_one_has_kept(fleet, cache):
    until_placed(fleet, post(fleet, cache, ASKED))
    fleet.worker().until_ready()
    for _ in range(8):
        assert post(fleet, cache, ALIKE).headers["x-bf-cache-hit"] == "semantic"


def test_what_was_cleared_is_not_found_by_its_meaning(fleet, cache):
    until_placed(fleet, post(fleet, cache, ASKED))
    assert post(fleet, cache, ALIKE).headers["x-bf-cache-hit"] == "semantic"
    path = "/api/cache/clear-by-key/" + cache["x-bf-cache-key"].replace(" ", "%20")
    assert ask(fleet.url, "DELETE", path).json["cleared"] == 1
    assert "x-bf-cache-hit" not in post(fleet, cache, ALIKE).headers
