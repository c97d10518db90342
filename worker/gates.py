"""Gates: the way to one model with one key, what is configured of it, and what a call through it is taken to cost."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from shared.provider_settings import RateLimits

if TYPE_CHECKING:
    from worker.routing import Target

BYTES_A_TOKEN = 4
"""Of a request's body, JSON and all: English text has 4 to 5 bytes a token in the vendors' tokenizers."""
OUTPUT_SHARE = 4
"""The part of `max_tokens` that is expected to be used, one in so many; what was used corrects it."""
OUTPUT_TOKENS = 500
"""Expected of a request without `max_tokens`."""
_MAX_TOKENS = re.compile(rb'"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,9})')


class Gate(msgspec.Struct, frozen=True):
    """One key's way to one model.

    Attributes:
        name: of both and the provider, without a space.
        provider: without a space.
        line: the same and the configured limits, as the script takes them.
        limited: some are configured.
    """

    name: str
    provider: str
    line: str
    limited: bool


def gate_of(target: Target) -> Gate:
    """The gate of a target, which has it at hand as `gate`."""
    key = target.key
    limits = key.model_limits.get(target.model, key.rate_limits) if key.model_limits else key.rate_limits
    return _gate(target.row.name, key.name, target.upstream_model, limits, target.provider.concurrency)


@lru_cache(maxsize=4096)
def _gate(provider: str, key: str, model: str, limits: RateLimits, concurrency: int) -> Gate:
    provider, requests, tokens = quote(provider), limits.requests_per_minute, limits.tokens_per_minute
    name = f"{provider}|{quote(key)}|{quote(model, safe='/:@')}"
    line = f"{name} {provider} {requests} {tokens} {concurrency}"
    return Gate(name, provider, line, limited=bool(requests or tokens or concurrency))


def tokens_of(body: bytes) -> tuple[int, int]:
    """What a request is taken to cost before it is sent, input and output."""
    found = _MAX_TOKENS.search(body)
    return len(body) // BYTES_A_TOKEN + 1, int(found[1]) // OUTPUT_SHARE if found else OUTPUT_TOKENS
