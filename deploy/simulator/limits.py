"""What becomes of a key's calls: rate limits as the vendors enforce them, revocation, overload, cut streams.

`POST /__keys` says it of one key, see `Conduct`; what it leaves out is as the knobs say, or nothing. A limit a minute
is a bucket for each key and model that fills up evenly, a limit a day is a count that begins again a day after its
first call. What an answer tells of them, if anything, is the vendor's own form, see `limit_forms`. Tokens are words.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Protocol

import msgspec

from deploy.simulator.knobs import Knobs
from deploy.simulator.ledger import KEY_HASH_LENGTH
from deploy.simulator.limit_forms import FORMS, Hint, Level

_DAY_S = 86_400.0
_AZURES_BURST_S = 10.0
"""Azure counts requests over ten seconds, tokens over the minute."""


class Conduct(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How calls with one key are answered.

    Attributes:
        key: as clients send it.
        requests_per_minute, tokens_per_minute, requests_per_day, tokens_per_day: 0 for no limit.
        burst_s: seconds' worth of a minute's that a key has at once after a rest.
        form: the vendor whose way it is to tell of limits; empty for the one whose wire it is.
        revoked: every call is a 401.
        overloaded_s: every call of the next seconds is a 529 on Anthropic's wire, a 503 elsewhere.
        cut_every: that often an answer is cut in the middle; 0 for never.
    """

    key: str
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    requests_per_day: int = 0
    tokens_per_day: int = 0
    burst_s: float = 60.0
    form: str = ""
    revoked: bool = False
    overloaded_s: float = 0.0
    cut_every: int = 0

    def __post_init__(self) -> None:
        if self.form and self.form not in FORMS:
            raise ValueError(f"no such form: {self.form}")


class _Limit(Protocol):
    """Units that come back."""

    limit: int

    def left(self, now: float) -> float: ...
    def take(self, units: float) -> None: ...
    def missing_s(self, units: float, now: float) -> float:
        """Seconds until so many are there, or all that there can be."""
        ...

    def full_s(self, now: float) -> float: ...


class _Day:
    """Units that come back all at once, a day after the first was taken."""

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._used = 0.0
        self._ends = now + _DAY_S

    def left(self, now: float) -> float:
        if now >= self._ends:
            self._used, self._ends = 0.0, now + _DAY_S
        return self.limit - self._used

    def take(self, units: float) -> None:
        self._used += units

    def missing_s(self, units: float, now: float) -> float:
        return self.full_s(now) if min(units, self.limit) > self.left(now) else 0.0

    def full_s(self, now: float) -> float:
        return max(0.0, self._ends - now)


class _Bucket:
    """Units that fill up evenly."""

    def __init__(self, a_minute: int, burst_s: float, now: float) -> None:
        self.limit = a_minute
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
        return max(0.0, min(units, self._most) - self.left(now)) / self._rate

    def full_s(self, now: float) -> float:
        return (self._most - self.left(now)) / self._rate


class Verdict(msgspec.Struct):
    """What a call gets: the status of its refusal, or 0, and what is said of limits."""

    status: int = 0
    hint: Hint = msgspec.field(default_factory=lambda: Hint({}))


class Limits:
    """The conduct of every key; keys go by their hash, as in the ledger."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._conducts: dict[str, Conduct] = {}
        self._buckets: dict[tuple[str, str, str], _Limit] = {}
        self._overloaded: dict[str, float] = {}
        self._answers: dict[str, int] = {}

    def conduct(self, conduct: Conduct) -> None:
        """From now on calls with the key are answered so; its buckets are full."""
        key_hash = hashlib.sha256(conduct.key.encode()).hexdigest()[:KEY_HASH_LENGTH]
        self._conducts[key_hash] = conduct
        self._overloaded[key_hash] = time.monotonic() + conduct.overloaded_s
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if name[0] != key_hash}

    def is_revoked(self, key_hash: str) -> bool:
        """Whether calls with the key are refused, whatever they ask for."""
        return self._conduct_of(key_hash).revoked

    def judge(self, key_hash: str, model: str, tokens: int, form: str) -> Verdict:
        """What a call gets that costs so many tokens; `form` is the wire's."""
        conduct, now = self._conduct_of(key_hash), time.monotonic()
        if conduct.revoked:
            return Verdict(401)
        if self._overloaded.get(key_hash, 0.0) > now:
            return Verdict(529 if form == "anthropic" else 503)
        form = conduct.form or form
        limits = self._limits_of(key_hash, model, conduct, form, now)
        missing = {kind: limit.missing_s(_cost(kind, tokens), now) for kind, limit in limits.items()}
        spent = max(missing, key=missing.__getitem__, default="")
        missing_s = missing.get(spent, 0.0)
        if missing_s <= 0:
            spent = ""
            for kind, limit in limits.items():
                limit.take(_cost(kind, tokens))
        return Verdict(429 if spent else 0, FORMS[form](_levels(limits, now), spent, missing_s, model))

    def answered(self, key_hash: str, model: str, tokens: int) -> None:
        """The answer had so many tokens, which nobody knew before."""
        for kind in ("tokens", "tokens-day"):
            if limit := self._buckets.get((key_hash, model, kind)):
                limit.take(tokens)

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

    def _limits_of(self, key_hash: str, model: str, conduct: Conduct, form: str, now: float) -> dict[str, _Limit]:
        burst_s = min(conduct.burst_s, _AZURES_BURST_S) if form == "azure" else conduct.burst_s
        made: dict[str, _Limit] = {
            "requests": _Bucket(conduct.requests_per_minute, burst_s, now),
            "tokens": _Bucket(conduct.tokens_per_minute, conduct.burst_s, now),
            "requests-day": _Day(conduct.requests_per_day, now),
            "tokens-day": _Day(conduct.tokens_per_day, now),
        }
        return {
            kind: self._buckets.setdefault((key_hash, model, kind), limit)
            for kind, limit in made.items()
            if limit.limit
        }


def _cost(kind: str, tokens: int) -> int:
    return 1 if kind.startswith("requests") else tokens


def _levels(limits: Mapping[str, _Limit], now: float) -> dict[str, Level]:
    return {kind: Level(limit.limit, max(0, int(limit.left(now))), limit.full_s(now)) for kind, limit in limits.items()}
