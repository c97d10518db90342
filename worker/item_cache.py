"""How items of batches use the response cache."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from shared.cache import CacheWish, plan
from shared.cache_settings import CacheSettings
from shared.cached_answer import sender
from shared.jobs import Job


class ItemCache:
    """Lets items use the cache where `cache.batches` says so. `providers` are the configured ones."""

    def __init__(self, settings: CacheSettings, providers: Container[str]) -> None:
        self._settings = settings
        self._providers = providers
        self._wish = CacheWish(key=settings.default_cache_key, ttl_s=settings.ttl, threshold=settings.threshold)

    def planned(self, job: Job, body: bytes) -> Job:
        """The item's job, knowing how it uses the cache."""
        if not (self._settings.batches and self._settings.enabled):
            return job
        known = plan(sender(job), body, self._wish, self._settings, self._providers)
        return msgspec.structs.replace(job, cache=known)
