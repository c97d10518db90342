"""AWS's SDK accepts the simulator as Bedrock."""

from __future__ import annotations

import json

import botocore.config
import botocore.exceptions
import botocore.session
import httpx
import pytest

from tests.unit.simulator.questions import ARGUMENTS, TEXT, WEATHER

MODEL = "us.anthropic.claude-opus-4-8-v1:0"
PATH = "/bedrock/model/{}/converse"
TOOLS = {
    "tools": [
        {"toolSpec": {"name": "clock", "inputSchema": {"json": {"type": "object"}}}},
        {"toolSpec": {"name": "weather", "description": "how warm it is", "inputSchema": {"json": WEATHER}}},
    ]
}
THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
SIMULATOR = "simulator"


def aws(url, access_key=SIMULATOR, secret_key=SIMULATOR):
    return botocore.session.Session().create_client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=f"{url}/bedrock",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def client(url):
    client = aws(url)
    yield client
    client.close()


def said(*texts):
    return [{"role": "user", "content": [{"text": text} for text in texts or ("hello",)]}]


def followed(client, **asked):
    """Names of the events, and the answer that they add up to."""
    events = list(client.converse_stream(**asked)["stream"])
    names = [name for event in events for name in event]
    blocks = {}
    for event in events:
        if start := event.get("contentBlockStart"):
            blocks[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
        if delta := event.get("contentBlockDelta"):
            block = blocks.setdefault(delta["contentBlockIndex"], {})
            match delta["delta"]:
                case {"text": text}:
                    block["text"] = block.get("text", "") + text
                case {"toolUse": {"input": text}}:
                    block["toolUse"]["input"] += text
                case {"reasoningContent": thought}:
                    for name, text in thought.items():
                        block[name] = block.get(name, "") + text
    return names, list(blocks.values())


def test_the_same_question_gets_the_same_answer_plain_and_streamed(client):
    plain = client.converse(modelId=MODEL, messages=said())
    names, blocks = followed(client, modelId=MODEL, messages=said())
    assert plain["output"]["message"]["content"] == blocks == [{"text": TEXT}]
    assert plain["stopReason"] == "end_turn"
    assert plain["usage"]["totalTokens"] == plain["usage"]["inputTokens"] + 13
    assert [names[0], names[-2], names[-1]] == ["messageStart", "messageStop", "metadata"]
    assert names.count("contentBlockDelta") == 13


def test_a_tool_is_called_and_its_result_understood(client):
    asked = {"modelId": MODEL, "toolConfig": TOOLS, "messages": said("use the tool weather")}
    plain = client.converse(**asked)
    (call,) = plain["output"]["message"]["content"]
    assert plain["stopReason"] == "tool_use"
    assert call["toolUse"]["input"] == ARGUMENTS
    _, (streamed,) = followed(client, **asked)
    assert json.loads(streamed["toolUse"]["input"]) == ARGUMENTS
    result = {"toolResult": {"toolUseId": call["toolUse"]["toolUseId"], "content": [{"text": "rain"}]}}
    turns = [*asked["messages"], plain["output"]["message"], {"role": "user", "content": [result]}]
    followed_up = client.converse(**{**asked, "messages": turns})
    assert "rain" in followed_up["output"]["message"]["content"][0]["text"]


def test_a_thought_is_signed_and_taken_back_with_its_signature_alone(client):
    asked = {"modelId": MODEL, "messages": said(), "additionalModelRequestFields": THINKS}
    message = client.converse(**asked)["output"]["message"]
    _, (thought, _) = followed(client, **asked)
    assert message["content"][0]["reasoningContent"]["reasoningText"] == thought
    assert client.converse(**{**asked, "messages": [*said(), message, *said()]})["stopReason"] == "end_turn"
    message["content"][0]["reasoningContent"]["reasoningText"]["signature"] = "forged"
    with pytest.raises(client.exceptions.ValidationException, match="signature"):
        client.converse(**{**asked, "messages": [*said(), message, *said()]})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"messages": [{"role": "assistant", "content": [{"text": "hi"}]}]}, "start with a user message"),
        ({"messages": [*said(), *said()]}, "alternate"),
        ({"messages": said(" ")}, "blank"),
        ({"messages": [{"role": "user", "content": []}]}, "empty"),
        (
            {"messages": said(), "toolConfig": {"tools": [TOOLS["tools"][0]], "toolChoice": {"tool": {"name": "x"}}}},
            "x",
        ),
        ({"messages": said(), "inferenceConfig": {"temperature": 0.5, "maxTokens": 0}}, "maxTokens"),
        (
            {
                "messages": [
                    *said(),
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "x", "input": {}}}]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "y"}]}}]},
                ]
            },
            "toolConfig",
        ),
        (
            {
                "toolConfig": TOOLS,
                "messages": [
                    *said(),
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "x", "input": {}}}]},
                    *said(),
                ],
            },
            "Expected toolResult",
        ),
    ],
    ids=str,
)
def test_what_the_api_refuses_is_refused(http, changes, why):
    refused = http.post(PATH.format(MODEL), json=changes)
    assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert why in refused.json()["message"]


def test_a_field_that_the_api_does_not_know_is_refused(http):
    refused = http.post(PATH.format(MODEL), json={"messages": said(), "max_tokens": 5})
    assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert "max_tokens" in refused.json()["message"]


def test_tokens_are_counted(client):
    counted = client.count_tokens(modelId="anthropic.claude-v2", input={"converse": {"messages": said("one two")}})
    assert counted["inputTokens"] == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "ThrottlingException"), (503, "ServiceUnavailableException"), (424, "ModelErrorException")],
)
def test_a_model_orders_an_error(client, status, kind):
    with pytest.raises(getattr(client.exceptions, kind)) as refused:
        client.converse(modelId=f"sim-{status}", messages=said())
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_stream_ends_with_an_exception_as_ordered(client):
    stream = client.converse_stream(modelId="sim-stream-error", messages=said())["stream"]
    with pytest.raises(botocore.exceptions.EventStreamError, match="serviceUnavailableException"):
        list(stream)
    stream.close()


@pytest.mark.parametrize(
    ("access_key", "secret_key", "kind"),
    [("simulator", "wrong", "InvalidSignatureException"), ("another", "simulator", "UnrecognizedClientException")],
)
def test_another_signature_is_refused(url, access_key, secret_key, kind):
    client = aws(url, access_key, secret_key)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client.converse(modelId=MODEL, messages=said())
    client.close()
    assert refused.value.response["Error"]["Code"] == kind
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_key_is_taken_and_its_absence_refused(url):
    for headers, status in (({"authorization": "Bearer key"}, 200), ({}, 403)):
        assert httpx.post(url + PATH.format(MODEL), json={"messages": said()}, headers=headers).status_code == status
