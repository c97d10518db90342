"""A finished answer, a placeholder and the poll path's last word, as Chat Completions bodies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, Raw

from shared.chat import ChatResponse, Citation, Part, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.wire.openai_chat import WrittenFunction, WrittenToolCall
from shared.wire.openai_chat_answer import (
    WrittenAnnotation,
    WrittenChoice,
    WrittenCompletion,
    WrittenCompletionDetails,
    WrittenMessage,
    WrittenPromptDetails,
    WrittenUrlCitation,
    WrittenUsage,
)

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])

NO_ARGUMENTS = "{}"
"""A call without arguments may have none at all on other wires; a chat client parses them as JSON."""

_FINISH_REASONS = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT_FULL: "length",
    StopReason.TOOL_CALL: "tool_calls",
    StopReason.REFUSAL: "content_filter",
    StopReason.PAUSE: "stop",
}


def finish_reason(reason: StopReason, *, refusal_shown: bool) -> str:
    """The wire's word; a refusal the client can read in `message.refusal` ends with `stop`."""
    return "stop" if reason is StopReason.REFUSAL and refusal_shown else _FINISH_REASONS[reason]


def render_usage(usage: Usage) -> WrittenUsage:
    """Token counts the OpenAI way: the prompt includes what was read from or written to a cache."""
    prompt = usage.total_input_tokens
    return WrittenUsage(
        prompt_tokens=prompt,
        completion_tokens=usage.output_tokens,
        total_tokens=prompt + usage.output_tokens,
        prompt_tokens_details=WrittenPromptDetails(usage.cache_read_tokens, usage.cache_write_tokens),
        completion_tokens_details=WrittenCompletionDetails(usage.reasoning_tokens),
    )


def annotation(citation: Citation, start: int, end: int) -> WrittenAnnotation:
    """A source of the characters from `start` up to `end` of the content; one without a title goes by its address."""
    return WrittenAnnotation(WrittenUrlCitation(citation.url, citation.title or citation.url, start, end))


def render(response: ChatResponse) -> bytes:
    """A `chat.completion`. `created` is `created_s`, 0 when that is unknown: the caller, who has a clock, sets it.

    Reasoning goes out as `reasoning_content`, which is not OpenAI's but what most readers look for. Signatures,
    redacted reasoning and parts only another wire can say have no place in this format and are left out.
    """
    content = response.content
    text = "".join(part.text for part in content if isinstance(part, Text))
    refusal = "".join(part.text for part in content if isinstance(part, Refusal))
    reasoning = "".join(part.text for part in content if isinstance(part, Thinking))
    calls = [_tool_call(part) for part in content if isinstance(part, ToolCall)]
    message = WrittenMessage(
        role="assistant",
        content=None if not text and (calls or refusal) else text,
        refusal=refusal or None,
        annotations=list(_annotations(content)) or UNSET,
        reasoning_content=reasoning or UNSET,
        tool_calls=calls or UNSET,
    )
    reason = finish_reason(response.stop_reason, refusal_shown=bool(refusal))
    return _ENCODER.encode(
        WrittenCompletion(
            id=response.id,
            created=response.created_s or 0,
            model=response.model,
            choices=[WrittenChoice(message, reason)],
            usage=render_usage(response.usage),
        )
    )


def _annotations(content: Iterable[Part]) -> Iterator[WrittenAnnotation]:
    end = 0
    for part in content:
        if isinstance(part, Text):
            start, end = end, end + len(part.text)
            yield from (annotation(citation, start, end) for citation in part.citations)


def _tool_call(call: ToolCall) -> WrittenToolCall:
    arguments = call.arguments if call.arguments.strip() else NO_ARGUMENTS
    return WrittenToolCall(id=call.id, type="function", function=WrittenFunction(call.name, arguments))


def placeholder(job_id: str, model: str, created_s: int) -> bytes:
    """The answer while a job is unfinished: polling loops read the empty `choices` as "not yet"."""
    return _ENCODER.encode(WrittenCompletion(id=job_id, created=created_s, model=model, choices=[]))


def fill_empty(body: bytes) -> bytes:
    """The body untouched, unless it has no choice.

    A finished answer always has one, but a compatible server that sends `choices: []` would look like a placeholder
    and hold a polling loop for ever, so it gets one empty choice.
    """
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = _FIELDS.decode(body)
        if b"".join(bytes(fields.get("choices", b"null")).split()) in {b"[]", b"null"}:
            empty = WrittenMessage(role="assistant", content="", refusal=None)
            fields["choices"] = Raw(_ENCODER.encode([WrittenChoice(empty, "stop")]))
            return _ENCODER.encode(fields)
    return body
