"""What an operator can set of the response cache: section `cache`, and Bifrost's plugin `semantic_cache`."""

from __future__ import annotations

import msgspec

LONGEST_TTL_S = 604_800
"""A week: an answer that is older is rather asked for again."""


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section `cache`, ours, keys named as the attributes; Bifrost's plugin `semantic_cache` sets the same.

    Attributes:
        enabled: requests with a cache key may be answered from the cache; default true.
        default_cache_key: of requests without `x-bf-cache-key`; default none: they are not cached.
        ttl: seconds, or as in `5m`, that an answer is kept; `x-bf-cache-ttl` goes before it; default 300.
        threshold: least cosine similarity, 0 to 1, of a semantic hit; `x-bf-cache-threshold` goes before it; default
            0.8.
        provider: the provider that embeds requests for semantic hits; default none: equal requests only.
        embedding_model: its model.
        conversation_history_threshold: messages beyond which a conversation is not looked up by its meaning; default 3.
        cache_by_model: answers of one model are not another's; default true.
        cache_by_provider: answers of one provider are not another's; default true.
        exclude_system_prompt: requests that differ in their system prompt only are equal; default false.
        shared: virtual keys share their answers; default false.
        batches: items of batches use the cache too, under `default_cache_key`; default false.
        max_entry_bytes: larger answers are not kept; default 262144.
        max_bytes: of all answers kept, in Redis; what would expire next makes room for more; default 268435456.
    """

    enabled: bool = True
    default_cache_key: str = ""
    ttl: int = 300
    threshold: float = 0.8
    provider: str | None = None
    embedding_model: str | None = None
    conversation_history_threshold: int = 3
    cache_by_model: bool = True
    cache_by_provider: bool = True
    exclude_system_prompt: bool = False
    shared: bool = False
    batches: bool = False
    max_entry_bytes: int = 262_144
    max_bytes: int = 268_435_456

    @property
    def semantic(self) -> bool:
        """Whether requests can be looked up by their meaning."""
        return bool(self.provider and self.embedding_model)
