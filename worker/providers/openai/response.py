"""Plain answers of providers that speak Chat Completions, read leniently."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from shared import ids
from shared.chat import ChatResponse, Citation, Part, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.errors import Garbled, Unreachable
from shared.wire.openai_chat import NULL, ContentPart, FunctionCall
from shared.wire.openai_chat_answer import Answer, AnswerBody, ModelEntry
from worker.providers.base import Model
from worker.providers.counts import MAX_EXACT
from worker.providers.openai.citations import annotated, found_for
from worker.providers.openai.errors import stream_error
from worker.providers.openai.messages import WIRE
from worker.providers.openai.usage import told

_BODY = msgspec.json.Decoder(AnswerBody)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_MODEL = msgspec.json.Decoder(ModelEntry)
_ENCODER = msgspec.json.Encoder()

_STOP_REASONS: dict[str | int | None, StopReason] = {
    "stop": StopReason.END,
    "eos": StopReason.END,  # Together
    "length": StopReason.LENGTH,
    "model_length": StopReason.LENGTH,  # Mistral
    "tool_calls": StopReason.TOOL_CALL,
    "function_call": StopReason.TOOL_CALL,
    "content_filter": StopReason.REFUSAL,
}
BROKEN = frozenset({"error", "insufficient_system_resource"})
"""Each a `finish_reason` of answers that failed midway: of OpenRouter and Mistral, of DeepSeek."""


class _UsageOnly(msgspec.Struct):
    usage: Raw = NULL
    x_groq: Raw = NULL


_USAGE = msgspec.json.Decoder(_UsageOnly)


def parse(provider: str, body: bytes) -> ChatResponse:
    """The first choice as a canonical answer.

    Raises:
        Garbled: not JSON, no choice, or a choice that cannot be read.
        ProviderError: an error under status 200.
    """
    try:
        answer = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"{provider} sent an answer that cannot be read.", provider=provider) from error
    if answer.choices and answer.choices[0].message:
        message, finish = answer.choices[0].message, answer.choices[0].finish_reason
    elif bytes(answer.error) != b"null":
        raise stream_error(provider, answer.error)
    else:
        raise Garbled(f"{provider} sent an answer without a choice.", provider=provider)
    if finish in BROKEN:
        raise Unreachable(f"{provider} broke off its answer.", provider=provider)
    cited = annotated(message.annotations) or found_for(answer)
    content = tuple(_content(message, answer.id or "", cited))
    return ChatResponse(
        id=answer.id or "",
        model=answer.model or "",
        content=content,
        stop_reason=stop_reason(
            finish,
            called=any(isinstance(part, ToolCall) for part in content),
            refused=any(isinstance(part, Refusal) for part in content),
        ),
        usage=told(answer.usage, answer.x_groq) or Usage(known=False),
        created_s=seconds(answer.created),
    )


def stop_reason(finish: str | int | None, *, called: bool, refused: bool) -> StopReason:
    """The reason behind `finish_reason`.

    A forced tool call ends with `stop` at OpenAI, and a refusal in its own field does too, so content decides there.
    """
    reason = _STOP_REASONS.get(finish, StopReason.END)
    if reason is StopReason.END and called:
        return StopReason.TOOL_CALL
    return StopReason.REFUSAL if reason is StopReason.END and refused else reason


def usage(body: bytes) -> Usage:
    """The usage of a plain answer, unknown when it has none that can be read; msgspec.DecodeError when not JSON."""
    try:
        found = _USAGE.decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return Usage(known=False)
    return told(found.usage, found.x_groq) or Usage(known=False)


def seconds(moment: float | None) -> int | None:
    """`created` in whole seconds; None for what is no time."""
    return int(moment) if moment is not None and 0 <= moment <= MAX_EXACT else None


def pieces(message: Answer) -> Iterator[Text | Thinking | Refusal]:
    """The texts of a message or delta, reasoning first; Mistral sends both as parts of a content list."""
    if reasoning := message.reasoning_content or message.reasoning:
        yield Thinking(reasoning, WIRE)
    if isinstance(message.content, str):
        if message.content:
            yield Text(message.content)
    else:
        for part in message.content or ():
            yield from _piece(part)
    if message.refusal:
        yield Refusal(message.refusal)


def _piece(part: ContentPart) -> Iterator[Text | Thinking]:
    if part.thinking:
        listed = part.thinking if isinstance(part.thinking, str) else "".join(piece.text for piece in part.thinking)
        if listed:
            yield Thinking(listed, WIRE)
    elif part.text:
        yield Text(part.text)


def arguments(function: FunctionCall | None) -> str:
    """The arguments as JSON text, whether the server sent text or the object itself."""
    if function is None or function.arguments is None:
        return ""
    return function.arguments if isinstance(function.arguments, str) else _ENCODER.encode(function.arguments).decode()


def call_id(answer_id: str, index: int) -> str:
    """The id for a call that came without one: the same for the same answer, and legal on every wire."""
    return "call_" + ids.digest(answer_id.encode(), str(index).encode())[:24]


def _content(message: Answer, answer_id: str, cited: tuple[Citation, ...]) -> Iterator[Part]:
    yield from _cited(list(pieces(message)), cited)
    for index, call in enumerate(message.tool_calls or ()):
        name = (call.function.name if call.function else None) or ""
        yield ToolCall(call.id or call_id(answer_id, index), name, arguments(call.function))
    if message.function_call and not message.tool_calls:  # llama.cpp's server says both
        name = message.function_call.name or ""
        yield ToolCall(call_id(answer_id, 0), name, arguments(message.function_call))


def _cited(said: list[Text | Thinking | Refusal], cited: tuple[Citation, ...]) -> Iterator[Part]:
    """The texts, the last of which rests on what was `cited`."""
    last = max((at for at, part in enumerate(said) if isinstance(part, Text)), default=None)
    for at, part in enumerate(said):
        yield Text(part.text, cited) if at == last else part


def models(body: bytes) -> list[Model]:
    """The models of `{"data": […]}`, or of Together's bare list.

    Raises:
        Garbled: it is neither.
    """
    try:
        raws = _LIST.decode(body if body.lstrip().startswith(b"[") else _FIELDS.decode(body).get("data", NULL))
        return [_model(raw) for raw in raws]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("The model list cannot be read.", provider=WIRE) from error


def _model(raw: Raw) -> Model:
    bytes(raw).decode()  # what is not read is passed on, and one bad byte would spoil the whole list
    entry = _MODEL.decode(raw)
    return Model(
        id=entry.id,
        display_name=entry.display_name,
        created_s=seconds(entry.created),
        owned_by=entry.owned_by,
        raw=raw,
    )
