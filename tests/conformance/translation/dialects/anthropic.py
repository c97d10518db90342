"""Anthropic's Messages API as its own SDK speaks and reads it."""

from __future__ import annotations

from typing import Any

import anthropic

from shared.chat import StopReason
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said

DIALECT = "anthropic"

_STOPS = {
    StopReason.END: "end_turn",
    StopReason.STOP_SEQUENCE: "stop_sequence",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT_FULL: "model_context_window_exceeded",
    StopReason.TOOL_CALL: "tool_use",
    StopReason.REFUSAL: "refusal",
}

ERRORS = {
    "invalid": 400,
    "bad key": 502,
    "unpaid": 429,
    "out of quota": 429,
    "not found": 404,
    "too large": 413,
    "rate limit": 429,
    "overloaded": 529,
    "failed": 500,
}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def _asks(*blocks: Any, **fields: Any) -> dict[str, Any]:
    return {"max_tokens": cases.MAX_TOKENS, "messages": [_user(*blocks)], **fields}


def _call(call_id: str, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": cases.TOOL, "input": arguments}


def _result(call_id: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def _document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **fields}


_TOOLS = [{"name": cases.TOOL, "description": cases.TOOL_TEXT, "input_schema": cases.SCHEMA}]
_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": cases.PNG}}
_NOTE = {"type": "text", "media_type": "text/plain", "data": cases.NOTE}


def _after_call(*blocks: Any) -> dict[str, Any]:
    turns = [_user(_text(cases.HELLO)), {"role": "assistant", "content": [_call(cases.CALL, cases.PARIS)]}]
    return {"max_tokens": cases.MAX_TOKENS, "tools": _TOOLS, "messages": [*turns, _user(*blocks)]}


REQUESTS: dict[str, dict[str, Any]] = {
    "text": {"max_tokens": cases.MAX_TOKENS, "messages": [{"role": "user", "content": cases.HELLO}]},
    "system": _asks(_text(cases.HELLO), system=[_text(rule) for rule in cases.RULES]),
    "system amid the turns": {
        "max_tokens": cases.MAX_TOKENS,
        "messages": [_user(_text(cases.HELLO)), {"role": "system", "content": cases.CHANGE}],
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
            _user(_result(cases.CALL, cases.SUNNY), _result(cases.OTHER_CALL, [_text(cases.SUNNY)])),
        ],
    },
    "tool result": _after_call(_result(cases.CALL, cases.SUNNY)),
    "tool result with text beside": _after_call(_result(cases.CALL, cases.SUNNY), _text(cases.HELLO)),
    "tool result that failed": _after_call(_result(cases.CALL, cases.FAILED, is_error=True)),
    "tool result with image": _after_call(_result(cases.CALL, [_text(cases.SUNNY), _PICTURE])),
    "image": _asks(_text(cases.HELLO), _PICTURE),
    "image url": _asks(_text(cases.HELLO), {"type": "image", "source": {"type": "url", "url": cases.PICTURE_URL}}),
    "document": _asks(
        _document({"type": "base64", "media_type": "application/pdf", "data": cases.PDF}, title=cases.PDF_NAME)
    ),
    "document of text": _asks(_document(_NOTE)),
    "document url": _asks(_text(cases.HELLO), _document({"type": "url", "url": cases.PDF_URL})),
    "thinking": _asks(_text(cases.HELLO), thinking={"type": "adaptive"}, output_config={"effort": "high"}),
    "no thinking": _asks(_text(cases.HELLO), thinking={"type": "disabled"}),
    "structured output": _asks(
        _text(cases.HELLO), output_config={"format": {"type": "json_schema", "schema": cases.SCHEMA}}
    ),
    "prefill": {
        "max_tokens": cases.MAX_TOKENS,
        "messages": [_user(_text(cases.HELLO)), {"role": "assistant", "content": "The answer is ("}],
    },
    "many stop sequences": _asks(_text(cases.HELLO), stop_sequences=list("abcde")),
    "top_k": _asks(_text(cases.HELLO), top_k=5),
    "a tool of the vendor's": _asks(
        _text(cases.HELLO), tools=[*_TOOLS, {"type": "web_search_20250305", "name": "web_search"}]
    ),
    "a document to cite": _asks(_text(cases.HELLO), _document(_NOTE, citations={"enabled": True})),
    "search results": _asks(
        {"type": "search_result", "source": "https://example.com", "title": "Notes", "content": [_text(cases.NOTE)]}
    ),
    "a file by id": _asks(_document({"type": "file", "file_id": "file-1"})),
    "an image by file id": _asks(
        _text(cases.HELLO), {"type": "image", "source": {"type": "file", "file_id": "file-1"}}
    ),
    "a server-side thread": _asks(_text(cases.HELLO), thread={"type": "create"}),
    "tools of another server": _asks(
        _text(cases.HELLO), mcp_servers=[{"type": "url", "url": "https://example.com", "name": "x"}]
    ),
    "a warmed cache": {**_asks(_text(cases.HELLO)), "max_tokens": 0},
    "a cache hint": _asks({**_text(cases.HELLO), "cache_control": {"type": "ephemeral"}}),
}


def stop(told: Said, reason: StopReason) -> str:  # noqa: ARG001 - other dialects need to know what was said
    return _STOPS[reason]


def connect(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="key", max_retries=0, timeout=20)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    """The body as an SDK call that leaves it as it is: the SDK no longer knows every field that the API still takes."""
    return {"model": cases.MODEL, "max_tokens": 1, "messages": [], "extra_body": body}


def ask(client: anthropic.Anthropic, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    return _read(client.messages.create(**_given(body)))


def follow(client: anthropic.Anthropic, body: dict[str, Any]) -> tuple[Said, dict[str, Any]]:
    with client.messages.stream(**_given(body)) as stream:
        return _read(stream.get_final_message())


def _read(message: Any) -> tuple[Said, dict[str, Any]]:
    usage, shown = message.usage, message.to_dict()
    shown["usage"].pop("cache_creation", None)  # the SDK takes it from the start of a stream, when it need not be known
    text = "".join(block.text for block in message.content if block.type == "text")
    refusal = (message.stop_details.explanation if message.stop_details else None) or ""
    details = usage.output_tokens_details
    said = Said(
        text="" if text == refusal else text,
        thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
        refusal=refusal,
        calls=tuple((block.id, block.name, block.input) for block in message.content if block.type == "tool_use"),
        citations=tuple(
            (found.url, found.title, block.text)
            for block in message.content
            if block.type == "text"
            for found in block.citations or ()
        ),
        stop=message.stop_reason,
        input_tokens=usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
        cached_tokens=usage.cache_read_input_tokens,
        written_tokens=usage.cache_creation_input_tokens,
        output_tokens=usage.output_tokens,
        thinking_tokens=details.thinking_tokens if details else 0,
    )
    return said, shown


def error(client: anthropic.Anthropic, body: dict[str, Any], *, streamed: bool = False) -> anthropic.APIStatusError:
    try:
        (follow if streamed else ask)(client, body)
    except anthropic.APIStatusError as found:
        return found
    raise AssertionError("nothing was raised")


def refusal(client: anthropic.Anthropic, body: dict[str, Any]) -> tuple[int, str]:
    found = error(client, body)
    assert found.body["error"]["type"] == "invalid_request_error"
    return found.status_code, found.body["error"]["message"].split(": ")[0]


def going_on(shown: dict[str, Any]) -> dict[str, Any]:
    turn = {"role": "assistant", "content": shown["content"]}
    return _asks() | {"messages": [_user(_text(cases.HELLO)), turn, _user(_text(cases.HELLO))]}
