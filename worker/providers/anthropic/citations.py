"""Citations of pages on the web; those into documents the request brought mean nothing on another wire."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from shared.chat import Citation
from shared.wire import anthropic_answer as answer

_LIST = msgspec.json.Decoder(list[Raw])
_FOUND = msgspec.json.Decoder(answer.FoundCitation)
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def listed(raw: Raw) -> tuple[Citation, ...]:
    """Those of the `citations` of a text block that lead to a page."""
    try:
        found = map(citation, _LIST.decode(raw))
        return tuple(each for each in found if each is not None)
    except _UNREADABLE:  # absent or null, or of a shape to come
        return ()


def citation(raw: Raw) -> Citation | None:
    """One citation; None when it leads to no page. The `source` of a search result may be any name."""
    try:
        found = _FOUND.decode(raw)
    except _UNREADABLE:
        return None
    url = found.url or found.source or ""
    if not url.startswith(("http://", "https://")):
        return None
    return Citation(url, found.title, found.cited_text or "")
