"""Real answers of the other wires in the Responses dialect, read back by the types of OpenAI's SDK."""

import json

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from shared.chat import Refusal, StopReason, Thinking
from shared.dialects.openai_responses.response import render
from shared.dialects.openai_responses.stream import Renderer
from shared.errors import Garbled, Unreachable
from shared.events import Broken, Started
from shared.sse import FrameReader
from tests.made import A_JOB
from tests.replay.recordings import recordings
from tests.replay.test_recordings import (
    ADAPTERS,
    ANSWERS,
    ROW,
    arguments,
    events_of,
    failures,
    gathered,
    report,
    said,
    totals,
)

QUESTION = b'{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]}'
EVENT = TypeAdapter(ResponseStreamEvent)
REASONS = {
    StopReason.LENGTH: "max_output_tokens",
    StopReason.CONTEXT_FULL: "max_output_tokens",
    StopReason.REFUSAL: "content_filter",
}


def told(response: Response):
    """What the SDK's response says, as `said` tells it of canonical parts."""
    texts, calls, cited = [], [], set()
    for item in response.output:
        if item.type == "message":
            cited |= {found.url for part in item.content for found in getattr(part, "annotations", ())}
            texts += [part.text if part.type == "output_text" else part.refusal for part in item.content]
        elif item.type == "function_call":
            calls.append((item.name, arguments(item.arguments)))
    return "".join(texts), calls, cited


def assert_ended(response: Response, reason: StopReason, usage, *, refused: bool):
    why = None if refused and reason is StopReason.REFUSAL else REASONS.get(reason)
    assert response.status == ("incomplete" if why else "completed")
    assert (response.incomplete_details.reason if response.incomplete_details else None) == why
    counted = response.usage
    assert (counted.input_tokens, counted.output_tokens, counted.input_tokens_details.cached_tokens) == totals(usage)
    assert counted.total_tokens == counted.input_tokens + counted.output_tokens


def thoughts(response: Response):
    return [item for item in response.output if item.type == "reasoning"]


def test_every_plain_answer_says_the_same_as_a_response():
    def responded(recording):
        try:
            answer = ADAPTERS[recording.wire].parse(recording.answer, ROW[recording.wire])
        except Garbled:
            assert not ANSWERS.search(recording.answer)  # a transcription or an embedding, filed under chat
            return "not a chat answer"
        except Unreachable:
            assert b"UNEXPECTED_TOOL_CALL" in recording.answer
            return "failed midway"
        response = Response.model_validate_json(render(answer, A_JOB, QUESTION))
        assert told(response) == said(answer.content)
        thought = [part.text for part in answer.content if isinstance(part, Thinking)]
        summaries = ["".join(piece.text for piece in item.summary) for item in thoughts(response)]
        assert [text for text in summaries if text] == [text for text in thought if text]
        refused = any(isinstance(part, Refusal) for part in answer.content)
        assert_ended(response, answer.stop_reason, answer.usage, refused=refused)
        return f"{recording.wire}: {response.status}"

    report(failures(responded, [r for r in recordings() if r.answered and not r.streamed]))


def test_every_stream_adds_up_to_the_same_response():
    def streamed(recording):
        events = events_of(recording.answer, recording.wire)
        renderer, state = Renderer(A_JOB, QUESTION), ResponseStreamState(input_tools=[], text_format=omit)
        sent = b"".join(map(renderer.feed, events))
        read = []
        for number, frame in enumerate(FrameReader().feed(sent)):
            read.append(EVENT.validate_json(frame.data))
            assert read[-1].sequence_number == number
            state.handle_event(read[-1])
        if isinstance(events[-1], Broken):
            assert read[-1].type == "response.failed"
            assert renderer.final == b""
            return f"{recording.wire}: failed" if isinstance(events[0], Started) else f"{recording.wire}: never began"
        response = read[-1].response
        assert response.to_dict() == json.loads(renderer.final)
        words, end, thought = gathered(events)
        assert told(response) == words
        assert len(thoughts(response)) >= thought
        assert_ended(response, end.stop_reason, end.usage, refused=any("refusal" in event.type for event in read))
        return f"{recording.wire}: {response.status}"

    report(failures(streamed, [r for r in recordings() if r.answered and r.streamed]))
