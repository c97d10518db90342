"""Anthropic's Messages API as a provider speaks it."""

from __future__ import annotations

import json

from shared.chat import StopReason
from shared.sse import write
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said
from tests.conformance.translation.exchange import Answer
from worker.providers.catalog import ROWS

WIRE = "anthropic"
ROW = REASONING_ROW = ROWS["anthropic"]
MODEL = REASONING_MODEL = "claude-opus-4-8"

HEARD: dict[StopReason, StopReason] = {}

_WORDS = {
    StopReason.END: "end_turn",
    StopReason.STOP_SEQUENCE: "stop_sequence",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT_FULL: "model_context_window_exceeded",
    StopReason.TOOL_CALL: "tool_use",
    StopReason.REFUSAL: "refusal",
}


def _text(text):
    return {"type": "text", "text": text}


def _user(*blocks):
    return {"role": "user", "content": list(blocks)}


def _asks(*blocks, **fields):
    return {"max_tokens": cases.MAX_TOKENS, "messages": [_user(*blocks)], **fields}


def _call(call_id, arguments):
    return {"type": "tool_use", "id": call_id, "name": cases.TOOL, "input": arguments}


def _result(call_id, content):
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


_TOOLS = [{"name": cases.TOOL, "description": cases.TOOL_TEXT, "input_schema": cases.SCHEMA}]
_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": cases.PNG}}


def _after_call(*blocks):
    turns = [_user(_text(cases.HELLO)), {"role": "assistant", "content": [_call(cases.CALL, cases.PARIS)]}]
    return {"max_tokens": cases.MAX_TOKENS, "tools": _TOOLS, "messages": [*turns, _user(*blocks)]}


ASKED = {
    "text": _asks(_text(cases.HELLO)),
    "system": _asks(_text(cases.HELLO), system=[_text(rule) for rule in cases.RULES]),
    "system amid the turns": {
        "max_tokens": cases.MAX_TOKENS,
        "messages": [_user(_text(cases.HELLO)), {"role": "system", "content": [_text(cases.CHANGE)]}],
    },
    "sampling": _asks(_text(cases.HELLO), temperature=0.5, top_p=0.9, metadata={"user_id": "u1"}),
    "a stop sequence": _asks(_text(cases.HELLO), stop_sequences=["END"]),
    "tools": _asks(
        _text(cases.HELLO),
        tools=_TOOLS,
        tool_choice={"type": "tool", "name": cases.TOOL, "disable_parallel_tool_use": True},
    ),
    "parallel tools": {
        "max_tokens": cases.MAX_TOKENS,
        "tools": _TOOLS,
        "messages": [
            _user(_text(cases.HELLO)),
            {
                "role": "assistant",
                "content": [
                    _text("Let me see."),
                    _call(cases.CALL, cases.PARIS),
                    _call(cases.OTHER_CALL, cases.ROME),
                ],
            },
            _user(_result(cases.CALL, cases.SUNNY), _result(cases.OTHER_CALL, cases.SUNNY)),
        ],
    },
    "tool result": _after_call(_result(cases.CALL, cases.SUNNY)),
    "tool result with text beside": _after_call(_result(cases.CALL, cases.SUNNY), _text(cases.HELLO)),
    "tool result with image": _after_call(_result(cases.CALL, [_text(cases.SUNNY), _PICTURE])),
    "image": _asks(_text(cases.HELLO), _PICTURE),
    "image url": _asks(_text(cases.HELLO), {"type": "image", "source": {"type": "url", "url": cases.PICTURE_URL}}),
    "document": _asks(
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": cases.PDF},
            "title": cases.PDF_NAME,
        }
    ),
    "document of text": _asks(
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": cases.NOTE},
            "title": "note.txt",
        }
    ),
    "document url": _asks(_text(cases.HELLO), {"type": "document", "source": {"type": "url", "url": cases.PDF_URL}}),
    "a file by id": _asks({"type": "document", "source": {"type": "file", "file_id": "file-1"}}),
    "an image by file id": _asks(
        _text(cases.HELLO), {"type": "image", "source": {"type": "file", "file_id": "file-1"}}
    ),
    "thinking": _asks(_text(cases.HELLO), thinking={"type": "adaptive"}, output_config={"effort": "high"}),
    "no thinking": _asks(_text(cases.HELLO), thinking={"type": "disabled"}, output_config={"effort": "low"}),
    "structured output": _asks(
        _text(cases.HELLO), output_config={"format": {"type": "json_schema", "schema": cases.SCHEMA}}
    ),
    "prefill": {
        "max_tokens": cases.MAX_TOKENS,
        "messages": [_user(_text(cases.HELLO)), {"role": "assistant", "content": [_text("The answer is (")]}],
    },
    "many stop sequences": _asks(_text(cases.HELLO), stop_sequences=list("abcde")),
}


def passed_on(body):
    return body


def said(told: Said) -> Said:
    return told


def answer(told: Said) -> Answer:
    content = []
    if told.thinking:
        content.append({"type": "thinking", "thinking": told.thinking, "signature": cases.SIGNATURE})
    if told.text:
        content.append({**_text(told.text), **({"citations": _citations(told)} if told.citations else {})})
    content += [
        {"type": "tool_use", "id": call_id, "name": name, "input": given} for call_id, name, given in told.calls
    ]
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": _WORDS[told.stop],
        "stop_sequence": "END" if told.stop is StopReason.STOP_SEQUENCE else None,
        "stop_details": _details(told),
        "usage": {
            "input_tokens": told.input_tokens - told.cached_tokens - told.written_tokens,
            "cache_creation_input_tokens": told.written_tokens,
            "cache_read_input_tokens": told.cached_tokens,
            "output_tokens": told.output_tokens,
            "output_tokens_details": {"thinking_tokens": told.thinking_tokens},
        },
    }
    return Answer(json.dumps(body).encode(), b"".join(_event(**event) for event in _events(body)))


def _citations(told):
    found = {"type": "web_search_result_location", "cited_text": "The version is 4.0.6.", "encrypted_index": "Eo8B"}
    return [{**found, "url": url, "title": title} for url, title, _ in told.citations]


def _details(told):
    if told.stop is not StopReason.REFUSAL:
        return None
    return {"type": "refusal", "category": None, "explanation": told.refusal or None}


def _event(**event):
    return write(json.dumps(event).encode(), event["type"])


def _events(body):
    shell = {**body, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    yield {"type": "message_start", "message": {**shell, "usage": {**body["usage"], "output_tokens": 1}}}
    yield {"type": "ping"}
    for index, block in enumerate(body["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {name: body[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": stop, "usage": body["usage"]}
    yield {"type": "message_stop"}


_EMPTY = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}


def _opened(block):
    return {**block, **_EMPTY[block["type"]], **({"citations": []} if "citations" in block else {})}


def _halves(text):
    return text[: len(text) // 2], text[len(text) // 2 :]


def _deltas(block):
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": found} for found in block.get("citations", ())]
            return [*cited, *({"type": "text_delta", "text": half} for half in _halves(block["text"]))]
        case "thinking":
            halves = [{"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])]
            return [*halves, {"type": "signature_delta", "signature": block["signature"]}]
        case _:
            if not block["input"]:
                return [{"type": "input_json_delta", "partial_json": ""}]
            halves = _halves(json.dumps(block["input"]))
            return [{"type": "input_json_delta", "partial_json": half} for half in ("", *halves)]


def _refuses(kind, words):
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_9"}


def _error(status, kind, name):
    headers = {"retry-after": cases.WAITS_S[name]} if name in cases.WAITS_S else {}
    return Answer(json.dumps(_refuses(kind, cases.ERRORS[name])).encode(), status=status, headers=headers)


ERRORS = {
    "invalid": _error(400, "invalid_request_error", "invalid"),
    "bad key": _error(401, "authentication_error", "bad key"),
    "unpaid": _error(402, "billing_error", "unpaid"),
    "not found": _error(404, "not_found_error", "not found"),
    "too large": _error(413, "request_too_large", "too large"),
    "rate limit": _error(429, "rate_limit_error", "rate limit"),
    "overloaded": _error(529, "overloaded_error", "overloaded"),
    "failed": _error(500, "api_error", "failed"),
}


def broken() -> Answer:
    begun = _event(
        type="message_start", message={"id": "msg_1", "model": MODEL, "content": [], "usage": {"input_tokens": 1}}
    )
    return Answer(b"", begun + _event(**_refuses("overloaded_error", cases.ERRORS["overloaded"])))


def thoughts(body):
    return [
        (block["thinking"], block["signature"])
        for turn in body["messages"]
        if isinstance(turn["content"], list)
        for block in turn["content"]
        if block["type"] == "thinking"
    ]
