"""Uploaded files: what is known of each lies in Redis, its bytes in the object store.

    hermod:file:<id>       the File, packed, under its owner's seal; expires with it
    hermod:files:<owner>   sorted set of the owner's files; score = Unix ms of creation
    hermod:files:*         the same of everyone's, for operators
    hermod:file-same:<d>, hermod:file-idem:<d>  see `shared/repeats.py`

Bytes first, record second: whatever dies in between, no record speaks of bytes that were not written, and bytes
nobody speaks of are found by the sweep. A file that was deleted or has expired stays in the set for a while, so that
a listing can go on after it: whoever lists or adds takes it off on the way.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.errors import GatewayError, NotFound
from shared.repeats import ANEW, CONFLICT, REPEATS, Asked, conflict
from shared.sealing import TOUCHED, unreadable
from shared.stores.redis import RedisStore, Script

PREFIX = "files/"
RECORD = "hermod:file:"

EVERYONE = "*"
"""Who owns all files: no owner is called so."""

STEP = 1000
"""Files looked at in one step of a listing: about 1 ms of the server."""


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


_PLACE = "record of a file"
_packer = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(File).decode

# Two looks at random for each file that is added: of an owner who never lists, at most about half are gone.
_ADD = Script(
    REPEATS
    + """
local function is_alive(id) return redis.call('EXISTS', 'RECORD' .. id) == 1 end

local function one(id, spec, owned, created, expires, what, began, retried, name)
  local record = 'RECORD' .. id
  local other = became_before('file', what, began, retried, name, is_alive)
  if other == 'conflict' then return other end
  if other then return redis.call('GET', 'RECORD' .. other) end
  remember('file', id, created, what, retried, name)
  redis.call('SET', record, spec)
  if expires ~= '' then redis.call('PEXPIREAT', record, expires) end
  for _, list in ipairs({owned, 'hermod:files:*'}) do
    redis.call('ZADD', list, created, id)
    for _, other in ipairs(redis.call('ZRANDMEMBER', list, 2)) do
      if not is_alive(other) then redis.call('ZREM', list, other) end
    end
  end
  return spec
end
""".replace("RECORD", RECORD)
)

# The last one looked at, from where the next step goes on, then id and record of the files among those looked at;
# nothing at the end.
# What is gone is taken off, but for the last one.
_STEP = Script(
    """
local function one(owned, cursor, newest_first, count)
  local rank, range = 'ZRANK', 'ZRANGE'
  if newest_first == '1' then rank, range = 'ZREVRANK', 'ZREVRANGE' end
  local first = 0
  if cursor ~= '' then
    local place = redis.call(rank, owned, cursor)
    if not place then return nil end
    first = place + 1
  end
  local ids = redis.call(range, owned, first, first + count - 1)
  local step = {ids[#ids]}
  for place, id in ipairs(ids) do
    local spec = redis.call('GET', 'RECORD' .. id)
    if spec then
      step[#step + 1] = id
      step[#step + 1] = spec
    elseif place < #ids then
      redis.call('ZREM', owned, id)
    end
  end
  return step
end
""".replace("RECORD", RECORD)
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

    async def add(self, file: File, asked: Asked = ANEW) -> File:
        """Make the file known, whose bytes have been written: it, or the one that the same request became before.

        Raises:
            Conflict: the idempotency key was used for another request within 24 hours.
        """
        expires = "" if file.expires_ms is None else file.expires_ms
        stored = self._store.seal.close(file.owner, _packer.encode(file), _PLACE)
        facts = (file.id, stored, _owned(file.owner), file.created_ms, expires)
        became: bytes = await self._store.run(_ADD, *facts, *asked)
        if became == CONFLICT:
            raise conflict("file")
        return _unpack(self._store.seal.open(file.owner, became, _PLACE))

    async def find(self, file_id: str, owner: str, shown: str) -> File:
        """The owner's file, or EVERYONE's. Raises NotFound."""
        for file in await self.among([file_id], owner):
            return file
        raise no_such_file(shown)

    async def among(self, file_ids: Iterable[str], owner: str) -> list[File]:
        """Those of the files that exist and are the owner's, in the order of `file_ids`, which are at least one.

        Raises GatewayError for one that cannot be read.
        """
        names = list(file_ids)
        specs = await self._store.call("MGET", *(RECORD + name for name in names))
        found = [self._read(name, spec) for name, spec in zip(names, specs, strict=True) if spec]
        return [file for file in found if owner in {EVERYONE, file.owner}]

    async def listed(
        self, owner: str, *, after: str = "", newest_first: bool = True, count: int, purpose: str = ""
    ) -> list[File] | None:
        """The first `count` of the owner's files, or EVERYONE's, in that order, of one purpose if asked.

        `after` is the id of the file they come after, which may have been deleted since it was listed; the answer is
        None when it is unknown.
        """
        found: list[File] = []
        while len(found) < count:
            step = await self._store.run(_STEP, _owned(owner), after, int(newest_first), min(count, STEP))
            if step is None:
                return None
            if not step:
                break
            after = step[0].decode()
            files = (self._readable(name.decode(), spec) for name, spec in zip(step[1::2], step[2::2], strict=True))
            found += [file for file in files if file and (file.purpose == purpose or not purpose)]
        return found[:count]

    async def remove(self, file: File) -> None:
        """Forget the file; whoever calls deletes its bytes next, or the sweep does."""
        await self._store.call("DEL", RECORD + file.id)

    def _read(self, file_id: str, spec: bytes) -> File:
        file = _unpack(self._store.seal.open(None, spec, _PLACE))
        if file.id != file_id:  # its place is not sealed: whoever repeats a request is given the record of another id
            raise unreadable(f"the {_PLACE} that it keeps in Redis", TOUCHED, "value_unreadable")
        return file

    def _readable(self, file_id: str, spec: bytes) -> File | None:
        """The file; None for one that cannot be read, which must not spoil a listing."""
        try:
            return self._read(file_id, spec)
        except GatewayError:
            return None


def _owned(owner: str) -> str:
    return f"hermod:files:{owner}"
