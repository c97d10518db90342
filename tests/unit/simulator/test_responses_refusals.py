"""A body that the Responses API refuses is refused, in its words and naming the field."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from deploy.simulator.responses_body import Body
from tests.unit.simulator.questions import RESPONSES, RESPONSES_TOOLS, put

MISSING, TYPE, VALUE, UNKNOWN = (
    "missing_required_parameter",
    "invalid_type",
    "invalid_value",
    "unknown_parameter",
)


def message(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return put(input=[{"role": role, "content": list(parts)}])


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "hello"}, "model", MISSING),
        ({"model": "m"}, "input", MISSING),
        (put(input=[]), "input", MISSING),
        (put(input=7), "input", TYPE),
        (put(input=[7]), "input[0]", TYPE),
        (put(input=[{"role": "user"}]), "input[0].content", MISSING),
        (put(input=[{"role": "tool", "content": "x"}]), "input[0]", VALUE),
        (message({"text": "x"}), "input[0].content[0].type", MISSING),
        (message({"type": "text", "text": "x"}), "input[0].content[0]", VALUE),
        (message({"type": "input_text"}), "input[0].content[0].text", MISSING),
        (message({"type": "input_image", "image_url": {"url": "x"}}), "input[0].content[0].image_url", TYPE),
        (message({"type": "output_text", "text": "x"}), "input[0].content[0]", VALUE),
        (message({"type": "input_text", "text": "x"}, role="assistant"), "input[0].content[0]", VALUE),
        (put(input=[{"type": "function_call", "call_id": "c", "name": "f"}]), "input[0].arguments", MISSING),
        (
            put(input=[{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]),
            "input[0].arguments",
            TYPE,
        ),
        (put(input=[{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]), "input", None),
        (put(input=[{"type": "function_call_output", "call_id": "c", "output": "x"}]), "input", None),
        (put(messages=[]), "messages", UNKNOWN),
        (put(max_tokens=99), "max_tokens", UNKNOWN),
        (put(stream_options={"include_usage": True}), "stream_options.include_usage", UNKNOWN),
        (put(stream="yes"), "stream", TYPE),
        (put(metadata={"a": 1}), "metadata", TYPE),
        (put(max_output_tokens="99"), "max_output_tokens", TYPE),
        (put(max_output_tokens=15), "max_output_tokens", "integer_below_min_value"),
        (put(temperature=-1), "temperature", "decimal_below_min_value"),
        (put(top_p=1.5), "top_p", "decimal_above_max_value"),
        (put(service_tier="first"), "service_tier", VALUE),
        (put(truncation="some"), "truncation", VALUE),
        (put(reasoning="low"), "reasoning", TYPE),
        (put(reasoning={"effort": "some"}), "reasoning.effort", VALUE),
        (put(reasoning={"summary": "some"}), "reasoning.summary", VALUE),
        (put(text={"verbosity": "some"}), "text.verbosity", VALUE),
        (put(text={"format": {"type": "xml"}}), "text.format.type", VALUE),
        (put(text={"format": {"type": "json_schema", "schema": {}}}), "text.format.name", MISSING),
        (put(text={"format": {"type": "json_schema", "name": "n"}}), "text.format.schema", MISSING),
        (put(tools=[{}]), "tools[0].type", MISSING),
        (put(tools=[{"type": "function"}]), "tools[0].name", MISSING),
        (put(tools=[{"type": "function", "name": "f", "parameters": "x"}]), "tools[0].parameters", TYPE),
        (put(tool_choice=7), "tool_choice", TYPE),
        (put(tools=RESPONSES_TOOLS, tool_choice="any"), "tool_choice", VALUE),
        (put(tool_choice="required"), "tool_choice", None),
        (put(tools=RESPONSES_TOOLS, tool_choice={"name": "clock"}), "tool_choice.type", MISSING),
        (put(tools=RESPONSES_TOOLS, tool_choice={"type": "function"}), "tool_choice.name", MISSING),
        (put(tools=RESPONSES_TOOLS, tool_choice={"type": "function", "name": "f"}), "tool_choice", None),
        (put(previous_response_id="resp_1"), "previous_response_id", "previous_response_not_found"),
        ({"model": "m", "previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        (put(background=True), "background", None),
    ],
)
def test_a_bad_body_is_refused_naming_the_field(http, body, param, code):
    for path in (RESPONSES, f"{RESPONSES}/input_tokens"):
        answer = http.post(path, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
        assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("more", [{"conversation": "conv_1"}, {"conversation": {"id": "c"}}, {"prompt": {"id": "p"}}])
def test_what_would_have_been_stored_is_not_found(http, more):
    assert http.post(RESPONSES, json=put(**more)).status_code == 404
    assert http.get(f"{RESPONSES}/resp_1").status_code == 404


def test_a_schema_that_is_none_is_refused(http):
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object", "required": 7}}
    assert http.post(RESPONSES, json=put(text={"format": form})).status_code == 400


def test_a_body_that_is_not_json_is_refused(http):
    assert http.post(RESPONSES, content=b"{").status_code == 400


def test_every_field_of_the_sdk_is_known():
    fields = {*ResponseCreateParamsBase.__annotations__, *InputTokenCountParams.__annotations__, "stream"}
    assert fields <= set(Body.__struct_fields__)
