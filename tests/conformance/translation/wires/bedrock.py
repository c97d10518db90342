"""Bedrock's Converse as models of Anthropic's are spoken to there."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from deploy.simulator import bedrock_frames
from shared.chat import StopReason
from tests.conformance.translation import cases
from tests.conformance.translation.cases import Said
from tests.conformance.translation.exchange import Answer
from worker.providers.catalog import ROWS

WIRE = "bedrock"
ROW = REASONING_ROW = ROWS["bedrock"]
MODEL = REASONING_MODEL = "us.anthropic.claude-opus-4-8-v1:0"

HEARD: dict[StopReason, StopReason] = {}

_WORDS = {
    StopReason.END: "end_turn",
    StopReason.STOP_SEQUENCE: "stop_sequence",
    StopReason.LENGTH: "max_tokens",
    StopReason.CONTEXT_FULL: "model_context_window_exceeded",
    StopReason.TOOL_CALL: "tool_use",
    StopReason.REFUSAL: "content_filtered",
}


def _text(text):
    return {"text": text}


def _user(*blocks):
    return {"role": "user", "content": list(blocks)}


def _asks(*blocks, **fields):
    return {"inferenceConfig": {"maxTokens": cases.MAX_TOKENS}, "messages": [_user(*blocks)], **fields}


def _call(call_id, arguments):
    return {"toolUse": {"toolUseId": call_id, "name": cases.TOOL, "input": arguments}}


def _result(call_id, *content, **fields):
    return {"toolResult": {"toolUseId": call_id, "content": list(content), **fields}}


_SPEC = {"name": cases.TOOL, "description": cases.TOOL_TEXT, "inputSchema": {"json": cases.SCHEMA}}
_TOOLS = {"tools": [{"toolSpec": _SPEC}]}
_PICTURE = {"image": {"format": "png", "source": {"bytes": cases.PNG}}}


def _after_call(*blocks):
    turns = [_user(_text(cases.HELLO)), {"role": "assistant", "content": [_call(cases.CALL, cases.PARIS)]}]
    return {**_asks(), "toolConfig": _TOOLS, "messages": [*turns, _user(*blocks)]}


def _noted(name):
    note = {"format": "txt", "name": name, "source": {"text": cases.NOTE}}
    return _asks({"document": note}, _text(name))


def _formed(name):
    schema = {"schema": json.dumps(cases.SCHEMA, separators=(",", ":")), "name": name}
    form = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return _asks(_text(cases.HELLO), outputConfig={"textFormat": form})


ASKED: dict[str | tuple[str, str], dict[str, Any]] = {
    "text": _asks(_text(cases.HELLO)),
    "system": _asks(_text(cases.HELLO), system=[_text(rule) for rule in cases.RULES]),
    "system amid the turns": _asks(_text(cases.HELLO), _text(f"<system>\n{cases.CHANGE}\n</system>")),
    "sampling": _asks(
        _text(cases.HELLO),
        inferenceConfig={"maxTokens": cases.MAX_TOKENS, "temperature": 0.5, "topP": 0.9},
        requestMetadata={"user_id": "u1"},
    ),
    "a stop sequence": _asks(
        _text(cases.HELLO), inferenceConfig={"maxTokens": cases.MAX_TOKENS, "stopSequences": ["END"]}
    ),
    "many stop sequences": _asks(
        _text(cases.HELLO), inferenceConfig={"maxTokens": cases.MAX_TOKENS, "stopSequences": list("abcde")}
    ),
    "top_k": _asks(_text(cases.HELLO), additionalModelRequestFields={"top_k": 5}),
    "tools": _asks(_text(cases.HELLO), toolConfig={**_TOOLS, "toolChoice": {"tool": {"name": cases.TOOL}}}),
    "parallel tools": {
        **_asks(),
        "toolConfig": _TOOLS,
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
            _user(_result(cases.CALL, _text(cases.SUNNY)), _result(cases.OTHER_CALL, _text(cases.SUNNY))),
        ],
    },
    "tool result": _after_call(_result(cases.CALL, _text(cases.SUNNY))),
    "tool result with text beside": _after_call(_result(cases.CALL, _text(cases.SUNNY)), _text(cases.HELLO)),
    "tool result that failed": _after_call(_result(cases.CALL, _text(cases.FAILED), status="error")),
    "tool result with image": _after_call(_result(cases.CALL, _text(cases.SUNNY), _PICTURE)),
    "image": _asks(_text(cases.HELLO), _PICTURE),
    "document": _asks(
        {"document": {"format": "pdf", "name": "report", "source": {"bytes": cases.PDF}}}, _text("report")
    ),
    "document of text": _noted("note"),
    ("anthropic", "document of text"): _noted("document"),  # it came without a name
    "search results": _asks(_text(f"Notes\nhttps://example.com\n\n{cases.NOTE}")),
    "thinking": _asks(
        _text(cases.HELLO),
        additionalModelRequestFields={"thinking": {"type": "adaptive"}},
        outputConfig={"effort": "high"},
    ),
    "no thinking": _asks(
        _text(cases.HELLO),
        additionalModelRequestFields={"thinking": {"type": "disabled"}},
        outputConfig={"effort": "low"},
    ),
    ("anthropic", "a cache hint"): _asks(_text(cases.HELLO), {"cachePoint": {"type": "default"}}),
    ("anthropic", "no thinking"): _asks(
        _text(cases.HELLO), additionalModelRequestFields={"thinking": {"type": "disabled"}}
    ),
    "structured output": _formed("response"),
    ("openai_chat", "structured output"): _formed("place"),
    "prefill": {
        **_asks(),
        "messages": [_user(_text(cases.HELLO)), {"role": "assistant", "content": [_text("The answer is (")]}],
    },
}


passed_on = None  # no client speaks this wire


def said(told: Said) -> Said:
    """Without what the wire cannot say: how long was thought, and that a text is a refusal's."""
    return msgspec.structs.replace(told, text=told.text or told.refusal, refusal="", thinking_tokens=0)


def answer(told: Said) -> Answer:
    content: list[dict[str, Any]] = []
    if told.thinking:
        content.append(
            {"reasoningContent": {"reasoningText": {"text": told.thinking, "signature": cases.SIGNATURE}}},
        )
    if told.text or told.refusal:
        content.append(_text(told.text or told.refusal))
    content += [{"citationsContent": {"citations": [_citation(*cited)]}} for cited in told.citations]
    content += [
        {"toolUse": {"toolUseId": call_id, "name": name, "input": given}} for call_id, name, given in told.calls
    ]
    usage = {
        "inputTokens": told.input_tokens - told.cached_tokens - told.written_tokens,
        "outputTokens": told.output_tokens,
        "totalTokens": told.input_tokens + told.output_tokens,
        "cacheReadInputTokens": told.cached_tokens,
        "cacheWriteInputTokens": told.written_tokens,
        "cacheDetails": [{"ttl": "5m", "inputTokens": told.written_tokens}] if told.written_tokens else [],
        "serverToolUsage": {},
    }
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _WORDS[told.stop],
        "usage": usage,
        "metrics": {"latencyMs": 12},
    }
    return Answer(json.dumps(body).encode(), b"".join(_event(name, **event) for name, event in _events(body)))


def _citation(url, title, _):
    location = {"web": {"url": url, "domain": "example.com"}}
    return {"title": title, "location": location, "sourceContent": [_text("The version is 4.0.6.")]}


def _event(name, **event):
    return bedrock_frames.event(name, json.dumps({**event, "p": "abcdef"}).encode())


def _events(body):
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(body["output"]["message"]["content"]):
        if "toolUse" in block:
            start = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": start}}
        for delta in _deltas(block):
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": body["stopReason"]}
    yield "metadata", {"usage": body["usage"], "metrics": body["metrics"]}


def _halves(text):
    return text[: len(text) // 2], text[len(text) // 2 :]


def _deltas(block):
    match block:
        case {"text": text}:
            return [_text(half) for half in _halves(text)]
        case {"reasoningContent": {"reasoningText": thought}}:
            halves = [{"reasoningContent": _text(half)} for half in _halves(thought["text"])]
            return [*halves, {"reasoningContent": {"signature": thought["signature"]}}]
        case {"citationsContent": {"citations": citations}}:
            return [{"citation": citation} for citation in citations]
        case {"toolUse": {"input": given}}:
            return [{"toolUse": {"input": half}} for half in ("", *_halves(json.dumps(given)))]


def _error(status, kind, name):
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    if name in cases.WAITS_S:
        headers["retry-after"] = cases.WAITS_S[name]
    return Answer(json.dumps({"message": cases.ERRORS[name]}).encode(), status=status, headers=headers)


ERRORS = {
    "invalid": _error(400, "ValidationException", "invalid"),
    "bad key": _error(403, "UnrecognizedClientException", "bad key"),
    "out of quota": _error(400, "ServiceQuotaExceededException", "out of quota"),
    "not found": _error(404, "ResourceNotFoundException", "not found"),
    "too large": _error(413, "RequestEntityTooLargeException", "too large"),
    "rate limit": _error(429, "ThrottlingException", "rate limit"),
    "overloaded": _error(503, "ServiceUnavailableException", "overloaded"),
    "failed": _error(424, "ModelErrorException", "failed"),
}


def broken() -> Answer:
    words = json.dumps({"message": cases.ERRORS["overloaded"]}).encode()
    begun = _event("messageStart", role="assistant") + bedrock_frames.exception("serviceUnavailableException", words)
    return Answer(b"", begun)


def thoughts(body):
    return [
        (thought["text"], thought["signature"])
        for turn in body["messages"]
        for block in turn["content"]
        if (thought := block.get("reasoningContent", {}).get("reasoningText"))
    ]
