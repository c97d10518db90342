"""The OpenAI surface, driven by the newest OpenAI SDK, with and without `/v1`; each provider's wire behind it."""

import hashlib
import json

import openai
import pytest

from tests.contract.asking import CLAUDE, GPT, KEY, PIXEL, USE_WEATHER, WEATHER, completion, turn
from tests.contract.process import Gateway
from tests.contract.wire import Ledger, ask

BOTH_WIRES = pytest.mark.parametrize("model", [GPT, f"anthropic/{CLAUDE}"])
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": WEATHER}}]


@BOTH_WIRES
def test_a_completion_is_answered_with_text_and_usage(gpt: openai.OpenAI, model):
    messages = [{"role": "system", "content": "Be brief."}, *turn()]
    answer = gpt.chat.completions.create(model=model, messages=messages)
    assert (answer.object, answer.choices[0].finish_reason) == ("chat.completion", "stop")
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.created > 0
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@BOTH_WIRES
def test_every_answer_names_its_request_and_its_job(gpt: openai.OpenAI, model):
    raw = gpt.chat.completions.with_raw_response.create(**completion(model=model))
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["x-bf-job-id"]


@BOTH_WIRES
def test_the_stream_helper_builds_what_the_plain_request_gets(gpt: openai.OpenAI, model):
    plain = gpt.chat.completions.create(**completion(model=model))
    with gpt.chat.completions.stream(**completion(model=model), stream_options={"include_usage": True}) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        streamed = stream.get_final_completion()
    assert text == streamed.choices[0].message.content == plain.choices[0].message.content
    assert streamed.choices[0].finish_reason == plain.choices[0].finish_reason
    assert streamed.usage.prompt_tokens == plain.usage.prompt_tokens
    assert streamed.usage.completion_tokens == plain.usage.completion_tokens


@BOTH_WIRES
@pytest.mark.parametrize("include_usage", [False, True])
def test_a_raw_stream_tells_the_usage_only_when_asked(gpt: openai.OpenAI, model, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    with gpt.chat.completions.create(**completion(model=model), stream=True, **options) as stream:
        chunks = list(stream)
        headers = stream.response.headers
    assert headers["x-request-id"]
    assert headers["x-bf-job-id"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert bool(chunks[-1].usage) is include_usage


@BOTH_WIRES
def test_a_stream_ends_with_done(gateway: Gateway, model):
    answer = ask(gateway.openai, "POST", "/chat/completions", completion(model=model, stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")


@BOTH_WIRES
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit_ends_an_answer(gpt: openai.OpenAI, model, limit):
    answer = gpt.chat.completions.create(**completion(model=model, **{limit: 3}))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


@BOTH_WIRES
def test_a_tool_is_called_and_its_result_is_understood(gpt: openai.OpenAI, model):
    asked = completion(model=model, tools=TOOLS, messages=turn(USE_WEATHER))
    choice = gpt.chat.completions.create(**asked).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "thunderstorms"}
    followed = gpt.chat.completions.create(**{**asked, "messages": [*turn(USE_WEATHER), choice.message, result]})
    assert "thunderstorms" in followed.choices[0].message.content


@BOTH_WIRES
def test_a_streamed_tool_call_has_the_arguments_of_the_plain_one(gpt: openai.OpenAI, model):
    asked = completion(model=model, tools=TOOLS, messages=turn(USE_WEATHER))
    with gpt.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    plain = gpt.chat.completions.create(**asked).choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in streamed.message.tool_calls] == [
        json.loads(call.function.arguments) for call in plain.message.tool_calls
    ]


@BOTH_WIRES
def test_an_image_is_accepted(gpt: openai.OpenAI, model):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [image, {"type": "text", "text": "What is this?"}]
    answer = gpt.chat.completions.create(**completion(model=model, messages=turn(content)))
    assert answer.choices[0].message.content


@pytest.mark.parametrize("prefix", ["", "openai/"])
def test_fields_that_nobody_knows_travel_byte_for_byte(gateway: Gateway, ledger: Ledger, user, prefix):
    body = completion(user=user, from_the_future={"levels": [1, 2.50, None], "text": "é \u2028 \\"})
    sent = {**body, "model": prefix + body["model"]}
    answer = ask(gateway.openai, "POST", "/chat/completions", _compact(sent))
    assert answer.status == 200, answer.body
    assert ledger.calls(user)[0]["request_sha256"] == hashlib.sha256(_compact(body)).hexdigest()


def test_unknown_fields_given_to_the_sdk_are_no_error(gpt: openai.OpenAI, ledger: Ledger, user):
    answer = gpt.chat.completions.create(**completion(user=user), extra_body={"from_the_future": {"a": 1}})
    assert answer.choices[0].message.content
    (call,) = ledger.calls(user)
    assert call["status"] == 200
    assert not hashlib.sha256(KEY.encode()).hexdigest().startswith(call["key_hash"])


def test_a_field_the_provider_cannot_express_is_named(gpt: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.chat.completions.create(**completion(model=f"anthropic/{CLAUDE}"), extra_body={"from_the_future": 1})
    assert refused.value.param == "from_the_future"
    assert "from_the_future" in refused.value.message


@pytest.mark.parametrize(
    "headers", [{}, {"api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"x-bf-vk": "vk_12345"}], ids=str
)
def test_any_way_to_send_a_key_is_accepted(gateway: Gateway, headers):
    answer = ask(gateway.openai, "POST", "/chat/completions", completion(), headers)
    assert answer.status == 200, answer.body


def _compact(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
