"""Blobs: bytes too large for Redis, under a key, in an S3 bucket, a folder or (for tests) memory.

The three are told apart only by where the bytes are; `tests/conformance/test_blobs.py` holds them to this interface.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Protocol

import msgspec

from shared.masked import SettingsError
from shared.settings import ObjectStoreSettings

CHUNK_BYTES = 1 << 20
"""The most that `read` yields at a time."""

MAX_KEY_LENGTH = 1024
"""S3's limit for an object's key."""

BINARY = "application/octet-stream"

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254})*")
_PREFIX = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*/)*([A-Za-z0-9_-][A-Za-z0-9._-]*)?")


class BlobMissing(LookupError):
    """No blob has this key.

    Not a GatewayError: a file that a client named is its 404, the body of an accepted job is our own loss, and only
    who asked knows which.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"no blob has the key {key}")
        self.key = key


class BlobInfo(msgspec.Struct, frozen=True):
    """A row of `list`: the size in bytes, the time of the last write in seconds since 1970."""

    key: str
    size: int
    modified_s: float


class OwnedBlobs(Protocol):
    """A store of blobs as one owner of what is in them writes and reads it; what is another's cannot be read.

    A key is up to 1024 characters of `A-Z a-z 0-9 . _ - /`; no part between slashes is empty, longer than 255 or
    begins with a dot, and no key is another's folder (`a` and `a/b`). A write shows whole or not at all, and replaces
    what was there; the last of concurrent writes stays.

    Every method raises StoreError when the store cannot be reached or refuses, and ValueError for a malformed key;
    those that read raise GatewayError (`blob_unreadable`) for what the encryption keys do not open for this owner.
    """

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        """Write `data`; it is durable on return, as far as the store can promise."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str = BINARY) -> int:
        """Write what `chunks` yields, in bounded memory, and return its size in bytes.

        When `chunks` raises, or the write fails, the key is as it was. Cancelled while the last bytes are being
        written, it may be either.
        """

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from `start`, up to `length` of them, as a slice: empty beyond the end. Raises BlobMissing."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """What `get` returns, in chunks of at most 1 MiB; the first step raises BlobMissing.

        Close it (`contextlib.aclosing`) when leaving early: it holds a connection or a file.
        """

    async def size(self, key: str) -> int:
        """Bytes. Raises BlobMissing."""


class Blobs(Protocol):
    """A store of all owners' blobs. Errors are those of OwnedBlobs."""

    def of(self, owner: str) -> OwnedBlobs:
        """The store as `owner` sees it: a job's, a file's, a batch's. Without encryption keys all see the same."""

    async def delete(self, key: str) -> None:
        """Remove the blob; absent is fine."""

    def list(self, prefix: str) -> AsyncGenerator[BlobInfo, None]:
        """The blobs whose keys begin with `prefix`, in no particular order; what is written meanwhile may be absent."""

    async def forget_unfinished(self, before_s: float) -> int:
        """Remove what writes begun before `before_s` (Unix seconds) have left that a dying process never ended.

        Returns how many. None of it was ever a blob, but it is stored, and paid for.
        """

    async def ready(self) -> None:
        """Create the bucket or folder when it is missing and check that it can be used; for the start and health."""

    async def close(self) -> None:
        """Wait for the calls in flight, at most their timeouts, and let go of threads and connections."""


class PlainBlobs(Blobs, OwnedBlobs, Protocol):
    """A store that keeps what it is given as it is, whosever it is."""


def open_blobs(settings: ObjectStoreSettings, keys: Sequence[bytes] = ()) -> Blobs:
    """The store that the section `object_store` describes, under `keys` if any; nothing is contacted before `ready`.

    Raises:
        SettingsError: neither a folder nor an endpoint is named.
    """
    plain = _open_plain(settings)
    if not keys:
        return plain
    from shared.stores.envelopes import MasterKeys  # noqa: PLC0415 - 20 ms and 4 MB that others do not need
    from shared.stores.sealed import SealedBlobs  # noqa: PLC0415 - it stands on this module

    return SealedBlobs(plain, MasterKeys(keys))


def _open_plain(settings: ObjectStoreSettings) -> PlainBlobs:
    if settings.endpoint:
        # 0.3 s and 20 MB that a folder does not need
        from shared.stores.s3 import S3Blobs  # noqa: PLC0415 - see above

        return S3Blobs(
            settings.endpoint,
            settings.bucket,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            region=settings.region,
            secure=settings.secure,
        )
    if settings.path:
        from shared.stores.folder import FolderBlobs  # noqa: PLC0415 - it stands on this module

        return FolderBlobs(settings.path)
    raise SettingsError("object_store", "expected a path or an endpoint, found neither")


def check_key(key: str) -> str:
    """The key itself; raises ValueError when it is malformed."""
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"malformed blob key {key[:80]!r}")
    return key


def check_prefix(prefix: str) -> str:
    """The beginning of a key, possibly empty; raises ValueError when it cannot be one."""
    if len(prefix) > MAX_KEY_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"malformed blob prefix {prefix[:80]!r}")
    return prefix


def check_range(start: int, length: int | None) -> None:
    """Raises ValueError for a range that counts from the end."""
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range begins at 0 or later and has no negative length, not {start}, {length}")


async def gather(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in chunks of 1 MiB or more, but the last: fewer hops between threads."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
