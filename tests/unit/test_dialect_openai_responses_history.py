"""The Responses dialect: a conversation continued by `previous_response_id`, and its items listed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from shared.chat import Message, Text, Thinking, ToolCall, ToolResult
from shared.dialects.openai_responses.history import continued
from shared.dialects.openai_responses.request import parse, read_head
from shared.dialects.openai_responses.resource import input_items
from shared.errors import InvalidRequest

HI = {"type": "message", "role": "user", "content": "hi"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"}
UNSEALED = {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "hm"}]}


def written(**fields: Any) -> bytes:
    return json.dumps({"model": "m", **fields}).encode()


def answered(*output: dict[str, Any]) -> bytes:
    return json.dumps({"id": "resp_1", "object": "response", "output": output}).encode()


# --- continued ------------------------------------------------------------------------------------


def whole(earlier: Any, output: list[dict[str, Any]], asked: Any) -> Any:
    made = continued(written(input=asked, previous_response_id="resp_1"), written(input=earlier), answered(*output))
    return json.loads(made)["input"]


@pytest.mark.parametrize(
    ("earlier", "asked"),
    [("hi", "and?"), ([HI], "and?"), ("hi", [{**HI, "content": "and?"}]), ([HI], [{**HI, "content": "and?"}])],
)
def test_a_continued_conversation_holds_what_was_asked_and_answered_before(earlier: Any, asked: Any) -> None:
    assert whole(earlier, [SAID], asked) == [HI, SAID, {**HI, "content": "and?"}]


def test_a_conversation_is_continued_any_number_of_times() -> None:
    second = continued(written(input="2", previous_response_id="resp_1"), written(input="1"), answered(SAID))
    third = continued(written(input="3", previous_response_id="resp_2"), second, answered(SAID))
    contents = [item["content"] for item in json.loads(third)["input"]]
    assert contents == ["1", SAID["content"], "2", SAID["content"], "3"]


def test_outputs_of_functions_follow_the_calls_they_answer() -> None:
    body = continued(
        written(input=[OUTPUT], previous_response_id="resp_1"), written(input="hi"), answered(SEALED, SAID, CALL)
    )
    assert parse(body, "m").messages == (
        Message("user", (Text("hi"),)),
        Message("assistant", (Thinking("", "openai_responses", "xyz"), Text("hello"), ToolCall("c1", "f", "{}"))),
        Message("user", (ToolResult("c1", (Text("42"),)),)),
    )


def test_every_other_field_stays_as_it_came() -> None:
    given = b'{"model":"m", "input":"x","temperature":1.0,"instructions":"new","previous_response_id":"resp_1","x":[1]}'
    made = continued(given, written(input="hi", instructions="old", tools=[]), answered(SAID))
    fields = json.loads(made)
    assert b'"temperature":1.0' in made
    assert {**fields, "input": "x"} == json.loads(given)
    assert read_head(made).previous == "resp_1"


def test_the_bytes_of_items_are_not_touched() -> None:
    item = b'{ "type" : "message", "role":"user", "content": "\\u00e9 1.50" }'
    earlier = b'{"model":"m","input":[' + item + b"]}"
    answer = b'{"output":[{"type":"message", "role":"assistant","content":[] , "n": 1.50}]}'
    made = continued(b'{"model":"m","input":[{"role":"user","content":"b" }]}', earlier, answer)
    assert item in made
    assert b'{"type":"message", "role":"assistant","content":[] , "n": 1.50}' in made
    assert b'{"role":"user","content":"b" }' in made


@pytest.mark.parametrize("asked", [{}, {"input": None}, {"input": []}])
def test_nothing_more_need_be_asked(asked: dict[str, Any]) -> None:
    made = continued(written(previous_response_id="resp_1", **asked), written(input="hi"), answered(SAID))
    assert json.loads(made)["input"] == [HI, SAID]


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        ([UNSEALED, SAID], [SAID]),
        ([SEALED, SAID], [SEALED, SAID]),
        ([UNSEALED, SEALED, CALL], [SEALED, CALL]),
        ([{**SEALED, "encrypted_content": None}, SAID], [SAID]),
        ([SAID, SEALED], [SAID]),
        ([SEALED], []),
        ([{"type": "web_search_call", "id": "ws_1"}, SAID], [{"type": "web_search_call", "id": "ws_1"}, SAID]),
    ],
)
def test_reasoning_is_sent_back_only_where_it_can_be_read_and_leads_to_something(
    output: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> None:
    assert whole("hi", output, "and?") == [HI, *kept, {**HI, "content": "and?"}]


def test_an_answer_without_output_adds_nothing() -> None:
    made = continued(written(input="b"), written(input="a"), b'{"id":"resp_1","output":null}')
    assert [item["content"] for item in json.loads(made)["input"]] == ["a", "b"]


def test_an_input_that_is_neither_text_nor_list_is_the_callers_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        continued(written(input=3), written(input="a"), answered())
    assert caught.value.param == "input"


# --- input items ----------------------------------------------------------------------------------

ITEMS: TypeAdapter[Any] = TypeAdapter(ResponseItem)
MANY = [{"role": "user", "content": str(number)} for number in range(25)]


def listed(given: Any, **query: str) -> Any:
    return json.loads(input_items(written(input=given), query))


def contents(page: Any) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]


def test_the_latest_items_come_first_twenty_at_a_time() -> None:
    page = listed(MANY)
    assert page["object"] == "list"
    assert contents(page) == [str(number) for number in range(24, 4, -1)]
    assert page["has_more"] is True
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_paging_shows_every_item_once(order: str) -> None:
    shown: list[str] = []
    query = {"order": order, "limit": "10"}
    while True:
        page = listed(MANY, **query)
        shown += contents(page)
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    expected = [str(number) for number in range(25)]
    assert shown == (expected if order == "asc" else expected[::-1])


def test_a_page_that_ends_with_the_last_item_has_no_more() -> None:
    assert listed(MANY[:5], limit="5")["has_more"] is False


def test_after_the_last_item_there_is_an_empty_page() -> None:
    last = listed(MANY, order="asc", limit="100")["last_id"]
    page = listed(MANY, order="asc", after=last)
    assert page == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def test_an_item_keeps_its_id_and_gets_one_when_it_has_none() -> None:
    page = listed([HI, SAID, CALL, OUTPUT, SEALED, {"type": "compaction"}], order="asc")
    assert [item["id"] for item in page["data"]] == ["msg_0", "msg_1", "fc_1", "fco_3", "rs_1", "item_5"]


@pytest.mark.parametrize("given", ["hi", [{"role": "user", "content": "hi"}], [HI, SAID, CALL, OUTPUT, SEALED]])
def test_the_vendors_sdk_knows_the_items(given: Any) -> None:
    for item in listed(given)["data"]:
        known = ITEMS.validate_python({"status": "completed", **item})
        assert known.type == item["type"]


def test_text_is_listed_as_a_part_of_its_message() -> None:
    page = listed([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], order="asc")
    assert [item["content"] for item in page["data"]] == [
        [{"type": "input_text", "text": "a"}],
        [{"type": "output_text", "text": "b", "annotations": []}],
    ]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5_000}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "msg_nobody"}, "after"),
    ],
)
def test_a_bad_query_is_refused_by_its_name(query: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        listed(MANY, **query)
    assert caught.value.param == param
