"""The Anthropic surface, driven by the newest Anthropic SDK; each provider's wire behind it."""

import hashlib
import json

import anthropic
import pytest

from tests.contract.asking import CLAUDE, GPT, KEY, PIXEL, USE_WEATHER, WEATHER, message, turn
from tests.contract.process import Gateway
from tests.contract.wire import Ledger, ask

BOTH_WIRES = pytest.mark.parametrize("model", [CLAUDE, f"openai/{GPT}"])
TOOLS = [{"name": "weather", "description": "Tells the weather.", "input_schema": WEATHER}]


def text_of(answer: anthropic.types.Message) -> str:
    return "".join(block.text for block in answer.content if block.type == "text")


@BOTH_WIRES
def test_a_message_is_answered_with_text_and_usage(claude: anthropic.Anthropic, model):
    answer = claude.messages.create(**message(model=model, system="Be brief."))
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert text_of(answer)
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@BOTH_WIRES
def test_every_answer_names_its_request_and_its_job(claude: anthropic.Anthropic, model):
    raw = claude.messages.with_raw_response.create(**message(model=model))
    assert raw.headers["request-id"] == raw.parse()._request_id
    assert raw.headers["x-bf-job-id"]


@BOTH_WIRES
def test_the_stream_helper_builds_what_the_plain_request_gets(claude: anthropic.Anthropic, model):
    plain = claude.messages.create(**message(model=model))
    with claude.messages.stream(**message(model=model)) as stream:
        text = "".join(stream.text_stream)
        streamed = stream.get_final_message()
    assert text == text_of(streamed) == text_of(plain)
    assert streamed.stop_reason == plain.stop_reason
    assert streamed.usage.input_tokens == plain.usage.input_tokens
    assert streamed.usage.output_tokens == plain.usage.output_tokens


@BOTH_WIRES
def test_a_raw_stream_begins_and_ends_as_the_vendor_says(claude: anthropic.Anthropic, model):
    with claude.messages.create(**message(model=model), stream=True) as stream:
        kinds = [event.type for event in stream]
        headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["request-id"]
    assert headers["x-bf-job-id"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1
    assert kinds.count("content_block_delta") > 1


@BOTH_WIRES
def test_the_token_limit_ends_an_answer(claude: anthropic.Anthropic, model):
    answer = claude.messages.create(**message(model=model, max_tokens=3))
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 3


def test_a_stop_sequence_ends_an_answer_and_is_named(claude: anthropic.Anthropic):
    answer = claude.messages.create(**message(stop_sequences=["simulator"]))
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "simulator")


@BOTH_WIRES
def test_a_tool_is_called_and_its_result_is_understood(claude: anthropic.Anthropic, model):
    asked = message(model=model, tools=TOOLS, messages=turn(USE_WEATHER))
    answer = claude.messages.create(**asked)
    assert answer.stop_reason == "tool_use"
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "weather"
    assert set(call.input) == {"city"}
    result = [{"type": "tool_result", "tool_use_id": call.id, "content": "thunderstorms"}]
    turns = [*turn(USE_WEATHER), {"role": "assistant", "content": answer.content}, *turn(result)]
    followed = claude.messages.create(**{**asked, "messages": turns})
    assert "thunderstorms" in text_of(followed)


@BOTH_WIRES
def test_a_streamed_tool_call_has_the_arguments_of_the_plain_one(claude: anthropic.Anthropic, model):
    asked = message(model=model, tools=TOOLS, messages=turn(USE_WEATHER))
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    plain = claude.messages.create(**asked)
    assert streamed.stop_reason == "tool_use"
    assert [block.input for block in streamed.content] == [block.input for block in plain.content]


@BOTH_WIRES
def test_an_image_is_accepted(claude: anthropic.Anthropic, model):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    assert text_of(claude.messages.create(**message(model=model, messages=turn(content))))


def test_tokens_are_counted(claude: anthropic.Anthropic):
    counted = claude.messages.count_tokens(model=CLAUDE, messages=turn())
    assert counted.input_tokens == claude.messages.create(**message()).usage.input_tokens


def test_tokens_of_a_conversation_are_counted_by_openai_too(claude: anthropic.Anthropic):
    model = f"openai/{GPT}"
    question = claude.messages.count_tokens(model=model, messages=turn())
    assert question.input_tokens == claude.messages.create(**message(model=model)).usage.input_tokens
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain and wind"}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    turns = [*turn(USE_WEATHER), {"role": "assistant", "content": [call]}, *turn([result, image])]
    asked = {"tools": TOOLS, "tool_choice": {"type": "any"}, "system": "Be brief.", "messages": turns}
    assert claude.messages.count_tokens(model=model, **asked).input_tokens > question.input_tokens


@pytest.mark.parametrize("prefix", ["", "anthropic/"])
@pytest.mark.parametrize("stream", [False, True])
def test_fields_that_nobody_knows_travel_byte_for_byte(gateway: Gateway, ledger: Ledger, user, prefix, stream):
    future = {"levels": [1, 2.50, None], "text": "é \u2028 \\"}
    body = message(stream=stream, metadata={"user_id": user}, from_the_future=future)
    sent = {**body, "model": prefix + body["model"]}
    answer = ask(gateway.anthropic, "POST", "/v1/messages", _compact(sent), {"anthropic-version": "2023-06-01"})
    assert answer.status == 200, answer.body
    assert ledger.calls(user)[0]["request_sha256"] == hashlib.sha256(_compact(body)).hexdigest()


def test_unknown_fields_given_to_the_sdk_are_no_error(claude: anthropic.Anthropic, ledger: Ledger, user):
    answer = claude.messages.create(**message(metadata={"user_id": user}), extra_body={"from_the_future": {"a": 1}})
    assert text_of(answer)
    assert [call["status"] for call in ledger.calls(user)] == [200]


def test_version_and_betas_travel_and_the_clients_key_does_not(claude: anthropic.Anthropic, ledger: Ledger, user):
    betas = ["context-1m-2025-08-07", "some-beta-2030-01-01"]
    claude.beta.messages.create(**message(metadata={"user_id": user}), betas=betas)
    (call,) = ledger.calls(user)
    assert call["headers"]["anthropic-version"] == "2026-10-21"
    assert set(betas) <= set(call["headers"]["anthropic-beta"].split(","))
    assert call["key_hash"]
    assert not hashlib.sha256(KEY.encode()).hexdigest().startswith(call["key_hash"])


def test_only_headers_meant_for_the_provider_travel(gateway: Gateway, ledger: Ledger, user):
    meant = {"x-bf-eh-x-tenant": "blue", "anthropic-beta": "some-beta-2030-01-01"}
    kept = {"cookie": "a=b", "x-bf-vk": "vk_12345", "x-tenant-two": "red", "x-bf-eh-authorization": "Bearer mine"}
    body = message(metadata={"user_id": user})
    assert ask(gateway.anthropic, "POST", "/v1/messages", body, {**meant, **kept}).status == 200
    (call,) = ledger.calls(user)
    names = call["headers"]["names"]
    assert {"x-tenant", "anthropic-beta"} <= set(names)
    assert not [name for name in names if name.startswith("x-bf-") or name in {"cookie", "x-tenant-two"}]
    assert call["key_hash"] != hashlib.sha256(b"mine").hexdigest()[: len(call["key_hash"])]


@BOTH_WIRES
def test_the_empty_answer_of_a_poll_may_be_sent_back_as_history(claude: anthropic.Anthropic, model):
    empty = {"role": "assistant", "content": [{"type": "text", "text": ""}]}
    assert text_of(claude.messages.create(**message(model=model, messages=[*turn(), empty, *turn()])))


def test_a_thread_on_a_provider_without_threads_is_refused_in_the_words_the_sdk_waits_for(gateway: Gateway):
    answer = ask(gateway.anthropic, "POST", "/v1/messages", message(model=f"openai/{GPT}", thread={"type": "create"}))
    assert answer.status == 400, answer.body
    assert answer.json["error"]["details"]["error_code"] == "thread_unsupported_request"


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"x-bf-vk": "vk_12345"}], ids=str
)
@pytest.mark.parametrize("query", ["", "?beta=true"])
def test_any_way_to_send_a_key_and_the_beta_flag_are_accepted(gateway: Gateway, headers, query):
    answer = ask(gateway.anthropic, "POST", f"/v1/messages{query}", message(), headers)
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("path", ["", "/"])
def test_claude_codes_first_question_is_answered(gateway: Gateway, path):
    answer = ask(gateway.anthropic, "HEAD", path)
    assert (answer.status, answer.body) == (200, b"")


def test_the_api_pages_own_request_is_answered(gateway: Gateway):
    body = {"model": "claude-3-opus-20240229", "max_tokens": 0, "messages": [{"role": "user", "content": "string"}]}
    answer = ask(gateway.anthropic, "POST", "/v1/messages", body)
    assert answer.status == 200, answer.body
    assert answer.json["content"] == []


def _compact(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
