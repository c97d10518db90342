"""A client's Responses body made ready for the provider: edited, not rebuilt, so that unknown fields travel untouched.

The gateway keeps the answers, and the body it hands over holds the whole conversation: the provider stores nothing.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

from shared.errors import InvalidRequest
from shared.wire.openai_chat import NULL
from shared.wire.openai_responses import REDACTED_TAG, SIGNATURE_TAG
from worker.providers.call_ids import without_seals
from worker.providers.openai.request import REASONING_MODEL, is_strings


class _Item(Struct):
    type: str | None = None
    encrypted_content: Raw = NULL


_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_ITEM = msgspec.json.Decoder(_Item)

_FALSE = Raw(b"false")
_KEPT_HERE = ("previous_response_id", "background", "store")
"""Fields about stored answers, which the gateway has taken care of."""

_SEALED = b'"reasoning.encrypted_content"'
"""What `include` names so that reasoning comes back in a form that a later request can hold."""
_CHAT_MODEL = re.compile(r"-chat(?:-|$)")
"""Models of a reasoning family that do not reason (`gpt-5-chat-latest`): they refuse `_SEALED` with a 400."""

_REASONING_ITEM = re.compile(rb'"type"\s*:\s*"reasoning"')
_NOT_SEALED = frozenset({b"null", b'""'})
_TAGGED = (b'"' + SIGNATURE_TAG.encode(), b'"' + REDACTED_TAG.encode())
_LINKED = frozenset({b'"message"', b'"function_call"', b'"custom_tool_call"'})
"""Items that may go without an id. With the provider's own id it demands the reasoning item that led to them."""


def edit(body: bytes, model: str, operation: str) -> bytes:
    """`body` for `model`, without the gateway's own fields, to be answered or, with `count_tokens`, only counted.

    Left out are reasoning items that the provider cannot read: another wire's, and those without encrypted content,
    which the provider would look for in its store. The input is opened only when the body holds bytes that look like
    a reasoning item. Reasoning models are asked for encrypted content unless the client stores nothing, in which case
    it knows what it needs.

    Raises:
        InvalidRequest: the body is not JSON in a place that was not looked at before.
    """
    try:
        return _edited(body, model, operation)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest("The body is not valid JSON.", code="invalid_json") from error


def _edited(body: bytes, model: str, operation: str) -> bytes:
    fields = _FIELDS.decode(without_seals(body))
    fields["model"] = Raw(_ENCODER.encode(model))
    if is_strings(fields.get("fallbacks", NULL)):
        del fields["fallbacks"]
    if bytes(fields.get("provider", NULL)).startswith(b'"'):
        del fields["provider"]
    stored = bytes(fields.get("store", NULL)) != b"false"
    for name in _KEPT_HERE:
        fields.pop(name, None)
    if operation == "chat":
        fields["store"] = _FALSE
        if stored and _reasons(model):
            fields["include"] = _with_sealed(fields.get("include", NULL))
    if _REASONING_ITEM.search(body) and bytes(fields.get("input", NULL)).startswith(b"["):
        fields["input"] = _without_unreadable(fields["input"])
    return _ENCODER.encode(fields)


def _reasons(model: str) -> bool:
    return bool(REASONING_MODEL.match(model)) and not _CHAT_MODEL.search(model)


def _with_sealed(include: Raw) -> Raw:
    if bytes(include) != b"null" and not bytes(include).startswith(b"["):
        return include  # for the provider to refuse
    names = [] if bytes(include) == b"null" else _LIST.decode(include)
    if any(bytes(name) == _SEALED for name in names):
        return include
    return Raw(_ENCODER.encode([*names, Raw(_SEALED)]))


def _without_unreadable(items: Raw) -> Raw:
    raws = _LIST.decode(items)
    kept = [raw for raw in raws if not _unreadable(raw)]
    if len(kept) == len(raws):
        return items
    return Raw(_ENCODER.encode([_unlinked(raw) for raw in kept]))


def _unreadable(raw: Raw) -> bool:
    try:
        item = _ITEM.decode(raw)
    except msgspec.ValidationError:
        return False
    sealed = bytes(item.encrypted_content)
    return item.type == "reasoning" and (sealed in _NOT_SEALED or sealed.startswith(_TAGGED))


def _unlinked(raw: Raw) -> Raw:
    """The item without its id where it can go without."""
    try:
        fields = _FIELDS.decode(raw)
    except msgspec.ValidationError:
        return raw
    if "id" not in fields or bytes(fields.get("type", NULL)) not in _LINKED:
        return raw
    del fields["id"]
    return Raw(_ENCODER.encode(fields))
