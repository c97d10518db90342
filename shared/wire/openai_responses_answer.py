"""Answers of OpenAI's Responses API as we write them: the response object, its output items, the events of a stream.

https://platform.openai.com/docs/api-reference/responses/object and .../responses-streaming
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

# --- output items ---------------------------------------------------------------------------------


class UrlCitation(Struct, tag="url_citation", tag_field="type"):
    """A cited page, and which characters of the text rest on it: from, and up to without."""

    start_index: int
    end_index: int
    title: str
    url: str


class OutputText(Struct, tag="output_text", tag_field="type"):
    """Text of a message. The SDKs read both lists without a check."""

    text: str
    annotations: list[UrlCitation] = []
    logprobs: list[Raw] = []


class RefusalText(Struct, tag="refusal", tag_field="type"):
    """A refusal, in the place of a text."""

    refusal: str


class SummaryText(Struct, tag="summary_text", tag_field="type"):
    """Reasoning that may be read."""

    text: str


ContentPart: TypeAlias = OutputText | RefusalText | SummaryText


class OutputMessage(Struct, tag="message", tag_field="type"):
    """What the model said. `status` is `in_progress`, `completed` or, for the last one, `incomplete`."""

    id: str
    status: str
    content: list[ContentPart]
    role: str = "assistant"


class OutputReasoning(Struct, tag="reasoning", tag_field="type"):
    """What the model thought; a client sends the item back as it is."""

    id: str
    summary: list[ContentPart]
    encrypted_content: str | UnsetType = UNSET


class OutputCall(Struct, tag="function_call", tag_field="type"):
    """A call the model wants made. `status` as in a message."""

    id: str
    status: str
    call_id: str
    name: str
    arguments: str


OutputItem: TypeAlias = OutputMessage | OutputReasoning | OutputCall


# --- the response ---------------------------------------------------------------------------------


class InputDetails(Struct):
    """Always present, so that clients may read it without a check."""

    cached_tokens: int
    cache_write_tokens: int


class OutputDetails(Struct):
    """Always present, so that clients may read it without a check."""

    reasoning_tokens: int


class ResponseUsage(Struct):
    """Token counts, caches included in `input_tokens`."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseError(Struct):
    """Why a response failed; `code` is a member of the SDKs' enum."""

    code: str
    message: str


class IncompleteDetails(Struct):
    """`max_output_tokens` or `content_filter`."""

    reason: str


class Response(Struct, kw_only=True):
    """What a response object says for itself; what it repeats of its request follows on the wire. Times in seconds."""

    id: str
    object: str = "response"
    created_at: int
    status: str
    completed_at: int | None = None
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    output: list[OutputItem] = []
    usage: ResponseUsage | None = None


class Deleted(Struct):
    """The answer to a deletion."""

    id: str
    object: str = "response"
    deleted: bool = True


# --- events: numbered from 0 without a gap ----------------------------------------------------------


class ResponseEvent(Struct):
    """`response.created`, `.in_progress`, `.completed`, `.incomplete`, `.failed`: the whole object."""

    type: str
    response: Raw
    sequence_number: int = 0


class ItemEvent(Struct):
    """`response.output_item.added` and `.done`."""

    type: str
    output_index: int
    item: OutputItem
    sequence_number: int = 0


class PieceEvent(Struct, kw_only=True):
    """What happens inside an item; which fields are set depends on `type`."""

    type: str
    item_id: str
    output_index: int
    content_index: int | UnsetType = UNSET
    summary_index: int | UnsetType = UNSET
    part: ContentPart | UnsetType = UNSET
    annotation: UrlCitation | UnsetType = UNSET
    annotation_index: int | UnsetType = UNSET
    delta: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    logprobs: list[Raw] | UnsetType = UNSET
    sequence_number: int = 0


StreamEvent: TypeAlias = ResponseEvent | ItemEvent | PieceEvent


class Numbered(Struct):
    """Any event, ours or a provider's, as far as it is counted."""

    sequence_number: int | None = None
