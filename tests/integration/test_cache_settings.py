"""What an operator's settings make of the response cache, in real processes."""

import json

import pytest

from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask

SOON_S = 60.0


@pytest.fixture
def begun(tmp_path, server):
    fleets = []

    def begin(environment=None, **cache):
        providers = {name: {"keys": [{"value": "sk-simulated"}]} for name in ("anthropic", "openai")}
        fleets.append(Fleet(tmp_path, server.url, providers=providers, cache=cache, environment=environment))
        fleets[-1].worker().until_ready()
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def post(fleet, headers, text):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    answer = ask(fleet.url, "POST", "/openai/v1/chat/completions", body, headers)
    assert answer.status == 200, answer.body
    return answer


def test_a_provider_that_cannot_embed_costs_the_hit_and_not_the_answer(begun):
    cache = {"x-bf-cache-key": "tests"}
    fleet = begun(provider="openai", embedding_model="sim-500")
    answer = post(fleet, cache, "Hello!")
    entry = "hermod:cached:" + answer.headers["x-bf-cache-id"]
    eventually(lambda: fleet.client.exists(entry), SOON_S, "the answer is not kept")
    assert post(fleet, cache, "Hello!").headers["x-bf-cache-hit"] == "direct"
    assert "x-bf-cache-hit" not in post(fleet, cache, "hello!").headers


def test_items_of_batches_use_the_cache_when_the_operator_wants_it(begun):
    fleet = begun(batches=True, default_cache_key="everything")
    item = {"model": "claude", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello!"}]}

    def run(count):
        requests = [{"custom_id": f"item-{number}", "params": item} for number in range(count)]
        sent = ask(
            fleet.url, "POST", "/anthropic/v1/messages/batches", {"requests": requests}, {"x-bf-batch-mode": "direct"}
        )
        assert sent.status == 200, sent.body
        path = f"/anthropic/v1/messages/batches/{sent.json['id']}"
        eventually(lambda: ask(fleet.url, "GET", path).json["processing_status"] == "ended", SOON_S, "it does not end")
        results = ask(fleet.url, "GET", path + "/results").body.splitlines()
        return [json.loads(line)["result"]["message"] for line in results]

    [first] = run(1)
    eventually(lambda: list(fleet.client.scan_iter("hermod:cached:*")), SOON_S, "the answer is not kept")
    before = fleet.called()
    assert run(3) == [first] * 3
    assert fleet.called() == before


def test_a_hit_is_not_counted_to_the_limits_of_a_virtual_key(begun):
    fleet = begun()
    limit = {"request_max_limit": 1, "request_reset_duration": "1h"}
    made = ask(fleet.url, "POST", "/admin/virtual-keys", {"name": "limited", "rate_limit": limit})
    assert made.status == 201, made.body
    headers = {"x-bf-cache-key": "tests", "x-bf-vk": made.json["value"]}
    first = post(fleet, headers, "Hello!")
    entry = "hermod:cached:" + first.headers["x-bf-cache-id"]
    eventually(lambda: fleet.client.exists(entry), SOON_S, "the answer is not kept")
    for _ in range(3):
        assert post(fleet, headers, "Hello!").body == first.body
    other = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Goodbye!"}]}
    assert ask(fleet.url, "POST", "/openai/v1/chat/completions", other, headers).status == 429


def test_the_administrations_token_clears_the_answers_of_all(begun):
    fleet = begun({"HERMOD_ADMIN_TOKEN": "an-administrators-token"})
    admin, key = {"authorization": "Bearer an-administrators-token"}, {"x-bf-cache-key": "tests"}
    kept = [post(fleet, {**key, "x-bf-vk": f"sk-bf-{name}"}, "Hello!") for name in ("alice", "bob", "carol")]
    entries = ["hermod:cached:" + answer.headers["x-bf-cache-id"] for answer in kept]
    eventually(lambda: fleet.client.exists(*entries) == len(entries), SOON_S, "the answers are not kept")
    path = "/api/cache/clear/" + kept[0].headers["x-bf-cache-id"]
    assert ask(fleet.url, "DELETE", path, headers={"authorization": "Bearer another"}).status == 404
    assert ask(fleet.url, "DELETE", path, headers=admin).status == 200
    assert ask(fleet.url, "DELETE", path, headers=admin).status == 404
    cleared = ask(fleet.url, "DELETE", "/api/cache/clear-by-key/tests", headers=admin)
    assert cleared.json["cleared"] == 2
    assert fleet.client.exists(*entries) == 0
