"""What of a request makes it equal to another, and where an answer to it would be kept. Pure.

Equal are requests of one owner under one cache key, in one dialect, of one provider and model, that agree in every
field and forwarded header but those that only say how the answer is to be delivered or who the client's own user is.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Literal, NamedTuple

import msgspec

from shared.cache_settings import CacheSettings
from shared.ids import digest
from shared.models import split_model

OPERATIONS = frozenset({"chat", "embeddings"})

_DELIVERY = frozenset({"model", "stream", "stream_options", "fallbacks", "background", "store"})
_IDS = frozenset({"metadata", "client_metadata", "user", "safety_identifier", "prompt_cache_key"})
_UNREPEATABLE: dict[str, Any] = {
    "audio": None,
    "container": None,
    "conversation": None,
    "include": [],
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "previous_response_id": None,
    "prompt": None,
    "thread": None,
    "top_logprobs": 0,
}
"""Fields that ask for more than one text, or lead to what the request does not hold, and their harmless values."""
_NO_DIFFERENCE = _DELIVERY | _IDS | _UNREPEATABLE.keys()
_SYSTEM_FIELDS = ("system", "instructions")
_CONVERSATION = ("messages", "input")
_SYSTEM_ROLES = frozenset({"system", "developer"})
_TURN = frozenset({"role", "content", "type", "id", "status"})
_TEXTS = frozenset({"text", "input_text", "output_text"})

_canonical = msgspec.json.Encoder(order="sorted").encode
_read = msgspec.json.Decoder(dict[str, Any]).decode


class CacheWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants of the cache.

    Attributes:
        key: the cache key.
        ttl_s: seconds an answer is kept.
        threshold: least similarity of a semantic hit.
        kind: which hits are good; empty for both.
        store: the answer may be kept.
    """

    key: str
    ttl_s: int
    threshold: float
    kind: Literal["", "direct", "semantic"] = ""
    store: bool = True


class CachePlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a job uses the cache; a job without one does not.

    Attributes:
        id: of the answer to exactly this request.
        key: digest of the cache key.
        owner: whose answers they are; empty for everybody's.
        ttl_s, threshold, store: as wished.
        direct: an answer to exactly this request is good.
        semantic: so is one to a request that means the same, if the worker can tell.
    """

    id: str
    key: str
    owner: str
    ttl_s: int
    threshold: float
    direct: bool
    semantic: bool
    store: bool

    @property
    def shelf(self) -> str:
        """Which answers are told of together."""
        return shelf(self.owner, self.key)


class Sender(NamedTuple):
    """Of a request, what its body does not hold: a job's fields of these names, and its dialect's default provider."""

    owner: str
    dialect: str
    operation: str
    model: str
    default_provider: str
    headers: dict[str, str]
    key: str


class Meaning(NamedTuple):
    """A conversation by its meaning: `text` is compared with those of equal requests, told by `scope`."""

    scope: str
    text: str


def shelf(owner: str, key: str) -> str:
    """Of an owner's answers under a cache key, given as its digest."""
    return digest(owner.encode(), key.encode())


def key_digest(key: str) -> str:
    """Of a cache key as clients write it."""
    return digest(key.encode())


def plan(
    sender: Sender, body: bytes, wish: CacheWish, settings: CacheSettings, providers: Container[str]
) -> CachePlan | None:
    """How a request uses the cache; None for one whose answer cannot be repeated."""
    fields = _repeatable(sender.operation, body)
    if fields is None:
        return None
    owner = "" if settings.shared else sender.owner
    key = key_digest(wish.key)
    parts = _parts(sender, owner, key, _asked(fields, settings), settings, providers)
    return CachePlan(
        id=digest(*parts),
        key=key,
        owner=owner,
        ttl_s=wish.ttl_s,
        threshold=wish.threshold,
        direct=wish.kind != "semantic",
        semantic=wish.kind != "direct" and sender.operation == "chat",
        store=wish.store,
    )


def meaning(
    sender: Sender, body: bytes, known: CachePlan, settings: CacheSettings, providers: Container[str]
) -> Meaning | None:
    """What a planned request is compared by; None for one that holds more than a short conversation in words."""
    fields = _asked(_read(body), settings)
    turns = next((fields.pop(name) for name in _CONVERSATION if name in fields), None)
    turns = [{"role": "user", "content": turns}] if isinstance(turns, str) else turns
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return None
    fields["system turns"] = [turn for turn in turns if turn.get("role") in _SYSTEM_ROLES]
    said = [turn for turn in turns if turn.get("role") not in _SYSTEM_ROLES]
    texts = [_text(turn) for turn in said]
    if not texts or len(texts) > settings.conversation_history_threshold or not all(texts):
        return None
    scope = digest(*_parts(sender, known.owner, known.key, fields, settings, providers))
    return Meaning(scope, "\n".join(f"{turn['role']}: {text}" for turn, text in zip(said, texts, strict=True)))


def _repeatable(operation: str, body: bytes) -> dict[str, Any] | None:
    if operation not in OPERATIONS:
        return None
    try:
        fields = _read(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    unlike = (name for name, usual in _UNREPEATABLE.items() if fields.get(name) not in (None, usual))
    return None if next(unlike, None) else fields


def _asked(fields: dict[str, Any], settings: CacheSettings) -> dict[str, Any]:
    """The fields that matter."""
    asked = {name: value for name, value in fields.items() if name not in _NO_DIFFERENCE}
    if settings.exclude_system_prompt:
        for name in _SYSTEM_FIELDS:
            asked.pop(name, None)
        for name in _CONVERSATION:
            if isinstance(turns := asked.get(name), list):
                asked[name] = [turn for turn in turns if not _is_system(turn)]
    return asked


def _is_system(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") in _SYSTEM_ROLES


def _parts(
    sender: Sender,
    owner: str,
    key: str,
    fields: dict[str, Any],
    settings: CacheSettings,
    providers: Container[str],
) -> list[bytes]:
    provider, model = split_model(sender.model, providers, sender.default_provider)
    words = (
        owner,
        key,
        sender.dialect,
        sender.operation,
        provider if settings.cache_by_provider else "",
        model if settings.cache_by_model else "",
        sender.key,
    )
    return [*(word.encode() for word in words), _canonical(sender.headers), _canonical(fields)]


def _text(turn: dict[str, Any]) -> str:
    """The words of a turn; empty when it holds anything else."""
    content = turn.get("content") if turn.keys() <= _TURN else None
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    if not all(isinstance(part, dict) and part.get("type") in _TEXTS for part in parts):
        return ""
    return "\n".join(str(part.get("text", "")) for part in parts)
