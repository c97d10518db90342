"""Writes Bedrock's answers: Converse, its stream, token counts, errors."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.simulator import bedrock_frames
from deploy.simulator.answers import Answer, pieces, signature
from deploy.simulator.wires import Question, Refusal

_FRAGMENT = 12
"""Characters of a tool's arguments in one event."""
_LATENCY_MS = 1

_STOP_REASONS = {"natural": "end_turn", "length": "max_tokens", "stop": "stop_sequence", "tools": "tool_use"}
_KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_MESSAGES = {
    403: "You don't have access to the model with the specified model ID.",
    429: "Too many requests, please wait before trying again.",
    503: "Bedrock is unable to process your request.",
}
_SERVER_ERROR = 500

_encode = msgspec.json.Encoder().encode


def plain(question: Question, answer: Answer, name: str) -> bytes:
    """The body of a finished answer."""
    return _encode(
        {
            "output": {"message": {"role": "assistant", "content": _blocks(answer, name)}},
            "stopReason": _STOP_REASONS[answer.end],
            **_end(question, answer),
        }
    )


def stream(question: Question, answer: Answer, name: str) -> list[bytes]:
    """The same answer as events."""
    chunks = [_event("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_blocks(answer, name)):
        place = {"contentBlockIndex": index}
        if "toolUse" in block:
            head = {key: block["toolUse"][key] for key in ("toolUseId", "name")}
            chunks[-1] += _event("contentBlockStart", {**place, "start": {"toolUse": head}})
        chunks += [_event("contentBlockDelta", {**place, "delta": delta}) for delta in _deltas(block)]
        chunks[-1] += _event("contentBlockStop", place)
    stop = _event("messageStop", {"stopReason": _STOP_REASONS[answer.end]})
    return [*chunks, stop + _event("metadata", _end(question, answer))]


def count(question: Question, _answer: Answer, _name: str) -> bytes:
    """The body of a token count."""
    return _encode({"inputTokens": question.tokens_in})


def broken(_: list[bytes]) -> bytes:
    """Ends a stream with an exception: no `messageStop` follows."""
    return bedrock_frames.exception("serviceUnavailableException", _encode({"message": _MESSAGES[503]}))


def nothing(_: str) -> bytes:
    """Refuses: models are listed at another host."""
    raise Refusal(404, "Unable to determine service/operation name to be authorized", code="UnknownOperationException")


def error(refusal: Refusal, _: str) -> bytes:
    """The body of an error; its type goes into a header."""
    return _encode({"message": refusal.message})


def ordered(status: int, name: str) -> Refusal:
    """The refusal for a status that the model `name` orders."""
    not_found = 404
    message = f"Could not resolve the model {name}" if status == not_found else _MESSAGES.get(status)
    kind = _KINDS.get(status) or _KINDS[500 if status >= _SERVER_ERROR else 400]
    return Refusal(status, message or f"Simulated status {status}", code=kind)


def _end(question: Question, answer: Answer) -> dict[str, Any]:
    usage = {
        "inputTokens": question.tokens_in,
        "outputTokens": answer.tokens,
        "totalTokens": question.tokens_in + answer.tokens,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 0,
    }
    return {"usage": usage, "metrics": {"latencyMs": _LATENCY_MS}}


def _blocks(answer: Answer, name: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking is not None:
        thought = {"text": answer.thinking, "signature": signature(answer.thinking)}
        blocks.append({"reasoningContent": {"reasoningText": thought}})
    if answer.text:
        blocks.append({"text": answer.text})
    for number, call in enumerate(answer.calls):
        head = {"toolUseId": f"tooluse_{name}_{number}", "name": call.name}
        blocks.append({"toolUse": {**head, "input": msgspec.Raw(call.arguments)}})
    return blocks


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    match block:
        case {"text": text}:
            return [{"text": piece} for piece in pieces(text)]
        case {"reasoningContent": {"reasoningText": thought}}:
            thoughts = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"])]
            return [*thoughts, {"reasoningContent": {"signature": thought["signature"]}}]
        case _:
            text = bytes(block["toolUse"]["input"]).decode()
            return [{"toolUse": {"input": text[at : at + _FRAGMENT]}} for at in range(0, len(text), _FRAGMENT)]


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return bedrock_frames.event(name, _encode(fields))
