"""The ledger: every call received, so that a test can see what reached the provider and what became of it."""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from collections import deque
from typing import Any

import msgspec

KEY_HASH_LENGTH = 12
"""Hexadecimal digits: enough to tell keys apart, useless for guessing one."""
_KEPT_HEADERS = ("anthropic-version", "anthropic-beta")


class Entry(msgspec.Struct, gc=False, kw_only=True):
    """One call; filled in while it runs. Holds only strings and numbers, so the garbage collector can skip it.

    Attributes:
        n: counted from 1.
        at: epoch seconds at which the whole request was there.
        key_hash: first digits of the key's SHA-256, empty without a key.
        status: of the answer; 0 while nothing was sent.
        retry_after_s: what a 429 said.
        finished: everything the simulator wanted to send was handed to the connection.
        aborted: the client closed the connection before that.
        user: `metadata.user_id`, `user` or `safety_identifier` of the body.
        header_names: lower case, separated by a space; of the values only the two below are kept.
    """

    n: int
    at: float
    method: str
    path: str
    key_hash: str
    request_sha256: str
    header_names: str
    anthropic_version: str
    anthropic_beta: str
    model: str = ""
    user: str = ""
    stream: bool = False
    status: int = 0
    retry_after_s: float = 0.0
    finished: bool = False
    aborted: bool = False


class Ledger:
    """The newest `size` calls."""

    def __init__(self, size: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=size)
        self._numbers = itertools.count(1)

    def open(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Entry:
        """Notes a call that has just arrived."""
        version, beta = (headers.get(name, "") for name in _KEPT_HEADERS)
        entry = Entry(
            n=next(self._numbers),
            at=time.time(),
            method=method,
            path=sys.intern(path),
            key_hash=_key_hash(headers),
            request_sha256=hashlib.sha256(body).hexdigest(),
            header_names=sys.intern(" ".join(headers)),
            anthropic_version=version,
            anthropic_beta=beta,
        )
        self._entries.append(entry)
        return entry

    def read(self, since: int, user: str | None, limit: int) -> list[dict[str, Any]]:
        """The oldest `limit` entries numbered above `since`, of one user unless None."""
        return [_shown(entry) for entry in itertools.islice(self._of(since, user), limit)]

    def count(self, since: int, user: str | None) -> dict[str, int]:
        """How many calls, and what became of them."""
        counts = {"count": 0, "finished": 0, "aborted": 0}
        for entry in self._of(since, user):
            counts["count"] += 1
            counts["finished"] += entry.finished
            counts["aborted"] += entry.aborted
        return counts

    def reset(self) -> None:
        """Forgets everything; numbers start again at 1."""
        self._entries.clear()
        self._numbers = itertools.count(1)

    def _of(self, since: int, user: str | None) -> Any:
        return (e for e in self._entries if e.n > since and (user is None or e.user == user))


def key_of(headers: dict[str, str]) -> str:
    """The caller's key, empty when there is none; `x-api-key` wins, as at the vendor."""
    bearer = headers.get("authorization", "")
    token = bearer[7:].strip() if bearer[:7].lower() == "bearer " else ""
    return headers.get("x-api-key") or headers.get("api-key") or headers.get("x-goog-api-key") or token


def _key_hash(headers: dict[str, str]) -> str:
    key = key_of(headers)
    return hashlib.sha256(key.encode()).hexdigest()[:KEY_HASH_LENGTH] if key else ""


def _shown(entry: Entry) -> dict[str, Any]:
    shown = msgspec.structs.asdict(entry)
    version, beta = shown.pop("anthropic_version"), shown.pop("anthropic_beta")
    names = shown.pop("header_names").split()
    return {**shown, "headers": {"names": names, "anthropic-version": version, "anthropic-beta": beta}}
