"""Gemini's generateContent as Google speaks it."""

from __future__ import annotations

import json

import msgspec

from shared.chat import StopReason
from shared.sse import write
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said
from tests.conformance.translation.exchange import Answer
from worker.providers.catalog import ROWS

WIRE = "gemini"
ROW = REASONING_ROW = ROWS["gemini"]
MODEL = REASONING_MODEL = "gemini-2.5-flash"

HEARD = {StopReason.STOP_SEQUENCE: StopReason.END, StopReason.CONTEXT_FULL: StopReason.LENGTH}

_WORDS = {
    StopReason.END: "STOP",
    StopReason.STOP_SEQUENCE: "STOP",
    StopReason.LENGTH: "MAX_TOKENS",
    StopReason.CONTEXT_FULL: "MAX_TOKENS",
    StopReason.TOOL_CALL: "STOP",
    StopReason.REFUSAL: "SAFETY",
}


def _text(text):
    return {"text": text}


def _user(*parts):
    return {"role": "user", "parts": list(parts)}


def _asks(*parts, **config):
    """A request with these parts, or with the usual words."""
    turn = _user(*(parts or [_text(cases.HELLO)]))
    return {"contents": [turn], "generationConfig": {"maxOutputTokens": cases.MAX_TOKENS, **config}}


def _call(call_id, arguments):
    return {"functionCall": {"id": call_id, "name": cases.TOOL, "args": arguments}}


def _result(call_id, **response):
    return {"functionResponse": {"id": call_id, "name": cases.TOOL, "response": response}}


_FUNCTION = {"name": cases.TOOL, "description": cases.TOOL_TEXT, "parametersJsonSchema": cases.SCHEMA}
_TOOLS = [{"functionDeclarations": [_FUNCTION]}]
_PICTURE = {"inlineData": {"mimeType": "image/png", "data": cases.PNG}}


def _after_call(*turns):
    called = {"role": "model", "parts": [_call(cases.CALL, cases.PARIS)]}
    return {**_asks(), "tools": _TOOLS, "contents": [_user(_text(cases.HELLO)), called, *turns]}


ASKED = {
    "text": _asks(),
    "system": {**_asks(), "systemInstruction": {"parts": [_text(rule) for rule in cases.RULES]}},
    "system amid the turns": _asks(_text(cases.HELLO), _text(f"<system>\n{cases.CHANGE}\n</system>")),
    "sampling": _asks(temperature=0.5, topP=0.9),
    "a stop sequence": _asks(stopSequences=["END"]),
    "tools": {
        **_asks(),
        "tools": _TOOLS,
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [cases.TOOL]}},
    },
    "parallel tools": {
        **_asks(),
        "tools": _TOOLS,
        "contents": [
            _user(_text(cases.HELLO)),
            {
                "role": "model",
                "parts": [_text("Let me see."), _call(cases.CALL, cases.PARIS), _call(cases.OTHER_CALL, cases.ROME)],
            },
            _user(_result(cases.CALL, output=cases.SUNNY), _result(cases.OTHER_CALL, output=cases.SUNNY)),
        ],
    },
    "tool result": _after_call(_user(_result(cases.CALL, output=cases.SUNNY))),
    "tool result with text beside": _after_call(
        _user(_result(cases.CALL, output=cases.SUNNY)), _user(_text(cases.HELLO))
    ),
    "tool result that failed": _after_call(_user(_result(cases.CALL, error=cases.FAILED))),
    "tool result with image": _after_call(
        _user(_result(cases.CALL, output=cases.SUNNY)),
        _user(_text(f"From the result of tool call {cases.CALL}:"), _PICTURE),
    ),
    "image": _asks(_text(cases.HELLO), _PICTURE),
    "image url": _asks(_text(cases.HELLO), {"fileData": {"fileUri": cases.PICTURE_URL, "mimeType": "image/png"}}),
    "document": _asks({"inlineData": {"mimeType": "application/pdf", "data": cases.PDF}}),
    "document of text": _asks(_text(cases.NOTE)),
    "document url": _asks(_text(cases.HELLO), {"fileData": {"fileUri": cases.PDF_URL, "mimeType": "application/pdf"}}),
    "search results": _asks(_text(f"Notes\nhttps://example.com\n\n{cases.NOTE}")),
    "thinking": _asks(thinkingConfig={"includeThoughts": True, "thinkingBudget": 24_576}),
    "no thinking": _asks(thinkingConfig={"thinkingBudget": 0}),
    "json without a schema": _asks(responseMimeType="application/json"),
    "structured output": _asks(responseMimeType="application/json", responseJsonSchema=cases.SCHEMA),
    "many stop sequences": _asks(stopSequences=list("abcde")),
    "hot temperature": _asks(temperature=1.5),
    "top_k": _asks(topK=5),
}


def passed_on(body):
    return body


def said(told: Said) -> Said:
    """Nothing is written to a cache here."""
    return msgspec.structs.replace(told, written_tokens=0)


def answer(told: Said) -> Answer:
    body = {**_SHELL, **_given(told), "usageMetadata": _usage(told)}
    return Answer(json.dumps(body).encode(), b"".join(write(json.dumps(chunk).encode()) for chunk in _chunks(body)))


_SHELL = {"responseId": "answer-1", "modelVersion": MODEL}


def _given(told):
    if told.refusal:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": told.refusal}}
    parts = [{"text": told.thinking, "thought": True}] if told.thinking else []
    if told.text:
        parts.append({"text": told.text, **({"thoughtSignature": cases.SIGNATURE} if told.thinking else {})})
    parts += [{"functionCall": {"id": call_id, "name": name, "args": given}} for call_id, name, given in told.calls]
    content = {"role": "model", **({"parts": parts} if parts else {})}
    candidate = {"index": 0, "content": content, "finishReason": _WORDS[told.stop]}
    if told.citations:
        candidate["groundingMetadata"] = _grounding(told)
    return {"candidates": [candidate]}


def _grounding(told):
    return {
        "webSearchQueries": ["which version"],
        "groundingChunks": [{"web": {"uri": url, "title": title}} for url, title, _ in told.citations],
        "groundingSupports": [
            {"segment": {"endIndex": len(words), "text": words}, "groundingChunkIndices": [at]}
            for at, (_, _, words) in enumerate(told.citations)
        ],
    }


def _usage(told):
    return {
        "promptTokenCount": told.input_tokens,
        "cachedContentTokenCount": told.cached_tokens,
        "candidatesTokenCount": told.output_tokens - told.thinking_tokens,
        "thoughtsTokenCount": told.thinking_tokens,
        "totalTokenCount": told.input_tokens + told.output_tokens,
    }


def _chunks(body):
    """The same in pieces; what ends the answer comes with an empty text, and the counts grow on the way."""
    if "candidates" not in body:
        return [body]
    (candidate,) = body["candidates"]
    pieces = [piece for part in candidate["content"].get("parts", ()) for piece in _pieces(part)]
    usage = {"usageMetadata": {"promptTokenCount": body["usageMetadata"]["promptTokenCount"]}}
    begun = [{**_SHELL, "candidates": [{"index": 0, "content": _model(piece)}], **usage} for piece in pieces]
    return [*begun, {**body, "candidates": [{**candidate, "content": _model(_text(""))}]}]


def _model(part):
    return {"role": "model", "parts": [part]}


def _pieces(part):
    """A call comes whole; a text in halves, of which the first is signed."""
    if "functionCall" in part:
        return [part]
    half, rest = len(part["text"]) // 2, {name: given for name, given in part.items() if name != "thoughtSignature"}
    return [{**part, "text": part["text"][:half]}, {**rest, "text": part["text"][half:]}]


def _refuses(code, status, name, *details):
    return {"error": {"code": code, "message": cases.ERRORS[name], "status": status, "details": list(details)}}


def _error(code, status, name, *details):
    return Answer(json.dumps(_refuses(code, status, name, *details)).encode(), status=code)


def _detail(kind, **facts):
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **facts}


_BAD_KEY = _detail("ErrorInfo", reason="API_KEY_INVALID", domain="googleapis.com")
_WAIT = _detail("RetryInfo", retryDelay=f"{cases.WAITS_S['rate limit']}s")
_USED_UP = _detail("QuotaFailure", violations=[{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}])

ERRORS = {
    "invalid": _error(400, "INVALID_ARGUMENT", "invalid"),
    "bad key": _error(400, "INVALID_ARGUMENT", "bad key", _BAD_KEY),
    "out of quota": _error(429, "RESOURCE_EXHAUSTED", "out of quota", _USED_UP),
    "not found": _error(404, "NOT_FOUND", "not found"),
    "rate limit": _error(429, "RESOURCE_EXHAUSTED", "rate limit", _WAIT),
    "overloaded": _error(503, "UNAVAILABLE", "overloaded"),
    "failed": _error(500, "INTERNAL", "failed"),
}


def broken() -> Answer:
    begun = {**_SHELL, "candidates": [{"content": _model(_text("Hel"))}]}
    frames = (begun, _refuses(503, "UNAVAILABLE", "overloaded"))
    return Answer(b"", b"".join(write(json.dumps(frame).encode()) for frame in frames))


def thoughts(body):
    """The signature stands on the text that follows the thought."""
    said = [part for turn in body["contents"] if turn["role"] == "model" for part in turn["parts"]]
    return [
        (part["text"], after.get("thoughtSignature", ""))
        for part, after in zip(said, [*said[1:], {}], strict=True)
        if part.get("thought")
    ]
