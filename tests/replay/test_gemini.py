"""Real answers of Gemini and Vertex: figures and reasons are kept, and calls come back as they were made."""

import json

import pytest

from shared.chat import StopReason
from shared.dialects import DIALECTS
from shared.events import Broken, Finished
from tests.made import A_JOB
from tests.replay.recordings import COUNTS, recordings
from tests.replay.test_recordings import ADAPTERS, ROW, events_of, failures, report

GEMINI = ADAPTERS["gemini"]
REASONS = {"STOP": StopReason.END, 1: StopReason.END, "MAX_TOKENS": StopReason.LENGTH}
UNSIGNED = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
QUESTION = b'{"model":"m","input":"hi"}'


def answers(*, streamed):
    return [r for r in recordings() if r.wire == "gemini" and r.answered and r.streamed is streamed]


def chunks_of(recording):
    if not recording.streamed:
        return [json.loads(recording.answer)]
    lines = recording.answer.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]


def candidates(chunks):
    return [candidate for chunk in chunks for candidate in chunk.get("candidates", ())]


def parts_of(chunks):
    return [part for candidate in candidates(chunks) for part in candidate.get("content", {}).get("parts", ())]


def check_kept(reason, usage, chunks):
    """The recorded figures and the recorded end."""
    told = next(chunk["usageMetadata"] for chunk in reversed(chunks) if "usageMetadata" in chunk)
    assert usage.known
    assert usage.total_input_tokens == told.get("promptTokenCount", 0) + told.get("toolUsePromptTokenCount", 0)
    assert usage.cache_read_tokens == told.get("cachedContentTokenCount", 0)
    assert usage.reasoning_tokens == told.get("thoughtsTokenCount", 0)
    assert usage.output_tokens == told.get("candidatesTokenCount", 0) + usage.reasoning_tokens
    finish = [candidate["finishReason"] for candidate in candidates(chunks) if "finishReason" in candidate]
    if any("functionCall" in part for part in parts_of(chunks)):
        assert (finish, reason) == (["STOP"], StopReason.TOOL_CALL)
    else:
        assert reason is REASONS.get(finish[-1] if finish else None, StopReason.REFUSAL)


def test_every_plain_answer_keeps_its_usage_and_its_reason():
    def kept(recording):
        chunks = chunks_of(recording)
        if "UNEXPECTED_TOOL_CALL" in recording.answer.decode() or "predictions" in chunks[0]:
            return "no answer"
        answer = GEMINI.parse(recording.answer, ROW["gemini"])
        check_kept(answer.stop_reason, answer.usage, chunks)
        assert GEMINI.usage(recording.answer) == answer.usage
        return answer.stop_reason.name

    report(failures(kept, answers(streamed=False)))


def test_every_stream_keeps_its_usage_and_its_reason():
    passed = 0
    for recording in answers(streamed=True):
        end, chunks = events_of(recording.answer, "gemini")[-1], chunks_of(recording)
        if isinstance(end, Broken):
            assert any("willContinue" in part.get("functionCall", ()) for part in parts_of(chunks))
            continue
        assert isinstance(end, Finished)
        check_kept(end.stop_reason, end.usage, chunks)
        passed += 1
    COUNTS.append(f"replayed, kept of streams: {passed} recordings")
    assert passed > 50


def anthropic_history(shown):
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
        for block in shown["content"]
        if block["type"] == "tool_use"
    ]
    turns = [("user", "hi"), ("assistant", shown["content"]), ("user", results)]
    return {"max_tokens": 9, "messages": [{"role": role, "content": content} for role, content in turns]}


def chat_history(shown):
    message = shown["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
    return {"messages": [{"role": "user", "content": "hi"}, message, *results]}


def responses_history(shown):
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "done"}
        for item in shown["output"]
        if item["type"] == "function_call"
    ]
    return {"input": [{"role": "user", "content": "hi"}, *shown["output"], *results]}


HISTORIES = {"anthropic": anthropic_history, "openai_chat": chat_history, "openai_responses": responses_history}


@pytest.mark.parametrize("name", HISTORIES)
def test_every_call_goes_back_with_its_signature(name):
    dialect = DIALECTS[name]

    def goes_back(recording):
        made = [part for part in parts_of(chunks_of(recording)) if "functionCall" in part]
        if not made or "UNEXPECTED_TOOL_CALL" in recording.answer.decode():
            return "without calls"
        shown = json.loads(dialect.render(GEMINI.parse(recording.answer, ROW["gemini"]), A_JOB, QUESTION))
        body = json.dumps({"model": "m", **HISTORIES[name](shown)}).encode()
        asked = json.loads(GEMINI.render(dialect.parse(body, "gemini-3-pro"), ROW["gemini"]).body)
        back = [part for turn in asked["contents"] for part in turn["parts"] if "functionCall" in part]
        ids = [part["functionCall"]["id"] for part in back]
        results = [
            part["functionResponse"]
            for turn in asked["contents"]
            for part in turn["parts"]
            if "functionResponse" in part
        ]
        assert [result["id"] for result in results] == ids
        for number, (sent, told) in enumerate(zip(back, made, strict=True)):
            call = told["functionCall"]
            assert sent["functionCall"] == {"id": ids[number], "name": call["name"], "args": call.get("args", {})}
            assert ids[number] == call.get("id", ids[number])
            assert sent.get("thoughtSignature") == told.get("thoughtSignature", None if number else UNSIGNED)
        return "signed" if "thoughtSignature" in made[0] else "unsigned"

    report(failures(goes_back, answers(streamed=False)))
