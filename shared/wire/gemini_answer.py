"""Answers of Gemini's `generateContent` as far as they are read, all of it leniently.

A chunk of `streamGenerateContent` has the shape of a whole answer: https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from msgspec import Raw, Struct, field

NULL = Raw(b"null")


class FunctionCall(Struct, rename="camel"):
    """A call. `will_continue`: its arguments come in pieces, which has to be asked for."""

    id: str | None = None
    name: str | None = None
    args: Raw = NULL
    will_continue: bool | None = None


class Part(Struct, rename="camel"):
    """A part; a kind that is not declared has neither text nor call."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None


class Content(Struct):
    """The parts said in one chunk."""

    parts: list[Part] | None = None


class Candidate(Struct, rename="camel"):
    """One answer. `finish_reason` is a number where a client library asked for numbers."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    grounding_metadata: Raw = NULL
    citation_metadata: Raw = NULL


class PromptFeedback(Struct, rename="camel"):
    """Why a prompt was not answered."""

    block_reason: str | None = None
    block_reason_message: str | None = None


class UsageMetadata(Struct, rename="camel"):
    """Counts. The prompt includes what was cached; thoughts are not among the candidates."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None


class Answer(Struct, rename="camel"):
    """An answer, or a chunk of one. `usage_metadata`, a UsageMetadata, is read by itself: an answer stands without."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Raw = NULL
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: Raw = NULL


class Page(Struct):
    """A page or a document that was found; `text` is its own words."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None


class Chunk(Struct, rename="camel"):
    """One thing that was found."""

    web: Page | None = None
    retrieved_context: Page | None = None


class Support(Struct, rename="camel"):
    """Which of the chunks a piece of the text rests on."""

    grounding_chunk_indices: list[int] | None = None


class Grounding(Struct, rename="camel"):
    """`groundingMetadata`."""

    grounding_chunks: list[Chunk] | None = None
    grounding_supports: list[Support] | None = None


class Recitations(Struct, rename="camel"):
    """`citationMetadata`: what the text repeats. Vertex has the first name, the Gemini API the second."""

    citations: list[Page] | None = None
    citation_sources: list[Page] | None = None


class Violation(Struct, rename="camel"):
    """A quota that is used up, and how much it is."""

    quota_id: str | None = None
    quota_value: str | None = None


class Detail(Struct, rename="camel"):
    """An entry of an error's `details`: google.rpc.ErrorInfo, RetryInfo, QuotaFailure and others."""

    reason: str | None = None
    retry_delay: str | None = None
    violations: list[Violation] | None = None


class Status(Struct):
    """A google.rpc.Status: https://cloud.google.com/apis/design/errors."""

    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[Raw] | None = None


class Refused(Struct):
    """The body of an error."""

    error: Status | None = None


class ModelEntry(Struct, rename="camel"):
    """A model; its name ends with `models/` and its id."""

    name: str
    display_name: str | None = None


class ModelList(Struct, rename="camel"):
    """A page of models, under the second name on Vertex."""

    models: list[Raw] = field(default_factory=list)
    publisher_models: list[Raw] = field(default_factory=list)
    next_page_token: str | None = None


class TokenCount(Struct, rename="camel"):
    """An answer of `countTokens`."""

    total_tokens: int
