"""Uploaded files: what is known of each lies in Redis, its bytes in the object store.

    hermod:file:<id>       the File, packed; expires with it
    hermod:files:<owner>   sorted set of the owner's files; score = Unix ms of creation

Bytes first, record second: whatever dies in between, no record speaks of bytes that were not written, and bytes
nobody speaks of are found by the sweep.
"""

from __future__ import annotations

import msgspec

from shared.errors import NotFound
from shared.stores.redis import RedisStore, Script

PREFIX = "files/"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    Attributes:
        id: UUID; clients see `file_…` on the Anthropic surface and `file-…` on OpenAI's: one file, two names.
        owner: as a job's.
        filename: its last path component only.
        mime_type: as declared at upload, else guessed from the name.
        size: bytes.
        purpose: OpenAI's word; `user_data` for what the Anthropic surface uploads.
        created_ms: Unix milliseconds.
        expires_ms: Unix milliseconds, None for never.
    """

    id: str
    owner: str
    filename: str
    mime_type: str
    size: int
    purpose: str
    created_ms: int
    expires_ms: int | None = None


_packer = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(File).decode

_ADD = Script(
    """
local function one(id, spec, owned, created, expires)
  local record = 'hermod:file:' .. id
  redis.call('SET', record, spec)
  if expires ~= '' then redis.call('PEXPIREAT', record, expires) end
  redis.call('ZADD', owned, created, id)
  return 1
end
"""
)

# What has expired is taken off the set on the way.
_OWNED = Script(
    """
local function one(owned)
  local files, gone = {}, {}
  for _, id in ipairs(redis.call('ZREVRANGE', owned, 0, -1)) do
    local spec = redis.call('GET', 'hermod:file:' .. id)
    if spec then files[#files + 1] = spec else gone[#gone + 1] = id end
    if #gone == 1000 then redis.call('ZREM', owned, unpack(gone)) gone = {} end
  end
  if #gone > 0 then redis.call('ZREM', owned, unpack(gone)) end
  return files
end
"""
)


def blob(file_id: str) -> str:
    """The key of the file's bytes."""
    return f"{PREFIX}{file_id}/content"


def no_such_file(shown: str) -> NotFound:
    """One message, whether a file is unknown, expired or another's; `shown` is the id the client named."""
    return NotFound(f"No such file {shown[:80]!r}: unknown, expired, or not yours.", code="file_not_found")


class Files:
    """Looks files up for their owners."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    async def add(self, file: File) -> None:
        """Make the file known; its bytes have been written."""
        expires = "" if file.expires_ms is None else file.expires_ms
        owned = f"hermod:files:{file.owner}"
        await self._store.run(_ADD, file.id, _packer.encode(file), owned, file.created_ms, expires)

    async def find(self, file_id: str, owner: str, shown: str) -> File:
        """The owner's file. Raises NotFound."""
        spec = await self._store.call("GET", f"hermod:file:{file_id}")
        file = _unpack(spec) if spec else None
        if file is None or file.owner != owner:
            raise no_such_file(shown)
        return file

    async def owned(self, owner: str) -> list[File]:
        """The owner's files, newest first."""
        return [_unpack(spec) for spec in await self._store.run(_OWNED, f"hermod:files:{owner}")]

    async def remove(self, file: File) -> None:
        """Forget the file; whoever calls deletes its bytes next, or the sweep does."""
        await self._store.call("DEL", f"hermod:file:{file.id}")
        await self._store.call("ZREM", f"hermod:files:{file.owner}", file.id)
