"""The `models` operation's outcome in the words of each surface. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.errors import InvalidRequest, NotFound
from shared.models import ListedModel
from shared.paging import page_size

MAX_PAGE = 1000
DEFAULT_PAGE = 20
"""Anthropic's documented page sizes for `GET /v1/models`."""

_read = msgspec.json.Decoder(list[ListedModel]).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Render = Callable[[ListedModel, str], dict[str, Any]]


def anthropic_page(outcome: bytes, query: Mapping[str, str]) -> bytes:
    """One page of `{data, has_more, first_id, last_id}`; raises InvalidRequest for a bad `limit` or cursor."""
    entries = _named(outcome, "anthropic", _anthropic_entry)
    limit = page_size(query.get("limit"), usual=DEFAULT_PAGE, most=MAX_PAGE)
    ids = [entry["id"] for entry in entries]
    if before := query.get("before_id"):
        end = _position(ids, before, "before_id")
        start = max(0, end - limit)
        more = start > 0
    else:
        after = query.get("after_id")
        start = _position(ids, after, "after_id") + 1 if after else 0
        end = start + limit
        more = end < len(entries)
    page = entries[start:end]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return msgspec.json.encode({"data": page, "has_more": more, "first_id": first, "last_id": last})


def openai_list(outcome: bytes) -> bytes:
    """`{object: list, data}`; OpenAI's list has no pages."""
    return msgspec.json.encode({"object": "list", "data": _named(outcome, "openai", _openai_entry)})


def prefixed_list(outcome: bytes) -> bytes:
    """`{object: list, data}`, every id as `provider/model`."""
    return msgspec.json.encode({"object": "list", "data": _named(outcome, "", _openai_entry)})


def one(outcome: bytes, surface: str, name: str) -> bytes:
    """The entry called `name`, with or without the prefix of the surface's own provider; raises NotFound.

    `surface` is `anthropic`, `openai`, or empty where every name has its prefix.
    """
    entries = _named(outcome, surface, _anthropic_entry if surface == "anthropic" else _openai_entry)
    for entry in entries:
        if entry["id"] in {name, name.removeprefix(f"{surface}/")}:
            return msgspec.json.encode(entry)
    raise NotFound(f"model: {name!r} is not known to any configured provider.", param="model", code="model_not_found")


def _named(outcome: bytes, default_provider: str, render: Render) -> list[dict[str, Any]]:
    """The default provider's models under their own names and first, the others' as `provider/model`."""
    listed = sorted(_read(outcome), key=lambda model: model.provider != default_provider)
    return [
        render(model, model.id if model.provider == default_provider else f"{model.provider}/{model.id}")
        for model in listed
    ]


def _anthropic_entry(model: ListedModel, name: str) -> dict[str, Any]:
    if model.wire == "anthropic" and model.raw is not msgspec.UNSET:
        return {**_fields(model.raw), "id": name}
    created = datetime.fromtimestamp(model.created_s or 0, UTC)
    return {"type": "model", "id": name, "display_name": model.display_name or model.id, "created_at": created}


def _openai_entry(model: ListedModel, name: str) -> dict[str, Any]:
    if model.wire == "openai_chat" and model.raw is not msgspec.UNSET:
        return {**_fields(model.raw), "id": name}
    owner = model.owned_by or model.provider
    return {"id": name, "object": "model", "created": model.created_s or 0, "owned_by": owner}


def _position(ids: list[str], cursor: str, name: str) -> int:
    if cursor not in ids:
        raise InvalidRequest(f"{name}: no model is called {cursor[:80]!r}.", param=name)
    return ids.index(cursor)
