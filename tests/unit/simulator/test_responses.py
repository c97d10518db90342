"""OpenAI's SDK accepts the simulator as its provider of the Responses API."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pydantic
import pytest
from openai.types.responses import Response

from tests.unit.simulator.questions import ARGUMENTS, OPENAI_TOOLS, RESPONSES_TOOLS, TEXT, WEATHER, put, said

LOW = {"effort": "low", "summary": "auto"}
SEALED = "reasoning.encrypted_content"


class Weather(pydantic.BaseModel):
    """What a caller wants to have parsed."""

    city: str
    days: int


def ended(gpt: openai.OpenAI, **question: Any) -> Response:
    """The response that the last event of a stream brings."""
    return list(gpt.responses.create(**question, stream=True))[-1].response


def test_the_same_question_gets_the_same_answer_plain_and_streamed(gpt):
    plain = gpt.responses.create(**put("gpt-4o"))
    with gpt.responses.stream(**put("gpt-4o")) as stream:
        helped = stream.get_final_response()
    streamed = ended(gpt, **put("gpt-4o"))
    assert plain.output_text == streamed.output_text == helped.output_text == TEXT
    assert plain.usage == streamed.usage == helped.usage
    assert (plain.usage.input_tokens, plain.usage.output_tokens, plain.usage.total_tokens) == (1, 13, 14)
    assert (plain.status, streamed.status, plain.model) == ("completed", "completed", "gpt-4o")
    assert len({plain.id, streamed.id, helped.id}) == 3
    assert plain._request_id


@pytest.mark.parametrize(
    "given",
    [
        said(),
        [{"type": "message", **said()[0]}],
        [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": "who are you"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "me", "annotations": []}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                    {"type": "input_text", "text": "hello"},
                ],
            },
        ],
    ],
)
def test_every_way_to_ask_is_understood(gpt, given):
    assert gpt.responses.create(**put(input=given)).output_text == TEXT


def test_the_parser_gets_what_it_asked_for(gpt):
    parsed = gpt.responses.parse(**put("gpt-4o"), text_format=Weather)
    with gpt.responses.stream(**put("gpt-4o"), text_format=Weather) as stream:
        streamed = stream.get_final_response()
    assert parsed.output_parsed == streamed.output_parsed == Weather(city="example", days=1)
    anything = gpt.responses.create(**put(text={"format": {"type": "json_object"}}))
    assert isinstance(json.loads(anything.output_text), dict)


@pytest.mark.parametrize(
    ("text", "more", "names"),
    [
        ("hello", {}, []),
        ("hello", {"tool_choice": "required"}, ["clock"]),
        ("hello", {"tool_choice": {"type": "function", "name": "weather"}}, ["weather"]),
        (
            "use tools",
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "weather"}],
                }
            },
            ["weather"],
        ),
        (
            "hello",
            {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"name": "weather"}]}},
            ["weather"],
        ),
        ("hello", {"tool_choice": {"type": "web_search"}}, []),
        ("use tools", {"tool_choice": "none"}, []),
        ("use the tool weather", {}, ["weather"]),
        ("use tools in parallel", {}, ["clock", "weather"]),
        ("use tools in parallel", {"parallel_tool_calls": False}, ["clock"]),
    ],
)
def test_tools_are_called_on_demand(gpt, text, more, names):
    question = put(input=text, tools=RESPONSES_TOOLS, **more)
    for response in (gpt.responses.create(**question), ended(gpt, **question)):
        calls = [item for item in response.output if item.type == "function_call"]
        assert [call.name for call in calls] == names
        assert all(json.loads(call.arguments) == ARGUMENTS for call in calls if call.name == "weather")
        assert len({call.call_id for call in calls}) == len(calls)
        assert [item.type for item in response.output] == (["function_call"] * len(names) or ["message"])


def test_the_outputs_of_functions_are_quoted(gpt):
    question = said("use tools in parallel")
    calls = gpt.responses.create(**put(input=question, tools=RESPONSES_TOOLS)).output
    parts = [{"type": "input_text", "text": "noon"}]
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": output}
        for call, output in zip(calls, [parts, "21 degrees"], strict=True)
    ]
    given = [*question, *(call.to_dict() for call in calls), *outputs]
    answer = gpt.responses.create(**put(input=given, tools=RESPONSES_TOOLS))
    assert answer.output_text.startswith('The tool said: "noon"; "21 degrees".')
    assert answer.usage.input_tokens == 4 + 1 + 2 + 2


def test_the_limit_leaves_an_answer_incomplete(gpt):
    question = put("sim-words-50", max_output_tokens=16)
    for response in (gpt.responses.create(**question), ended(gpt, **question)):
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert (len(response.output_text.split()), response.usage.output_tokens) == (16, 16)
        assert response.output[0].status == "incomplete"
        assert response.completed_at is None


@pytest.mark.parametrize(
    "model", ["gpt-5", "gpt-5.6-luna", "o3-mini", "gpt-12", "deep-reasoner", "reason/sim-rate-900"]
)
def test_a_model_that_reasons_does_so_when_asked(gpt, model):
    question = put(model, reasoning=LOW, include=[SEALED])
    plain, streamed = gpt.responses.create(**question), ended(gpt, **question)
    thought, message = plain.output
    assert (thought.type, message.type, plain.output_text) == ("reasoning", "message", TEXT)
    assert thought.summary[0].text
    assert thought.encrypted_content == streamed.output[0].encrypted_content
    assert thought.summary == streamed.output[0].summary
    words = len(thought.summary[0].text.split())
    assert plain.usage.output_tokens_details.reasoning_tokens == words
    assert plain.usage.output_tokens == words + 13


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("gpt-5", {}),
        ("gpt-5", {"reasoning": {"effort": "none"}}),
        ("gpt-4o-mini", {"reasoning": LOW}),
        ("gpt-4.1", {"reasoning": LOW}),
    ],
)
def test_nobody_reasons_otherwise(gpt, model, more):
    response = gpt.responses.create(**put(model, **more))
    assert [item.type for item in response.output] == ["message"]
    assert response.usage.output_tokens_details.reasoning_tokens == 0


def test_a_thought_shows_no_more_than_was_asked_for(gpt):
    thought = gpt.responses.create(**put("gpt-5", reasoning={"effort": "high"})).output[0]
    assert (thought.type, thought.summary, thought.encrypted_content) == ("reasoning", [], None)


def test_a_sealed_thought_is_taken_back_and_no_other(gpt):
    response = gpt.responses.create(**put("gpt-5", reasoning=LOW, include=[SEALED], store=False))
    given = [*said(), *(item.to_dict() for item in response.output), *said("and now")]
    assert gpt.responses.create(**put("gpt-5", input=given)).output_text.startswith('You said: "and now"')
    mine = response.output[0].encrypted_content
    for foreign in ("c2ltOkFCQw==", mine.replace("gAAAAAB", "gAAAAAC"), mine[:-8] + "AAAAAAA=", "gAAAAAB", "é"):
        given[1]["encrypted_content"] = foreign
        with pytest.raises(openai.BadRequestError, match="could not be verified") as caught:
            gpt.responses.create(**put("gpt-5", input=given))
        assert caught.value.code == "invalid_encrypted_content"


def test_a_count_is_what_the_response_will_use(gpt):
    question = put(
        input="one two three", instructions="four five", tools=[{**RESPONSES_TOOLS[0], "description": "six"}]
    )
    counted = gpt.responses.input_tokens.count(**question)
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens == gpt.responses.create(**question).usage.input_tokens == 7


def test_an_answer_repeats_its_request(gpt):
    form = {"type": "json_schema", "name": "weather", "schema": WEATHER}
    given = {
        "instructions": "be brief",
        "max_output_tokens": 99,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "safety_identifier": "ann",
        "service_tier": "flex",
        "store": False,
        "temperature": 0.5,
        "tool_choice": {"type": "function", "name": "weather"},
        "truncation": "auto",
    }
    question = put("gpt-5", tools=RESPONSES_TOOLS, reasoning=LOW, text={"format": form}, **given)
    for response in (gpt.responses.create(**question), ended(gpt, **question)):
        body = response.to_dict()
        assert {name: body[name] for name in given} == given
        assert body["reasoning"]["summary"] == "detailed"
        assert body["text"]["format"] == {**form, "description": None, "strict": True}
        assert [tool.get("strict") for tool in body["tools"]] == [True, True, None]


def test_an_answer_says_what_the_vendor_assumes(http):
    body = http.post("/v1/responses", json=put()).json()
    assumed = {
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
    }
    assert {name: body[name] for name in assumed} == assumed
    assert body["completed_at"] >= body["created_at"]


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("sim-401", openai.AuthenticationError, "invalid_api_key"),
        ("sim-404", openai.NotFoundError, "model_not_found"),
        ("sim-429", openai.RateLimitError, "rate_limit_exceeded"),
        ("sim-500", openai.InternalServerError, None),
        ("sim-stream-error", openai.InternalServerError, None),
        ("sim-cut", openai.APIConnectionError, None),
        ("sim-cut-stream", openai.APIConnectionError, None),
    ],
)
def test_ordered_faults_raise_the_sdks_own_errors(gpt, model, error, code):
    with pytest.raises(error) as caught:
        gpt.responses.create(**put(model))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("prefix", "headers", "status"),
    [
        ("", {"authorization": "Bearer k"}, 200),
        ("/v1", {"api-key": "k"}, 200),
        ("/openai", {}, 401),
        ("/openai/v1", {"authorization": "Bearer k"}, 200),
        ("/ollama/v1", {}, 200),
        ("/vllm/v1", {}, 200),
        ("/azure/openai/v1", {"api-key": "k"}, 200),
        ("/azure/openai/v1", {}, 401),
        ("/nowhere", {"authorization": "Bearer k"}, 404),
    ],
)
@pytest.mark.parametrize("path", ["responses", "responses/input_tokens", "embeddings"])
def test_every_prefix_serves_it_and_stand_ins_need_no_key(url, path, prefix, headers, status):
    assert httpx.post(f"{url}{prefix}/{path}", json=put(), headers=headers).status_code == status


def test_tools_of_the_chat_wire_are_refused(gpt):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.responses.create(**put(tools=OPENAI_TOOLS))
    assert (caught.value.param, caught.value.code) == ("tools[0].name", "missing_required_parameter")
