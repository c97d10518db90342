"""A streamed response comes event by event, in the vendor's order, and breaks off exactly as ordered."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from tests.unit.simulator.questions import RESPONSES, RESPONSES_TOOLS, put

TEXT = [
    "response.output_item.added",
    "response.content_part.added",
    *["response.output_text.delta"] * 2,
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
CALL = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]
THOUGHT = [
    "response.output_item.added",
    "response.reasoning_summary_part.added",
    *["response.reasoning_summary_text.delta"] * 10,
    "response.reasoning_summary_text.done",
    "response.reasoning_summary_part.done",
    "response.output_item.done",
]


def events(http: httpx.Client, **question: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, name and data, read without an SDK."""
    frames = http.post(RESPONSES, json={**question, "stream": True}).text.removesuffix("\n\n").split("\n\n")
    lines = [frame.split("\n") for frame in frames]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]


@pytest.mark.parametrize(
    ("question", "items", "last"),
    [
        (put("sim-words-2"), TEXT, "completed"),
        (put(tools=RESPONSES_TOOLS, tool_choice="required"), CALL, "completed"),
        (put(input="use the tool clock in parallel", tools=RESPONSES_TOOLS), CALL * 2, "completed"),
        (put("reason/sim-words-2", reasoning={"effort": "low", "summary": "auto"}), THOUGHT + TEXT, "completed"),
        (put("reason/sim-words-2", reasoning={"effort": "low"}), [THOUGHT[0], THOUGHT[-1], *TEXT], "completed"),
    ],
)
def test_events_come_in_the_vendors_order_and_numbered(http, question, items, last):
    seen = events(http, **question)
    assert [name for name, _ in seen] == ["response.created", "response.in_progress", *items, f"response.{last}"]
    assert [data["type"] for _, data in seen] == [name for name, _ in seen]
    assert [data["sequence_number"] for _, data in seen] == list(range(len(seen)))


def test_an_incomplete_response_ends_as_one(http):
    seen = events(http, **put("sim-words-50", max_output_tokens=16))
    assert [name for name, _ in seen].count("response.output_text.delta") == 16
    assert seen[-1][0] == "response.incomplete"
    assert seen[-2][1]["item"] == seen[-1][1]["response"]["output"][0]


def test_deltas_add_up_to_what_is_done(http):
    seen = events(http, **put("gpt-5", reasoning={"effort": "low", "summary": "detailed"}))
    for family in ("output_text", "reasoning_summary_text"):
        deltas = [data["delta"] for name, data in seen if name == f"response.{family}.delta"]
        done = [data["text"] for name, data in seen if name == f"response.{family}.done"]
        assert "".join(deltas) == done[0] != ""
    first, last = seen[0][1]["response"], seen[-1][1]["response"]
    assert (first["output"], first["usage"], first["status"]) == ([], None, "in_progress")
    assert (first["id"], first["created_at"]) == (last["id"], last["created_at"])
    items = [data["item"] for name, data in seen if name == "response.output_item.done"]
    assert items == last["output"]


@pytest.mark.parametrize("wanted", [True, False])
def test_deltas_are_padded_unless_unwanted(http, wanted):
    seen = events(http, **put(stream_options={"include_obfuscation": wanted}))
    deltas = [data for name, data in seen if name.endswith(".delta")]
    assert deltas
    assert all(("obfuscation" in delta) is wanted for delta in deltas)
    if wanted:
        assert {(len(delta["delta"]) + len(delta["obfuscation"])) % 16 for delta in deltas} == {0}


@pytest.mark.parametrize(("model", "before"), [("sim-stream-error", 4), ("sim-stream-error-first", 0)])
def test_a_stream_can_end_with_an_error(http, gpt, model, before):
    seen = events(http, **put(model))
    name, data = seen[-1]
    assert (name, data["type"], data["sequence_number"]) == ("error", "error", len(seen) - 1)
    assert set(data["error"]) == {"type", "code", "message", "param"}
    assert len(seen) > before
    assert [data["sequence_number"] for _, data in seen] == list(range(len(seen)))
    with pytest.raises(openai.APIError, match="had an error"):
        list(gpt.responses.create(**put(model), stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_can_be_cut_in_the_middle(http, stream):
    seen = []
    with (
        http.stream("POST", RESPONSES, json=put("sim-cut-stream", stream=stream)) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        seen.extend(answer.iter_bytes())
    assert seen


@pytest.mark.parametrize("model", ["sim-latency-150", "sim-rate-50+words-9"])
def test_a_stream_takes_as_long_as_ordered(http, model):
    assert http.post(RESPONSES, json=put(model, stream=True)).elapsed.total_seconds() > 0.14


def test_a_fault_ordered_once_hits_each_body_once(http):
    bodies = [put("sim-429-once", user=name) for name in ("one", "two", "one", "two")]
    assert [http.post(RESPONSES, json=body).status_code for body in bodies] == [429, 429, 200, 200]
