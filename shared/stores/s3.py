"""Blobs in a bucket of an S3 server, through the `minio` client; the only module that knows it.

The client blocks and has no async twin, so each call has a thread for as long as it lasts; a stream that is being
read has one only while a chunk is fetched.
"""

from __future__ import annotations

import asyncio
import io
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import BinaryIO, cast
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

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

log = logging.getLogger("hermod.s3")

PART_BYTES = 5 << 20
"""Larger blobs go up in parts of this size, S3's smallest, one after the other; 10,000, S3's most, are 50 GB."""

THREADS = 16
"""Calls at once. The client holds two parts of each upload, so uploads take at most 160 MB."""

CONNECT_S = 2.0
READ_S = 10.0
READY_S = 8.0
"""A server that is gone fails a call within two tries of `CONNECT_S` for each of its addresses, one that accepts and
says nothing within two of `READ_S`; `ready` does not wait for that."""

_RETRY = urllib3.Retry(
    total=3,
    connect=1,
    read=1,  # a kept connection that the server closed; urllib3 repeats only idempotent methods
    status=2,
    backoff_factor=0.2,
    status_forcelist=(500, 502, 503, 504),
    respect_retry_after_header=False,  # it would hold the thread for as long as the server likes
)
_RULES = LifecycleConfig(
    [
        Rule(
            ENABLED,
            rule_filter=Filter(prefix=""),
            rule_id="hermod-unfinished-uploads",
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=2),
        )
    ]
)
"""Given to a bucket that we make, never to an operator's: as the sweep does, and also while no worker runs."""
_FOREIGN = (MinioException, HTTPError, OSError, ValueError, ParseError)  # the last two: an answer that is not S3's
_MISSING = frozenset({"NoSuchKey", "NoSuchObject"})
_UPLOAD_TRIES = 5
_FOLDER_VANISHED = "ExistingObjectIsDirectory"
"""versitygw 1.8.0 over a file system says this, besides of a real folder, when a delete empties the folder that a put
needs: up to 54 of 2,000 puts beside deletes, none of keys without a slash. Put again, all of 4,000 arrived."""
_ALREADY_THERE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
_SETTINGS = {
    "AuthorizationHeaderMalformed": "region",
    "BadRequest": "region",  # the client's word for a 400 without a body, the answer to its HEAD
    "InvalidAccessKeyId": "access_key",
    "XAdminUserNotFound": "access_key",  # versitygw 1.8.0
    "SignatureDoesNotMatch": "secret_key",
    "InvalidBucketName": "bucket",
    "NoSuchBucket": "bucket",
}
"""What an operator looks at first, by S3's error code."""


class S3Blobs:
    """A bucket at `endpoint` (`host` or `host:port`); without an access key, anonymous.

    Without a region, requests are signed for the bucket's own where the server tells it to a signer for us-east-1
    (AWS), else for us-east-1.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        region: str | None = None,
        secure: bool = True,
    ) -> None:
        self._bucket = bucket
        self._http = urllib3.PoolManager(
            maxsize=THREADS,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            retries=_RETRY,
            ca_certs=certifi.where(),
        )
        self._client = Minio(endpoint, access_key, secret_key, secure=secure, region=region, http_client=self._http)
        self._threads = Threads("s3", THREADS, _FOREIGN, _ours)

    def of(self, owner: str) -> OwnedBlobs:  # noqa: ARG002 - whose it is shows in sealed ones only
        """See Blobs."""
        return self

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> None:
        """See Blobs."""
        check_key(key)
        await self._threads.run(self._upload, key, io.BytesIO(data), len(data), content_type)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, content_type: str = BINARY) -> int:
        """See Blobs.

        The stream is first written to a temporary file: a slow sender then holds neither a thread nor an open
        upload at the server, one that breaks off never reaches it, and a part can be sent again. It costs the disk
        (`TMPDIR`) the size of the blobs that are arriving.
        """
        check_key(key)
        size = 0
        with tempfile.SpooledTemporaryFile(max_size=CHUNK_BYTES) as spool:
            async for chunk in gather(chunks):
                await self._threads.run(spool.write, chunk)
                size += len(chunk)
            await self._threads.run(spool.seek, 0)
            # Cancelled here, the file closes under the upload, which then fails and is aborted.
            await self._threads.run(self._upload, key, cast(BinaryIO, spool), size, content_type)
        return size

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See Blobs."""
        check_range(start, length)
        return await self._threads.run(self._download, check_key(key), start, length, key=key)

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs; a blob replaced meanwhile is read to its old end."""
        check_range(start, length)
        response = await self._threads.run(self._request, check_key(key), start, length, key=key)
        if response is None:
            return
        try:
            while chunk := await self._threads.run(response.read, CHUNK_BYTES):
                yield chunk
        finally:
            # Whoever leaves a download may be cancelled while it closes; the connection must not stay open for that.
            await asyncio.shield(self._threads.run(_release, response))

    async def size(self, key: str) -> int:
        """See Blobs."""
        return await self._threads.run(self._size, check_key(key), key=key)

    async def delete(self, key: str) -> None:
        """See Blobs."""
        await self._threads.run(self._client.remove_object, self._bucket, check_key(key))

    async def list(self, prefix: str) -> AsyncGenerator[BlobInfo, None]:
        """See Blobs."""
        check_prefix(prefix)
        async for info in self._threads.each(self._walk(prefix)):
            yield info

    async def forget_unfinished(self, before_s: float) -> int:
        """See Blobs: the multipart uploads of processes that died."""
        return await self._threads.run(self._forget, before_s)

    async def ready(self) -> None:
        """See Blobs."""
        try:
            async with asyncio.timeout(READY_S):
                await self._threads.run(self._prepare)
        except TimeoutError as cause:
            raise StoreError(f"The object store does not answer within {READY_S:g} s.", retry_after_s=1) from cause

    async def close(self) -> None:
        """See Blobs."""
        await self._threads.close()
        self._http.clear()

    def _upload(self, key: str, data: BinaryIO, size: int, content_type: str) -> None:
        for _ in range(_UPLOAD_TRIES - 1):
            try:
                return self._upload_once(key, data, size, content_type)
            except S3Error as error:
                if error.code != _FOLDER_VANISHED:
                    raise
            data.seek(0)
        return self._upload_once(key, data, size, content_type)

    def _upload_once(self, key: str, data: BinaryIO, size: int, content_type: str) -> None:
        self._client.put_object(
            self._bucket, key, data, size, content_type, part_size=PART_BYTES, num_parallel_uploads=1
        )

    def _request(self, key: str, start: int, length: int | None) -> BaseHTTPResponse | None:
        """The answer to a GET, its body unread; None for a range without bytes."""
        if length == 0:
            self._size(key)
            return None
        try:
            return self._client.get_object(self._bucket, key, start, length or 0)
        except S3Error as error:
            if error.code == "InvalidRange":
                return None
            raise

    def _download(self, key: str, start: int, length: int | None) -> bytes:
        response = self._request(key, start, length)
        if response is None:
            return b""
        try:
            return response.read()
        finally:
            _release(response)

    def _size(self, key: str) -> int:
        return self._client.stat_object(self._bucket, key).size or 0

    def _walk(self, prefix: str) -> Iterator[BlobInfo]:
        for row in self._client.list_objects(self._bucket, prefix, recursive=True):
            modified_s = row.last_modified.timestamp() if row.last_modified else 0.0
            yield BlobInfo(row.object_name or "", row.size or 0, modified_s)

    def _forget(self, before_s: float) -> int:
        """The client has these two calls of S3, and uses them, but for itself only."""
        forgotten, after = 0, ""
        while True:
            page = self._client._list_multipart_uploads(self._bucket, key_marker=after)  # noqa: SLF001 - see above
            for upload in page.uploads:
                if upload.initiated_time and upload.initiated_time.timestamp() < before_s:
                    self._abort(upload.object_name, upload.upload_id)
                    forgotten += 1
            after, last = page.next_key_marker or "", after
            if not page.is_truncated or after <= last:
                return forgotten

    def _abort(self, key: str, upload_id: str | None) -> None:
        try:
            self._client._abort_multipart_upload(self._bucket, key, upload_id or "")  # noqa: SLF001 - see above
        except S3Error as error:
            if error.code != "NoSuchUpload":  # it has ended after all
                raise

    def _prepare(self) -> None:
        if self._client.bucket_exists(self._bucket):
            return
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            # another process was faster, if it is ours at all
            if error.code not in _ALREADY_THERE or not self._client.bucket_exists(self._bucket):
                raise
            return
        try:
            self._client.set_bucket_lifecycle(self._bucket, _RULES)
        except S3Error as error:  # such as NotImplemented
            log.info("the object store takes no lifecycle rules (%s): the sweep ends unfinished uploads", error.code)


def _release(response: BaseHTTPResponse) -> None:
    """Close what was not read to its end; return the connection otherwise."""
    response.close()
    response.release_conn()


def _ours(cause: Exception, key: str | None) -> Exception:
    """Says the server's code or the exception's name only: texts may quote addresses, headers or access keys."""
    if isinstance(cause, HTTPError | OSError):
        return StoreError(f"The object store is not reachable ({type(cause).__name__}); try again.", retry_after_s=1)
    if not isinstance(cause, S3Error):
        return StoreError(f"What answers for the object store is not S3 ({type(cause).__name__}).", retry_after_s=1)
    if key is not None and cause.code in _MISSING:
        return BlobMissing(key)
    hint = f"; check object_store.{_SETTINGS[cause.code]}" if cause.code in _SETTINGS else ""
    return StoreError(f"The object store refused ({cause.code}){hint}.", retry_after_s=1)
