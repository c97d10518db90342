"""Which keys may serve a job, where else, and in which order."""

from collections import Counter

import pytest

from shared.errors import InvalidRequest
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import Settings
from tests.integration.test_queue import a_job
from worker.choice import for_session, in_turn
from worker.routing import Router


def key(name, *models, weight=1.0):
    return ProviderKey(name=name, value="sk", models=models or ("*",), weight=weight)


def router(fallbacks=None, **keys):
    providers = {name: ProviderSettings(name=name, keys=tuple(of)) for name, of in keys.items()}
    return Router(Settings(providers=providers, fallbacks=fallbacks or {}))


def test_configured_fallbacks_are_for_requests_that_name_none():
    known = router({"openai/gpt": ("groq/gpt",)}, openai=[key("a")], groq=[key("b")])
    assert known.resolve(a_job(model="gpt"), "openai") == [("openai", "gpt"), ("groq", "gpt")]
    own = a_job(model="openai/gpt", fallbacks=("openai/other",))
    assert known.resolve(own, "openai") == [("openai", "gpt"), ("openai", "other")]


def test_a_model_that_keys_of_several_providers_list_is_served_by_all_unless_one_is_named():
    known = router(openai=[key("a", "gpt")], groq=[key("b", "gpt")], xai=[key("c")])
    assert known.also_at(a_job(model="gpt"), "openai", "gpt") == ("groq",)
    assert known.also_at(a_job(model="openai/gpt"), "openai", "gpt") == ()
    assert router(openai=[key("a")], groq=[key("b", "gpt")]).also_at(a_job(model="gpt"), "openai", "gpt") == ()


def test_only_keys_that_may_serve_the_model_are_targets():
    known = router(openai=[key("a", "gpt"), key("b", "other"), key("c")])
    assert [target.key.name for target in known.targets("openai", "gpt")] == ["a", "c"]
    assert [target.key.name for target in known.targets("openai", "gpt", only=frozenset("c"))] == ["c"]
    with pytest.raises(InvalidRequest, match="may serve 'x'"):
        router(openai=[key("a", "gpt")]).targets("openai", "x")


def test_places_are_drawn_by_weight():
    firsts = Counter(in_turn(["a", "b", "c"], [3.0, 1.0, 0.0])[0] for _ in range(4000))
    assert 2700 < firsts["a"] < 3300
    assert firsts["c"] == 0
    assert sorted(in_turn(["a", "b"], [0.0, 0.0])) == ["a", "b"]


def test_a_session_keeps_its_key_and_moves_only_when_that_is_not_there():
    names, weights = ["a", "b", "c"], [1.0, 1.0, 1.0]
    first = {f"s{n}": for_session(names, names, weights, f"s{n}")[0] for n in range(300)}
    assert first == {session: for_session(names, names, weights, session)[0] for session in first}
    assert min(Counter(first.values()).values()) > 60
    without = {session: for_session(names[:2], names[:2], weights[:2], session)[0] for session in first}
    assert all(without[session] == choice for session, choice in first.items() if choice != "c")


@pytest.mark.parametrize(
    ("overrides", "passed"),
    [
        ({}, "context-1m-2025-08-07, redact-thinking-2026-02-12,files-api-2025-04-14"),
        ({"redact-thinking-": True}, "context-1m-2025-08-07,redact-thinking-2026-02-12,files-api-2025-04-14"),
        ({"redact-thinking-": False}, "context-1m-2025-08-07,files-api-2025-04-14"),
        ({"": False, "context-1m": True}, "context-1m-2025-08-07"),
        ({"": False}, None),
    ],
)
@pytest.mark.parametrize("name", ["anthropic", "vertex"])
def test_betas_that_the_operator_keeps_from_a_provider_are_not_asked_for(name, overrides, passed):
    network = NetworkSettings(beta_header_overrides=overrides, extra_headers={"x-team": "blue"})
    providers = {name: ProviderSettings(name=name, keys=(key("a"),), network=network)}
    [target] = Router(Settings(providers=providers)).targets(name, "claude-sonnet-4-5")
    betas = "context-1m-2025-08-07, redact-thinking-2026-02-12,files-api-2025-04-14"
    headers = target.headers(target.adapter, {"anthropic-beta": betas, "x-else": "1"})
    assert headers.get("anthropic-beta") == passed
    assert (headers["x-team"], headers["x-else"]) == ("blue", "1")
