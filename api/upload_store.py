"""Uploads in parts between HTTP and the stores: parts received, put together into a file, or dropped."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping

from api.file_store import FileStore, discard, expires_at
from api.forms import Form, Terms
from api.submit import AnyRequest
from api.upload_views import PART_BYTES, read_completion
from shared import files, uploads
from shared.errors import Conflict, InvalidRequest
from shared.files import File
from shared.ids import now_ms, uuid_of
from shared.stores.blobs import BlobMissing
from shared.uploads import Standing, Upload, Uploads


class UploadStore:
    """The records and the parts of uploads."""

    def __init__(self, records: Uploads, file_store: FileStore) -> None:
        self.records = records
        self._files = file_store
        self._blobs = file_store.blobs

    async def find(self, shown: str, owner: str) -> Standing:
        """The owner's upload by its shown id. Raises NotFound."""
        return await self.records.find(uuid_of(shown), owner, shown)

    async def add_part(self, request: AnyRequest, standing: Standing) -> str:
        """Store the part `data` of a form: the id it was given. Raises GatewayError."""
        if standing.state != "pending":
            raise _ended(standing.state)
        upload, part_id = standing.upload, str(uuid.uuid4())
        key = uploads.blob(upload.id, part_id)
        form = Form(request, "data", _part_terms, PART_BYTES)
        size = await self._blobs.of(upload.owner).put_stream(key, form.content())
        if not await self.records.add_part(upload, part_id, size):
            await discard(self._blobs, key)
            raise InvalidRequest("The upload was ended, or has expired, while the part was on its way.")
        return part_id

    async def complete(self, standing: Standing, body: bytes) -> File | None:
        """The file that the parts make; None when it has been deleted since it was made. Raises GatewayError."""
        upload = standing.upload
        if standing.state == "cancelled":
            raise _ended(standing.state)
        if standing.state == "pending":
            file = await self._put_together(upload, *read_completion(body, standing))
            if await self._end(standing, "completed") == "cancelled":
                await self._files.delete(file)
                raise _ended("cancelled")
        made = await self._files.records.among([upload.file_id], upload.owner)
        return made[0] if made else None

    async def cancel(self, standing: Standing) -> None:
        """Drop a pending upload; one that is cancelled stays so. Raises InvalidRequest when it is completed."""
        state = standing.state
        if state == "pending":
            state = await self._end(standing, "cancelled") or "cancelled"
        if state != "cancelled":
            raise _ended(state)

    async def _put_together(self, upload: Upload, part_ids: list[str], md5: str) -> File:
        try:
            joined = self._joined(upload, part_ids, md5)
            await self._blobs.of(upload.owner).put_stream(files.blob(upload.file_id), joined)
        except BlobMissing as error:
            raise Conflict("Another request has just ended this upload; ask again.", code="upload_ended") from error
        created = now_ms()
        file = File(
            id=upload.file_id,
            owner=upload.owner,
            filename=upload.filename,
            mime_type=upload.mime_type,
            size=upload.size,
            purpose=upload.purpose,
            created_ms=created,
            expires_ms=expires_at(created, upload.file_expires_s),
        )
        await self._files.records.add(file)
        return file

    async def _joined(self, upload: Upload, part_ids: list[str], md5: str) -> AsyncIterator[bytes]:
        """The parts one after the other; ends with an error, upon which nothing is stored, when the sum is wrong."""
        digest, own = hashlib.md5(usedforsecurity=False), self._blobs.of(upload.owner)
        for part_id in part_ids:
            async with contextlib.aclosing(own.read(uploads.blob(upload.id, part_id))) as chunks:
                async for chunk in chunks:
                    if md5:
                        digest.update(chunk)
                    yield chunk
        if md5 and digest.hexdigest() != md5:
            raise InvalidRequest(f"md5: the parts together have {digest.hexdigest()}.", param="md5")

    async def _end(self, standing: Standing, state: str) -> str | None:
        """End the upload, as `Uploads.end`, and drop its parts."""
        ended = await self.records.end(standing.upload, state)
        for part_id in standing.parts:
            await discard(self._blobs, uploads.blob(standing.upload.id, part_id))
        return ended


def _ended(state: str) -> InvalidRequest:
    return InvalidRequest(f"The upload is {state}: nothing can be changed any more.", code=f"upload_{state}")


def _part_terms(fields: Mapping[str, str], *, whole: bool) -> Terms:  # noqa: ARG001 - the form of a part has no fields
    return Terms(PART_BYTES)
