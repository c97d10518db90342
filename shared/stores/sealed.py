"""Blobs that nobody reads without the key: AES-256-GCM over any other store.

    magic 4 │ version 1 │ zeros 3 │ key id 8 │ salt 16 ║ frame 0 │ frame 1 │ … │ last frame

A frame is 64 KiB of the blob (the last one less, perhaps nothing) and its tag of 16 bytes. Every write has a key of its
own, derived (HKDF-SHA-256) from the operator's with the salt, the owner and the blob's name, which is authenticated
too, with each frame's number and whether it is the last: a blob that was changed, cut, put together anew, put in
another's place or read as another owner's is refused. Whose it is stands nowhere: who reads has to know. Blobs that
were written before there was a key are refused too, for anybody who can write there can make one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import GatewayError
from shared.sealing import NOT_SEALED, TOUCHED, UNKNOWN_KEY, unreadable
from shared.stores.blobs import BINARY, BlobInfo, OwnedBlobs, PlainBlobs, check_key, check_range
from shared.stores.envelopes import KEY_ID_BYTES, SALT_BYTES, MasterKeys

FRAME_BYTES = 64 * 1024
_TAG = 16
_SEALED = FRAME_BYTES + _TAG
_MAGIC = b"HRMD\x02\0\0\0"
_HEAD = len(_MAGIC) + KEY_ID_BYTES + SALT_BYTES


class SealedBlobs:
    """See Blobs and, of the one `owner`, OwnedBlobs: sealed on the way to `inner` and opened on the way back."""

    def __init__(self, inner: PlainBlobs, keys: MasterKeys, owner: str = "") -> None:
        self._inner = inner
        self._keys = keys
        self._owner = owner

    def of(self, owner: str) -> OwnedBlobs:
        """See Blobs."""
        return SealedBlobs(self._inner, self._keys, owner)

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        """See Blobs."""
        await self._inner.put(key, b"".join(self._writer(key).whole(data)), content_type=content_type)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str = BINARY) -> int:
        """See Blobs."""
        writer = self._writer(key)
        await self._inner.put_stream(key, writer.stream(chunks), content_type=content_type)
        return writer.size

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See Blobs."""
        return b"".join([chunk async for chunk in self.read(key, start, length)])

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs. A chunk is a frame, or the part of one that was asked for."""
        check_range(start, length)
        head, total = await self._inner.get(key, 0, _HEAD), await self._inner.size(key)
        reader, size = self._reader(key, head), _opened_size(total)
        end = size if length is None else min(size, start + length)
        if start >= end and (start or size):
            return
        first, last = start // FRAME_BYTES, _frames(total) - 1
        until = last if length is None else max(first, (end - 1) // FRAME_BYTES)
        begin = _HEAD + first * _SEALED
        held = bytearray()
        number = first
        async with aclosing(self._inner.read(key, begin, (until - first + 1) * _SEALED)) as chunks:
            async for chunk in chunks:
                held += chunk
                while len(held) >= _SEALED:
                    frame = reader.open(bytes(held[:_SEALED]), number, last=number == last)
                    yield _part(frame, number, start, end)
                    del held[:_SEALED]
                    number += 1
        if held or number <= until:
            frame = reader.open(bytes(held), number, last=number == last)
            if part := _part(frame, number, start, end):  # none of an empty blob
                yield part

    async def size(self, key: str) -> int:
        """See Blobs."""
        return _opened_size(await self._inner.size(key))

    async def delete(self, key: str) -> None:
        """See Blobs."""
        await self._inner.delete(key)

    async def list(self, prefix: str) -> AsyncGenerator[BlobInfo, None]:
        """See Blobs."""
        async for info in self._inner.list(prefix):
            yield BlobInfo(info.key, _opened_size(info.size), info.modified_s)

    async def forget_unfinished(self, before_s: float) -> int:
        """See Blobs."""
        return await self._inner.forget_unfinished(before_s)

    async def ready(self) -> None:
        """See Blobs."""
        await self._inner.ready()

    async def close(self) -> None:
        """See Blobs."""
        await self._inner.close()

    def _writer(self, name: str) -> _Writer:
        return _Writer(self._seal(_MAGIC + self._keys.first + os.urandom(SALT_BYTES), check_key(name)))

    def _reader(self, name: str, head: bytes) -> _Seal:
        if len(head) < _HEAD or not head.startswith(_MAGIC):
            raise _unreadable(name, NOT_SEALED)
        return self._seal(head, name)

    def _seal(self, head: bytes, name: str) -> _Seal:
        key_id = head[len(_MAGIC) : len(_MAGIC) + KEY_ID_BYTES]
        info = f"hermod blob {self._owner}\0{name}".encode()  # a name has no such byte
        cipher = self._keys.cipher(key_id, head[-SALT_BYTES:], info)
        if cipher is None:
            raise _unreadable(name, UNKNOWN_KEY)
        return _Seal(cipher, head, name)


class _Seal:
    """The key of one write of one blob."""

    def __init__(self, cipher: AESGCM, head: bytes, name: str) -> None:
        self.head = head
        self._name = name
        self._cipher = cipher

    def close(self, data: bytes, number: int, *, last: bool) -> bytes:
        return self._cipher.encrypt(_nonce(number, last=last), data, self._aad())

    def open(self, sealed: bytes, number: int, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(_nonce(number, last=last), sealed, self._aad())
        except InvalidTag as error:
            raise _unreadable(self._name, TOUCHED) from error

    def _aad(self) -> bytes:
        return self.head + self._name.encode()


class _Writer:
    """Cuts what comes into frames; `size` counts it."""

    def __init__(self, seal: _Seal) -> None:
        self._seal = seal
        self.size = 0

    def whole(self, data: bytes) -> list[bytes]:
        self.size = len(data)
        cut = [data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES)] or [b""]
        return [self._seal.head] + [
            self._seal.close(frame, number, last=number == len(cut) - 1) for number, frame in enumerate(cut)
        ]

    async def stream(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        held, number = bytearray(), 0
        yield self._seal.head
        async for chunk in chunks:
            self.size += len(chunk)
            held += chunk
            while len(held) > FRAME_BYTES:  # what may be the last one is kept
                yield self._seal.close(bytes(held[:FRAME_BYTES]), number, last=False)
                del held[:FRAME_BYTES]
                number += 1
        yield self._seal.close(bytes(held), number, last=True)


def _nonce(number: int, *, last: bool) -> bytes:
    """Never twice under one key: each write has its own."""
    return bytes([last]) + number.to_bytes(11, "big")


def _frames(sealed_size: int) -> int:
    return max(1, -(-(sealed_size - _HEAD) // _SEALED))


def _opened_size(sealed_size: int) -> int:
    return max(0, sealed_size - _HEAD - _frames(sealed_size) * _TAG)


def _part(frame: bytes, number: int, start: int, end: int) -> bytes:
    begin = number * FRAME_BYTES
    return frame[max(0, start - begin) : end - begin]


def _unreadable(name: str, why: str) -> GatewayError:
    return unreadable(f"{name.partition('/')[0]}/… in its object store", why, "blob_unreadable")
