"""What a body may say under the version of the API that its `anthropic-version` header names.

2026-10-21 refuses what 2023-06-01 takes: the sampling parameters, a document that the assistant is made to have said,
and citations on text that is the user's (https://platform.claude.com/docs/en/api/versioning).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from shared.dialects.anthropic.reading import FIELDS, at, read
from shared.errors import InvalidRequest

HEADER = "anthropic-version"
OLD = "2023-06-01"
NEW = "2026-10-21"

_SAMPLING = ("temperature", "top_p", "top_k")
_SUSPECT = re.compile(rb'"(?:temperature|top_p|top_k|document|citations)"')
_CITED = re.compile(rb'"citations"\s*:\s*\[\s*[^]\s]')

_MAX_SHOWN = 50
"""Characters of an unknown version that are repeated."""


class _Turn(msgspec.Struct):
    role: str = ""
    content: str | list[Raw] = ""


class _Body(msgspec.Struct):
    messages: list[_Turn] = []


class _Block(msgspec.Struct):
    type: str | None = None
    citations: list[Raw] | dict[str, Raw] | None = None
    content: str | list[Raw] | dict[str, Raw] | None = None


_BODY = msgspec.json.Decoder(_Body)
_BLOCK = msgspec.json.Decoder(_Block)


def check(version: str | None, body: bytes) -> None:
    """Refuse what `version`, the header's value or None, does not allow in `body`, a JSON object.

    A body is looked into only where it holds bytes that look like what is not allowed.

    Raises:
        InvalidRequest: naming the field, or the header when the version is not known.
    """
    if version is None or version == OLD:
        return
    if version != NEW:
        shown = version[:_MAX_SHOWN]
        raise InvalidRequest(f"{HEADER}: {shown!r} is not a known version; use {OLD} or {NEW}.", param=HEADER)
    if not _SUSPECT.search(body):
        return
    _check_sampling(body)
    if b'"document"' in body or _CITED.search(body):
        _check_messages(body)


def _check_sampling(body: bytes) -> None:
    fields = read(FIELDS, body)
    for name in _SAMPLING:
        if name in fields:
            raise at(name, "Extra inputs are not permitted")


def _check_messages(body: bytes) -> None:
    for index, turn in enumerate(read(_BODY, body).messages):
        for path, block in _blocks(turn.content, f"messages.{index}.content"):
            if turn.role == "assistant" and block.type == "document":
                raise at(path, "A document block is not permitted in an assistant message")
            if turn.role == "user":
                _check_citations(block, path)


def _check_citations(block: _Block, path: str) -> None:
    """Text anywhere in a user's turn, also inside search results and tool results, holds no citations."""
    if block.type == "text" and isinstance(block.citations, list) and block.citations:
        raise at(f"{path}.citations", "Citations are not permitted on text in a user message")
    if block.type in {"search_result", "tool_result"}:
        for inner_path, inner in _blocks(block.content, f"{path}.content"):
            _check_citations(inner, inner_path)


def _blocks(content: str | list[Raw] | dict[str, Raw] | None, path: str) -> Iterator[tuple[str, _Block]]:
    if isinstance(content, list):
        for index, raw in enumerate(content):
            own = f"{path}.{index}"
            yield own, read(_BLOCK, raw, own)
