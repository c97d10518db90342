"""OpenAI's Chat Completions as a provider speaks them."""

from __future__ import annotations

import json

from shared.chat import StopReason
from shared.sse import write
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said
from tests.conformance.translation.exchange import Answer
from worker.providers.catalog import ROWS

WIRE = "openai_chat"
ROW = ROWS["openai"]
MODEL = "gpt-5.2"
REASONING_ROW = ROWS["deepseek"]
REASONING_MODEL = "deepseek-reasoner"

HEARD = {StopReason.STOP_SEQUENCE: StopReason.END, StopReason.CONTEXT_FULL: StopReason.LENGTH}

_WORDS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT_FULL: "length",
    StopReason.TOOL_CALL: "tool_calls",
    StopReason.REFUSAL: "content_filter",
}


def _user(content):
    return {"role": "user", "content": content}


def _asks(content=cases.HELLO, **fields):
    return {"max_completion_tokens": cases.MAX_TOKENS, "messages": [_user(content)], **fields}


def _text(text):
    return {"type": "text", "text": text}


def _call(call_id, arguments):
    # As the client wrote it: whoever sends an object, the SDKs write it without spaces.
    function = {"name": cases.TOOL, "arguments": json.dumps(arguments, separators=(",", ":"))}
    return {"id": call_id, "type": "function", "function": function}


def _result(call_id, content):
    return {"role": "tool", "tool_call_id": call_id, "content": content}


_FUNCTION = {"name": cases.TOOL, "description": cases.TOOL_TEXT, "parameters": cases.SCHEMA}
_TOOLS = [{"type": "function", "function": _FUNCTION}]
_PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{cases.PNG}"}}


def _after_call(*messages):
    turns = [_user(cases.HELLO), {"role": "assistant", "tool_calls": [_call(cases.CALL, cases.PARIS)]}]
    return {"max_completion_tokens": cases.MAX_TOKENS, "tools": _TOOLS, "messages": [*turns, *messages]}


ASKED = {
    "text": _asks(),
    "system": {
        "max_completion_tokens": cases.MAX_TOKENS,
        "messages": [{"role": "developer", "content": "\n\n".join(cases.RULES)}, _user(cases.HELLO)],
    },
    "system amid the turns": {
        "max_completion_tokens": cases.MAX_TOKENS,
        "messages": [_user(cases.HELLO), {"role": "developer", "content": cases.CHANGE}],
    },
    "sampling": _asks(temperature=0.5, top_p=0.9, user="u1"),
    "a stop sequence": _asks(stop=["END"]),
    "tools": _asks(
        tools=_TOOLS, tool_choice={"type": "function", "function": {"name": cases.TOOL}}, parallel_tool_calls=False
    ),
    "parallel tools": {
        "max_completion_tokens": cases.MAX_TOKENS,
        "tools": _TOOLS,
        "messages": [
            _user(cases.HELLO),
            {
                "role": "assistant",
                "content": "Let me see.",
                "tool_calls": [_call(cases.CALL, cases.PARIS), _call(cases.OTHER_CALL, cases.ROME)],
            },
            _result(cases.CALL, cases.SUNNY),
            _result(cases.OTHER_CALL, cases.SUNNY),
        ],
    },
    "tool result": _after_call(_result(cases.CALL, cases.SUNNY)),
    "tool result with text beside": _after_call(_result(cases.CALL, cases.SUNNY), _user(cases.HELLO)),
    "tool result that failed": _after_call(_result(cases.CALL, f"Error: {cases.FAILED}")),
    "tool result with image": _after_call(
        _result(cases.CALL, cases.SUNNY), _user([_text(f"From the result of tool call {cases.CALL}:"), _PICTURE])
    ),
    "image": _asks([_text(cases.HELLO), _PICTURE]),
    "image url": _asks([_text(cases.HELLO), {"type": "image_url", "image_url": {"url": cases.PICTURE_URL}}]),
    "document": _asks(
        [
            {
                "type": "file",
                "file": {"file_data": f"data:application/pdf;base64,{cases.PDF}", "filename": cases.PDF_NAME},
            }
        ]
    ),
    "document of text": _asks(cases.NOTE),
    "a file by id": _asks([{"type": "file", "file": {"file_id": "file-1"}}]),
    "search results": _asks(f"Notes\nhttps://example.com\n\n{cases.NOTE}"),
    "thinking": _asks(reasoning_effort="high"),
    "no thinking": _asks(reasoning_effort="none"),
    "json without a schema": _asks(response_format={"type": "json_object"}),
    "hot temperature": _asks(temperature=1.5),
    "structured output": _asks(
        response_format={"type": "json_schema", "json_schema": {"name": "response", "schema": cases.SCHEMA}}
    ),
}


def passed_on(body):
    return body


def said(told: Said) -> Said:
    return told


def answer(told: Said) -> Answer:
    refused_in_words = told.stop is StopReason.REFUSAL and told.refusal
    message = {"role": "assistant", "content": told.text or None, "refusal": told.refusal or None}
    if told.citations:
        message["annotations"] = [_annotation(told.text, *cited) for cited in told.citations]
    if told.thinking:
        message["reasoning_content"] = told.thinking
    if told.calls:
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for call_id, name, given in told.calls
        ]
    elif not told.text and not told.refusal:
        message["content"] = ""
    reason = "stop" if refused_in_words else _WORDS[told.stop]
    shell = {"id": "chatcmpl-1", "created": 1_700_000_001, "model": MODEL}
    usage = {
        "prompt_tokens": told.input_tokens,
        "completion_tokens": told.output_tokens,
        "total_tokens": told.input_tokens + told.output_tokens,
        "prompt_tokens_details": {"cached_tokens": told.cached_tokens, "cache_write_tokens": told.written_tokens},
        "completion_tokens_details": {"reasoning_tokens": told.thinking_tokens},
    }
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    body = {**shell, "object": "chat.completion", "choices": [choice], "usage": usage}
    chunks = [{"choices": [_choice(delta)], "usage": None} for delta in _deltas(message)]
    chunks += [{"choices": [_choice({}, reason)], "usage": None}, {"choices": [], "usage": usage}]
    frames = [write(json.dumps({**shell, "object": "chat.completion.chunk", **chunk}).encode()) for chunk in chunks]
    return Answer(json.dumps(body).encode(), b"".join(frames) + write(b"[DONE]"))


def _annotation(text, url, title, words):
    start = text.index(words)
    page = {"url": url, "title": title, "start_index": start, "end_index": start + len(words)}
    return {"type": "url_citation", "url_citation": page}


def _choice(delta, reason=None):
    return {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}


def _deltas(message):
    yield {"role": "assistant", **({"content": ""} if message["content"] is not None else {})}
    for name in ("reasoning_content", "content", "refusal"):
        text = message.get(name) or ""
        if text:
            yield {name: text[: len(text) // 2]}
            yield {name: text[len(text) // 2 :]}
    if "annotations" in message:
        yield {"annotations": message["annotations"]}
    calls = message.get("tool_calls", ())
    for number, call in enumerate(calls):
        opened = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield {"tool_calls": [opened]}
    for half in (slice(0, 3), slice(3, None)):  # the fragments of several calls may be mixed
        for number, call in enumerate(calls):
            yield {"tool_calls": [{"index": number, "function": {"arguments": call["function"]["arguments"][half]}}]}


def _refuses(kind, code, name):
    return {"error": {"message": cases.ERRORS[name], "type": kind, "param": None, "code": code}}


def _error(status, kind, code, name):
    headers = {"retry-after": cases.WAITS_S[name]} if name in cases.WAITS_S else {}
    return Answer(json.dumps(_refuses(kind, code, name)).encode(), status=status, headers=headers)


ERRORS = {
    "invalid": _error(400, "invalid_request_error", None, "invalid"),
    "bad key": _error(401, "invalid_request_error", "invalid_api_key", "bad key"),
    "unpaid": _error(402, "billing", None, "unpaid"),
    "out of quota": _error(429, "insufficient_quota", "insufficient_quota", "out of quota"),
    "not found": _error(404, "invalid_request_error", "model_not_found", "not found"),
    "too large": _error(413, "invalid_request_error", None, "too large"),
    "rate limit": _error(429, "requests", "rate_limit_exceeded", "rate limit"),
    "overloaded": _error(503, "server_error", "slow_down", "overloaded"),
    "failed": _error(500, "server_error", None, "failed"),
}


def broken() -> Answer:
    shell = {"id": "chatcmpl-1", "created": 1, "model": MODEL, "object": "chat.completion.chunk"}
    begun = {**shell, "choices": [_choice({"role": "assistant", "content": ""})]}
    error = _refuses("server_error", "slow_down", "overloaded")
    return Answer(b"", write(json.dumps(begun).encode()) + write(json.dumps(error).encode()))


def thoughts(body):
    return [(message["reasoning_content"], "") for message in body["messages"] if message.get("reasoning_content")]
