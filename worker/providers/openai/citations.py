"""What an answer rests on: its annotations or, of servers that have none, the pages that were found for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Raw

from shared.chat import Citation
from shared.wire.openai_chat import NULL
from shared.wire.openai_chat_answer import Annotation, AnswerBody, SearchResult, UrlCitation

_LIST = msgspec.json.Decoder(list[Raw])
_ANNOTATION = msgspec.json.Decoder(Annotation)
_RESULT = msgspec.json.Decoder(SearchResult)
_URL = msgspec.json.Decoder(str)

_T = TypeVar("_T")


def annotated(annotations: Raw) -> tuple[Citation, ...]:
    """The pages in the `annotations` of a message or delta, each once: which words they stand at is not kept."""
    entries = _read(_ANNOTATION, annotations)
    found = (entry.url_citation or UrlCitation() for entry in entries if entry.type == "url_citation")
    return tuple(dict.fromkeys(Citation(page.url, page.title, page.content or "") for page in found if page.url))


def names_sources(body: AnswerBody) -> bool:
    """Whether there is something for `found_for` to read."""
    return body.search_results != NULL or body.citations != NULL


def found_for(body: AnswerBody) -> tuple[Citation, ...]:
    """The pages that an answer, or a chunk of it, names as its sources; in their order, as the text counts them."""
    results = _read(_RESULT, body.search_results)
    pages = tuple(Citation(page.url, page.title, page.snippet or "") for page in results if page.url)
    return pages or tuple(Citation(url) for url in _read(_URL, body.citations) if url.startswith("http"))


def _read(decoder: msgspec.json.Decoder[_T], listed: Raw) -> Iterator[_T]:
    """The entries that can be read: servers put what they like in these lists."""
    if listed == NULL:
        return
    try:
        raws = _LIST.decode(listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for raw in raws:
        try:
            yield decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
