"""The input items of a response, as `GET /responses/{id}/input_items` lists them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from shared.dialects.openai_errors import decode
from shared.dialects.openai_responses.history import read_input
from shared.errors import InvalidRequest
from shared.paging import page_size
from shared.wire import openai_responses as wire

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ITEM = msgspec.json.Decoder(wire.Item)

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100
"""https://platform.openai.com/docs/api-reference/responses/input-items"""
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}
"""How OpenAI begins the ids of items."""


def input_items(body: bytes, query: Mapping[str, str]) -> bytes:
    """One page of the input of the request `body` as a list object.

    Every item has an id, if need be one by its place in the input, and a message a type and a list as its content.

    Args:
        body: a whole request, as `history.continued` leaves it.
        query: `limit` (1 to 100), `order` (`asc` or `desc`, the latest first), `after` (an item's id).

    Raises:
        InvalidRequest: a bad value in the query, by its name.
    """
    limit, backwards = (
        page_size(query.get("limit"), usual=_DEFAULT_LIMIT, most=_MAX_LIMIT),
        _backwards(query.get("order")),
    )
    items = [_named(raw, index) for index, raw in enumerate(read_input(body))]
    if backwards:
        items.reverse()
    rest = items[_start(items, query.get("after")) :]
    page = rest[:limit]
    return _ENCODER.encode(
        wire.WrittenItemList(
            data=[_shown(item, raw) for item, raw in page],
            first_id=page[0][0].id if page else None,
            last_id=page[-1][0].id if page else None,
            has_more=len(rest) > limit,
        )
    )


def _named(raw: Raw, index: int) -> tuple[wire.Item, Raw]:
    item = decode(_ITEM, raw, f"input[{index}]")
    item.type = item.type or "message"
    item.id = item.id or f"{_PREFIXES.get(item.type, 'item')}_{index}"
    return item, raw


def _shown(item: wire.Item, raw: Raw) -> dict[str, Raw]:
    fields = decode(_FIELDS, raw)
    fields |= {"id": Raw(_ENCODER.encode(item.id)), "type": Raw(_ENCODER.encode(item.type))}
    content = fields.get("content", wire.NULL)
    if item.type == "message" and bytes(content).startswith(b'"'):
        fields["content"] = _as_list(content, item.role)
    return fields


def _as_list(text: Raw, role: str | None) -> Raw:
    said = {"type": "output_text", "text": text, "annotations": []}
    part = said if role == "assistant" else {"type": "input_text", "text": text}
    return Raw(_ENCODER.encode([part]))


def _start(items: list[tuple[wire.Item, Raw]], after: str | None) -> int:
    if after is None:
        return 0
    names = [item.id for item, _ in items]
    if after not in names:
        raise InvalidRequest("after: expected the id of one of the input items.", param="after")
    return names.index(after) + 1


def _backwards(order: str | None) -> bool:
    if order not in {None, "asc", "desc"}:
        raise InvalidRequest("order: expected asc or desc.", param="order")
    return order != "asc"
