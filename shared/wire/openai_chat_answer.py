"""Answers of OpenAI Chat Completions as they are on the wire, plain, streamed and failed.

What providers answer is read leniently, since compatible servers leave fields out, add their own and invent enum
members; what we write has exactly the vendor's shape.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from shared.wire.openai_chat import NULL, ContentPart, FunctionCall, ToolCall, WrittenToolCall

# --- what providers answer ------------------------------------------------------------------------


class PromptDetails(msgspec.Struct):
    """Part counts of the prompt."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """Part counts of the answer."""

    reasoning_tokens: int | None = None


class AnswerUsage(msgspec.Struct):
    """Token counts. `num_cached_tokens` (Mistral) and `prompt_cache_hit_tokens` (DeepSeek) precede the details."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    num_cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None


class UrlCitation(msgspec.Struct):
    """A page that was cited. `content`, its words, is OpenRouter's own."""

    url: str | None = None
    title: str | None = None
    content: str | None = None


class Annotation(msgspec.Struct):
    """What a message says about its text; of a `url_citation` where it is from."""

    type: str | None = None
    url_citation: UrlCitation | None = None


class SearchResult(msgspec.Struct):
    """A page that was found for the answer: Perplexity's own, which has no annotations."""

    url: str | None = None
    title: str | None = None
    snippet: str | None = None


class Answer(msgspec.Struct):
    """An assistant message, or the delta of one. `reasoning*` are vendors' own; no two servers agree on one."""

    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    annotations: Raw = NULL


class AnswerChoice(msgspec.Struct):
    """One choice of a plain answer (`message`) or of a chunk (`delta`)."""

    index: int | None = None
    message: Answer | None = None
    delta: Answer | None = None
    finish_reason: str | int | None = None


class GroqExtras(msgspec.Struct):
    """Groq's `x_groq`, which held the usage before `stream_options` was understood."""

    usage: AnswerUsage | None = None


class AnswerBody(msgspec.Struct):
    """A plain answer or a chunk. `error` stands in for the rest when the provider gives up.

    `usage` is an AnswerUsage and `x_groq` are GroqExtras, read by themselves: the answer stands without them.
    `search_results` (Perplexity) and `citations` (Perplexity, xAI), a list of URLs, are about the whole answer.
    """

    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[AnswerChoice] | None = None
    usage: Raw = NULL
    x_groq: Raw = NULL
    search_results: Raw = NULL
    citations: Raw = NULL
    error: Raw = NULL


class TapChoice(msgspec.Struct):
    """What a relayed chunk is watched for."""

    finish_reason: str | int | None = None


class TapChunk(msgspec.Struct):
    """A relayed chunk, as far as it is read."""

    choices: list[TapChoice] | None = None
    usage: Raw = NULL
    x_groq: Raw = NULL
    error: Raw = NULL


class SaysChoice(msgspec.Struct):
    """What a relayed chunk is asked until the answer has begun."""

    delta: dict[str, Raw] | None = None
    finish_reason: str | int | None = None


class Says(msgspec.Struct):
    """A relayed chunk likewise."""

    choices: list[SaysChoice] | None = None


class ErrorFacts(msgspec.Struct):
    """The `error` object; `code` is a number at Azure, OpenRouter and Gemini, `status_code` is Groq's in streams."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None
    status: str | None = None
    status_code: int | None = None


class WrongField(msgspec.Struct):
    """An entry of pydantic's list of what is wrong with a body; of its `input`, the value, nothing is read."""

    loc: list[str | int] = []
    msg: str = ""


class ModelEntry(msgspec.Struct):
    """One entry of `GET /models`."""

    id: str
    display_name: str | None = None
    created: int | float | None = None
    owned_by: str | None = None


# --- what we write --------------------------------------------------------------------------------


class WrittenUrlCitation(msgspec.Struct):
    """A cited page, and which characters of the message's content rest on it: from, and up to without."""

    url: str
    title: str
    start_index: int
    end_index: int


class WrittenAnnotation(msgspec.Struct, tag="url_citation", tag_field="type"):
    """An entry of `annotations`."""

    url_citation: WrittenUrlCitation


class WrittenMessage(msgspec.Struct):
    """The assistant message of an answer: `content` and `refusal` are always there, null or not."""

    role: str
    content: str | None
    refusal: str | None
    annotations: list[WrittenAnnotation] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[WrittenToolCall] | UnsetType = UNSET


class WrittenChoice(msgspec.Struct):
    """The one choice of an answer."""

    message: WrittenMessage
    finish_reason: str
    index: int = 0
    logprobs: None = None


class WrittenPromptDetails(msgspec.Struct):
    """Always present, so that clients may read it without a check."""

    cached_tokens: int
    cache_write_tokens: int


class WrittenCompletionDetails(msgspec.Struct):
    """Always present, so that clients may read it without a check."""

    reasoning_tokens: int


class WrittenUsage(msgspec.Struct):
    """Token counts, caches included in `prompt_tokens`."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: WrittenPromptDetails
    completion_tokens_details: WrittenCompletionDetails


class WrittenCompletion(msgspec.Struct):
    """A plain answer. `usage` is left out of a placeholder."""

    id: str
    created: int
    model: str
    choices: list[WrittenChoice]
    usage: WrittenUsage | UnsetType = UNSET
    object: str = "chat.completion"


class WrittenDelta(msgspec.Struct):
    """What a chunk adds."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    annotations: list[WrittenAnnotation] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[WrittenToolCall] | UnsetType = UNSET


class WrittenDeltaChoice(msgspec.Struct):
    """The one choice of a chunk."""

    delta: WrittenDelta
    finish_reason: str | None = None
    index: int = 0
    logprobs: None = None


class WrittenChunk(msgspec.Struct):
    """A chunk. With `include_usage`, `usage` is null in all but the last one, whose `choices` is empty."""

    id: str
    created: int
    model: str
    choices: list[WrittenDeltaChoice]
    usage: WrittenUsage | UnsetType | None = UNSET
    object: str = "chat.completion.chunk"


class WrittenError(msgspec.Struct):
    """The `error` object; all four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class WrittenErrorBody(msgspec.Struct):
    """An error's body, and the last frame of a stream that broke."""

    error: WrittenError
