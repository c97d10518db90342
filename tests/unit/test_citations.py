"""What a text rests on, from every wire to every dialect: the sources that lead to a page on the web."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import CitationsDelta, CitationsWebSearchResultLocation
from openai.types.chat.chat_completion_message import Annotation
from openai.types.responses import ResponseOutputText, ResponseOutputTextAnnotationAddedEvent

from shared.chat import ChatResponse, Citation, Part, StopReason, Text, Thinking, ToolCall, Usage
from shared.dialects import DIALECTS
from shared.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Finished,
    PartStarted,
    PartStopped,
    Started,
    TextDelta,
)
from shared.sse import FrameReader, write
from tests.made import A_REQUEST, WITH_USAGE, a_job
from worker.providers.catalog import ROWS, adapters

ADAPTERS = adapters()
RUBY = Citation("https://ruby-lang.org/", "Ruby", "The current version is 4.0.6.")
PLAIN_RUBY = Citation("https://ruby-lang.org/", "Ruby")
UNNAMED = Citation("https://example.com/")


def frames_of(*data: Any) -> list[Any]:
    return FrameReader().feed(b"".join(write(json.dumps(one).encode()) for one in data))


def events_of(provider: str, *data: Any) -> list[Event]:
    row = ROWS[provider]
    parser = ADAPTERS[row.wire].stream(row)
    return [event for frame in frames_of(*data) for event in parser.feed(frame)] + parser.close()


# --- from Anthropic ---------------------------------------------------------------------------------

ON_THE_WEB = {
    "type": "web_search_result_location",
    "url": RUBY.url,
    "title": RUBY.title,
    "cited_text": RUBY.cited_text,
    "encrypted_index": "Eo8B",
}
OF_A_SEARCH = {"type": "search_result_location", "source": UNNAMED.url, "title": None, "search_result_index": 0}
NAMED_FREELY = {**OF_A_SEARCH, "source": "handbook, page 3"}
IN_A_DOCUMENT = {"type": "char_location", "cited_text": "a", "document_index": 0, "start_char_index": 0}
ODD = [7, {"url": 7}, {}, None]


def from_anthropic(*blocks: Any) -> tuple[Part, ...]:
    body = json.dumps({"id": "m", "model": "m", "content": blocks, "stop_reason": "end_turn"}).encode()
    return ADAPTERS["anthropic"].parse(body, ROWS["anthropic"]).content


def test_what_leads_to_a_page_is_kept_with_the_text_it_belongs_to():
    cited = {"type": "text", "text": "4.0.6", "citations": [IN_A_DOCUMENT, ON_THE_WEB, NAMED_FREELY, *ODD, OF_A_SEARCH]}
    assert from_anthropic({"type": "text", "text": "It is "}, cited) == (Text("It is "), Text("4.0.6", (RUBY, UNNAMED)))


@pytest.mark.parametrize("given", [None, [], "odd", {"enabled": True}])
def test_citations_that_are_none_change_nothing(given: Any):
    assert from_anthropic({"type": "text", "text": "a", "citations": given}) == (Text("a"),)


def test_a_streamed_source_is_an_event_of_its_text():
    def piece(index: int, **delta: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": delta}

    _, *found, _ = events_of(
        "anthropic",
        {"type": "message_start", "message": {"id": "m", "model": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        piece(0, type="citations_delta", citation=ON_THE_WEB),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "text", "text": "", "citations": [OF_A_SEARCH]},
        },
        piece(1, type="citations_delta", citation=ON_THE_WEB),
        piece(1, type="citations_delta", citation=IN_A_DOCUMENT),
        piece(1, type="citations_delta", citation=7),
        piece(1, type="text_delta", text="4.0.6"),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_stop"},
    )
    assert found == [
        PartStarted(0, Thinking("", "anthropic")),
        PartStopped(0),
        PartStarted(1, Text("")),
        CitationDelta(1, UNNAMED),
        CitationDelta(1, RUBY),
        TextDelta(1, "4.0.6"),
        PartStopped(1),
    ]


# --- from Chat Completions --------------------------------------------------------------------------


def annotation(citation: Citation, **fields: Any) -> dict[str, Any]:
    page = {"url": citation.url, "title": citation.title, "start_index": 0, "end_index": 9, **fields}
    return {"type": "url_citation", "url_citation": page}


def found(citation: Citation) -> dict[str, Any]:
    return {"url": citation.url, "title": citation.title, "snippet": citation.cited_text, "date": "2026-01-01"}


OTHER_KINDS = [{"type": "file", "file": {"hash": "a"}}, {"type": "url_citation"}, {"type": "url_citation", "url": "x"}]


def from_chat(provider: str, message: dict[str, Any], **fields: Any) -> tuple[Part, ...]:
    body = {"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "stop"}], **fields}
    return ADAPTERS["openai_chat"].parse(json.dumps(body).encode(), ROWS[provider]).content


@pytest.mark.parametrize(
    ("annotations", "kept"),
    [
        ([annotation(PLAIN_RUBY)], (PLAIN_RUBY,)),
        ([annotation(RUBY, content=RUBY.cited_text)], (RUBY,)),  # OpenRouter's
        ([annotation(UNNAMED), annotation(PLAIN_RUBY), annotation(UNNAMED, start_index=5)], (UNNAMED, PLAIN_RUBY)),
        ([*OTHER_KINDS, *ODD, annotation(UNNAMED)], (UNNAMED,)),
        ([], ()),
        (None, ()),
        ("odd", ()),
    ],
)
def test_an_annotation_that_names_a_page_is_a_source_of_the_text(annotations: Any, kept: tuple[Citation, ...]):
    message = {"content": "4.0.6", "annotations": annotations, "reasoning": "hm"}
    assert from_chat("openrouter", message) == (Thinking("hm", "openai_chat"), Text("4.0.6", kept))


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"citations": [RUBY.url, 7, "doc_1", UNNAMED.url]}, (Citation(RUBY.url), UNNAMED)),
        ({"citations": [RUBY.url], "search_results": [found(RUBY), {"title": "a"}]}, (RUBY,)),
        ({"citations": "odd", "search_results": {}}, ()),
    ],
)
def test_the_pages_found_for_an_answer_are_its_sources(fields: dict[str, Any], kept: tuple[Citation, ...]):
    assert from_chat("perplexity", {"content": "4.0.6 [1]"}, **fields) == (Text("4.0.6 [1]", kept),)
    annotated = {"content": "a", "annotations": [annotation(UNNAMED)]}
    assert from_chat("perplexity", annotated, **fields) == (Text("a", (UNNAMED,)),)


def test_an_answer_without_text_rests_on_nothing():
    called = {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    assert from_chat("perplexity", called, citations=[RUBY.url]) == (ToolCall("c", "f", "{}"),)


def chunk(finish: str | None = None, *, delta: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"delta": delta or {}, "finish_reason": finish}], **fields}


def parts_of(*chunks: dict[str, Any]) -> list[Event]:
    _, *middle, last = events_of("openai", *chunks)
    assert isinstance(last, Finished)
    return middle


SAYS = chunk(delta={"content": "4.0.6"})
CITES = chunk(delta={"annotations": [annotation(PLAIN_RUBY)]})
CALLS = chunk(delta={"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]})
END = chunk("stop")
CITED = [PartStarted(0, Text("")), TextDelta(0, "4.0.6"), CitationDelta(0, PLAIN_RUBY), PartStopped(0)]
SOURCES = {"citations": [RUBY.url], "search_results": [found(RUBY)]}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((SAYS, CITES), CITED),  # as OpenAI's come
        ((CITES, SAYS), CITED),
        ((chunk(delta={"content": "4.0.6", "annotations": [annotation(PLAIN_RUBY)] * 2}), CITES), CITED),
        (
            (chunk(delta={"reasoning": "hm"}), CITES, SAYS),
            [
                PartStarted(0, Thinking("", "openai_chat")),
                TextDelta(0, "hm"),
                PartStopped(0),
                PartStarted(1, Text("")),
                TextDelta(1, "4.0.6"),
                CitationDelta(1, PLAIN_RUBY),
                PartStopped(1),
            ],
        ),
        (  # what comes too late for the text it belongs to is left out
            (SAYS, CALLS, CITES),
            [
                PartStarted(0, Text("")),
                TextDelta(0, "4.0.6"),
                PartStopped(0),
                PartStarted(1, ToolCall("c", "f", "")),
                ArgumentsDelta(1, "{}"),
                PartStopped(1),
            ],
        ),
        (  # Perplexity's are in every chunk
            ({**SAYS, **SOURCES}, {**chunk(delta={"content": "!"}), **SOURCES}),
            [*CITED[:2], TextDelta(0, "!"), CitationDelta(0, RUBY), PartStopped(0)],
        ),
        (({**SAYS, **SOURCES}, CITES), CITED),
    ],
)
def test_an_annotation_amid_a_stream_is_told_once_with_its_text(chunks: Any, expected: list[Event]):
    assert parts_of(*chunks, END) == expected


# --- to the dialects --------------------------------------------------------------------------------

PARTS = (Text("It is "), Text("4.0.6", (RUBY, UNNAMED)), Text(" \N{PARTY POPPER}"), Text("now", (RUBY,)))
ANSWER = ChatResponse("id", "m", PARTS, StopReason.END, Usage(1, 2))
IN_PARTS = [
    Started("id", "m", Usage(1, 2)),
    PartStarted(0, Text("")),
    TextDelta(0, "It is "),
    PartStopped(0),
    PartStarted(1, Text("")),
    CitationDelta(1, RUBY),
    TextDelta(1, "4.0"),
    TextDelta(1, ".6"),
    CitationDelta(1, UNNAMED),
    PartStopped(1),
    PartStarted(2, Text("")),
    TextDelta(2, " \N{PARTY POPPER}"),
    PartStopped(2),
    PartStarted(3, Text("")),
    CitationDelta(3, RUBY),
    TextDelta(3, "now"),
    PartStopped(3),
    Finished(StopReason.END, Usage(1, 2)),
]


def plain(dialect: str) -> Any:
    return json.loads(DIALECTS[dialect].render(ANSWER, a_job(dialect=dialect), b""))


def streamed(dialect: str) -> list[Any]:
    renderer = DIALECTS[dialect].stream(WITH_USAGE, a_job(dialect=dialect), b"")
    sent = b"".join(map(renderer.feed, IN_PARTS))
    return [json.loads(frame.data) for frame in FrameReader().feed(sent) if frame.data != b"[DONE]"]


def as_found(citation: Citation) -> dict[str, Any]:
    """As a web search of Anthropic's own would, but that no index leads into it."""
    said = {"url": citation.url, "title": citation.title, "cited_text": citation.cited_text, "encrypted_index": ""}
    return {"type": "web_search_result_location", **said}


def test_an_anthropic_client_reads_the_sources_of_each_block():
    blocks = plain("anthropic")["content"]
    assert [block.get("citations") for block in blocks] == [
        None,
        [as_found(RUBY), as_found(UNNAMED)],
        None,
        [as_found(RUBY)],
    ]
    for citation in blocks[1]["citations"]:
        CitationsWebSearchResultLocation.model_validate(citation, strict=True)


def test_an_anthropic_client_follows_the_sources_of_each_block():
    told = [(event["index"], event["delta"]) for event in streamed("anthropic") if "citation" in event.get("delta", ())]
    assert told == [
        (1, {"type": "citations_delta", "citation": as_found(RUBY)}),
        (1, {"type": "citations_delta", "citation": as_found(UNNAMED)}),
        (3, {"type": "citations_delta", "citation": as_found(RUBY)}),
    ]
    CitationsDelta.model_validate(told[0][1], strict=True)


CHAT = [
    annotation(RUBY, start_index=6, end_index=11),
    annotation(UNNAMED, start_index=6, end_index=11, title=UNNAMED.url),
    annotation(RUBY, start_index=13, end_index=16),
]


def test_a_chat_client_reads_which_characters_rest_on_a_source():
    (choice,) = plain("openai_chat")["choices"]
    assert choice["message"]["content"][6:11] == "4.0.6"
    assert choice["message"]["content"][13:16] == "now"
    assert choice["message"]["annotations"] == CHAT
    for made in choice["message"]["annotations"]:
        Annotation.model_validate(made, strict=True)


def test_a_chat_client_gets_all_sources_in_one_chunk_before_the_end():
    deltas = [choice["delta"] for sent in streamed("openai_chat") for choice in sent["choices"]]
    assert [delta["annotations"] for delta in deltas if "annotations" in delta] == [CHAT]
    assert deltas[-2:] == [{"annotations": CHAT}, {}]


def test_an_answer_without_sources_has_no_annotations():
    answer = ChatResponse("id", "m", (Text("a"),), StopReason.END, Usage(1, 2))
    assert b"annotations" not in DIALECTS["openai_chat"].render(answer, a_job(), b"")
    renderer = DIALECTS["openai_chat"].stream(A_REQUEST, a_job(), b"")
    assert b"annotations" not in b"".join(map(renderer.feed, [*IN_PARTS[:4], IN_PARTS[-1]]))


def flat(citation: Citation, end: int) -> dict[str, Any]:
    page = {"url": citation.url, "title": citation.title or citation.url, "start_index": 0, "end_index": end}
    return {"type": "url_citation", **page}


def test_a_responses_client_reads_the_sources_of_each_text():
    (message,) = plain("openai_responses")["output"]
    assert [part["annotations"] for part in message["content"]] == [
        [],
        [flat(RUBY, 5), flat(UNNAMED, 5)],
        [],
        [flat(RUBY, 3)],
    ]
    ResponseOutputText.model_validate(message["content"][1], strict=True)


def test_a_responses_client_follows_the_sources_before_a_text_is_done():
    events = streamed("openai_responses")
    kinds = [event["type"] for event in events if event.get("content_index") == 1]
    assert kinds == [
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
    ]
    added = [event for event in events if event["type"] == "response.output_text.annotation.added"]
    assert [(event["content_index"], event["annotation_index"], event["annotation"]) for event in added] == [
        (1, 0, flat(RUBY, 5)),
        (1, 1, flat(UNNAMED, 5)),
        (3, 0, flat(RUBY, 3)),
    ]
    for event in added:
        ResponseOutputTextAnnotationAddedEvent.model_validate(event, strict=True)
    assert events[-1]["response"]["output"] == plain("openai_responses")["output"]


# --- back to Anthropic ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([as_found(RUBY)], None),
        ([as_found(RUBY), ON_THE_WEB, IN_A_DOCUMENT], [ON_THE_WEB, IN_A_DOCUMENT]),
        (
            [{**ON_THE_WEB, "cited_text": '"encrypted_index":""'}],
            [{**ON_THE_WEB, "cited_text": '"encrypted_index":""'}],
        ),
    ],
)
def test_a_source_that_anthropic_did_not_find_never_goes_to_it(given: Any, kept: Any):
    def body(citations: Any) -> dict[str, Any]:
        text = {"type": "text", "text": "4.0.6", **({"citations": citations} if citations else {})}
        called = {"type": "tool_use", "id": "t", "name": "f", "input": {"citations": []}}
        return {"model": "m", "messages": [{"role": "assistant", "content": [text, called]}]}

    edited = ADAPTERS["anthropic"].edit(json.dumps(body(given)).encode(), ROWS["anthropic"], "m")
    assert json.loads(edited) == body(kept)
