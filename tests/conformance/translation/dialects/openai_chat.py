"""OpenAI's Chat Completions as its own SDK speaks and reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from shared.chat import StopReason
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said

DIALECT = "openai_chat"

_STOPS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT_FULL: "length",
    StopReason.TOOL_CALL: "tool_calls",
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


def _user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _asks(content: Any = cases.HELLO, **fields: Any) -> dict[str, Any]:
    return {"max_completion_tokens": cases.MAX_TOKENS, "messages": [_user(content)], **fields}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _call(call_id: str, arguments: Any) -> dict[str, Any]:
    function = {"name": cases.TOOL, "arguments": json.dumps(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def _result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


_FUNCTION = {"name": cases.TOOL, "description": cases.TOOL_TEXT, "parameters": cases.SCHEMA}
_TOOLS = [{"type": "function", "function": _FUNCTION}]
_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{cases.PNG}"}}
_NOTE = f"data:text/plain;base64,{base64.b64encode(cases.NOTE.encode()).decode()}"


def _file(**file: str) -> dict[str, Any]:
    return {"type": "file", "file": file}


def _after_call(*messages: Any) -> dict[str, Any]:
    call = {"role": "assistant", "content": None, "tool_calls": [_call(cases.CALL, cases.PARIS)]}
    return _asks(tools=_TOOLS) | {"messages": [_user(cases.HELLO), call, *messages]}


REQUESTS: dict[str, dict[str, Any]] = {
    "text": _asks(),
    "system": _asks()
    | {
        "messages": [
            {"role": "system", "content": cases.RULES[0]},
            {"role": "developer", "content": [_text(cases.RULES[1])]},
            _user(cases.HELLO),
        ]
    },
    "system amid the turns": _asks()
    | {"messages": [_user(cases.HELLO), {"role": "developer", "content": cases.CHANGE}]},
    "sampling": _asks(temperature=0.5, top_p=0.9, safety_identifier="u1"),
    "a stop sequence": _asks(stop="END"),
    "tools": _asks(
        tools=_TOOLS, tool_choice={"type": "function", "function": {"name": cases.TOOL}}, parallel_tool_calls=False
    ),
    "parallel tools": _asks(tools=_TOOLS)
    | {
        "messages": [
            _user(cases.HELLO),
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [_call(cases.CALL, cases.PARIS), _call(cases.OTHER_CALL, cases.ROME)],
            },
            _result(cases.CALL, cases.SUNNY),
            _result(cases.OTHER_CALL, [_text(cases.SUNNY)]),
        ],
    },
    "tool result": _after_call(_result(cases.CALL, cases.SUNNY)),
    "tool result with text beside": _after_call(_result(cases.CALL, cases.SUNNY), _user(cases.HELLO)),
    "tool result with image": _after_call(_result(cases.CALL, [_text(cases.SUNNY), _PICTURE])),
    "image": _asks([_text(cases.HELLO), _PICTURE]),
    "image url": _asks([_text(cases.HELLO), {"type": "image_url", "image_url": {"url": cases.PICTURE_URL}}]),
    "document": _asks([_file(file_data=f"data:application/pdf;base64,{cases.PDF}", filename=cases.PDF_NAME)]),
    "document of text": _asks([_file(file_data=_NOTE, filename="note.txt")]),
    "thinking": _asks(reasoning_effort="high"),
    "no thinking": _asks(reasoning_effort="none"),
    "structured output": _asks(
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": cases.SCHEMA}}
    ),
    "json without a schema": _asks(response_format={"type": "json_object"}),
    "prefill": _asks() | {"messages": [_user(cases.HELLO), {"role": "assistant", "content": "The answer is ("}]},
    "many stop sequences": _asks(stop=list("abcde")),
    "hot temperature": _asks(temperature=1.5),
    "several answers": _asks(n=2),
    "logprobs": _asks(logprobs=True, top_logprobs=2),
    "audio": _asks([_text(cases.HELLO), {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}]),
    "prediction": _asks(prediction={"type": "content", "content": "x"}),
    "a tool of the vendor's": _asks(web_search_options={"search_context_size": "low"}),
    "a free-text tool": _asks(tools=[*_TOOLS, {"type": "custom", "custom": {"name": "c"}}]),
    "a file by id": _asks([_file(file_id="file-1")]),
    "a cache hint": _asks(prompt_cache_key="k"),
}


def stop(told: Said, reason: StopReason) -> str:
    """A refusal in words ends like any answer."""
    return "stop" if reason is StopReason.REFUSAL and told.refusal else _STOPS[reason]


def connect(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="key", max_retries=0, timeout=20)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {"model": cases.MODEL, "messages": [], "extra_body": body}


def ask(client: openai.OpenAI, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    return _read(client.chat.completions.create(**_given(body)))


def follow(client: openai.OpenAI, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    state = ChatCompletionStreamState()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    with client.chat.completions.create(**_given(body), **options) as stream:
        for chunk in stream:
            state.handle_chunk(chunk)
    return _read(state.current_completion_snapshot)


def _read(completion: Any) -> tuple[Said, dict[str, Any]]:
    (choice,), usage = completion.choices, completion.usage
    message = choice.message
    said = Said(
        text=message.content or "",
        thinking=getattr(message, "reasoning_content", ""),
        refusal=message.refusal or "",
        calls=tuple(
            (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()
        ),
        citations=tuple(
            (found.url, found.title, message.content[found.start_index : found.end_index])
            for found in (note.url_citation for note in message.annotations or ())
        ),
        stop=choice.finish_reason,
        input_tokens=usage.prompt_tokens,
        cached_tokens=usage.prompt_tokens_details.cached_tokens,
        written_tokens=usage.prompt_tokens_details.cache_write_tokens,
        output_tokens=usage.completion_tokens,
        thinking_tokens=usage.completion_tokens_details.reasoning_tokens,
    )
    shown = completion.model_dump(mode="json", exclude_none=True)
    for call in shown["choices"][0]["message"].get("tool_calls", ()):
        call.pop("index", None)  # of the delta; the SDK leaves it in what it accumulates
    return said, shown


def error(client: openai.OpenAI, body: dict[str, Any], *, streamed: bool = False) -> openai.APIError:
    try:
        (follow if streamed else ask)(client, body)
    except openai.APIError as found:
        return found
    raise AssertionError("nothing was raised")


def refusal(client: openai.OpenAI, body: dict[str, Any]) -> tuple[int, str]:
    found = error(client, body)
    assert found.type == "invalid_request_error"
    assert found.message.find(f"{found.param}: ") >= 0
    return found.status_code, found.param


def going_on(shown: dict[str, Any]) -> dict[str, Any]:
    return _asks() | {"messages": [_user(cases.HELLO), shown["choices"][0]["message"], _user(cases.HELLO)]}
