"""Writes Anthropic's answers: messages, events, models, errors."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import msgspec

from deploy.simulator.answers import Answer, pieces, signature
from deploy.simulator.wires import Question, Refusal
from shared import sse

MODELS = ("claude-sim-large", "claude-sim-small")
_CREATED = "2026-01-01T00:00:00Z"
_PAGE = 20
_FRAGMENT = 12
"""Characters of a tool's arguments in one event."""

_STOP_REASONS = {"natural": "end_turn", "length": "max_tokens", "stop": "stop_sequence", "tools": "tool_use"}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    401: "invalid x-api-key",
    429: "This request would exceed your organization's rate limit of 50 requests per minute.",
    500: "Internal server error",
    529: "Overloaded",
}
_SERVER_ERROR = 500

_encode = msgspec.json.Encoder().encode


def plain(question: Question, answer: Answer, name: str) -> bytes:
    """The body of a finished message."""
    message = _shell(question, name, answer.tokens)
    message["content"] = _blocks(answer, name)
    message |= {"stop_reason": _STOP_REASONS[answer.end], "stop_sequence": answer.stop}
    return _encode(message)


def stream(question: Question, answer: Answer, name: str) -> list[bytes]:
    """The same message as events."""
    chunks = [_event({"type": "message_start", "message": _shell(question, name, 1)})]
    for index, block in enumerate(_blocks(answer, name)):
        start: dict[str, Any] = {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        chunks[-1] += _event(start) + (_PING if index == 0 else b"")
        chunks += [_delta(index, delta) for delta in _deltas(block)]
        chunks[-1] += _event({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": _STOP_REASONS[answer.end], "stop_sequence": answer.stop, "stop_details": None}
    usage = _usage(question.tokens_in, answer.tokens)
    chunks.append(_event({"type": "message_delta", "delta": delta, "usage": usage}) + _STOP)
    return chunks


def count(question: Question, _answer: Answer, _name: str) -> bytes:
    """The body of a token count."""
    return _encode({"input_tokens": question.tokens_in})


def broken(_: list[bytes]) -> bytes:
    """Ends a stream with an error, in the shape seen in public reports: no `message_stop` follows."""
    return _BROKEN


def model(name: str) -> bytes:
    """One model: any name exists."""
    return _encode(_model(name))


def models(query: str) -> bytes:
    """A page of models, by `limit` and `after_id`."""
    asked = parse_qs(query)
    after = asked.get("after_id", [""])[0]
    names = MODELS[MODELS.index(after) + 1 :] if after in MODELS else MODELS
    limit = asked.get("limit", [str(_PAGE)])[0]
    page = names[: int(limit) if re.fullmatch(r"[1-9]\d{0,3}", limit) else _PAGE]
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return _encode({"data": [_model(name) for name in page], "has_more": len(page) < len(names), **ends})


def error(refusal: Refusal, request_id: str) -> bytes:
    """The body of an error."""
    kind = _KINDS.get(refusal.status, "api_error" if refusal.status >= _SERVER_ERROR else "invalid_request_error")
    inner: dict[str, Any] = {"type": kind, "message": refusal.message}
    if refusal.code:
        inner["details"] = {"error_code": refusal.code}
    return _encode({"type": "error", "error": inner, "request_id": request_id})


def ordered(status: int, name: str) -> Refusal:
    """The refusal for a status that the model `name` orders."""
    not_found = 404
    message = f"model: {name}" if status == not_found else _MESSAGES.get(status, f"Simulated status {status}")
    return Refusal(status, message)


def _shell(question: Question, name: str, tokens_out: int) -> dict[str, Any]:
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": _usage(question.tokens_in, tokens_out),
    }


def _usage(tokens_in: int, tokens_out: int) -> dict[str, Any]:
    return {
        "input_tokens": tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens_out,
        "service_tier": "standard",
    }


def _blocks(answer: Answer, name: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking is not None:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": signature(answer.thinking)})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for number, call in enumerate(answer.calls):
        tool = {"type": "tool_use", "id": f"toolu_{name}_{number}", "name": call.name}
        blocks.append(tool | {"input": msgspec.Raw(call.arguments)})
    return blocks


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            return block | {"thinking": "", "signature": ""}
        case "text":
            return block | {"text": ""}
        case _:
            return block | {"input": {}}


def _deltas(block: dict[str, Any]) -> list[bytes]:
    match block["type"]:
        case "thinking":
            thoughts = [_THINKING_DELTA + _encode(piece) for piece in pieces(block["thinking"])]
            return [*thoughts, _SIGNATURE_DELTA + _encode(block["signature"])]
        case "text":
            return [_TEXT_DELTA + _encode(piece) for piece in pieces(block["text"])]
        case _:
            text = bytes(block["input"]).decode()
            fragments = ["", *(text[at : at + _FRAGMENT] for at in range(0, len(text), _FRAGMENT))]
            return [_INPUT_DELTA + _encode(fragment) for fragment in fragments]


_TEXT_DELTA = b'{"type":"text_delta","text":'
_THINKING_DELTA = b'{"type":"thinking_delta","thinking":'
_SIGNATURE_DELTA = b'{"type":"signature_delta","signature":'
_INPUT_DELTA = b'{"type":"input_json_delta","partial_json":'


def _delta(index: int, delta: bytes) -> bytes:
    """One event, put together by hand: a stream consists mostly of these."""
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}}\n\n'
    return head % (index, delta)


def _event(event: dict[str, Any]) -> bytes:
    return sse.write(_encode(event), event["type"])


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _CREATED,
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }


_PING = _event({"type": "ping"})
_STOP = _event({"type": "message_stop"})
_BROKEN = _event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
