"""Several keys of a provider, as an operator configures them: which one serves, what follows one that is refused."""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import process
from tests.contract.asking import completion, message
from tests.contract.jobs import polled, submit
from tests.contract.process import Gateway
from tests.contract.simulator import simulating
from tests.contract.wire import Answer, Ledger, ask

SECRETS = {
    "heavy": "sk-of-heavy",
    "light": "sk-of-light",
    "special": "sk-of-special",
    "first": "sk-1",
    "second": "sk-2",
}
"""The keys' values, by name: in the gateway's environment, and named by the configuration."""
SPECIAL = "claude-special"
NAMED = {"x-bf-provider", "x-bf-model", "x-bf-key"}


def config(simulator: str) -> dict[str, Any]:
    def key(name: str, **facts: Any) -> dict[str, Any]:
        return {"name": name, "value": f"env.SECRET_OF_{name.upper()}", **facts}

    quick = {"retry_backoff_initial": 20, "retry_backoff_max": 40, "max_retries": 1}
    return {
        "providers": {
            "anthropic": {
                "keys": [
                    key("heavy", id="3f0c-heavy", weight=9, blacklisted_models=[SPECIAL, "nick"]),
                    key("light", weight=1, blacklisted_models=[SPECIAL, "nick"]),
                    key("special", models=[SPECIAL, "nick"], aliases={"nick": "claude-of-that-nickname"}),
                ],
                "network_config": {"base_url": simulator, **quick},
            },
            "openai": {
                "keys": [key("first"), key("second")],
                "network_config": {"base_url": f"{simulator}/v1", **quick},
            },
        },
        "fallbacks": {"openai/sim-500+words-8": ["anthropic/claude-configured"]},
        "prices": {"anthropic/claude-dear": {"input": 1000, "output": 1000}},
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One with the keys above."""
    folder: Path = tmp_path_factory.mktemp("keys")
    with simulating(folder) as url, pytest.MonkeyPatch.context() as environment:
        for name, secret in SECRETS.items():
            environment.setenv(f"SECRET_OF_{name.upper()}", secret)
        file = folder / "config.json"
        file.write_text(json.dumps(config(url)))
        started = process.start(folder, file)
        started.simulator = url
        yield started
        assert process.stop(started) == 0


def say(gateway: Gateway, model: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.anthropic, "POST", "/v1/messages", message(model=model), named)


def conduct(gateway: Gateway, key: str, **facts: Any) -> None:
    """Say how calls with that key are answered from now on."""
    answer = ask(str(gateway.simulator), "POST", "/__keys", {"key": SECRETS[key], **facts})
    assert answer.status == 200, answer.body


def a_model() -> str:
    """One of a test's own: what is learnt of a key holds for its model."""
    return f"claude-{uuid.uuid4().hex[:8]}"


def attempts(gateway: Gateway, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(gateway.url, "GET", f"/v1/jobs/{job}").json["attempts"]
    return found


def test_a_key_named_in_the_environment_is_the_one_that_is_sent(gateway: Gateway, ledger: Ledger, user: str):
    body = message(model=SPECIAL, metadata={"user_id": user})
    answer = ask(gateway.anthropic, "POST", "/v1/messages", body)
    assert (answer.status, answer.headers["x-bf-key"]) == (200, "special")
    (call,) = ledger.calls(user)
    assert call["key_hash"] == hashlib.sha256(SECRETS["special"].encode()).hexdigest()[:12]


def test_keys_serve_by_their_weight(gateway: Gateway):
    model = "sim-latency-20+words-17"  # beside which the chances of a busy machine make neither key the slower one
    served = Counter(say(gateway, model).headers["x-bf-key"] for _ in range(100))
    assert set(served) <= {"heavy", "light", "special"}
    assert "special" not in served, "it lists other models"
    assert served["heavy"] > 67, "90 are its share; so few come once in a hundred million runs, of equal shares always"


def test_an_alias_is_what_the_provider_hears(gateway: Gateway, ledger: Ledger, user: str):
    answer = ask(gateway.anthropic, "POST", "/v1/messages", message(model="nick", metadata={"user_id": user}))
    assert (answer.status, answer.headers["x-bf-key"], answer.headers["x-bf-model"]) == (200, "special", "nick")
    assert [call["model"] for call in ledger.calls(user)] == ["claude-of-that-nickname"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x_bf_api_key": "heavy"},
        {"x_bf_api_key_id": "3f0c-heavy"},
        {"x_bf_api_key_id": "heavy"},
        {"x_bf_api_key": "light", "x_bf_api_key_id": "3f0c-heavy"},
    ],
)
def test_a_request_pins_a_key_by_name_or_id(gateway: Gateway, headers: dict[str, str]):
    model = a_model()
    assert {say(gateway, model, **headers).headers["x-bf-key"] for _ in range(6)} == {"heavy"}


@pytest.mark.parametrize("header", ["x_bf_api_key", "x_bf_api_key_id"])
def test_a_pinned_key_that_may_not_serve_the_model_is_a_400_that_names_the_header(gateway: Gateway, header: str):
    answer = say(gateway, SPECIAL, **{header: "light"})
    assert answer.status == 400
    assert "x-bf-api-key" in answer.json["error"]["message"]


def test_an_alias_is_listed_and_its_model_shown(gateway: Gateway):
    listed = [model["id"] for model in ask(gateway.url, "GET", "/v1/models").json["data"]]
    assert listed.count("anthropic/nick") == 1
    assert ask(gateway.url, "GET", "/v1/models/anthropic/nick").json["id"] == "anthropic/nick"


def test_a_session_stays_with_one_key(gateway: Gateway):
    model = a_model()
    for session in ("one", "two", "three"):
        served = {say(gateway, model, x_bf_session_id=session).headers["x-bf-key"] for _ in range(6)}
        assert len(served) == 1


def test_a_revoked_key_is_followed_by_the_other_and_the_job_tells(gateway: Gateway):
    model, told = a_model(), []
    conduct(gateway, "heavy", revoked=True)
    try:
        for _ in range(6):
            job = submit(gateway, "anthropic", message(model=model)).json["id"]
            answer = polled(gateway, "anthropic", job)
            assert (answer.status, answer.headers["x-bf-key"]) == (200, "light")
            told += attempts(gateway, job)
    finally:
        conduct(gateway, "heavy")
    refused = [attempt for attempt in told if attempt["key"] == "heavy"]
    assert len(refused) <= 1, "once found out, it is set aside"
    for attempt in refused:
        assert (attempt["decision"], attempt["reason"]["upstream_status"]) == ("next_key", 401)
    assert {attempt["key"] for attempt in told if attempt["decision"] is None} == {"light"}


# --- who served it ----------------------------------------------------------------------------------------


def shown(answer: Answer) -> tuple[str, ...]:
    return tuple(answer.headers.get(f"x-bf-{name}", "") for name in ("provider", "model", "fallback-index"))


FAILING = "sim-500+words-9"
SERVED = ("anthropic", "claude-second", "2")


def with_fallbacks(**more: Any) -> dict[str, Any]:
    return completion(model=FAILING, fallbacks=["openai/sim-500+words-7", "anthropic/claude-second"], **more)


def test_a_plain_answer_tells_who_served_it(gateway: Gateway):
    answer = ask(gateway.openai, "POST", "/chat/completions", with_fallbacks())
    assert (answer.status, shown(answer)) == (200, SERVED)


def test_a_stream_tells_who_served_it(gateway: Gateway):
    answer = ask(gateway.openai, "POST", "/chat/completions", with_fallbacks(stream=True))
    assert (answer.status, shown(answer)) == (200, SERVED)
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_a_polled_answer_tells_who_served_it_and_its_job_every_attempt(gateway: Gateway):
    job = submit(gateway, "openai", with_fallbacks()).json["id"]
    answer = polled(gateway, "openai", job)
    assert (answer.status, shown(answer)) == (200, SERVED)
    told = [(attempt["target"], attempt["decision"]) for attempt in attempts(gateway, job)]
    assert told == [
        (f"openai/{FAILING}", "retry"),
        (f"openai/{FAILING}", "fallback"),
        ("openai/sim-500+words-7", "retry"),
        ("openai/sim-500+words-7", "fallback"),
        ("anthropic/claude-second", None),
    ]


def test_an_answer_of_the_first_choice_has_no_fallback_index(gateway: Gateway):
    answer = ask(gateway.openai, "POST", "/chat/completions", completion(fallbacks=["anthropic/claude-second"]))
    assert (answer.status, shown(answer)) == (200, ("openai", "gpt-4o-mini", ""))
    assert answer.headers.keys() >= NAMED


def test_a_fallback_of_the_configuration_serves_where_the_body_names_none(gateway: Gateway):
    answer = ask(gateway.openai, "POST", "/chat/completions", completion(model="sim-500+words-8"))
    assert (answer.status, shown(answer)) == (200, ("anthropic", "claude-configured", "1"))


def test_when_all_fail_the_error_is_that_of_the_first(gateway: Gateway):
    body = completion(model=FAILING, fallbacks=["anthropic/sim-404+words-9"])
    answer = ask(gateway.openai, "POST", "/chat/completions", body)
    assert answer.status in {500, 502}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anthropic/v1/messages", message()),
        ("/openai/chat/completions", completion()),
        ("/openai/responses", {"model": "gpt-4o-mini", "input": "Hi"}),
    ],
)
def test_too_many_fallbacks_are_a_400_that_names_the_field(gateway: Gateway, path: str, body: dict[str, Any]):
    answer = ask(gateway.url, "POST", path, {**body, "fallbacks": ["anthropic/claude-second"] * 11})
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith("fallbacks: at most 10")


# --- what it cost -----------------------------------------------------------------------------------------


def test_a_job_costs_what_the_configuration_says_and_an_unknown_model_an_unknown_sum(gateway: Gateway):
    def job_of(model: str) -> dict[str, Any]:
        job = submit(gateway, "anthropic", message(model=model)).json["id"]
        usage = polled(gateway, "anthropic", job).json["usage"]
        found: dict[str, Any] = ask(gateway.url, "GET", f"/v1/jobs/{job}").json
        return {"cost": found["cost_usd"], "tokens": usage["input_tokens"] + usage["output_tokens"]}

    dear = job_of("claude-dear")
    assert dear["cost"] == pytest.approx(dear["tokens"] / 1000)
    assert job_of("claude-that-nobody-knows")["cost"] is None
