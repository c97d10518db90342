"""The administrator's password, or in its place the token: whether what somebody typed is right."""

from __future__ import annotations

import asyncio
import hmac

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw

from shared.errors import LimitExceeded
from shared.governance_settings import AdminSettings

MOST_WAITING = 8
"""Passwords that wait to be checked, one after another: each takes 64 MiB for a moment."""
_SALT = b"hermod-admin-sessions"
_NO_TIME = LimitExceeded("Too many people are signing in; try again in a moment.", retry_after_s=5)


class Secrets:
    """What lets the administrator in.

    Attributes:
        is_set: there is a password or a token.
        asked_for: which of them people are asked for, in words: the token only where there is no password.
        epoch: another after every change of them, and not to be guessed back from: sessions belong to one.
    """

    def __init__(self, settings: AdminSettings) -> None:
        self._hash = settings.password_hash or (PasswordHasher().hash(settings.password) if settings.password else "")
        self._token = settings.token.encode()
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0
        self.is_set = bool(self._hash or self._token)
        self.asked_for = "password" if self._hash else "token"
        self.epoch = _epoch(settings) if self.is_set else b""

    async def is_right(self, sent: str) -> bool:
        """Whether it is the password or, without one, the token. Raises LimitExceeded when too many ask at once."""
        if not self._hash:
            return bool(self._token) and hmac.compare_digest(sent.encode(), self._token)
        if self._waiting >= MOST_WAITING:
            raise _NO_TIME
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_matches, self._hash, sent)
        finally:
            self._waiting -= 1


def _matches(known: str, sent: str) -> bool:
    try:
        return PasswordHasher().verify(known, sent)
    except (VerificationError, InvalidHashError):
        return False


def _epoch(settings: AdminSettings) -> bytes:
    """Slow like a password's hash, for it may be guessed at by whoever reads Redis."""
    secret = f"{settings.password_hash}\0{settings.password}\0{settings.token}".encode()
    return hash_secret_raw(secret, _SALT, time_cost=3, memory_cost=65_536, parallelism=1, hash_len=32, type=Type.ID)
