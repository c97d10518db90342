"""Writes Gemini's answers: candidates, chunks, counts, models, errors."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.simulator.answers import Answer, count_words, pieces, signature
from deploy.simulator.gemini_request import signs
from deploy.simulator.wires import Question, Refusal
from shared import sse

MODELS = ("gemini-sim-large", "gemini-sim-small")

_FINISH_REASONS = {"natural": "STOP", "length": "MAX_TOKENS", "stop": "STOP", "tools": "STOP"}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    401: "Request had invalid authentication credentials.",
    429: "Resource has been exhausted (e.g. check quota).",
    500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide",
    503: "The model is overloaded. Please try again later.",
}
_RATE_LIMITED = 429
_DELAY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}
_OVERLOADED = 503

_encode = msgspec.json.Encoder().encode


def plain(question: Question, answer: Answer, name: str) -> bytes:
    """The body of a finished answer."""
    parts = _parts(question, answer, name)
    if signs(question.model) and parts and not answer.calls:
        parts[-1]["thoughtSignature"] = signature(answer.text)
    return _encode(_chunk(question, name, parts, _usage(question, answer), _FINISH_REASONS[answer.end]))


def stream(question: Question, answer: Answer, name: str) -> list[bytes]:
    """The same answer as chunks: a word, or a call, in each; the last one ends it."""
    usage = {"promptTokenCount": question.tokens_in, "totalTokenCount": question.tokens_in}
    chunks = [
        sse.write(_encode(_chunk(question, name, [piece], usage)))
        for part in _parts(question, answer, name)
        for piece in _pieces(part)
    ]
    last: dict[str, Any] = {"text": ""}
    if signs(question.model) and not answer.calls:
        last["thoughtSignature"] = signature(answer.text)
    end = _chunk(question, name, [last], _usage(question, answer), _FINISH_REASONS[answer.end])
    return [*chunks, sse.write(_encode(end))]


def count(question: Question, _answer: Answer, _name: str) -> bytes:
    """The body of a token count."""
    tokens = question.tokens_in
    return _encode({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})


def broken(_: list[bytes]) -> bytes:
    """Ends a stream with an error, in a chunk of its own."""
    return _BROKEN


def model(name: str) -> bytes:
    """One model: any name exists."""
    return _encode(_model(name))


def models(_: str) -> bytes:
    """All models, on one page."""
    return _encode({"models": [_model(name) for name in MODELS]})


def publisher_models(_: str) -> bytes:
    """The same as Vertex lists them."""
    return _encode({"publisherModels": [{"name": f"publishers/google/models/{name}"} for name in MODELS]})


def error(refusal: Refusal, _: str) -> bytes:
    """The body of an error, a google.rpc.Status."""
    found: dict[str, Any] = {"code": refusal.status, "message": refusal.message}
    found["status"] = _STATUSES.get(refusal.status, "UNKNOWN")
    details = [_DELAY] if refusal.details is None and refusal.status == _RATE_LIMITED else refusal.details
    if details:
        found["details"] = details
    return _encode({"error": found})


def ordered(status: int, name: str) -> Refusal:
    """The refusal for a status that the model `name` orders."""
    not_found = 404
    message = _MESSAGES.get(status, f"Simulated status {status}")
    if status == not_found:
        message = f"models/{name} is not found for API version v1beta, or is not supported for generateContent."
    return Refusal(status, message)


def _chunk(
    question: Question, name: str, parts: list[dict[str, Any]], usage: dict[str, Any], finish: str = ""
) -> dict[str, Any]:
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate = {"content": content, **({"finishReason": finish} if finish else {}), "index": 0}
    details = [{"modality": "TEXT", "tokenCount": question.tokens_in}]
    return {
        "candidates": [candidate],
        "usageMetadata": {**usage, "promptTokensDetails": details},
        "modelVersion": question.model,
        "responseId": name,
    }


def _usage(question: Question, answer: Answer) -> dict[str, int]:
    thoughts = count_words(answer.thinking or "")
    used = {"promptTokenCount": question.tokens_in, "candidatesTokenCount": answer.tokens - thoughts}
    return {
        **used,
        **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        "totalTokenCount": question.tokens_in + answer.tokens,
    }


def _parts(question: Question, answer: Answer, name: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if answer.thinking:
        parts.append({"text": answer.thinking, "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    for number, call in enumerate(answer.calls):
        function = {"name": call.name, "args": msgspec.Raw(call.arguments)}
        if not signs(question.model):
            parts.append({"functionCall": function})
            continue
        part: dict[str, Any] = {"functionCall": {"id": f"{name}{number}", **function}}
        if number == 0:
            part["thoughtSignature"] = signature(call.name)
        parts.append(part)
    return parts


def _pieces(part: dict[str, Any]) -> list[dict[str, Any]]:
    if "text" not in part:
        return [part]
    return [{**part, "text": piece} for piece in pieces(part["text"])]


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


_BROKEN = sse.write(error(ordered(_OVERLOADED, ""), ""))
