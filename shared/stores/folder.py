"""Blobs as files below a folder: one machine, or several that share a file system.

A blob is written to `.incoming/`, synced, and moved to its place, so that no reader and no crash sees half of one.
Keys that differ only in case are one blob where the file system does not tell them apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import StoreError
from shared.stores.blobs import (
    BINARY,
    CHUNK_BYTES,
    BlobInfo,
    BlobMissing,
    OwnedBlobs,
    check_key,
    check_prefix,
    check_range,
    gather,
)
from shared.stores.threads import Threads

THREADS = 8

_INCOMING = ".incoming"  # no key begins with a dot
_PLACING_TRIES = 20
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class FolderBlobs:
    """Files of mode 0600 in folders of mode 0700 below `path`; empty folders go with their last blob."""

    def __init__(self, path: str | Path) -> None:
        self._root = Path(path).absolute()
        self._threads = Threads("blobs", THREADS, (OSError,), _ours)

    def of(self, owner: str) -> OwnedBlobs:  # noqa: ARG002 - whose it is shows in sealed ones only
        """See Blobs."""
        return self

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:  # noqa: ARG002 - only S3 keeps it
        """See Blobs."""
        target = self._path(key)
        await self._threads.run(self._write, target, data)

    async def put_stream(
        self,
        key: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str = BINARY,  # noqa: ARG002 - only S3 keeps it
    ) -> int:
        """See Blobs."""
        target = self._path(key)
        size = 0
        incoming = await self._threads.run(_Incoming, self._root)
        try:
            async for chunk in gather(chunks):
                await self._threads.run(incoming.file.write, chunk)
                size += len(chunk)
            await self._threads.run(incoming.place, target)
        except BaseException:
            await self._threads.run(incoming.discard)
            raise
        return size

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See Blobs."""
        check_range(start, length)
        return await self._threads.run(_slice, self._path(key), start, length, key=key)

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs; a blob replaced meanwhile is read to its old end."""
        check_range(start, length)
        file = await self._threads.run(_open_at, self._path(key), start, key=key)
        try:
            left = length
            while chunk := await self._threads.run(file.read, CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
                yield chunk
                left = None if left is None else left - len(chunk)
        finally:
            # Whoever leaves a download may be cancelled while it closes; the file must not stay open for that.
            await asyncio.shield(self._threads.run(file.close))

    async def size(self, key: str) -> int:
        """See Blobs."""
        return await self._threads.run(_size, self._path(key), key=key)

    async def delete(self, key: str) -> None:
        """See Blobs."""
        await self._threads.run(self._remove, self._path(key))

    async def list(self, prefix: str) -> AsyncGenerator[BlobInfo, None]:
        """See Blobs."""
        check_prefix(prefix)
        async for info in self._threads.each(self._walk(prefix)):
            yield info

    async def forget_unfinished(self, before_s: float) -> int:
        """See Blobs; what is still written to counts as begun when it was last."""
        return await self._threads.run(self._forget, before_s)

    async def ready(self) -> None:
        """See Blobs."""
        await self._threads.run(self._prepare)

    async def close(self) -> None:
        """See Blobs."""
        await self._threads.close()

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _write(self, target: Path, data: bytes) -> None:
        incoming = _Incoming(self._root)
        try:
            incoming.file.write(data)
            incoming.place(target)
        finally:
            incoming.discard()

    def _remove(self, path: Path) -> None:
        if path.is_dir():
            return
        try:
            path.unlink()
        except _ABSENT:
            return
        for folder in path.parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:
                return

    def _walk(self, prefix: str) -> Iterator[BlobInfo]:
        start = self._root / prefix.rpartition("/")[0]
        for folder, folders, files in os.walk(start, onerror=_unless_absent):
            inside = "" if Path(folder) == self._root else f"{Path(folder).relative_to(self._root).as_posix()}/"
            folders[:] = [name for name in folders if _belongs(inside, name, prefix)]
            for name in files:
                if _belongs(inside, name, prefix):
                    with contextlib.suppress(FileNotFoundError):
                        found = (Path(folder) / name).stat()
                        yield BlobInfo(f"{inside}{name}", found.st_size, found.st_mtime)

    def _prepare(self) -> None:
        _make_folders(self._root / _INCOMING)
        _Incoming(self._root).discard()

    def _forget(self, before_s: float) -> int:
        forgotten = 0
        for path in (self._root / _INCOMING).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    path.unlink()
                    forgotten += 1
        return forgotten


class _Incoming:
    """A file that is being written and has no key yet. Every method blocks."""

    def __init__(self, root: Path) -> None:
        descriptor, name = tempfile.mkstemp(dir=root / _INCOMING)  # mode 0600
        self.path = Path(name)
        self.file = os.fdopen(descriptor, "wb")

    def place(self, target: Path) -> None:
        """Make it durable, then visible at `target`."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        for left in reversed(range(_PLACING_TRIES)):
            try:
                _make_folders(target.parent)
                self.path.replace(target)
                break
            except FileNotFoundError:
                # a delete took the folder, empty until now, away
                if not left or not self.path.exists():
                    raise
        _sync_folder(target.parent)

    def discard(self) -> None:
        """Close it and leave nothing, unless it has been placed."""
        try:
            self.file.close()
        finally:
            self.path.unlink(missing_ok=True)


def _make_folders(folder: Path) -> None:
    """Make `folder` and what is missing above it, durably."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a file's own fsync does not cover its name."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return  # deleted again together with its last blob
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _slice(path: Path, start: int, length: int | None) -> bytes:
    with _open_at(path, start) as file:
        return file.read() if length is None else file.read(length)


def _size(path: Path) -> int:
    if path.is_dir():
        raise IsADirectoryError
    return path.stat().st_size


def _belongs(inside: str, name: str, prefix: str) -> bool:
    """Whether a file or folder is a blob, or holds some, below `prefix`: what begins with a dot never is."""
    return not name.startswith(".") and f"{inside}{name}".startswith(prefix)


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, _ABSENT):
        raise error


def _ours(cause: Exception, key: str | None) -> Exception:
    if key is not None and isinstance(cause, _ABSENT):
        return BlobMissing(key)
    return StoreError(f"The folder of the object store cannot be used ({type(cause).__name__}).", retry_after_s=1)
