"""OpenAI's uploads in parts: what creating and completing one asks for, and the objects that are shown. Pure."""

from __future__ import annotations

import msgspec

from api import file_terms
from api.file_terms import FileLimits
from api.file_views import openai_file
from api.forms import MIB, clean_name, mime_type
from shared.dialects.openai_errors import decode
from shared.errors import InvalidRequest
from shared.files import File
from shared.ids import named, uuid_of
from shared.uploads import Standing, Upload

PART_BYTES = 64 * MIB
"""OpenAI's limit."""
NAME_BYTES = 4096
"""Of a file name, as in a form: with what is escaped it still fits into the headers that clients take."""


class _ExpiresAfter(msgspec.Struct):
    anchor: str
    seconds: int


class Order(msgspec.Struct):
    """The body that creates an upload."""

    filename: str
    purpose: str
    bytes: int
    mime_type: str
    expires_after: _ExpiresAfter | None = None


class Completion(msgspec.Struct):
    """The body that completes one."""

    part_ids: list[str]
    md5: str | None = None


_order = msgspec.json.Decoder(Order)
_completion = msgspec.json.Decoder(Completion)


def read_upload(body: bytes, limits: FileLimits, upload_id: str, owner: str, now_ms: int) -> Upload:
    """The upload that the body asks for. Raises InvalidRequest."""
    order = decode(_order, body)
    purpose = file_terms.check_purpose(order.purpose)
    most = limits.batch if purpose == file_terms.BATCH else limits.in_parts
    if not 0 < order.bytes <= most:
        raise InvalidRequest(f"bytes: expected 1 to {most} for the purpose {purpose!r}.", param="bytes")
    if len(order.filename.encode()) > NAME_BYTES:
        raise InvalidRequest(f"filename: at most {NAME_BYTES} bytes in UTF-8.", param="filename")
    filename = clean_name(order.filename)
    return Upload(
        id=upload_id,
        owner=owner,
        filename=filename,
        mime_type=mime_type(order.mime_type, filename),
        size=order.bytes,
        purpose=purpose,
        created_ms=now_ms,
        file_expires_s=_expiry(order.expires_after, purpose),
    )


def read_completion(body: bytes, standing: Standing) -> tuple[list[str], str]:
    """The ids of the upload's parts in their order, and the MD5 of the whole in lower case, empty for none.

    Raises InvalidRequest for a part that was not added, and for parts that do not add up.
    """
    completion = decode(_completion, body)
    part_ids = [uuid_of(shown) for shown in completion.part_ids]
    for place, part_id in enumerate(part_ids):
        if part_id not in standing.parts:
            path = f"part_ids.{place}"
            raise InvalidRequest(f"{path}: this upload has no such part.", param=path)
    size, wanted = sum(standing.parts[part_id] for part_id in part_ids), standing.upload.size
    if size != wanted:
        raise InvalidRequest(
            f"part_ids: the parts have {size} bytes together, the upload was created for {wanted}.", param="part_ids"
        )
    return part_ids, (completion.md5 or "").lower()


def upload_object(upload: Upload, state: str, file: File | None = None) -> bytes:
    """The upload, with the file once there is one."""
    return msgspec.json.encode(
        {
            "id": named("upload_", upload.id),
            "object": "upload",
            "bytes": upload.size,
            "created_at": upload.created_ms // 1000,
            "expires_at": upload.expires_ms // 1000,
            "filename": upload.filename,
            "purpose": upload.purpose,
            "status": state,
            "file": file and openai_file(file),
        }
    )


def part_object(upload: Upload, part_id: str, created_ms: int) -> bytes:
    """A part that was added."""
    return msgspec.json.encode(
        {
            "id": named("part_", part_id),
            "object": "upload.part",
            "created_at": created_ms // 1000,
            "upload_id": named("upload_", upload.id),
        }
    )


def _expiry(asked: _ExpiresAfter | None, purpose: str) -> int | None:
    if asked is None:
        return file_terms.usual_expiry(purpose)
    file_terms.check_anchor("expires_after.anchor", asked.anchor)
    return file_terms.check_seconds("expires_after.seconds", asked.seconds, file_terms.OPENAI_LONGEST_S)
