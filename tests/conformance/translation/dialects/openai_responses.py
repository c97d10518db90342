"""OpenAI's Responses as its own SDK speaks and reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai

from shared.chat import StopReason
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said

DIALECT = "openai_responses"

_STOPS = {
    StopReason.END: "completed",
    StopReason.STOP_SEQUENCE: "completed",
    StopReason.LENGTH: "max_output_tokens",
    StopReason.CONTEXT_FULL: "max_output_tokens",
    StopReason.TOOL_CALL: "completed",
    StopReason.REFUSAL: "content_filter",
}

ERRORS = {
    "invalid": 400,
    "bad key": 502,
    "unpaid": 429,
    "out of quota": 429,
    "not found": 404,
    "too large": 413,
    "rate limit": 429,
    "overloaded": 503,
    "failed": 500,
}


def _says(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _user(*parts: Any) -> dict[str, Any]:
    return _says("user", list(parts))


def _text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def _file(**fields: str) -> dict[str, Any]:
    return {"type": "input_file", **fields}


def _image(**fields: str) -> dict[str, Any]:
    return {"type": "input_image", **fields}


def _call(call_id: str, arguments: Any) -> dict[str, Any]:
    text = json.dumps(arguments, separators=(",", ":"))
    return {"type": "function_call", "call_id": call_id, "name": cases.TOOL, "arguments": text}


def _output(call_id: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def _asks(*items: Any, **fields: Any) -> dict[str, Any]:
    """A request with these items, or with the usual words."""
    return {"max_output_tokens": cases.MAX_TOKENS, "input": list(items) or cases.HELLO, **fields}


_HELLO = _user(_text(cases.HELLO))
_TOOLS = [{"type": "function", "name": cases.TOOL, "description": cases.TOOL_TEXT, "parameters": cases.SCHEMA}]
_PICTURE = _image(image_url=f"data:image/png;base64,{cases.PNG}")
_NOTE = f"data:text/plain;base64,{base64.b64encode(cases.NOTE.encode()).decode()}"


def _after_call(*items: Any) -> dict[str, Any]:
    return _asks(_HELLO, _call(cases.CALL, cases.PARIS), *items, tools=_TOOLS)


def _format(**fields: Any) -> dict[str, Any]:
    return {"format": fields}


REQUESTS: dict[str, dict[str, Any]] = {
    "text": _asks(),
    "system": _asks(_says("developer", [_text(cases.RULES[1])]), _HELLO, instructions=cases.RULES[0]),
    "system amid the turns": _asks(_HELLO, _says("developer", cases.CHANGE)),
    "sampling": _asks(temperature=0.5, top_p=0.9, safety_identifier="u1"),
    "tools": _asks(
        tools=_TOOLS, tool_choice={"type": "function", "name": cases.TOOL}, parallel_tool_calls=False, store=False
    ),
    "parallel tools": _asks(
        _HELLO,
        _says("assistant", [{"type": "output_text", "text": "Let me see.", "annotations": []}]),
        _call(cases.CALL, cases.PARIS),
        _call(cases.OTHER_CALL, cases.ROME),
        _output(cases.CALL, cases.SUNNY),
        _output(cases.OTHER_CALL, [_text(cases.SUNNY)]),
        tools=_TOOLS,
    ),
    "tool result": _after_call(_output(cases.CALL, cases.SUNNY)),
    "tool result with text beside": _after_call(_output(cases.CALL, cases.SUNNY), _HELLO),
    "tool result with image": _after_call(_output(cases.CALL, [_text(cases.SUNNY), _PICTURE])),
    "image": _asks(_user(_text(cases.HELLO), _PICTURE)),
    "image url": _asks(_user(_text(cases.HELLO), _image(image_url=cases.PICTURE_URL))),
    "document": _asks(
        _user(_file(file_data=f"data:application/pdf;base64,{cases.PDF}", filename=cases.PDF_NAME)),
    ),
    "document of text": _asks(_user(_file(file_data=_NOTE, filename="note.txt"))),
    "document url": _asks(_user(_text(cases.HELLO), _file(file_url=cases.PDF_URL))),
    "thinking": _asks(reasoning={"effort": "high"}),
    "no thinking": _asks(reasoning={"effort": "none"}),
    "structured output": _asks(text=_format(type="json_schema", name="response", schema=cases.SCHEMA)),
    "json without a schema": _asks(text=_format(type="json_object")),
    "prefill": _asks(_HELLO, _says("assistant", "The answer is (")),
    "hot temperature": _asks(temperature=1.5),
    "logprobs": _asks(top_logprobs=2, include=["message.output_text.logprobs"]),
    "audio": _asks(
        _user(_text(cases.HELLO), {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}})
    ),
    "a tool of the vendor's": _asks(tools=[*_TOOLS, {"type": "web_search"}]),
    "a free-text tool": _asks(tools=[*_TOOLS, {"type": "custom", "name": "c"}]),
    "tools of another server": _asks(
        tools=[{"type": "mcp", "server_label": "x", "server_url": "https://example.com", "require_approval": "never"}]
    ),
    "a file by id": _asks(_user(_file(file_id="file-1"))),
    "an image by file id": _asks(_user(_text(cases.HELLO), _image(file_id="file-1"))),
    "a conversation kept elsewhere": _asks(conversation={"id": "conv_1"}),
    "an item kept elsewhere": _asks({"type": "item_reference", "id": "msg_1"}, _HELLO),
    "a prompt kept elsewhere": _asks(prompt={"id": "pmpt_1"}),
    "a history cut to fit": _asks(truncation="auto"),
    "a cache hint": _asks(prompt_cache_key="k"),
}


def stop(told: Said, reason: StopReason) -> str:
    """A refusal in words ends like any answer."""
    return "completed" if reason is StopReason.REFUSAL and told.refusal else _STOPS[reason]


def connect(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="key", max_retries=0, timeout=20)


class Failed(Exception):
    """A stream ended with `response.failed`; the SDK shows the event and raises nothing that tells why."""


def ask(client: openai.OpenAI, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    return _read(client.responses.create(model=cases.MODEL, extra_body=body))


def follow(client: openai.OpenAI, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    """The last event's response is what the SDK's final response is where the SDK has one; the events add up to it."""
    with client.responses.stream(model=cases.MODEL, input=[], extra_body=body) as stream:
        events = list(stream)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        last = events[-1]
        if last.type == "response.failed":
            raise Failed(last.response.error.message)
        response = stream.get_final_response() if last.type == "response.completed" else last.response
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == response.output_text
    said, shown = _read(response)
    assert [_dump(event.item) for event in events if event.type == "response.output_item.done"] == shown["output"]
    return said, shown


def _read(response: Any) -> tuple[Said, dict[str, Any]]:
    usage, parts = response.usage, _parts(response, "message", "content")
    said = Said(
        text="".join(part.text for part in parts if part.type == "output_text"),
        thinking="".join(part.text for part in _parts(response, "reasoning", "summary")),
        refusal="".join(part.refusal for part in parts if part.type == "refusal"),
        calls=tuple(
            (item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ),
        citations=tuple(
            (found.url, found.title, part.text[found.start_index : found.end_index])
            for part in parts
            for found in getattr(part, "annotations", ())
        ),
        stop=response.incomplete_details.reason if response.status == "incomplete" else response.status,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.input_tokens_details.cached_tokens,
        written_tokens=usage.input_tokens_details.cache_write_tokens,
        output_tokens=usage.output_tokens,
        thinking_tokens=usage.output_tokens_details.reasoning_tokens,
    )
    return said, _dump(response)


def _dump(shown: Any) -> dict[str, Any]:
    """As JSON without nulls, some of which the SDK adds to what it accumulates."""
    return shown.model_dump(mode="json", exclude_none=True, warnings=False)


def _parts(response: Any, kind: str, field: str) -> list[Any]:
    return [part for item in response.output if item.type == kind for part in getattr(item, field)]


def error(client: openai.OpenAI, body: dict[str, Any], *, streamed: bool = False) -> openai.APIError | Failed:
    try:
        (follow if streamed else ask)(client, body)
    except (openai.APIError, Failed) as found:
        return found
    raise AssertionError("nothing was raised")


def refusal(client: openai.OpenAI, body: dict[str, Any]) -> tuple[int, str]:
    found = error(client, body)
    assert found.type == "invalid_request_error"
    assert found.message.find(f"{found.param}: ") >= 0
    return found.status_code, found.param


def going_on(shown: dict[str, Any]) -> dict[str, Any]:
    return _asks(_HELLO, *shown["output"], _HELLO)
