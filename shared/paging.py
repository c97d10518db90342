"""What the query of a listing may ask for. Pure."""

from __future__ import annotations

from shared.errors import InvalidRequest


def page_size(text: str | None, *, usual: int, most: int) -> int:
    """The query's `limit`, `usual` when it is absent. Raises InvalidRequest for what is no whole number in range."""
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise InvalidRequest(f"limit: expected a whole number from 1 to {most}, got {text[:40]!r}.", param="limit")
    return int(text)
