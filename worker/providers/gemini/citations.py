"""What an answer rests on: pages that a search found for it, and works that it repeats."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

from shared.chat import Citation
from shared.wire import gemini_answer as answer

_GROUNDING = msgspec.json.Decoder(answer.Grounding)
_RECITATIONS = msgspec.json.Decoder(answer.Recitations)

_T = TypeVar("_T")


def cited(candidate: answer.Candidate) -> tuple[Citation, ...]:
    """The pages, each once; of those that a search found only the ones that a piece of the text is said to rest on.

    Which words they stand at is not kept: in a stream it is told after the text.
    """
    grounding = _read(_GROUNDING, candidate.grounding_metadata) or answer.Grounding()
    recited = _read(_RECITATIONS, candidate.citation_metadata) or answer.Recitations()
    pages = [*_found(grounding), *(recited.citations or ()), *(recited.citation_sources or ())]
    return tuple(dict.fromkeys(Citation(page.uri, page.title, page.text or "") for page in pages if page.uri))


def _found(grounding: answer.Grounding) -> list[answer.Page]:
    supports = grounding.grounding_supports or ()
    used = {index for support in supports for index in support.grounding_chunk_indices or ()}
    chunks = enumerate(grounding.grounding_chunks or ())
    pages = [chunk.web or chunk.retrieved_context for index, chunk in chunks if index in used or not used]
    return [page for page in pages if page is not None]


def _read(decoder: msgspec.json.Decoder[_T], raw: Raw) -> _T | None:
    """None for null, and for a shape to come: a source is never worth an answer."""
    if raw == answer.NULL:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
