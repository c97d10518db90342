"""The vendors' own SDKs, in Python and in JavaScript, verify what an endpoint is sent and read it."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.process import Gateway, eventually
from tests.contract.sdks import Sdk
from tests.contract.wire import ask
from tests.receiver import Received, Receiver

WITHIN_S = 60.0
EVENTS = ["async_job.completed", "async_job.failed", "batch.completed"]

PYTHON = """
import json
import anthropic, openai, standardwebhooks
given = json.loads({given!r})
body, headers, secret = given["body"], given["headers"], given["secret"]
event = openai.OpenAI(api_key="k", webhook_secret=secret).webhooks.unwrap(body, headers)
theirs = anthropic.Anthropic(api_key="k", webhook_key=secret).beta.webhooks.unwrap(body, headers=headers)
plain = standardwebhooks.Webhook(secret).verify(body, headers)
assert event.id == theirs.id == plain["id"] == headers["webhook-id"]
try:
    openai.OpenAI(api_key="k", webhook_secret=secret).webhooks.unwrap(body.replace("e", "3"), headers)
except openai.InvalidWebhookSignatureError:
    print(json.dumps([event.type, event.data.id, event.created_at, theirs.data.id, type(event).__name__]))
"""
JAVASCRIPT = """
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { Webhook } from 'standardwebhooks';
const { body, headers, secret } = JSON.parse(%s);
const client = new OpenAI({ apiKey: 'k', webhookSecret: secret });
const event = await client.webhooks.unwrap(body, headers);
const theirs = new Anthropic({ apiKey: 'k', webhookKey: secret }).beta.webhooks.unwrap(body, { headers });
const plain = new Webhook(secret).verify(body, headers);
if (new Set([event.id, theirs.id, plain.id, headers['webhook-id']]).size !== 1) throw new Error('ids differ');
try {
  await client.webhooks.unwrap(body.replaceAll('e', '3'), headers);
} catch (error) {
  if (!(error instanceof OpenAI.InvalidWebhookSignatureError)) throw error;
  console.log(JSON.stringify([event.type, event.data.id, event.created_at, theirs.data.id, 'none']));
}
"""


@pytest.fixture
def receiver(gateway: Gateway) -> Iterator[tuple[Receiver, str]]:
    """A receiver that the gateway tells of every end, and its secret."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    with Receiver() as running:
        asked = {"name": name, "url": running.url, "events": EVENTS, "allow_private_network": True}
        made = ask(gateway.url, "POST", "/admin/webhooks", asked)
        assert made.status == 201, made.body
        yield running, made.json["secret"]
        assert ask(gateway.url, "DELETE", f"/admin/webhooks/{name}").status == 200


def told(receiver: Receiver, what: str) -> Received:
    def look() -> Received | None:
        return next((one for one in list(receiver.received) if one.json["data"]["id"] == what), None)

    return eventually(look, WITHIN_S, f"nothing was told of {what}")


def read_by(sdk: Sdk, received: Received, secret: str) -> list[Any]:
    given = json.dumps({"body": received.body.decode(), "headers": received.headers, "secret": secret})
    script = PYTHON.format(given=given) if sdk.language == "python" else JAVASCRIPT % json.dumps(given)
    done = sdk.run(script)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("sdk", ["python-newest", "javascript-newest"], indirect=True)
def test_the_end_of_a_background_response_is_what_openais_sdk_knows(gateway, receiver, sdk):
    running, secret = receiver
    asked = {"model": "gpt-4o", "input": "hi", "background": True, "store": True}
    made = ask(gateway.url, "POST", "/openai/v1/responses", asked)
    assert made.status == 200, made.body
    received = told(running, made.json["id"])
    kind, shown, created, theirs, of = read_by(sdk, received, secret)
    assert (kind, shown, theirs) == ("response.completed", made.json["id"], made.json["id"])
    assert isinstance(created, int)
    assert of in {"ResponseCompletedWebhookEvent", "none"}
    fetched = ask(gateway.url, "GET", f"/openai/v1/responses/{shown}")
    assert fetched.json["status"] == "completed"


@pytest.mark.parametrize("sdk", ["python-newest", "javascript-newest"], indirect=True)
def test_the_end_of_a_batch_is_what_openais_sdk_knows(gateway, receiver, sdk):
    running, secret = receiver
    params = {"model": "claude-x", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
    asked = {"requests": [{"custom_id": "one", "params": params}]}
    made = ask(gateway.url, "POST", "/anthropic/v1/messages/batches", asked, {"x-bf-batch-mode": "direct"})
    assert made.status == 200, made.body
    received = told(running, made.json["id"])
    kind, shown, _, theirs, of = read_by(sdk, received, secret)
    assert (kind, shown, theirs) == ("batch.completed", made.json["id"], made.json["id"])
    assert of in {"BatchCompletedWebhookEvent", "none"}
    assert received.json["data"]["request_counts"]["completed"] == 1


def test_the_end_of_a_native_job_says_where_its_result_is(gateway, receiver):
    running, _ = receiver
    asked = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    made = ask(gateway.url, "POST", "/v1/async/chat/completions", asked)
    assert made.status == 202, made.body
    data = told(running, made.json["id"]).json["data"]
    assert ask(gateway.url, "GET", data["result_url"]).json["status"] == data["status"] == "completed"
