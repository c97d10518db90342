"""The response cache as clients meet it: what their headers ask of it, and answers that it gives without a job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.types import ASGIApp
from msgspec.structs import replace

from api import answers
from api.headers import LONGEST_NAME, flag
from shared.cache import CacheWish, plan
from shared.cache_settings import LONGEST_TTL_S, CacheSettings
from shared.cached_answer import HIT, ID, SIMILARITY, THRESHOLD, Hit, outcome, sender, stream, unpack
from shared.config_cache import seconds
from shared.dialects.base import Dialect
from shared.errors import InvalidRequest
from shared.jobs import Job, Outcome
from shared.metrics import CACHE_HITS
from shared.settings import Settings

NATIVE = "/v1/"
"""Paths of Bifrost's own surface, whose answers tell of the cache in their bodies too."""
_KINDS = ("direct", "semantic")

_encode = msgspec.json.Encoder().encode


def cache_wish(headers: Mapping[str, str], settings: CacheSettings) -> CacheWish | None:
    """What the headers ask of the cache; None without a cache key. Raises InvalidRequest naming the header."""
    name = "x-bf-cache-key"
    key = headers.get(name, "").strip() or settings.default_cache_key
    if not key or not settings.enabled:
        return None
    if name in headers and not (key.isascii() and len(key) <= LONGEST_NAME):
        raise InvalidRequest(f"{name}: expected up to {LONGEST_NAME} ASCII characters.", param=name)
    kind = headers.get("x-bf-cache-type", "").strip().lower()
    if kind not in ("", *_KINDS):
        raise _wrong("x-bf-cache-type", " or ".join(_KINDS), kind)
    return CacheWish(
        key=key,
        ttl_s=_ttl(headers.get("x-bf-cache-ttl"), settings),
        threshold=_threshold(headers.get("x-bf-cache-threshold"), settings),
        kind=kind,  # type: ignore[arg-type] # looked at above
        store=not flag("x-bf-cache-no-store", headers.get("x-bf-cache-no-store")),
    )


def planned(job: Job, body: bytes, wish: CacheWish | None, settings: Settings) -> Job:
    """The job, knowing how it uses the cache."""
    if wish is None:
        return job
    return replace(job, cache=plan(sender(job), body, wish, settings.cache, settings.providers))


def answered(path: str, dialect: Dialect, job: Job, body: bytes, packed: bytes) -> ASGIApp:
    """The answer that the cache gave."""
    assert job.cache is not None, "only jobs that use the cache are looked up"  # noqa: S101 - the queue does so
    hit = Hit(job.cache.id, unpack(packed))
    CACHE_HITS.of().value += 1
    if job.stream:
        events, told = stream(hit, job, body)
        return answers.repeated(dialect, job, told, events)
    return answers.repeated(dialect, job, told_of(path, job, outcome(hit, job, body)))


def told_of(path: str, job: Job, answer: Outcome) -> Outcome:
    """The outcome; on Bifrost's own surface its body says how the cache was used."""
    if job.cache is None or not path.startswith(NATIVE) or answer.status >= 400:  # noqa: PLR2004 - HTTP: an error
        return answer
    extra = _encode({"cache_debug": debug(job, answer)})
    return replace(answer, body=answer.body.rstrip().removesuffix(b"}") + b',"extra_fields":' + extra + b"}")


def debug(job: Job, answer: Outcome) -> dict[str, Any]:
    """Bifrost's `cache_debug` of a job that uses the cache."""
    headers = answer.headers
    told: dict[str, Any] = {"cache_hit": HIT in headers, "cache_id": headers.get(ID, job.cache.id if job.cache else "")}
    if HIT in headers:
        told["hit_type"] = headers[HIT]
    if SIMILARITY in headers:
        told |= {"similarity": float(headers[SIMILARITY]), "threshold": float(headers[THRESHOLD])}
    return told


def _ttl(value: str | None, settings: CacheSettings) -> int:
    if value is None:
        return settings.ttl
    found = seconds(value)
    if found is None:
        raise _wrong("x-bf-cache-ttl", f"seconds, or a time as in 5m, up to {LONGEST_TTL_S} seconds", value)
    return found


def _threshold(value: str | None, settings: CacheSettings) -> float:
    """Clamped, as Bifrost does."""
    if value is None:
        return settings.threshold
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise _wrong("x-bf-cache-threshold", "a number from 0 to 1", value)
    return min(max(number, 0.0), 1.0)


def _wrong(name: str, expected: str, value: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: expected {expected}, got {value[:40]!r}.", param=name)
