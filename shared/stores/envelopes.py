"""Values that nobody reads without the key: AES-256-GCM under a key of the owner's.

    magic 4 │ key id 8 │ salt 16 │ length of the owner's id 2 │ owner's id ║ nonce 12 │ value and tag

An owner's key is derived (HKDF-SHA-256) from the operator's with the owner's id and a salt. Everything left of the
double line is authenticated, and so is the value's place: a value that was changed, cut, given to another owner or put
in another place is refused. The salt is new for every process and every 2^30 values of an owner, for random nonces
under one key are good for 2^32 values (NIST SP 800-38D, section 8.3), which one owner's streams reach in weeks.
"""

from __future__ import annotations

import hashlib
import os
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import GatewayError
from shared.sealing import NOT_SEALED, TOUCHED, UNKNOWN_KEY, unreadable

KEY_BYTES = 32
KEY_ID_BYTES, SALT_BYTES = 8, 16
VALUES_OF_A_SALT = 1 << 30
OWNERS_HELD = 4096
"""Owners whose keys are kept at hand; deriving one takes 6 µs."""

_MAGIC = b"HRV\x01"
_HEAD = struct.Struct(f">{len(_MAGIC)}s{KEY_ID_BYTES}s{SALT_BYTES}sH")
_NONCE = 12


class MasterKeys:
    """The operator's keys, each of 32 bytes: the first seals, all open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_id_of(key): key for key in keys}
        self.first = _id_of(keys[0])

    def cipher(self, key_id: bytes, salt: bytes, info: bytes) -> AESGCM | None:
        """The cipher for what `info` names; None when no such key is listed."""
        key = self._keys.get(key_id)
        return None if key is None else AESGCM(HKDF(SHA256(), KEY_BYTES, salt, info).derive(key))


class _Writing:
    """An owner's key as this process closes with it, for `left` more values."""

    __slots__ = ("cipher", "head", "left")

    def __init__(self, cipher: AESGCM, head: bytes) -> None:
        self.cipher, self.head, self.left = cipher, head, VALUES_OF_A_SALT


class Envelopes:
    """See Seal."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = MasterKeys(keys)
        self._writing: dict[str, _Writing] = {}
        self._cipher = lru_cache(OWNERS_HELD)(self._owners)

    def close(self, owner: str, value: bytes, *place: object) -> bytes:
        """See Seal."""
        if not value:
            return value
        writing = self._writing.get(owner)
        if writing is None or not writing.left:
            writing = self._begin(owner)
        writing.left -= 1
        nonce = os.urandom(_NONCE)
        return writing.head + nonce + writing.cipher.encrypt(nonce, value, writing.head + _place(place))

    def open(self, owner: str | None, value: bytes, *place: object) -> bytes:
        """See Seal."""
        if not value:
            return value
        head, named, cipher = self._read(value, place)
        end = len(head) + _NONCE
        try:
            if owner is None or named == owner.encode():
                return cipher.decrypt(value[len(head) : end], value[end:], head + _place(place))
        except (InvalidTag, ValueError) as error:  # a nonce that was cut is a ValueError
            raise _unreadable(place, TOUCHED) from error
        raise _unreadable(place, TOUCHED)

    def close_text(self, owner: str, text: str, *place: object) -> str:
        """See Seal: in base64."""
        return b64encode(self.close(owner, text.encode(), *place)).decode()

    def open_text(self, owner: str, text: str, *place: object) -> str:
        """See Seal."""
        try:
            value = b64decode(text, validate=True)
        except ValueError as error:
            raise _unreadable(place, NOT_SEALED) from error
        return self.open(owner, value, *place).decode()

    def _read(self, value: bytes, place: tuple[object, ...]) -> tuple[bytes, bytes, AESGCM]:
        """The head, the owner in it, the cipher it names."""
        if len(value) < _HEAD.size or not value.startswith(_MAGIC):
            raise _unreadable(place, NOT_SEALED)
        _, key_id, salt, length = _HEAD.unpack_from(value)
        head = value[: _HEAD.size + length]
        named = head[_HEAD.size :]
        cipher = self._cipher(key_id, salt, named)
        if cipher is None:
            raise _unreadable(place, UNKNOWN_KEY)
        return head, named, cipher

    def _begin(self, owner: str) -> _Writing:
        named, salt = owner.encode(), os.urandom(SALT_BYTES)
        cipher = self._owners(self._keys.first, salt, named)
        assert cipher is not None, "the first key is listed"  # noqa: S101 - see MasterKeys
        if len(self._writing) >= OWNERS_HELD:
            self._writing.clear()
        head = _HEAD.pack(_MAGIC, self._keys.first, salt, len(named)) + named
        writing = self._writing[owner] = _Writing(cipher, head)
        return writing

    def _owners(self, key_id: bytes, salt: bytes, named: bytes) -> AESGCM | None:
        return self._keys.cipher(key_id, salt, b"hermod owner " + named)


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"hermod key id " + key).digest()[:KEY_ID_BYTES]


def _place(place: tuple[object, ...]) -> bytes:
    return "\0".join(map(str, place)).encode()


def _unreadable(place: tuple[object, ...], why: str) -> GatewayError:
    return unreadable(f"the {place[0]} that it keeps in Redis", why, "value_unreadable")
