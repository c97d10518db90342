"""Text for terminals: tables, fields, and what came from elsewhere made harmless. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def plain(text: str) -> str:
    """`text` without control characters: what a model or a provider wrote must not steer the terminal."""
    return text.translate(_CONTROL)


def table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Lines with columns as wide as their widest cell; an empty cell (None, "") is a dash."""
    cells = [header, *(tuple(_cell(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def fields(facts: Iterable[tuple[str, object]]) -> str:
    """One line a fact, the names aligned; a fact that is not there (None, "") is left out."""
    known = [(name, str(value)) for name, value in facts if _is_there(value)]
    width = max((len(name) for name, _ in known), default=0)
    return "\n".join(f"{name:{width}}  {plain(value)}" for name, value in known)


def _cell(value: object) -> str:
    return plain(str(value)) if _is_there(value) else "-"


def _is_there(value: object) -> bool:
    return value is not None and value != ""
