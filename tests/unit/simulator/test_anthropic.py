"""Anthropic's SDK accepts the simulator as its provider."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx
import pytest

from tests.unit.simulator.questions import ANTHROPIC_TOOLS, ARGUMENTS, MESSAGES, TEXT, WEATHER, asked, said


def test_the_same_question_gets_the_same_answer_plain_and_streamed(claude):
    plain = claude.messages.create(**asked("claude-opus-5"))
    with claude.messages.stream(**asked("claude-opus-5")) as stream:
        streamed = stream.get_final_message()
    assert plain.content[0].text == streamed.content[0].text == TEXT
    assert plain.usage.output_tokens == streamed.usage.output_tokens == 13
    assert plain.usage.input_tokens == streamed.usage.input_tokens == 1
    assert (plain.stop_reason, streamed.stop_reason, plain.model) == ("end_turn", "end_turn", "claude-opus-5")
    assert plain.id != streamed.id
    assert plain._request_id


def test_events_come_in_the_vendors_order_one_word_each(claude):
    kinds = [event.type for event in claude.messages.create(**asked("sim-words-2"), stream=True)]
    assert [kind for kind in kinds if kind != "ping"] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    ("text", "choice", "names"),
    [
        ("hello", {"type": "auto"}, []),
        ("hello", {"type": "any"}, ["clock"]),
        ("hello", {"type": "tool", "name": "weather"}, ["weather"]),
        ("use tools", {"type": "none"}, []),
        ("please use tools", {"type": "auto"}, ["clock"]),
        ("use the tool weather", {"type": "auto"}, ["weather"]),
        ("use tools in parallel", {"type": "auto"}, ["clock", "weather"]),
        ("use the tool weather in parallel", {"type": "auto"}, ["weather", "weather"]),
        ("use tools in parallel", {"type": "auto", "disable_parallel_tool_use": True}, ["clock"]),
    ],
)
def test_tools_are_called_on_demand(claude, text, choice, names):
    question = asked(messages=said(text), tools=ANTHROPIC_TOOLS, tool_choice=choice)
    plain = claude.messages.create(**question)
    with claude.messages.stream(**question) as stream:
        streamed = stream.get_final_message()
    for message in (plain, streamed):
        calls = [block for block in message.content if block.type == "tool_use"]
        assert [call.name for call in calls] == names
        assert all(call.input == ARGUMENTS for call in calls if call.name == "weather")
        assert len({call.id for call in calls}) == len(calls)
        assert message.stop_reason == ("tool_use" if names else "end_turn")


def test_a_tool_result_is_quoted(claude):
    messages = said("use the tool weather")
    call = claude.messages.create(**asked(messages=messages, tools=ANTHROPIC_TOOLS)).content[0]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "21 degrees"}]}
    messages += [{"role": "assistant", "content": [call.to_dict()]}, {"role": "user", "content": [result]}]
    answer = claude.messages.create(**asked(messages=messages, tools=ANTHROPIC_TOOLS))
    assert answer.content[0].text.startswith('The tool said: "21 degrees".')


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 1024}])
def test_thoughts_come_first_and_are_signed(claude, thinking):
    question = {**asked(thinking=thinking), "max_tokens": 2000}
    with claude.messages.stream(**question) as stream:
        streamed = stream.get_final_message()
    thought, text = claude.messages.create(**question).content
    assert [block.to_dict() for block in streamed.content] == [thought.to_dict(), text.to_dict()]
    assert thought.thinking
    assert thought.signature
    assert text.text == TEXT


def test_structured_output_fits_its_schema(claude):
    config: Any = {"format": {"type": "json_schema", "schema": WEATHER}}
    assert json.loads(claude.messages.create(**asked(output_config=config)).content[0].text) == ARGUMENTS


@pytest.mark.parametrize(
    ("more", "text", "reason"),
    [
        ({"max_tokens": 2}, "You said:", "max_tokens"),
        ({"stop_sequences": ["never", "The sim"]}, 'You said: "hello". ', "stop_sequence"),
        ({"stop_sequences": ["question"], "max_tokens": 1}, "You", "max_tokens"),
    ],
)
def test_limits_and_stop_sequences_end_the_text(claude, more, text, reason):
    message = claude.messages.create(**{**asked(), **more})
    assert (message.content[0].text, message.stop_reason) == (text, reason)
    assert message.stop_sequence == ("The sim" if reason == "stop_sequence" else None)
    assert message.usage.output_tokens == len(text.split())


def test_a_count_is_what_the_message_will_use(claude):
    question = {"model": "m", "messages": said("one two three"), "tools": ANTHROPIC_TOOLS, "system": "four five"}
    counted = claude.messages.count_tokens(**question)
    assert counted.input_tokens == claude.messages.create(**question, max_tokens=9).usage.input_tokens == 11


def test_models_are_paged_and_any_name_exists(claude):
    assert len([model.id for model in claude.models.list(limit=1)]) == 2
    assert claude.models.retrieve("openai/gpt-4o").id == "openai/gpt-4o"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("sim-404")


@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("sim-401", anthropic.AuthenticationError, "authentication_error"),
        ("sim-404", anthropic.NotFoundError, "not_found_error"),
        ("sim-429", anthropic.RateLimitError, "rate_limit_error"),
        ("sim-500", anthropic.InternalServerError, "api_error"),
        ("sim-529", anthropic.OverloadedError, "overloaded_error"),
        ("sim-stream-error", anthropic.OverloadedError, "overloaded_error"),
        ("sim-cut", anthropic.APIConnectionError, None),
    ],
)
def test_ordered_faults_raise_the_sdks_own_errors(claude, model, error, kind):
    with pytest.raises(error) as caught:
        claude.messages.create(**asked(model))
    if kind:
        assert caught.value.body["error"]["type"] == kind
        assert caught.value.response.headers.get("retry-after") == ("1" if model == "sim-429" else None)


@pytest.mark.parametrize(("model", "events"), [("sim-stream-error", 2), ("sim-stream-error-first", 0)])
def test_a_stream_can_end_with_an_error(claude, model, events):
    seen = []
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        seen.extend(claude.messages.create(**asked(model), stream=True))
    assert len(seen) >= events


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model": "m", "messages": said()}, "max_tokens: Field required"),
        ({"max_tokens": 1, "messages": said()}, "model: Field required"),
        (asked(messages=[]), "messages: at least one message is required"),
        (asked(messages=[{"role": "user"}]), "messages.0.content: Field required"),
        (asked(messages=[{"role": "tool", "content": "x"}]), "messages.0.role: Input should be"),
        (asked(max_tokens="1"), "max_tokens: Input should be a valid integer"),
        (asked(tool_choice={"type": "any"}), "tool_choice: may only"),
        (asked(thinking={"type": "enabled", "budget_tokens": 1024}), "`max_tokens` must be greater"),
        (asked(messages=[{"role": "user", "content": [{"type": "text", "text": ""}]}]), "messages: text content"),
        (
            asked(messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]),
            "messages.0.content: unexpected `tool_use_id`",
        ),
        (
            asked(messages=[{"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}, *said()]),
            "messages.0: `tool_use` ids were found without",
        ),
    ],
)
def test_a_bad_body_is_refused_in_the_vendors_words(http, body, message):
    answer = http.post(MESSAGES, json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"anthropic-version": "2023-06-01"}, 401),
        ({"x-api-key": "k"}, 400),
        ({"x-api-key": "k", "anthropic-version": "1999-01-01"}, 400),
        ({"x-api-key": "k", "anthropic-version": "2026-10-21"}, 400),
        ({"x-api-key": "k", "anthropic-version": "2023-06-01"}, 200),
        ({"authorization": "Bearer k", "anthropic-version": "2023-06-01"}, 200),
    ],
)
def test_key_and_version_are_required_and_the_new_version_has_no_temperature(url, headers, status):
    body = asked(temperature=1)
    assert httpx.post(f"{url}/v1/messages", json=body, headers=headers).status_code == status
