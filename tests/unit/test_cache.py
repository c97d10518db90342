import json

import pytest

from shared.cache import CacheWish, Sender, meaning, plan
from shared.cache_settings import CacheSettings

PROVIDERS = {"openai", "anthropic"}
WISH = CacheWish(key="k", ttl_s=300, threshold=0.8)
SENDER = Sender("vk:alice", "openai_chat", "chat", "gpt-4o", "openai", {}, "")
TURN = {"role": "user", "content": "Hello!"}
BODY = {"model": "gpt-4o", "messages": [TURN], "temperature": 1}


def planned(body=BODY, sender=SENDER, wish=WISH, **settings):
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return plan(sender, sent, wish, CacheSettings(**settings), PROVIDERS)


def meant(body, **settings):
    sent, used = json.dumps(body).encode(), CacheSettings(**settings)
    return meaning(SENDER, sent, plan(SENDER, sent, WISH, used, PROVIDERS), used, PROVIDERS)


@pytest.mark.parametrize(
    "body",
    [
        dict(reversed(BODY.items())),
        {**BODY, "stream": True, "stream_options": {"include_usage": True}},
        {**BODY, "user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "p"},
        {**BODY, "fallbacks": ["anthropic/claude"], "n": 1, "logprobs": False, "store": True},
        json.dumps(BODY, indent=4).encode(),
    ],
    ids=str,
)
def test_how_it_is_written_delivered_and_for_whom_makes_no_difference(body):
    assert planned(body) == planned()


def test_a_model_is_the_same_with_its_providers_name_and_without():
    assert planned(sender=SENDER._replace(model="openai/gpt-4o")) == planned()


@pytest.mark.parametrize(
    "change",
    [
        {"owner": "vk:bob"},
        {"owner": "anonymous"},
        {"dialect": "openai_responses"},
        {"operation": "embeddings"},
        {"model": "gpt-4o-mini"},
        {"model": "anthropic/gpt-4o"},
        {"headers": {"anthropic-beta": "a"}},
        {"key": "spare"},
    ],
    ids=str,
)
def test_another_sender_is_answered_for_itself(change):
    assert planned(sender=SENDER._replace(**change)).id != planned().id


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "n": 2},
        {**BODY, "logprobs": True},
        {**BODY, "top_logprobs": 3},
        {**BODY, "modalities": ["text", "audio"]},
        {**BODY, "container": "c"},
        {**BODY, "thread": {"id": "t"}},
        {**BODY, "previous_response_id": "resp_1"},
        {**BODY, "include": ["message.output_text.logprobs"]},
        b"not json",
        b"[" * 100_000,
    ],
    ids=lambda body: str(body)[-40:],
)
def test_an_answer_that_cannot_be_repeated_is_not_looked_for(body):
    assert planned(body) is None


def test_only_answers_in_words_and_vectors_are_looked_for():
    assert planned(sender=SENDER._replace(operation="count_tokens")) is None
    assert planned(sender=SENDER._replace(operation="embeddings")).semantic is False


def test_owners_share_answers_only_where_the_operator_says_so():
    bob = SENDER._replace(owner="vk:bob")
    assert planned(shared=True) == planned(sender=bob, shared=True)
    assert planned(shared=True).owner == ""
    assert planned(shared=True).id != planned().id
    assert planned().shelf != planned(sender=bob).shelf


def test_models_providers_and_system_prompts_count_unless_the_operator_says_otherwise():
    mini, elsewhere = SENDER._replace(model="gpt-4o-mini"), SENDER._replace(model="anthropic/gpt-4o")
    assert planned(sender=mini, cache_by_model=False).id == planned(cache_by_model=False).id
    assert planned(sender=elsewhere, cache_by_provider=False).id == planned(cache_by_provider=False).id
    prompted = {**BODY, "messages": [{"role": "system", "content": "Be rude."}, TURN]}
    assert planned(prompted).id != planned().id
    assert planned(prompted, exclude_system_prompt=True).id == planned(exclude_system_prompt=True).id


@pytest.mark.parametrize(
    ("kind", "direct", "semantic"), [("", True, True), ("direct", True, False), ("semantic", False, True)]
)
def test_the_kind_of_hit_is_the_clients_choice(kind, direct, semantic):
    found = planned(wish=CacheWish(key="k", ttl_s=1, threshold=1, kind=kind))
    assert (found.direct, found.semantic) == (direct, semantic)


def test_a_conversation_means_what_was_said_and_not_how_it_was_written():
    assert meant(BODY).text == "user: Hello!"
    assert meant({**BODY, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]}) == meant(
        BODY
    )
    assert meant({"model": "gpt-4o", "input": "Hello!", "temperature": 1}).text == "user: Hello!"
    assert meant({**BODY, "messages": [{**TURN, "content": "Goodbye!"}]}).scope == meant(BODY).scope


def test_what_a_conversation_stands_among_must_be_equal():
    others = [
        {**BODY, "temperature": 0},
        {**BODY, "tools": []},
        {**BODY, "messages": [{"role": "system", "content": "Be kind."}, TURN]},
        {**BODY, "messages": [{"role": "system", "content": "Be rude."}, TURN]},
    ]
    assert len({meant(body).scope for body in [BODY, *others]}) == 5


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [TURN] * 4,
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com"}}]}],
        [TURN, {"role": "assistant", "content": "Hm.", "tool_calls": [{"id": "1"}]}],
        [TURN, {"role": "tool", "content": "4", "tool_call_id": "1"}],
        ["Hello!"],
    ],
    ids=str,
)
def test_more_than_a_short_conversation_in_words_has_no_meaning(messages):
    assert meant({**BODY, "messages": messages}) is None


def test_how_long_a_conversation_may_be_is_the_operators_choice():
    assert meant({**BODY, "messages": [TURN] * 4}, conversation_history_threshold=4) is not None
