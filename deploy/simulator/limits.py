"""What becomes of a key's calls: rate limits as the vendors enforce them, revocation, overload, cut streams.

`POST /__keys` says it of one key, see `Conduct`; what it leaves out is as the knobs say, or nothing. A limit is a
bucket for each key and model that fills up evenly, as both vendors say of theirs, and every answer tells what is left
of it in the vendor's own headers. Tokens are words.
"""

from __future__ import annotations

import hashlib
import math
import time
from datetime import UTC, datetime

import msgspec

from deploy.simulator.knobs import Knobs
from deploy.simulator.ledger import KEY_HASH_LENGTH

_KINDS = ("requests", "tokens")


class Conduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How calls with one key are answered.

    Attributes:
        key: as clients send it.
        requests_per_minute, tokens_per_minute: 0 for no limit.
        burst_s: seconds' worth of them that a key has at once after a rest.
        revoked: every call is a 401.
        overloaded_s: every call of the next seconds is a 529 on Anthropic's wire, a 503 elsewhere.
        cut_every: that often an answer is cut in the middle; 0 for never.
    """

    key: str
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    burst_s: float = 60.0
    revoked: bool = False
    overloaded_s: float = 0.0
    cut_every: int = 0


class _Bucket:
    """Units that fill up evenly."""

    def __init__(self, a_minute: int, burst_s: float, now: float) -> None:
        self.a_minute = a_minute
        self._rate = a_minute / 60
        self._most = max(1.0, self._rate * burst_s)
        self._level = self._most
        self._at = now

    def left(self, now: float) -> float:
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def take(self, units: float) -> None:
        self._level -= units

    def missing_s(self, units: float, now: float) -> float:
        """Seconds until so many are there, or all that there can be."""
        return max(0.0, min(units, self._most) - self.left(now)) / self._rate

    def full_s(self, now: float) -> float:
        return (self._most - self.left(now)) / self._rate


class Verdict(msgspec.Struct):
    """What a call gets: the status of its refusal, or 0; header lines; seconds after which to come back."""

    status: int = 0
    headers: bytes = b""
    retry_after_s: float = 0.0


class Limits:
    """The conduct of every key; keys go by their hash, as in the ledger."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._conducts: dict[str, Conduct] = {}
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}
        self._overloaded: dict[str, float] = {}
        self._answers: dict[str, int] = {}

    def conduct(self, conduct: Conduct) -> None:
        """From now on calls with the key are answered so; its buckets are full."""
        key_hash = hashlib.sha256(conduct.key.encode()).hexdigest()[:KEY_HASH_LENGTH]
        self._conducts[key_hash] = conduct
        self._overloaded[key_hash] = time.monotonic() + conduct.overloaded_s
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if name[0] != key_hash}

    def judge(self, key_hash: str, model: str, tokens: int, *, anthropic: bool) -> Verdict:
        """What a call gets that costs so many tokens."""
        conduct, now = self._conduct_of(key_hash), time.monotonic()
        if conduct.revoked:
            return Verdict(401)
        if self._overloaded.get(key_hash, 0.0) > now:
            return Verdict(529 if anthropic else 503)
        buckets = self._buckets_of(key_hash, model, conduct, now)
        costs = {"requests": 1, "tokens": tokens}
        missing_s = max((bucket.missing_s(costs[kind], now) for kind, bucket in buckets.items()), default=0.0)
        if missing_s <= 0:
            for kind, bucket in buckets.items():
                bucket.take(costs[kind])
        told = b"".join(_headers(kind, bucket, now, anthropic=anthropic) for kind, bucket in buckets.items())
        if missing_s <= 0:
            return Verdict(headers=told)
        whole_s = math.ceil(missing_s)
        told += b"retry-after: %d\r\n" % whole_s
        return Verdict(429, told, whole_s)

    def answered(self, key_hash: str, model: str, tokens: int) -> None:
        """The answer had so many tokens, which nobody knew before."""
        if bucket := self._buckets.get((key_hash, model, "tokens")):
            bucket.take(tokens)

    def cuts(self, key_hash: str) -> bool:
        """Whether this answer is one of those to be cut."""
        every = self._conduct_of(key_hash).cut_every
        if not every:
            return False
        self._answers[key_hash] = self._answers.get(key_hash, 0) + 1
        return self._answers[key_hash] % every == 0

    def _conduct_of(self, key_hash: str) -> Conduct:
        knobs = self._knobs
        return self._conducts.get(key_hash) or Conduct(
            key="",
            requests_per_minute=knobs.requests_per_minute,
            tokens_per_minute=knobs.tokens_per_minute,
            burst_s=knobs.burst_s,
        )

    def _buckets_of(self, key_hash: str, model: str, conduct: Conduct, now: float) -> dict[str, _Bucket]:
        limits = zip(_KINDS, (conduct.requests_per_minute, conduct.tokens_per_minute), strict=True)
        found = {}
        for kind, limit in limits:
            if limit:
                bucket = self._buckets.setdefault((key_hash, model, kind), _Bucket(limit, conduct.burst_s, now))
                found[kind] = bucket
        return found


def _headers(kind: str, bucket: _Bucket, now: float, *, anthropic: bool) -> bytes:
    left, full_s = max(0, int(bucket.left(now))), bucket.full_s(now)
    if anthropic:
        reset = datetime.fromtimestamp(time.time() + full_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"anthropic-ratelimit-{kind}"
        lines = {f"{name}-limit": bucket.a_minute, f"{name}-remaining": left, f"{name}-reset": reset}
    else:
        lines = {
            f"x-ratelimit-limit-{kind}": bucket.a_minute,
            f"x-ratelimit-remaining-{kind}": left,
            f"x-ratelimit-reset-{kind}": f"{math.ceil(full_s * 1000)}ms",
        }
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
