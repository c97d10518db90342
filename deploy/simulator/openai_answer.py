"""Writes OpenAI's answers: chat completions, chunks, models, errors."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from deploy.simulator.answers import Answer, pieces
from deploy.simulator.wires import Question, Refusal
from shared import sse

MODELS = ("gpt-sim-large", "gpt-sim-small")
_CREATED = 1_767_225_600  # 2026-01-01, of the models
_FRAGMENT = 12
"""Characters of a tool's arguments in one chunk."""

_FINISH_REASONS = {"natural": "stop", "length": "length", "stop": "stop", "tools": "tool_calls"}
_KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "slow_down"),
}
_MESSAGES = {
    401: "Incorrect API key provided.",
    429: "Rate limit reached for requests. Please try again in 1s.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "Slow down",
}
STREAM_ERROR = {"message": _MESSAGES[500], "type": "server_error", "param": None, "code": None}
"""What went wrong where a stream breaks off."""
_SERVER_ERROR = 500

_encode = msgspec.json.Encoder().encode
_DONE = sse.write(b"[DONE]")


def plain(question: Question, answer: Answer, name: str) -> bytes:
    """The body of a finished completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.calls:
        message["tool_calls"] = [_call(answer, number, name) for number in range(len(answer.calls))]
    elif not answer.text:
        message["content"] = ""
    finish = {"message": message, "finish_reason": _FINISH_REASONS[answer.end], "logprobs": None}
    choices = [{"index": index, **finish} for index in range(question.copies)]
    shell = _shell(question, name, "chat.completion")
    return _encode({**shell, "choices": choices, "usage": _usage(question, answer)})


def stream(question: Question, answer: Answer, name: str) -> list[bytes]:
    """The same completion as chunks; the last one says what was used, when asked."""
    head = b"data: " + _encode(_shell(question, name, "chat.completion.chunk"))[:-1]
    tail = b',"usage":null}\n\n' if question.with_usage else b"}\n\n"
    chunks: list[bytes] = []
    for index in range(question.copies):
        start = head + b',"choices":[{"index":%d,"delta":' % index
        more = b',"logprobs":null,"finish_reason":null}]' + tail
        chunks += [start + delta + more for delta in _deltas(answer, name)]
        last = b'{},"logprobs":null,"finish_reason":"%b"}]' % _FINISH_REASONS[answer.end].encode()
        chunks.append(start + last + tail)
    if question.with_usage:
        chunks.append(head + b',"choices":[],"usage":' + _encode(_usage(question, answer)) + b"}\n\n")
    chunks[-1] += _DONE
    return chunks


def broken(_: list[bytes]) -> bytes:
    """Ends a stream with an error: both SDKs raise on a chunk with an `error` key; no `[DONE]` follows."""
    return _BROKEN


def model(name: str) -> bytes:
    """One model: any name exists."""
    return _encode(_model(name))


def models(_: str) -> bytes:
    """All models; the vendor does not page them."""
    return _encode({"object": "list", "data": [_model(name) for name in MODELS]})


def error(refusal: Refusal, _: str) -> bytes:
    """The body of an error; all four keys are always there."""
    kind = _KINDS.get(refusal.status, ("server_error" if refusal.status >= _SERVER_ERROR else _KINDS[400][0], None))[0]
    inner = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    return _encode({"error": inner})


def ordered(status: int, name: str) -> Refusal:
    """The refusal for a status that the model `name` orders."""
    not_found = 404
    message = _MESSAGES.get(status, f"Simulated status {status}")
    if status == not_found:
        message = f"The model `{name}` does not exist or you do not have access to it."
    return Refusal(status, message, code=_KINDS.get(status, ("", None))[1])


def _shell(question: Question, name: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{name}",
        "object": kind,
        "created": int(time.time()),
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }


def _usage(question: Question, answer: Answer) -> dict[str, Any]:
    tokens_out = answer.tokens * question.copies
    return {
        "prompt_tokens": question.tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": question.tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _call(answer: Answer, number: int, name: str) -> dict[str, Any]:
    call = answer.calls[number]
    function = {"name": call.name, "arguments": call.arguments.decode()}
    return {"id": f"call_{name}_{number}", "type": "function", "function": function}


def _deltas(answer: Answer, name: str) -> list[bytes]:
    content = None if answer.calls else ""
    deltas = [_encode({"role": "assistant", "content": content, "refusal": None})]
    deltas += [b'{"content":' + _encode(piece) + b"}" for piece in pieces(answer.text)]
    for number in range(len(answer.calls)):
        call = _call(answer, number, name)
        arguments = call["function"]["arguments"]
        call["function"] = {"name": call["function"]["name"], "arguments": ""}
        deltas.append(_encode({"tool_calls": [{"index": number, **call}]}))
        for at in range(0, len(arguments), _FRAGMENT):
            fragment = {"arguments": arguments[at : at + _FRAGMENT]}
            deltas.append(_encode({"tool_calls": [{"index": number, "function": fragment}]}))
    return deltas


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}


_BROKEN = sse.write(_encode({"error": STREAM_ERROR}))
