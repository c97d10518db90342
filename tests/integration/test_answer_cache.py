"""The response cache of real processes: what is asked again is answered without a call, and nobody gets another's."""

import re
import uuid

import anthropic
import openai
import pytest

from tests.chaos.fleet import Fleet
from tests.contract.process import eventually
from tests.contract.wire import ask

SOON_S = 60.0
MESSAGES, CHAT, RESPONSES = "/anthropic/v1/messages", "/openai/v1/chat/completions", "/openai/v1/responses"
EMBEDDINGS, NATIVE = "/openai/v1/embeddings", "/v1/chat/completions"
SURFACES = pytest.mark.parametrize("path", [MESSAGES, CHAT, RESPONSES])
TOOL = {"name": "weather", "description": "Weather", "input_schema": {"type": "object", "properties": {}}}
PROVIDERS = ("anthropic", "openai")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, server):
    running = Fleet(
        tmp_path_factory.mktemp("fleet"),
        server.url,
        providers={name: {"keys": [{"value": "sk-simulated"}]} for name in PROVIDERS},
        fallbacks={"anthropic/sim-500": ["openai/gpt-4o"]},
    )
    running.worker().until_ready()
    yield running
    running.close()


@pytest.fixture
def cache():
    """Headers with a cache key that no other test uses."""
    return {"x-bf-cache-key": f"tests {uuid.uuid4().hex}"}


def body(path, text="Hello!", **more):
    if path == RESPONSES:
        return {"model": "gpt-4o", "input": text, **more}
    if path == EMBEDDINGS:
        return {"model": "text-embedding-3-small", "input": text, **more}
    model = {MESSAGES: "claude", CHAT: "gpt-4o", NATIVE: "openai/gpt-4o"}[path]
    return {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}


def post(fleet, path, headers, **more):
    answer = ask(fleet.url, "POST", path, body(path, **more), headers)
    assert answer.status == 200, answer.body
    return answer


def until_kept(fleet, answer):
    """The answer gets into the cache after the client has it."""
    entry = "hermod:cached:" + answer.headers["x-bf-cache-id"]
    eventually(lambda: fleet.client.exists(entry), SOON_S, "the answer is not kept")


def kept_under(fleet, headers):
    """How many answers there are under the cache key, once one that is given now is kept; it forgets them all."""
    until_kept(fleet, post(fleet, MESSAGES, headers, text="A last question."))
    return clear_key(fleet, headers) - 1


def clear_key(fleet, headers):
    answer = ask(fleet.url, "DELETE", "/api/cache/clear-by-key/" + headers["x-bf-cache-key"].replace(" ", "%20"))
    assert answer.status == 200, answer.body
    return answer.json["cleared"]


def is_hit(fleet, path, headers, **more):
    before = fleet.called()
    hit = post(fleet, path, headers, **more).headers.get("x-bf-cache-hit")
    assert (fleet.called() == before) == (hit is not None)
    return hit is not None


def told(block):
    """What a block of a message says, whichever class the SDK has for it."""
    fields = block.to_dict()
    return {name: fields.get(name) for name in ("type", "text", "thinking", "signature")}


# --- hits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [MESSAGES, CHAT, RESPONSES, EMBEDDINGS])
def test_an_equal_request_is_answered_without_a_call(fleet, cache, path):
    first = post(fleet, path, cache)
    assert "x-bf-cache-hit" not in first.headers
    until_kept(fleet, first)
    before = fleet.called()
    again = post(fleet, path, cache)
    assert fleet.called() == before
    assert again.headers["x-bf-cache-hit"] == "direct"
    for name in ("x-bf-cache-id", "x-bf-provider", "x-bf-model"):
        assert again.headers[name] == first.headers[name]
    if path == RESPONSES:
        assert again.json["output"][0]["content"] == first.json["output"][0]["content"]
        assert again.json["id"] != first.json["id"]
        stored = ask(fleet.url, "GET", f"{RESPONSES}/{again.json['id']}")
        assert stored.json["output"] == again.json["output"], "it can be asked for by its own id"
    else:
        assert again.body == first.body


def test_a_request_without_a_cache_key_is_always_a_call(fleet):
    assert not is_hit(fleet, CHAT, {})
    assert not is_hit(fleet, CHAT, {})


@pytest.mark.parametrize("stored_as_stream", [True, False])
@pytest.mark.parametrize("more", [{}, {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}])
def test_a_stream_and_a_plain_answer_are_each_others_for_anthropics_sdk(fleet, cache, stored_as_stream, more):
    with anthropic.Anthropic(base_url=fleet.url + "/anthropic", api_key="none", max_retries=0) as client:
        given = {**body(MESSAGES, **more), "extra_headers": cache}

        def streamed():
            with client.messages.stream(**given) as stream:
                return stream.response.headers, stream.get_final_message()

        def plain():
            raw = client.messages.with_raw_response.create(**given)
            return raw.headers, raw.parse()

        _, first = streamed() if stored_as_stream else plain()
        eventually(lambda: plain()[0].get("x-bf-cache-hit"), SOON_S, "nothing was kept")
        before = fleet.called()
        for headers, message in (streamed(), plain()):
            assert headers["x-bf-cache-hit"] == "direct"
            assert (message.id, message.model, message.stop_reason) == (first.id, first.model, first.stop_reason)
            assert [told(block) for block in message.content] == [told(block) for block in first.content]
            used, first_used = message.usage, first.usage
            assert (used.input_tokens, used.output_tokens) == (first_used.input_tokens, first_used.output_tokens)
        assert fleet.called() == before


@pytest.mark.parametrize("stored_as_stream", [True, False])
def test_a_stream_and_a_plain_answer_are_each_others_for_openais_sdk(fleet, cache, stored_as_stream):
    with openai.OpenAI(base_url=fleet.url + "/openai", api_key="none", max_retries=0) as client:
        given = {**body(CHAT), "extra_headers": cache}

        def streamed(**options):
            chunks = list(client.chat.completions.create(**given, stream=True, stream_options=options))
            text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            return text, [chunk.usage for chunk in chunks if chunk.usage], chunks[0].id

        def plain():
            return client.chat.completions.create(**given)

        if stored_as_stream:
            text, *_ = streamed(include_usage=True)
        else:
            text = plain().choices[0].message.content
        eventually(lambda: is_hit(fleet, CHAT, cache), SOON_S, "nothing was kept")
        before = fleet.called()
        said, usage, name = streamed(include_usage=True)
        completion = plain()
        assert (said, completion.choices[0].message.content) == (text, text)
        assert (usage[0].total_tokens, name) == (completion.usage.total_tokens, completion.id)
        assert streamed(include_usage=False)[1] == [], "each client gets what it asks for"
        assert fleet.called() == before


def test_a_streamed_response_is_replayed_under_an_id_of_its_own(fleet, cache):
    with openai.OpenAI(base_url=fleet.url + "/openai", api_key="none", max_retries=0) as client:

        def streamed():
            with client.responses.stream(model="gpt-4o", input="Hello!", extra_headers=cache) as stream:
                return stream._response.headers, stream.until_done().get_final_response()

        _, first = streamed()
        eventually(lambda: is_hit(fleet, RESPONSES, cache), SOON_S, "nothing was kept")
        before = fleet.called()
        headers, again = streamed()
        assert headers["x-bf-cache-hit"] == "direct"
        assert again.output_text == first.output_text
        assert again.id != first.id
        assert client.responses.retrieve(again.id).output_text == first.output_text
        assert fleet.called() == before


def test_an_async_job_is_answered_from_the_cache_and_costs_nothing(fleet, cache):
    first = post(fleet, MESSAGES, cache)
    until_kept(fleet, first)
    before = fleet.called()
    job = ask(fleet.url, "POST", MESSAGES, body(MESSAGES), {**cache, "x-bf-async": "true"}).headers["x-bf-job-id"]
    done = ask(fleet.url, "POST", MESSAGES, b"", {"x-bf-async-id": job, "x-bf-async-wait": "30"})
    assert (done.json, done.headers["x-bf-cache-hit"]) == (first.json, "direct")
    shown = ask(fleet.url, "GET", f"/v1/jobs/{job}").json
    assert (shown["cost_usd"], shown["cached"], shown["attempts"]) == (0, True, [])
    assert fleet.called() == before


def test_bifrosts_own_surface_tells_of_the_cache_in_the_body(fleet, cache):
    first = post(fleet, NATIVE, cache)
    entry = first.headers["x-bf-cache-id"]
    assert first.json["extra_fields"]["cache_debug"] == {"cache_hit": False, "cache_id": entry}
    until_kept(fleet, first)
    told = {"cache_hit": True, "cache_id": entry, "hit_type": "direct"}
    again = post(fleet, NATIVE, cache).json
    assert again.pop("extra_fields") == {"cache_debug": told}
    assert again == {name: value for name, value in first.json.items() if name != "extra_fields"}
    headers = {**cache, "x-bf-async-wait": "30"}
    job = ask(fleet.url, "POST", "/v1/async/chat/completions", body(NATIVE), headers).json
    assert job["result"]["extra_fields"]["cache_debug"] == told
    assert "extra_fields" not in post(fleet, NATIVE, {}).json


def test_hits_are_counted(fleet, cache):
    def hits():
        text = ask(fleet.url, "GET", "/metrics").body.decode()
        return float(re.search(r"^bifrost_cache_hits_total (\S+)$", text, re.MULTILINE)[1])

    until_kept(fleet, post(fleet, CHAT, cache))
    before = hits()
    post(fleet, CHAT, cache)
    assert hits() == before + 1


# --- what is not equal --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Hello?"},
        {"temperature": 0.5},
        {"max_tokens": 51},
        {"model": "claude-sim-small"},
        {"model": "openai/gpt-4o"},
        {"system": "Be rude."},
        {"stop_sequences": ["\n"]},
        {"tools": [TOOL]},
        {"from_the_future": True},
    ],
    ids=str,
)
def test_another_request_gets_another_answer(fleet, cache, change):
    until_kept(fleet, post(fleet, MESSAGES, cache))
    assert is_hit(fleet, MESSAGES, cache)
    assert not is_hit(fleet, MESSAGES, cache, **change)


def test_who_the_clients_own_user_is_makes_no_difference(fleet, cache):
    until_kept(fleet, post(fleet, MESSAGES, cache, metadata={"user_id": "a"}))
    assert is_hit(fleet, MESSAGES, cache, metadata={"user_id": "b"})


@pytest.mark.parametrize(
    "headers",
    [
        {"x-bf-cache-key": "another"},
        {"x-bf-vk": "sk-bf-another"},
        {"authorization": "Bearer sk-bf-another"},
        {"anthropic-beta": "extended-cache-ttl-2025-04-11"},
        {"x-bf-eh-tenant": "another"},
        {"x-bf-cache-type": "semantic"},
    ],
    ids=str,
)
def test_what_a_header_changes_is_not_shared(fleet, cache, headers):
    until_kept(fleet, post(fleet, MESSAGES, cache))
    assert is_hit(fleet, MESSAGES, cache)
    assert not is_hit(fleet, MESSAGES, {**cache, **headers})


def test_nobody_can_put_an_answer_into_anothers_cache(fleet, cache):
    mallory, alice = ({**cache, "x-bf-vk": f"sk-bf-{name}"} for name in ("mallory", "alice"))
    until_kept(fleet, post(fleet, CHAT, mallory))
    assert not is_hit(fleet, CHAT, alice)
    assert not is_hit(fleet, CHAT, cache)
    assert is_hit(fleet, CHAT, mallory)


# --- what is not kept ---------------------------------------------------------------------------------


@SURFACES
@pytest.mark.parametrize("fault", ["sim-400", "sim-503", "sim-stream-error", "sim-cut-stream"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_failed_or_broke_off_is_not_kept(fleet, cache, path, fault, stream):
    ask(fleet.url, "POST", path, {**body(path), "model": fault, "stream": stream}, cache)
    assert kept_under(fleet, cache) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Use the tool weather.", "tools": [TOOL]},
        {"max_tokens": 2},
    ],
    ids=["a call of a tool", "cut short"],
)
@pytest.mark.parametrize("stream", [True, False])
def test_calls_of_tools_and_answers_cut_short_are_not_kept(fleet, cache, change, stream):
    answer = post(fleet, MESSAGES, cache, stream=stream, **change)
    assert (b"tool_use" in answer.body) or (b"max_tokens" in answer.body)
    assert kept_under(fleet, cache) == 0


@pytest.mark.parametrize("change", [{"n": 2}, {"logprobs": True}], ids=str)
def test_a_request_for_more_than_one_text_is_not_kept(fleet, cache, change):
    post(fleet, CHAT, cache, **change)
    assert kept_under(fleet, cache) == 0


def test_a_fallbacks_answer_is_not_kept(fleet, cache):
    answer = post(fleet, MESSAGES, cache, model="sim-500")
    assert answer.headers["x-bf-fallback-index"] == "1"
    assert kept_under(fleet, cache) == 0


def test_with_no_store_answers_are_read_and_not_kept(fleet, cache):
    careful = {**cache, "x-bf-cache-no-store": "true"}
    assert "x-bf-cache-id" not in post(fleet, CHAT, careful).headers
    assert kept_under(fleet, cache) == 0
    until_kept(fleet, post(fleet, CHAT, cache))
    assert is_hit(fleet, CHAT, careful)


def test_an_answer_is_kept_for_the_time_that_was_asked_for(fleet, cache):
    until_kept(fleet, post(fleet, CHAT, {**cache, "x-bf-cache-ttl": "5s"}))
    eventually(lambda: not is_hit(fleet, CHAT, {**cache, "x-bf-cache-no-store": "true"}), SOON_S, "it is still there")
    answer = post(fleet, CHAT, cache)
    until_kept(fleet, answer)
    assert 290 < fleet.client.ttl("hermod:cached:" + answer.headers["x-bf-cache-id"]) <= 300


# --- headers, clearing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-bf-cache-key", "k" * 256),
        ("x-bf-cache-key", "clé"),
        ("x-bf-cache-ttl", "soon"),
        ("x-bf-cache-ttl", "0"),
        ("x-bf-cache-ttl", "169h"),
        ("x-bf-cache-threshold", "high"),
        ("x-bf-cache-threshold", "nan"),
        ("x-bf-cache-type", "both"),
        ("x-bf-cache-no-store", "perhaps"),
    ],
)
def test_a_wrong_header_is_refused_by_name(fleet, cache, name, value):
    answer = ask(fleet.url, "POST", CHAT, body(CHAT), {**cache, name: value})
    assert answer.status == 400
    assert name in answer.json["error"]["message"]


def test_an_answer_can_be_cleared_by_its_id_but_not_by_another_owner(fleet, cache):
    answer = post(fleet, CHAT, {**cache, "x-bf-vk": "sk-bf-mine"})
    until_kept(fleet, answer)
    path = "/api/cache/clear/" + answer.headers["x-bf-cache-id"]
    assert ask(fleet.url, "DELETE", path, headers={"x-bf-vk": "sk-bf-another"}).status == 404
    assert ask(fleet.url, "DELETE", path).status == 404
    assert is_hit(fleet, CHAT, {**cache, "x-bf-vk": "sk-bf-mine"})
    assert ask(fleet.url, "DELETE", path, headers={"x-bf-vk": "sk-bf-mine"}).status == 200
    assert not is_hit(fleet, CHAT, {**cache, "x-bf-vk": "sk-bf-mine"})


def test_all_answers_of_an_owner_under_a_key_can_be_cleared(fleet, cache):
    mine = {**cache, "x-bf-vk": "sk-bf-mine"}
    for text in ("One?", "Two?"):
        until_kept(fleet, post(fleet, CHAT, mine, text=text))
    assert clear_key(fleet, cache) == 0, "nobody's own"
    path = "/api/cache/clear-by-key/" + cache["x-bf-cache-key"].replace(" ", "%20")
    assert ask(fleet.url, "DELETE", path, headers={"x-bf-vk": "sk-bf-mine"}).json["cleared"] == 2
    assert not is_hit(fleet, CHAT, mine, text="One?")


def test_what_the_cache_holds_of_a_request_is_no_text_of_it(fleet, cache):
    secret = uuid.uuid4().hex
    until_kept(fleet, post(fleet, EMBEDDINGS, cache, text=secret))
    names = [key for key in fleet.client.scan_iter("hermod:*") if key.startswith((b"hermod:cached", b"hermod:shel"))]
    assert not any(secret.encode() in key or cache["x-bf-cache-key"].encode() in key for key in names)
