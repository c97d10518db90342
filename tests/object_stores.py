"""The object stores that a gateway's tests run over: a folder, and a real S3 server over HTTP."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from shared.settings import ObjectStoreSettings
from tests.conformance import s3_server


class Folder:
    """Objects as files below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: dict[str, Any] = {"path": str(path)}
        self.settings = ObjectStoreSettings(**self.config)

    def listed(self) -> list[str]:
        """Of all objects, and of what is only being written."""
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())

    def drop(self, key: str) -> None:
        """Lose an object."""
        (self.path / key).unlink()


class Bucket:
    """Objects of one bucket of an S3 server."""

    def __init__(self, server: s3_server.Server) -> None:
        self.name = f"hermod-{uuid.uuid4().hex[:16]}"
        self.config: dict[str, Any] = {
            "endpoint": server.endpoint,
            "bucket": self.name,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "secure": server.secure,
        }
        self.settings = ObjectStoreSettings(**self.config)
        self._client = Minio(server.endpoint, server.access_key, server.secret_key, secure=server.secure)
        self._client.make_bucket(self.name)

    def listed(self) -> list[str]:
        """Of all objects."""
        return sorted(str(row.object_name) for row in self._client.list_objects(self.name, recursive=True))

    def drop(self, key: str) -> None:
        """Lose an object."""
        self._client.remove_object(self.name, key)

    def remove(self) -> None:
        """Leave nothing behind."""
        for key in self.listed():
            self.drop(key)
        self._client.remove_bucket(self.name)


Objects = Folder | Bucket


def opened(kind: str, folder: Path) -> Iterator[Objects]:
    """A store of the kind, `folder` or `s3`, for as long as it is wanted; skips when there is no S3 server."""
    if kind == "folder":
        yield Folder(folder / "objects")
        return
    (folder / "s3").mkdir()
    server = s3_server.start(folder / "s3")
    if server is None:
        pytest.skip("no S3 server: set HERMOD_TEST_S3, or have Go or moto[server]")
    bucket = Bucket(server)
    try:
        yield bucket
    finally:
        bucket.remove()
        server.stop()
        shutil.rmtree(folder / "s3", ignore_errors=True)
