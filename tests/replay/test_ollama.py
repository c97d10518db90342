"""Why Ollama is called at its `/v1`: what its own `/api/chat` was recorded to say has a place there."""

import json

import pytest

from shared.chat import StopReason, Text, Thinking, ToolCall
from shared.errors import Rejected
from tests.replay.recordings import COUNTS, FOLDER
from worker.providers.catalog import ROWS, adapters

ROW = ROWS["ollama"]
ADAPTER = adapters()[ROW.wire]


def recorded(kind: str):
    """The recordings' questions with their answers, streams as lists."""
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings: {FOLDER} is absent")
    for path in sorted((FOLDER / "ollama").glob(f"chat__{kind}__*.json")):
        found = json.loads(path.read_bytes())
        answer = found["response_body"]
        lines = [json.loads(line) for line in answer.splitlines()] if isinstance(answer, str) else [answer]
        yield found["request_body"], lines


def at_v1(asked, lines):
    """The answer in the shape of `/v1/chat/completions`: https://docs.ollama.com/api/openai-compatibility."""
    parts = [line["message"] for line in lines]
    calls = [call for part in parts for call in part.get("tool_calls") or []]
    message = {
        "role": "assistant",
        "content": "".join(part["content"] for part in parts),
        "reasoning": "".join(part.get("thinking") or "" for part in parts) or None,
        "tool_calls": [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": call["function"]["name"], "arguments": json.dumps(call["function"]["arguments"])},
            }
            for n, call in enumerate(calls)
        ]
        or None,
    }
    usage = {"prompt_tokens": lines[-1]["prompt_eval_count"], "completion_tokens": lines[-1]["eval_count"]}
    finish = "tool_calls" if calls else lines[-1].get("done_reason", "stop")
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": asked["model"], "created": 1, "choices": [choice], "usage": usage}


def test_text_thoughts_calls_and_usage_arrive():
    count = thoughts = calls = 0
    for asked, lines in [*recorded("json"), *recorded("stream")]:
        answer = ADAPTER.parse(json.dumps(at_v1(asked, lines)).encode(), ROW)
        messages = [line["message"] for line in lines]
        assert text(answer, Text) == "".join(message["content"] for message in messages)
        assert text(answer, Thinking) == "".join(message.get("thinking") or "" for message in messages)
        called = [part for part in answer.content if isinstance(part, ToolCall)]
        wanted = [call["function"] for message in messages for call in message.get("tool_calls") or []]
        assert [(part.name, json.loads(part.arguments)) for part in called] == [
            (call["name"], call["arguments"]) for call in wanted
        ]
        assert answer.stop_reason is (StopReason.TOOL_CALL if called else StopReason.END)
        assert answer.usage.output_tokens == lines[-1]["eval_count"]
        count, thoughts, calls = count + 1, thoughts + bool(text(answer, Thinking)), calls + len(called)
    COUNTS.append(f"replayed, ollama at /v1: {count} answers, {thoughts} with thoughts, {calls} calls")
    assert count >= 6
    assert thoughts
    assert calls


def text(answer, kind):
    return "".join(part.text for part in answer.content if isinstance(part, kind))


def test_nothing_was_ever_asked_of_its_own_api_that_v1_cannot_say():
    """`options` hold what Chat Completions has at its top; a choice of tools has no place in either."""
    asked = {name for question, _ in [*recorded("json"), *recorded("stream")] for name in question}
    assert asked <= {"model", "messages", "tools", "options", "stream", "format", "keep_alive"}


def test_its_refusal_is_told():
    ((_, (body,)),) = recorded("error")
    for said in (body, {"error": {"message": body["error"], "type": "not_found_error", "code": None}}):
        error = ADAPTER.error(ROW, 404, {}, json.dumps(said).encode())
        assert isinstance(error, Rejected)
        assert "not found" in error.message
