"""What workers know of limits and health at each key, for operators. Reads what `worker/limit_scripts.py` keeps.

A *gate* is the way to one model with one key; of one that works and has no limit nothing is known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import msgspec

from shared.ids import now_ms
from shared.stores.redis import RedisStore

MOST_GATES = 200
"""Gates shown: those heard of last."""
_KINDS = ("own-requests", "own-tokens", "requests", "tokens", "input", "output")
_TROUBLES = {
    "rate_limited": "rate limited",
    "provider_overloaded": "the provider is overloaded",
    "provider_failing": "the provider fails",
    "key_set_aside": "the provider refuses the key; it is set aside",
    "key_spent": "the key's account has nothing left to spend; it is set aside",
}


class Bucket(msgspec.Struct, frozen=True):
    """A limit: `left` of `most` units of a kind; the gateway's own (configured) or the provider's."""

    kind: str
    most: float
    left: float


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One key's way to one model.

    Attributes:
        shut_ms: for how long nothing is sent; 0 when it is open.
        why: `rate_limited`, `provider_overloaded`, `provider_failing`, `key_set_aside` or `key_spent`; empty when it
            is open.
        window: calls at once that are thought to go through; None without trouble.
        calls: counted calls on their way.
        turns: jobs with a turn reserved.
        latency_ms: of a call; None when it is not known.
        fails: calls in a row that failed.
    """

    provider: str
    key: str
    model: str
    shut_ms: int
    why: str
    window: float | None
    calls: int
    turns: int
    latency_ms: float | None
    fails: int
    buckets: list[Bucket]

    @property
    def trouble(self) -> str:
        """For people; empty when there is none."""
        return _TROUBLES.get(self.why, self.why)


async def known_gates(store: RedisStore) -> list[Gate]:
    """The gates that workers watch now, by name. Raises StoreError."""
    names = await store.call("ZREVRANGEBYSCORE", "hermod:gates", "+inf", f"({now_ms()}", "LIMIT", 0, MOST_GATES)
    return list(await asyncio.gather(*(_gate(store, name.decode()) for name in sorted(names))))


async def fitness(store: RedisStore) -> dict[str, tuple[float, float]]:
    """By gate, `provider|key|model`: ms a call takes, and the share that fails, where jobs can choose a key."""
    found = _pairs(await store.call("HGETALL", "hermod:fitness"))
    return {name: (float(text.split()[0]), float(text.split()[1])) for name, text in found.items()}


async def _gate(store: RedisStore, name: str) -> Gate:
    flat, calls, turns = await asyncio.gather(
        store.call("HGETALL", f"hermod:gate:{name}"),
        store.call("ZCOUNT", f"hermod:calls:{name}", now_ms(), "+inf"),
        store.call("ZCARD", f"hermod:turns:{name}"),
    )
    state, now = _pairs(flat), now_ms()
    shut, why = max((float(state.get(kind, 0)) - now, state.get(f"{kind}_why", "")) for kind in ("open", "pause"))
    provider, key, model = (unquote(part) for part in f"{name}||".split("|")[:3])
    return Gate(
        provider=provider,
        key=key,
        model=model,
        shut_ms=max(0, int(shut)),
        why=why if shut > 0 else "",
        window=_number(state, "window"),
        calls=int(calls),
        turns=int(turns),
        latency_ms=_number(state, "latency"),
        fails=int(state.get("fails", 0)),
        buckets=list(_buckets(state, now)),
    )


def _buckets(state: dict[str, str], now: int) -> Iterable[Bucket]:
    """What is in them, from the time at which each will be full (GCRA)."""
    for kind in _KINDS:
        interval, most = _number(state, f"{kind}:interval"), _number(state, f"{kind}:most")
        if interval and most:
            used = max(0.0, float(state.get(f"{kind}:tat", 0)) - now) / interval
            yield Bucket(kind, most, max(0.0, most - used))


def _number(state: dict[str, str], name: str) -> float | None:
    return float(state[name]) if name in state else None


def _pairs(flat: Any) -> dict[str, str]:
    """A hash as Redis tells it: a map, or one name and one value after the other."""
    items = flat.items() if isinstance(flat, dict) else list(pairwise(flat))[::2]
    return {name.decode(): value.decode() for name, value in items}
