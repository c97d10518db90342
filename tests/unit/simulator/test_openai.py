"""OpenAI's SDK accepts the simulator as its provider."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from tests.unit.simulator.questions import ARGUMENTS, CHAT, OPENAI_TOOLS, TEXT, WEATHER, asked, said


def test_the_same_question_gets_the_same_answer_plain_and_streamed(gpt):
    plain = gpt.chat.completions.create(**asked("gpt-5"))
    with gpt.chat.completions.stream(**asked("gpt-5"), stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    assert plain.choices[0].message.content == streamed.choices[0].message.content == TEXT
    assert plain.usage.to_dict() == streamed.usage.to_dict()
    assert (plain.usage.completion_tokens, plain.choices[0].finish_reason) == (13, "stop")
    assert plain._request_id


@pytest.mark.parametrize(("options", "last"), [(None, 1), ({"include_usage": True}, 0)])
def test_a_stream_tells_the_usage_only_when_asked(gpt, options, last):
    more = {"stream_options": options} if options else {}
    chunks = list(gpt.chat.completions.create(**asked("sim-words-2"), stream=True, **more))
    assert [len(chunk.choices) for chunk in chunks] == [1, 1, 1, 1] + [last] * bool(options)
    assert bool(chunks[-1].usage) is bool(options)


@pytest.mark.parametrize(
    ("text", "more", "names"),
    [
        ("hello", {}, []),
        ("hello", {"tool_choice": "required"}, ["clock"]),
        ("hello", {"tool_choice": {"type": "function", "function": {"name": "weather"}}}, ["weather"]),
        ("use tools", {"tool_choice": "none"}, []),
        ("use the tool weather", {}, ["weather"]),
        ("use tools in parallel", {}, ["clock", "weather"]),
        ("use tools in parallel", {"parallel_tool_calls": False}, ["clock"]),
    ],
)
def test_tools_are_called_on_demand(gpt, text, more, names):
    question = asked(messages=said(text), tools=OPENAI_TOOLS, **more)
    plain = gpt.chat.completions.create(**question).choices[0]
    with gpt.chat.completions.stream(**question) as stream:
        streamed = stream.get_final_completion().choices[0]
    for choice in (plain, streamed):
        calls = choice.message.tool_calls or []
        assert [call.function.name for call in calls] == names
        assert all(json.loads(c.function.arguments) == ARGUMENTS for c in calls if c.function.name == "weather")
        assert choice.finish_reason == ("tool_calls" if names else "stop")


def test_a_tool_result_is_quoted(gpt):
    messages = said("use the tool weather")
    message = gpt.chat.completions.create(**asked(messages=messages, tools=OPENAI_TOOLS)).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 degrees"}
    messages += [message.to_dict(), result]
    answer = gpt.chat.completions.create(**asked(messages=messages, tools=OPENAI_TOOLS))
    assert answer.choices[0].message.content.startswith('The tool said: "21 degrees".')


def test_structured_output_fits_its_schema(gpt):
    form: Any = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}}
    answer = gpt.chat.completions.create(**asked(response_format=form))
    assert json.loads(answer.choices[0].message.content) == ARGUMENTS
    answer = gpt.chat.completions.create(**asked(response_format={"type": "json_object"}))
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@pytest.mark.parametrize(
    ("more", "text", "reason"),
    [
        ({"max_tokens": 2}, "You said:", "length"),
        ({"stop": "The sim"}, 'You said: "hello". ', "stop"),
    ],
)
def test_limits_and_stop_strings_end_the_text(gpt, more, text, reason):
    choice = gpt.chat.completions.create(**{**asked(), **more}).choices[0]
    assert (choice.message.content, choice.finish_reason) == (text, reason)


def test_several_copies_are_counted(gpt):
    answer = gpt.chat.completions.create(**asked(), n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage.completion_tokens == 26


def test_any_model_exists(gpt):
    assert len(list(gpt.models.list())) == 2
    assert gpt.models.retrieve("anthropic/claude").id == "anthropic/claude"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("sim-404")


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("sim-401", openai.AuthenticationError, "invalid_api_key"),
        ("sim-404", openai.NotFoundError, "model_not_found"),
        ("sim-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("sim-500", openai.InternalServerError, None),
        ("sim-503", openai.InternalServerError, "slow_down"),
        ("sim-cut", openai.APIConnectionError, None),
    ],
)
def test_ordered_faults_raise_the_sdks_own_errors(gpt, model, error, code):
    with pytest.raises(error) as caught:
        gpt.chat.completions.create(**asked(model))
    assert caught.value.code == code


@pytest.mark.parametrize("model", ["sim-stream-error", "sim-stream-error-first"])
def test_a_stream_can_end_with_an_error(gpt, model):
    with pytest.raises(openai.APIError, match="had an error"):
        list(gpt.chat.completions.create(**asked(model), stream=True))


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": said()}, "model", "missing_required_parameter"),
        ({"model": "m"}, "messages", "missing_required_parameter"),
        (asked(messages=[]), "messages", None),
        (asked(max_tokens="1"), "max_tokens", "invalid_type"),
        (asked(max_tokens=0), "max_tokens", "integer_below_min_value"),
        (asked(stream_options={}), "stream_options", None),
        (asked(messages=[{"role": "tool", "content": "x", "tool_call_id": "c"}]), "messages.[0].role", None),
        (
            asked(messages=[{"role": "assistant", "tool_calls": [{"id": "c"}]}, *said()]),
            "messages.[1].role",
            None,
        ),
    ],
)
def test_a_bad_body_is_refused_naming_the_field(http, body, param, code):
    answer = http.post(CHAT, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("prefix", "headers", "status"),
    [
        ("", {"authorization": "Bearer k"}, 200),
        ("/v1", {"api-key": "k"}, 200),
        ("/openai", {}, 401),
        ("/ollama/v1", {}, 200),
        ("/vllm/v1", {}, 200),
        ("/azure/openai/v1", {"api-key": "k"}, 200),
        ("/azure/openai/v1", {}, 401),
        ("/nowhere", {"authorization": "Bearer k"}, 404),
    ],
)
def test_every_prefix_serves_it_and_stand_ins_need_no_key(url, prefix, headers, status):
    assert httpx.post(f"{url}{prefix}/chat/completions", json=asked(), headers=headers).status_code == status
