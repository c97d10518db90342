"""OpenAI's Responses as a provider speaks them, to clients whose bodies are passed through."""

from __future__ import annotations

import json

from shared.chat import StopReason
from shared.sse import write
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said
from tests.conformance.translation.exchange import Answer
from tests.conformance.translation.wires import openai_chat
from worker.providers.catalog import ROWS

WIRE = "openai_responses"
ROW = REASONING_ROW = ROWS["openai"]
MODEL = REASONING_MODEL = "gpt-5.2"

HEARD = {StopReason.STOP_SEQUENCE: StopReason.END, StopReason.CONTEXT_FULL: StopReason.LENGTH}
ERRORS = openai_chat.ERRORS
ASKED: dict[str, dict] = {}  # nothing is translated to it

_SEALED = "reasoning.encrypted_content"
_INCOMPLETE = {
    StopReason.LENGTH: "max_output_tokens",
    StopReason.CONTEXT_FULL: "max_output_tokens",
    StopReason.REFUSAL: "content_filter",
}


def passed_on(body):
    """A reasoning model is asked for its reasoning in a form that can go back, unless nothing is to be kept."""
    asked = [] if body.get("store") is False else [*body.get("include", ()), _SEALED]
    return {**body, "store": False, **({"include": asked} if asked else {})}


def _shell(**fields):
    shell = {"id": "resp_theirs", "object": "response", "created_at": 1_700_000_001, "model": MODEL, "output": []}
    return {**shell, "error": None, "incomplete_details": None, "store": False, "background": False, **fields}


def _output(told):
    if told.thinking:
        summary = [{"type": "summary_text", "text": told.thinking}]
        yield {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": cases.SIGNATURE}
    content = _content(told)
    if content:
        yield {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    for call_id, name, given in told.calls:
        call = {"call_id": call_id, "name": name, "arguments": json.dumps(given), "status": "completed"}
        yield {"type": "function_call", "id": f"fc_{call_id}", **call}


def _content(told):
    if told.refusal:
        return [{"type": "refusal", "refusal": told.refusal}]
    notes = [
        {
            "type": "url_citation",
            "url": url,
            "title": title,
            "start_index": told.text.index(words),
            "end_index": told.text.index(words) + len(words),
        }
        for url, title, words in told.citations
    ]
    return [{"type": "output_text", "text": told.text, "annotations": notes, "logprobs": []}] if told.text else []


def said(told: Said) -> Said:
    return told


def answer(told: Said) -> Answer:
    reason = None if told.refusal else _INCOMPLETE.get(told.stop)
    body = _shell(
        status="incomplete" if reason else "completed",
        incomplete_details={"reason": reason} if reason else None,
        output=list(_output(told)),
        usage={
            "input_tokens": told.input_tokens,
            "input_tokens_details": {"cached_tokens": told.cached_tokens, "cache_write_tokens": told.written_tokens},
            "output_tokens": told.output_tokens,
            "output_tokens_details": {"reasoning_tokens": told.thinking_tokens},
            "total_tokens": told.input_tokens + told.output_tokens,
        },
    )
    return Answer(json.dumps(body).encode(), _stream(*_events(body)))


def _stream(*events):
    numbered = ({**event, "sequence_number": number} for number, event in enumerate(events))
    return b"".join(write(json.dumps(event).encode(), event["type"]) for event in numbered)


def _events(body):
    begun = _shell(status="in_progress", usage=None)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for at, item in enumerate(body["output"]):
        place = {"output_index": at}
        yield {"type": "response.output_item.added", **place, "item": {**item, **_EMPTY[item["type"]]}}
        yield from ({**event, **place, "item_id": item["id"]} for event in _inside(item))
        yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": f"response.{body['status']}", "response": body}


_EMPTY = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def _inside(item):
    match item["type"]:
        case "reasoning":
            (part,) = item["summary"]
            where = {"summary_index": 0}
            yield from _around("reasoning_summary_part", "reasoning_summary_text", part, "text", where)
        case "function_call":
            yield from _said("function_call_arguments", "arguments", item["arguments"], {})
        case _:
            (part,) = item["content"]
            family = part["type"]
            field = "refusal" if family == "refusal" else "text"
            yield from _around("content_part", family, part, field, {"content_index": 0})


def _around(around, family, part, field, where):
    empty = {**part, field: "", **({"annotations": []} if "annotations" in part else {})}
    yield {"type": f"response.{around}.added", **where, "part": empty}
    yield from _said(family, field, part[field], where, part.get("annotations", ()))
    yield {"type": f"response.{around}.done", **where, "part": part}


def _said(family, field, text, where, annotations=()):
    more = {"logprobs": []} if family == "output_text" else {}
    for half in (text[: len(text) // 2], text[len(text) // 2 :]):
        yield {"type": f"response.{family}.delta", **where, "delta": half, **more}
    for at, annotation in enumerate(annotations):
        told = {"annotation": annotation, "annotation_index": at}
        yield {"type": f"response.{family}.annotation.added", **where, **told}
    yield {"type": f"response.{family}.done", **where, field: text, **more}


def broken() -> Answer:
    error = {"code": "server_error", "message": cases.ERRORS["overloaded"]}
    begun = {"type": "response.created", "response": _shell(status="in_progress")}
    return Answer(b"", _stream(begun, {"type": "response.failed", "response": _shell(status="failed", error=error)}))


def thoughts(body):
    items = body["input"] if isinstance(body["input"], list) else []
    return [
        ("".join(piece["text"] for piece in item["summary"]), item["encrypted_content"])
        for item in items
        if item["type"] == "reasoning"
    ]
