"""The simulator as Google: Gemini's own wire, of the Gemini API and on Vertex."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.unit.simulator.questions import ARGUMENTS, TEXT, WEATHER

GEMINI = "/gemini/v1beta/models"
VERTEX = "/vertex/v1beta1/projects/p/locations/us-central1/publishers/google/models"
KEY = {"x-goog-api-key": "k"}
TOOLS = [
    {
        "functionDeclarations": [
            {"name": "clock"},
            {"name": "weather", "description": "how warm it is", "parametersJsonSchema": WEATHER},
        ]
    }
]


def said(text: str = "hello") -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def asked(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"contents": [said(text)], **more}


def ask(http: httpx.Client, body: Any, model: str = "m", method: str = "generateContent", at: str = GEMINI) -> Any:
    answer = http.post(f"{at}/{model}:{method}", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def parts(body: Any) -> list[dict[str, Any]]:
    return body["candidates"][0]["content"]["parts"]


def follow(http: httpx.Client, body: Any, model: str = "m") -> list[Any]:
    answer = http.post(f"{GEMINI}/{model}:streamGenerateContent?alt=sse", json=body, headers=KEY)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]


@pytest.mark.parametrize("at", [GEMINI, VERTEX])
def test_the_same_question_gets_the_same_answer_plain_and_streamed(http: httpx.Client, at: str) -> None:
    plain, streamed = ask(http, asked(), at=at), follow(http, asked())
    assert parts(plain) == [{"text": TEXT}]
    assert "".join(parts(chunk)[0]["text"] for chunk in streamed) == TEXT
    assert plain["candidates"][0]["finishReason"] == streamed[-1]["candidates"][0]["finishReason"] == "STOP"
    assert plain["usageMetadata"] == streamed[-1]["usageMetadata"]
    assert plain["usageMetadata"]["totalTokenCount"] == 14
    assert (plain["modelVersion"], bool(plain["responseId"])) == ("m", True)


@pytest.mark.parametrize(
    ("text", "choice", "names"),
    [
        ("hello", {"mode": "AUTO"}, []),
        ("hello", {"mode": "ANY"}, ["clock"]),
        ("hello", {"mode": "ANY", "allowedFunctionNames": ["weather"]}, ["weather"]),
        ("use tools", {"mode": "NONE"}, []),
        ("use tools in parallel", {}, ["clock", "weather"]),
    ],
)
def test_tools_are_called_on_demand(http: httpx.Client, text: str, choice: dict[str, Any], names: list[str]) -> None:
    body = asked(text, tools=TOOLS, toolConfig={"functionCallingConfig": choice})
    plain = [part["functionCall"] for part in parts(ask(http, body)) if "functionCall" in part]
    chunks = [part["functionCall"] for chunk in follow(http, body) for part in parts(chunk) if "functionCall" in part]
    assert [call["name"] for call in plain] == [call["name"] for call in chunks] == names
    assert all(call["args"] == ARGUMENTS for call in plain if call["name"] == "weather")


def test_gemini_3_signs_its_first_call_and_wants_the_signature_back(http: httpx.Client) -> None:
    calls = parts(ask(http, asked("use tools in parallel", tools=TOOLS), "gemini-3-pro"))
    assert ["thoughtSignature" in part for part in calls] == [True, False]
    results = [
        {"functionResponse": {"name": part["functionCall"]["name"], "response": {"output": "21 degrees"}}}
        for part in calls
    ]
    turns = [said(), {"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    told = ask(http, {"contents": turns, "tools": TOOLS}, "gemini-3-pro")
    assert "21 degrees" in parts(told)[0]["text"]
    for signature, words in (("eA==", "not valid"), (None, "missing a thought_signature")):
        calls[0]["thoughtSignature"] = signature
        answer = http.post(f"{GEMINI}/gemini-3-pro:generateContent", json={"contents": turns}, headers=KEY)
        assert (answer.status_code, words in answer.json()["error"]["message"]) == (400, True)


def test_thoughts_are_shown_to_those_who_ask(http: httpx.Client) -> None:
    shown = asked(generationConfig={"thinkingConfig": {"includeThoughts": True}})
    thought, text = parts(ask(http, shown))
    assert (thought["thought"], text["text"]) == (True, TEXT)
    assert ask(http, shown)["usageMetadata"]["thoughtsTokenCount"] > 0


def test_structure_limit_and_stop_are_kept(http: httpx.Client) -> None:
    form = {"responseMimeType": "application/json", "responseJsonSchema": WEATHER}
    assert json.loads(parts(ask(http, asked(generationConfig=form)))[0]["text"]) == ARGUMENTS
    cut = ask(http, asked(generationConfig={"maxOutputTokens": 2}))["candidates"][0]
    assert (cut["finishReason"], cut["content"]["parts"]) == ("MAX_TOKENS", [{"text": "You said:"}])
    stopped = ask(http, asked(generationConfig={"stopSequences": ["said"]}))
    assert parts(stopped) == [{"text": "You "}]


def test_tokens_are_counted_as_each_api_wants_it(http: httpx.Client) -> None:
    whole = asked("one two", systemInstruction={"parts": [{"text": "be brief"}]})
    inside = {"generateContentRequest": {**whole, "model": "models/m"}}
    assert ask(http, inside, method="countTokens")["totalTokens"] == 4
    assert ask(http, asked("one two"), method="countTokens")["totalTokens"] == 2
    assert ask(http, whole, method="countTokens", at=VERTEX)["totalTokens"] == 4
    assert http.post(f"{GEMINI}/m:countTokens", json=whole, headers=KEY).status_code == 400


def test_models_are_listed(http: httpx.Client) -> None:
    listed = http.get(GEMINI, headers=KEY).json()["models"]
    assert [model["name"] for model in listed] == ["models/gemini-sim-large", "models/gemini-sim-small"]
    assert http.get(f"{GEMINI}/any", headers=KEY).json()["name"] == "models/any"
    on_vertex = http.get("/vertex/v1beta1/publishers/google/models", headers=KEY).json()["publisherModels"]
    assert on_vertex[0]["name"] == "publishers/google/models/gemini-sim-large"


CALL = {"role": "model", "parts": [{"functionCall": {"name": "clock"}}]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "contents is not specified"),
        ({"contents": []}, "contents is not specified"),
        (asked(max_tokens=1), 'Unknown name "max_tokens"'),
        (asked(generationConfig={"n": 1}), "Unknown name \"n\" at 'generationConfig'"),
        (asked(generationConfig={"maxOutputTokens": "1"}), "generationConfig.maxOutputTokens"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "valid role"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": [{}]}]}, "required oneof field 'data'"),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "text parameter"),
        ({"contents": [said(), CALL]}, "end with a user role"),
        ({"contents": [said(), CALL, said()]}, "number of function response parts"),
        (asked(generationConfig={"stopSequences": list("abcdef")}), "stopSequences"),
        (asked(generationConfig={"temperature": 3}), "temperature"),
        (asked(generationConfig={"maxOutputTokens": 0}), "max_output_tokens"),
        (asked(generationConfig={"responseJsonSchema": {}}), "response mime type"),
        (asked(generationConfig={"thinkingConfig": {"thinkingLevel": "MAX"}}), "thinking_level"),
        (asked(generationConfig={"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}), "only one of"),
        (asked(toolConfig={"functionCallingConfig": {"mode": "ANY"}}), "without function_declarations"),
        (asked(toolConfig={"functionCallingConfig": {"mode": "SOME"}}), "mode"),
        (asked(tools=TOOLS, toolConfig={"functionCallingConfig": {"allowedFunctionNames": ["clock"]}}), "ANY"),
        (
            asked(tools=TOOLS, toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}),
            "subset",
        ),
        (asked(labels={"a": "b"}), "labels"),
    ],
)
def test_what_google_refuses_is_refused(http: httpx.Client, body: Any, words: str) -> None:
    answer = http.post(f"{GEMINI}/m:generateContent", json=body, headers=KEY)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in error["message"]


def test_vertex_takes_labels(http: httpx.Client) -> None:
    assert parts(ask(http, asked(labels={"a": "b"}), at=VERTEX))


@pytest.mark.parametrize(
    ("at", "status", "word"), [(GEMINI, 403, "PERMISSION_DENIED"), (VERTEX, 401, "UNAUTHENTICATED")]
)
def test_a_call_without_a_key_is_refused(url: str, at: str, status: int, word: str) -> None:
    answer = httpx.post(f"{url}{at}/m:generateContent", json=asked())
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, word)


def test_vertex_takes_a_token(url: str) -> None:
    token = {"authorization": "Bearer t"}
    assert httpx.post(f"{url}{VERTEX}/m:generateContent", json=asked(), headers=token).status_code == 200


@pytest.mark.parametrize(
    "path", ["/gemini/v1beta/models/m:predict", "/gemini/v1/x", f"{GEMINI}/m:streamGenerateContent"]
)
def test_what_is_not_served_is_not_found(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json=asked(), headers=KEY)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_orders_in_the_models_name_are_obeyed(http: httpx.Client) -> None:
    limited = http.post(f"{GEMINI}/sim-429:generateContent", json=asked(), headers=KEY)
    assert (limited.status_code, limited.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert limited.json()["error"]["details"][0]["retryDelay"] == "1s"
    assert follow(http, asked(), "sim-stream-error")[-1]["error"]["code"] == 503
    assert len(parts(ask(http, asked(), "sim-words-3"))[0]["text"].split()) == 3
    assert len(follow(http, asked(), "sim-words-3")) == 4


def test_calls_are_in_the_ledger(http: httpx.Client) -> None:
    http.post("/__reset")
    follow(http, asked(), "noted")
    (entry,) = http.get("/__ledger").json()["entries"]
    assert (entry["model"], entry["status"], entry["stream"], entry["finished"]) == ("noted", 200, True, True)
    assert entry["key_hash"]
