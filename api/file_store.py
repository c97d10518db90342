"""Files between HTTP and the stores: received into them, listed, sent from them, deleted."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import AsyncIterator

import msgspec
from litestar.response.base import ASGIResponse

from api.content import Content
from api.file_views import Page, attachment, byte_range
from api.forms import Form, Read
from api.headers import Wishes
from api.submit import AnyRequest
from shared import files
from shared.errors import CallerError, InvalidRequest, StoreError
from shared.files import File, Files, no_such_file
from shared.ids import now_ms, uuid_of
from shared.repeats import Asked
from shared.stores.blobs import BlobMissing, Blobs

log = logging.getLogger("hermod.api")


class FileStore:
    """The records and the bytes of files."""

    def __init__(self, records: Files, blobs: Blobs) -> None:
        self.records = records
        self.blobs = blobs

    async def receive(self, request: AnyRequest, owner: str, wish: Wishes, read: Read, most_bytes: int) -> File:
        """Store the part `file` of a form: the file, or the one that the same upload became before.

        Raises GatewayError, upon which nothing was stored.
        """
        began, sha = now_ms(), hashlib.sha256()
        form, file_id = Form(request, "file", read, most_bytes), str(uuid.uuid4())
        size = await self.blobs.of(owner).put_stream(files.blob(file_id), _hashed(form.content(), sha))
        created, terms = now_ms(), form.terms
        file = File(
            id=file_id,
            owner=owner,
            filename=form.filename,
            mime_type=form.mime_type,
            size=size,
            purpose=terms.purpose,
            created_ms=created,
            expires_ms=expires_at(created, terms.expires_s),
        )
        facts = msgspec.msgpack.encode((form.filename, form.mime_type, terms.purpose, terms.expires_s))
        again = wish.asked(owner, facts, sha.digest(), began_ms=began)
        return await self._add(file, again)

    async def _add(self, file: File, again: Asked) -> File:
        """When Redis fails the record may have been written: whether the bytes go is the sweep's to say."""
        try:
            became = await self.records.add(file, again)
        except CallerError:
            await discard(self.blobs, files.blob(file.id))
            raise
        if became.id != file.id:
            await discard(self.blobs, files.blob(file.id))
        return became

    async def find(self, shown: str, owner: str) -> File:
        """The owner's file by any surface's name of it. Raises NotFound."""
        return await self.records.find(uuid_of(shown), owner, shown)

    async def listed(self, owner: str, page: Page) -> list[File]:
        """The page, and one more file when there is more. Raises InvalidRequest for an unknown cursor."""
        found = await self.records.listed(
            owner, after=page.cursor, newest_first=page.newest_first, count=page.limit + 1, purpose=page.purpose
        )
        if found is None:
            raise InvalidRequest(f"{page.named_by}: there is no such file to go on from.", param=page.named_by)
        return found

    async def delete(self, file: File) -> None:
        """Forget the file, then its bytes. Raises StoreError when it is still there."""
        await self.records.remove(file)
        await discard(self.blobs, files.blob(file.id))

    async def send(self, request: AnyRequest, file: File, shown: str, headers: dict[str, str]) -> ASGIResponse:
        """The bytes, or the range of them that is asked for. Raises NotFound, Unsatisfiable."""
        part = byte_range(request.headers.get("range"), file.size)
        start, length = part or (0, file.size)
        chunks = self.blobs.of(file.owner).read(files.blob(file.id), start, length)
        try:
            first = await anext(chunks, b"")
        except BlobMissing as error:  # deleted at this moment; otherwise somebody else has emptied the object store
            log.warning("%s", error)
            raise no_such_file(shown) from error
        ranged = {"content-range": f"bytes {start}-{start + length - 1}/{file.size}"} if part else {}
        return Content(
            first,
            chunks,
            length,
            status_code=206 if part else 200,
            media_type=file.mime_type,
            headers={
                **headers,
                **ranged,
                "accept-ranges": "bytes",
                "content-disposition": attachment(file.filename),
                "x-content-type-options": "nosniff",
            },
        )


def expires_at(created_ms: int, expires_s: int | None) -> int | None:
    """Unix milliseconds; None for never."""
    return None if expires_s is None else created_ms + expires_s * 1000


async def _hashed(chunks: AsyncIterator[bytes], sha: hashlib._Hash) -> AsyncIterator[bytes]:
    """The chunks themselves; 40 µs for each of 64 KiB."""
    async for chunk in chunks:
        sha.update(chunk)
        yield chunk


async def discard(blobs: Blobs, key: str) -> None:
    """Delete the blob; what cannot be deleted now is left to the sweep."""
    try:
        await blobs.delete(key)
    except StoreError as error:
        log.warning("left to the sweep: %s", error)
