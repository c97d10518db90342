"""Ids of tool calls that carry their maker's signature.

Some makers want a sealed thought back with the call it led to. The id is all that every dialect brings back with a
call and its result, so the signature travels in it: `call_1` becomes `call_1__sealed__<signature>`. The characters
are those that every wire allows in an id (base64url, RFC 4648, section 5); only the maker can read what they say.
"""

from __future__ import annotations

import re

from shared import ids

_MARK = "__sealed__"
_TO_ID = str.maketrans("+/", "-_", "=")
_FROM_ID = str.maketrans("-_", "+/")
_SEALED = re.compile(rb'("[\w.:-]*)' + _MARK.encode() + rb'[\w-]{32,}(?=")')
"""A signature in an id that is a whole JSON string; the shortest recorded one has 72 characters."""
_QUANTUM = 4
"""Characters of base64 come in fours."""


def seal(call_id: str, signature: str | None) -> str:
    """The id that carries the signature, which is base64; without one the id itself."""
    return f"{call_id}{_MARK}{signature.translate(_TO_ID)}" if signature else call_id


def unseal(call_id: str) -> tuple[str, str | None]:
    """The id without its signature, and the signature as it was; None when it carries none."""
    own, mark, signature = call_id.partition(_MARK)
    if not mark:
        return call_id, None
    return own, signature.translate(_FROM_ID) + "=" * (-len(signature) % _QUANTUM)


def bare(call_id: str) -> str:
    """The id as any other maker may see it; OpenAI refuses one of more than 64 characters."""
    return unseal(call_id)[0]


def of_length(call_id: str, length: int) -> str:
    """The id, bare, where it has so many letters and digits and nothing else, or `length` is 0; else one made of it."""
    own = bare(call_id)
    if not length or (len(own) == length and own.isascii() and own.isalnum()):
        return own
    return ids.digest(own.encode("utf-8", "replace"))[:length]


def spelled(call_id: str, allowed: re.Pattern[str], start: str) -> str:
    """The id, bare, where all of it is `allowed`; else one made of it, after `start`. Calls and results agree."""
    own = bare(call_id)
    return own if allowed.fullmatch(own) else start + ids.digest(own.encode("utf-8", "replace"))[:24]


def without_seals(body: bytes) -> bytes:
    """A client's body for another maker, its ids without signatures."""
    return _SEALED.sub(rb"\1", body) if _MARK.encode() in body else body
