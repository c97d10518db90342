"""Writes answers of OpenAI's Responses API: the object, its output items, the count of a request."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from deploy.simulator.answers import Answer, count_words
from deploy.simulator.responses_request import ResponsesQuestion
from deploy.simulator.seal import seal

_NO_TOKENS = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "total_tokens": 0,
}
_SHELL: dict[str, Any] = {
    "status": "in_progress",
    "background": False,
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "moderation": None,
    "output": [],
    "previous_response_id": None,
    "tool_usage": {"image_gen": _NO_TOKENS, "web_search": {"num_requests": 0}},
    "usage": None,
}

_encode = msgspec.json.Encoder().encode


def plain(question: ResponsesQuestion, answer: Answer, name: str) -> bytes:
    """The body of a finished response."""
    return _encode(finished(begun(question, name), question, answer, name) | {"billing": {"payer": "developer"}})


def count(question: ResponsesQuestion, _answer: Answer, _name: str) -> bytes:
    """The body of a token count."""
    return _encode({"object": "response.input_tokens", "input_tokens": question.tokens_in})


def begun(question: ResponsesQuestion, name: str) -> dict[str, Any]:
    """The response before its first word."""
    head = {"id": f"resp_{name}", "object": "response", "created_at": int(time.time()), "model": question.model}
    return head | _SHELL | question.echo


def finished(shell: dict[str, Any], question: ResponsesQuestion, answer: Answer, name: str) -> dict[str, Any]:
    """What has become of `shell`, the response as it began, at its end."""
    end: dict[str, Any] = {"status": "completed", "completed_at": int(time.time())}
    if answer.end == "length":
        end = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    if shell["service_tier"] == "auto":
        end["service_tier"] = "default"
    return shell | end | {"output": output(question, answer, name), "usage": _usage(question, answer)}


def output(question: ResponsesQuestion, answer: Answer, name: str) -> list[dict[str, Any]]:
    """The output items: a thought, then a message or calls of functions."""
    items: list[dict[str, Any]] = []
    if answer.thinking is not None:
        items.append(_thought(question, answer.thinking, name))
    if answer.text or not (answer.calls or answer.end == "length"):
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
        status = "incomplete" if answer.end == "length" else "completed"
        message = {"id": f"msg_{name}", "type": "message", "status": status, "content": [part], "role": "assistant"}
        items.append(message)
    for number, call in enumerate(answer.calls):
        function = {"id": f"fc_{name}_{number}", "type": "function_call", "status": "completed"}
        arguments = call.arguments.decode()
        items.append(function | {"arguments": arguments, "call_id": f"call_{name}_{number}", "name": call.name})
    return items


def _thought(question: ResponsesQuestion, thinking: str, name: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": thinking}] if question.summarized and thinking else []
    item: dict[str, Any] = {"id": f"rs_{name}", "type": "reasoning", "content": [], "summary": summary}
    return item | {"encrypted_content": seal(thinking)} if question.sealed else item


def _usage(question: ResponsesQuestion, answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": question.tokens_in,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": count_words(answer.thinking or "")},
        "total_tokens": question.tokens_in + answer.tokens,
    }
