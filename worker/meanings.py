"""Which conversations mean the same: their vectors, by an embeddings model of a configured provider.

Vectors of equal requests (but for the conversation) of one owner and cache key lie in one stream of Redis, which any
server has; each worker holds what it has read of it and reads on from there.

    hermod:meanings:<scope>   stream of at most MOST vectors: id of the answer, Unix ms of its expiry, vector (float32,
                              length 1) under the owner's seal: from it the words can be guessed
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container

import msgspec

from shared.cache import CachePlan, meaning
from shared.cache_settings import CacheSettings
from shared.cached_answer import sender
from shared.errors import GatewayError
from shared.ids import now_ms, request_id
from shared.jobs import Attempt, Job, Outcome
from shared.stores.redis import RedisStore
from worker.exchange import Asked, TryLater
from worker.nearest import Near, Point, nearest, point, unit

log = logging.getLogger("hermod.worker")

MOST = 1000
"""Vectors of one scope, the newest: 6 MB when each has 1536 numbers."""
PAGE = 100
"""Vectors read at once."""
MOST_HELD = 10_000
"""Vectors that a worker holds of all scopes; of the rest it reads again what is asked for."""
LONGEST_TEXT = 24_000
"""Characters; embeddings models take 8,000 tokens."""
EMBEDS_WITHIN_S = 5.0
"""After which the answer itself is asked for: a hit is to save time too."""
_PLACE = "meaning of a request"
_OWNER = "anonymous"
"""The gateway asks for itself, for a virtual key may not even be let use the model; whoever asked it pays."""

_encode = msgspec.json.Encoder().encode


class _Vector(msgspec.Struct):
    embedding: str | list[float]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_read = msgspec.json.Decoder(_Vectors).decode


class Placed(msgspec.Struct, frozen=True):
    """Where a conversation lies; `near` are the nearest, nearest first."""

    scope: str
    vector: array[float]
    near: list[Near]


class _Scope:
    """What this worker has read of a stream; each point with the Unix ms at which it leads nowhere any more."""

    def __init__(self) -> None:
        self.last = "-"
        self.points: list[tuple[int, Point]] = []
        self.lock = asyncio.Lock()


class _Embedding(msgspec.Struct):
    """A request of the gateway's own; an `Asked`."""

    job: Job
    body: bytes
    record: str
    payer: str
    attempts: tuple[Attempt, ...] = ()


class Meanings:
    """Places conversations. `providers` are the configured ones."""

    def __init__(self, store: RedisStore, settings: CacheSettings, providers: Container[str]) -> None:
        self._store = store
        self._settings = settings
        self._providers = providers
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()

    async def place(self, asked: Asked, plan: CachePlan, run: Callable[[Asked], Awaitable[Outcome]]) -> Placed | None:
        """Where what is asked lies; None when it is more than a few words, or could not be embedded.

        Raises StoreError.
        """
        found = meaning(sender(asked.job), asked.body, plan, self._settings, self._providers)
        if found is None or len(found.text) > LONGEST_TEXT:
            return None
        vector = await self._embedded(found.text, asked, run)
        if vector is None:
            return None
        points = await self._points(found.scope, plan.owner)
        return Placed(found.scope, vector, nearest(vector, points))

    async def keep(self, plan: CachePlan, placed: Placed) -> None:
        """Let others find the answer of the plan. Raises StoreError."""
        key, ttl_ms = _key(placed.scope), plan.ttl_s * 1000
        vector = self._store.seal.close(plan.owner, placed.vector.tobytes(), _PLACE, placed.scope, plan.id)
        words = ("i", plan.id, "u", now_ms() + ttl_ms, "v", vector)
        await self._store.call("XADD", key, "MAXLEN", MOST, "*", *words)
        left_ms = await self._store.call("PTTL", key)
        if left_ms < ttl_ms:
            await self._store.call("PEXPIRE", key, ttl_ms)

    async def _embedded(
        self, text: str, asked: Asked, run: Callable[[Asked], Awaitable[Outcome]]
    ) -> array[float] | None:
        try:
            async with asyncio.timeout(EMBEDS_WITHIN_S):
                answer = await run(self._request(text, asked))
            return unit(_read(answer.body).data[0].embedding)
        except (GatewayError, TryLater, TimeoutError, msgspec.MsgspecError, ValueError, IndexError) as error:
            log.warning("a request could not be embedded: %s", type(error).__name__, extra={"job_id": asked.job.id})
            return None

    def _request(self, text: str, asked: Asked) -> _Embedding:
        """Under the id of what it is for, so that windows of requests count the two as one."""
        model, now = f"{self._settings.provider}/{self._settings.embedding_model}", now_ms()
        embedding = Job(
            id=asked.job.id,
            owner=_OWNER,
            dialect="openai_chat",
            operation="embeddings",
            model=model,
            request_id=request_id(),
            created_ms=now,
            ttl_s=0,
            deadline_ms=now + int(EMBEDS_WITHIN_S * 1000),
            lane=asked.job.lane,
        )
        body = _encode({"model": model, "input": text, "encoding_format": "base64"})
        return _Embedding(embedding, body, asked.record, asked.payer)

    async def _points(self, scope: str, owner: str) -> list[Point]:
        """The scope's vectors that lead somewhere, after reading what has come since."""
        held = self._scopes.setdefault(scope, _Scope())
        self._scopes.move_to_end(scope)
        async with held.lock:
            await self._read_on(scope, owner, held)
        while len(self._scopes) > 1 and sum(len(one.points) for one in self._scopes.values()) > MOST_HELD:
            self._scopes.popitem(last=False)
        return [one for _, one in held.points]

    async def _read_on(self, scope: str, owner: str, held: _Scope) -> None:
        while True:
            entries = await self._store.call("XRANGE", _key(scope), held.last, "+", "COUNT", PAGE)
            for entry, (_, answer, _, until_ms, _, stored) in entries:
                held.last = f"({entry.decode()}"
                with contextlib.suppress(GatewayError):  # what cannot be read leads nowhere
                    packed = self._store.seal.open(owner, stored, _PLACE, scope, answer.decode())
                    held.points.append((int(until_ms), point(answer.decode(), array("f", packed))))
            if len(entries) < PAGE:
                break
        now = now_ms()
        held.points = [one for one in held.points[-MOST:] if one[0] > now]


def _key(scope: str) -> str:
    return f"hermod:meanings:{scope}"
