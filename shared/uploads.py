"""Uploads in parts: OpenAI's way to send a large file. Records in Redis, the parts in the object store.

    hermod:upload:<id>      hash: spec (under its owner's seal), state, and `part:<part id>` → the part's bytes; gone
                            when the upload expires
    uploads/<id>/<part id>  blob: a part, written before the record speaks of it

    pending ──▶ completed     the file has been put together
       └──────▶ cancelled

The file's id follows from the upload's, so that completing twice makes one file.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

import msgspec

from shared.errors import NotFound
from shared.stores.redis import RedisStore, Script

PREFIX = "uploads/"
RECORD = "hermod:upload:"
KEPT_MS = 3_600_000
"""An upload can be added to and completed for an hour: OpenAI's rule."""

_PART = b"part:"
_PLACE = "record of an upload"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What is going to be uploaded. Written once.

    Attributes:
        id: UUID; clients see `upload_…`.
        owner: as a job's.
        filename: as a File's.
        mime_type: as a File's.
        size: bytes of the whole.
        purpose: as a File's.
        created_ms: Unix milliseconds; the upload expires KEPT_MS later.
        file_expires_s: seconds after which the file expires that it becomes, None for never.
    """

    id: str
    owner: str
    filename: str
    mime_type: str
    size: int
    purpose: str
    created_ms: int
    file_expires_s: int | None = None

    @property
    def expires_ms(self) -> int:
        """Unix milliseconds."""
        return self.created_ms + KEPT_MS

    @property
    def file_id(self) -> str:
        """The UUID of the file that the upload becomes."""
        return str(uuid.uuid5(uuid.UUID(self.id), "file"))


class Standing(NamedTuple):
    """An upload as it stands: its state in OpenAI's words, and the bytes of its parts by their ids."""

    upload: Upload
    state: str
    parts: dict[str, int]


_packer = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(Upload).decode

_CREATE = Script(
    """
local function one(record, spec, expires)
  redis.call('HSET', record, 'spec', spec, 'state', 'pending')
  redis.call('PEXPIREAT', record, expires)
  return 1
end
"""
)

_ADD_PART = Script(
    """
local function one(record, part, size)
  if redis.call('HGET', record, 'state') ~= 'pending' then return 0 end
  redis.call('HSET', record, part, size)
  return 1
end
"""
)

_END = Script(
    """
local function one(record, state)
  if redis.call('HGET', record, 'state') == 'pending' then redis.call('HSET', record, 'state', state) end
  return redis.call('HGET', record, 'state')
end
""",
    even_when_full=True,
)


def blob(upload_id: str, part_id: str) -> str:
    """The key of a part's bytes."""
    return f"{PREFIX}{upload_id}/{part_id}"


def no_such_upload(shown: str) -> NotFound:
    """One message, whether an upload is unknown, expired or another's; `shown` is the id the client named."""
    return NotFound(f"No such upload {shown[:80]!r}: unknown, expired, or not yours.", code="upload_not_found")


class Uploads:
    """Looks uploads up for their owners."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def create(self, upload: Upload) -> None:
        """Write the record; the upload is `pending`."""
        spec = self._store.seal.close(upload.owner, _packer.encode(upload), _PLACE, upload.id)
        await self._store.run(_CREATE, RECORD + upload.id, spec, upload.expires_ms)

    async def find(self, upload_id: str, owner: str, shown: str) -> Standing:
        """The owner's upload. Raises NotFound, GatewayError when it cannot be read."""
        found = await self._store.call("HGETALL", RECORD + upload_id)
        row = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
        if not row:
            raise no_such_upload(shown)
        upload = _unpack(self._store.seal.open(None, row[b"spec"], _PLACE, upload_id))
        if upload.owner != owner:
            raise no_such_upload(shown)
        parts = {name.removeprefix(_PART).decode(): int(size) for name, size in row.items() if name.startswith(_PART)}
        return Standing(upload, row[b"state"].decode(), parts)

    async def add_part(self, upload: Upload, part_id: str, size: int) -> bool:
        """Make a part known whose bytes have been written; False when the upload is no longer pending."""
        return bool(await self._store.run(_ADD_PART, RECORD + upload.id, _PART + part_id.encode(), size))

    async def end(self, upload: Upload, state: str) -> str | None:
        """End a pending upload as `completed` or `cancelled`: the state it is in then, None when it has expired."""
        ended = await self._store.run(_END, RECORD + upload.id, state)
        return ended.decode() if ended else None
