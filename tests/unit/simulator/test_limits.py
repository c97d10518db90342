"""Keys are limited, revoked and troubled as vendors do it."""

from __future__ import annotations

import re
import time

import httpx
import openai
import pytest

from tests.contract.process import eventually
from tests.unit.simulator.questions import CHAT, MESSAGES, asked
from worker.limit_headers import scarce


def conduct(http, **facts):
    answer = http.post("/__keys", json=facts)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def key(http, request):
    """A key of the test's own."""
    name = f"sk-{request.node.name}"
    http.headers.update({"x-api-key": name, "authorization": f"Bearer {name}"})
    return name


def test_openais_headers_tell_what_is_left_and_when_all_is_back(http, key):
    conduct(http, key=key, requests_per_minute=600, tokens_per_minute=6000)
    headers = http.post(CHAT, json=asked("five words in this prompt")).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("600", "599")
    assert re.fullmatch(r"\d+ms", headers["x-ratelimit-reset-requests"])
    assert int(headers["x-ratelimit-remaining-tokens"]) < 6000


def test_anthropics_headers_tell_the_same_in_its_words(http, key):
    conduct(http, key=key, requests_per_minute=50)
    headers = http.post(MESSAGES, json=asked("x")).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "50"
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", headers["anthropic-ratelimit-requests-reset"])


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_beyond_the_limit_is_a_429_with_the_time_to_wait_until_the_bucket_fills(http, key, path):
    conduct(http, key=key, requests_per_minute=60, burst_s=1)
    answers = [http.post(path, json=asked("x")) for _ in range(4)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    eventually(lambda: http.post(path, json=asked("x")).status_code == 200, 60, "it does not fill up")


def test_a_limit_is_one_models(http, key):
    conduct(http, key=key, requests_per_minute=1)
    models = ("one", "one", "another")
    assert [http.post(CHAT, json=asked(model)).status_code for model in models] == [200, 429, 200]


def test_a_revoked_key_is_refused_until_it_is_given_back(http, key):
    conduct(http, key=key, revoked=True)
    assert [http.post(path, json=asked("x")).status_code for path in (CHAT, MESSAGES)] == [401, 401]
    conduct(http, key=key)
    assert http.post(CHAT, json=asked("x")).status_code == 200


def test_an_overload_passes(http, key):
    conduct(http, key=key, overloaded_s=0.3)
    assert [http.post(path, json=asked("x")).status_code for path in (MESSAGES, CHAT)] == [529, 503]
    eventually(lambda: http.post(MESSAGES, json=asked("x")).status_code == 200, 5, "it does not pass")


@pytest.mark.parametrize("stream", [False, True])
def test_every_third_answer_is_cut(http, key, stream):
    conduct(http, key=key, cut_every=3)

    def whole() -> bool:
        try:
            http.post(MESSAGES, json=asked("some words", stream=stream))
        except httpx.RemoteProtocolError:
            return False
        return True

    assert [whole() for _ in range(6)] == [True, True, False, True, True, False]


def test_what_is_no_conduct_is_refused(http):
    assert http.post("/__keys", json={"key": "x", "revokd": True}).status_code == 400


def test_the_ledger_tells_what_a_429_said(http, key):
    conduct(http, key=key, requests_per_minute=1)
    for _ in range(2):
        http.post(CHAT, json=asked("x", user="limited"))
    entries = http.get("/__ledger", params={"user": "limited"}).json()["entries"]
    assert [(entry["status"], entry["retry_after_s"] > 0) for entry in entries] == [(200, False), (429, True)]


GEMINI, VERTEX = "/gemini/v1beta/models/m:generateContent", "/vertex/v1/projects/p/locations/l/publishers/google"
CONVERSE = "/bedrock/model/m/converse"
AZURE = "/azure/openai/deployments/mine/chat/completions?api-version=2024-10-21"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
TURNS = {"messages": [{"role": "user", "content": [{"text": "x"}]}]}


def refused(http, path, body):
    """The second answer, beyond a limit of one."""
    assert http.post(path, json=body).status_code == 200
    answer = http.post(path, json=body)
    assert answer.status_code == 429
    return answer


def told_names(answer):
    return {name for name in answer.headers if "limit" in name or "retry" in name}


def test_google_tells_in_the_body_which_quota_is_used_up_and_when_to_come_back(http, key):
    http.headers["x-goog-api-key"] = key
    conduct(http, key=key, requests_per_minute=1)
    answer = refused(http, GEMINI, CONTENTS)
    error = answer.json()["error"]
    quota, retry = error["details"]
    assert (error["status"], told_names(answer)) == ("RESOURCE_EXHAUSTED", set())
    assert quota["violations"][0]["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    assert quota["violations"][0]["quotaValue"] == "1"
    assert re.fullmatch(r"5\ds", retry["retryDelay"])
    assert "Please retry in 5" in error["message"]


def test_a_quota_of_a_day_is_told_with_a_minutes_delay_by_google(http, key):
    http.headers["x-goog-api-key"] = key
    conduct(http, key=key, requests_per_day=1)
    quota, retry = refused(http, GEMINI, CONTENTS).json()["error"]["details"]
    assert "PerDay" in quota["violations"][0]["quotaId"]
    assert retry["retryDelay"] == "60s"


def test_vertex_says_only_that_it_is_exhausted(http, key):
    conduct(http, key=key, requests_per_minute=1)
    answer = refused(http, f"{VERTEX}/models/m:generateContent", CONTENTS)
    assert (answer.json()["error"].keys(), told_names(answer)) == ({"code", "message", "status"}, set())


@pytest.mark.parametrize(
    ("limit", "words"), [("requests_per_minute", "Too many requests,"), ("tokens_per_day", "Too many tokens per day,")]
)
def test_bedrock_throttles_and_says_no_more(http, key, limit, words):
    http.headers.pop("x-api-key")
    conduct(http, key=key, **{limit: 1})
    answer = refused(http, CONVERSE, TURNS)
    assert answer.headers["x-amzn-errortype"].startswith("ThrottlingException")
    assert (answer.json()["message"].startswith(words), told_names(answer)) == (True, set())


def test_azure_counts_requests_over_ten_seconds_and_tells_milliseconds(http, key):
    http.headers["api-key"] = key
    conduct(http, key=key, requests_per_minute=6)
    headers = refused(http, AZURE, asked("x")).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-renewalperiod-requests"]) == ("6", "60")
    assert 9000 <= int(headers["retry-after-ms"]) <= 10_000


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("mistral", {"x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute"}),
        ("together", {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"}),
        ("openrouter", {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}),
        ("groq", {"retry-after"}),
        ("cerebras", {f"x-ratelimit-{what}-requests-minute" for what in ("limit", "remaining", "reset")}),
        ("bare", set()),
    ],
)
def test_a_key_can_be_limited_in_another_vendors_form(http, key, form, names):
    conduct(http, key=key, requests_per_minute=1, form=form)
    assert told_names(refused(http, CHAT, asked("x"))) == names


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        ("openai", {"requests", "tokens"}),
        ("azure", {"requests", "tokens"}),
        ("groq", {"requests-day", "tokens"}),
        ("mistral", {"requests", "tokens"}),
        ("cerebras", {"requests", "tokens"}),
        ("together", {"requests-burst", "tokens-burst"}),
        ("openrouter", {"requests"}),
    ],
)
def test_what_each_form_tells_workers_read(http, key, form, kinds):
    conduct(
        http,
        key=key,
        requests_per_minute=60,
        requests_per_day=int(form == "groq"),
        tokens_per_minute=600,
        burst_s=1,
        form=form,
    )
    answers = [http.post(CHAT, json=asked("x")) for _ in range(3)]
    read = {told.kind for answer in answers for told in scarce(form, answer.headers, time.time())}
    assert read == kinds


def test_a_form_that_nobody_has_is_refused(http):
    assert http.post("/__keys", json={"key": "x", "form": "acme"}).status_code == 400


def test_openais_sdk_reads_the_429(url, http, key):
    conduct(http, key=key, requests_per_minute=1)
    with openai.OpenAI(base_url=f"{url}/openai", api_key=key, max_retries=0) as client:
        client.chat.completions.create(**asked("x"))
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**asked("x"))
