"""Files that a request names: their bytes are put into its body, for no provider has them.

The body becomes the one that its client would have sent with the files inline, in the client's own dialect, so that
pass-through and translation alike need to know nothing of files.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import mimetypes
from collections import OrderedDict
from collections.abc import Iterator
from weakref import WeakValueDictionary

import msgspec

from shared.errors import NotFound, TooLarge
from shared.files import File, Files, blob, no_such_file
from shared.ids import uuid_of
from shared.jobs import Job
from shared.media import is_text
from shared.stores.blobs import BINARY, BlobMissing, Blobs
from worker.mentions import Form, Mention, mentions
from worker.room import Room

log = logging.getLogger("hermod.worker")

MIB = 1024 * 1024
MOST_BYTES = 32 * MIB
"""Bytes that the files of one request may add to it: Anthropic takes no larger request."""
ROOM_BYTES = 256 * MIB
"""Bytes that files add to all requests of a worker at a time, until their calls have ended."""
CACHE_BYTES = 64 * MIB
"""Bytes of files that a worker keeps, ready to be put in: the items of a batch often name the same ones."""
STEP_BYTES = 3 << 18
"""Bytes made into base64 at a time, about 1 ms in which no other thread runs; a multiple of 3, so that none is odd."""
LOOKED_UP = 1000
"""Files looked up at a time."""

LONGEST_HEAD = 200
"""Bytes before the base64 in a data URL."""
LONGEST_ESCAPE = 6
"""Bytes that one of text may become in JSON, `\\u0000`."""

_ENCODER = msgspec.json.Encoder()

_SAME = {"image/jpg": "image/jpeg"}
"""No registered type, but common."""


class Attachments:
    """Puts files into the bodies that name them; a worker has one."""

    def __init__(self, files: Files, blobs: Blobs, room: Room | None = None) -> None:
        self._files = files
        self._contents = Contents(blobs, CACHE_BYTES)
        self._room = room or Room(ROOM_BYTES)

    async def inlined(self, job: Job, body: bytes) -> bytes:
        """`body`, a request in the job's dialect, with the files of the job's owner that it names in it.

        What names no file stays byte for byte.

        Raises:
            NotFound: a file is unknown, expired or another owner's.
            InvalidRequest: a file is of a type that is not possible where it is named.
            TooLarge: together they are too large.
            StoreError: a store is away.
        """
        fields, found = mentions(body, job.dialect)
        if not found:
            return body
        known = await self._known(found, job.owner)
        async with self._room.taken(min(sum(_longest(file) for _, file in known), MOST_BYTES)) as hold:
            left = MOST_BYTES
            for mention, file in known:
                media_type = media_type_of(file)
                form = mention.form(media_type)
                content = await self._content(mention, file, form, media_type, left)
                left -= len(content)
                mention.put(content, form, media_type, file.filename)
            hold.give(max(0, hold.size - (MOST_BYTES - left)))
            return _ENCODER.encode(fields)

    async def _known(self, found: list[Mention], owner: str) -> list[tuple[Mention, File]]:
        known = []
        for at in range(0, len(found), LOOKED_UP):
            some = found[at : at + LOOKED_UP]
            ids = [uuid_of(mention.shown) for mention in some]
            files = {file.id: file for file in await self._files.among(dict.fromkeys(ids), owner)}
            for mention, file_id in zip(some, ids, strict=True):
                if file_id not in files:
                    raise _missing(mention)
                known.append((mention, files[file_id]))
        return known

    async def _content(self, mention: Mention, file: File, form: Form, media_type: str, left: int) -> bytes:
        if (file.size if form == "text" else file.size * 4 // 3) > left:
            raise _too_large(mention)
        try:
            content = await self._contents.get(file, form, media_type)
        except BlobMissing as error:  # deleted at this moment; otherwise somebody else has emptied the object store
            log.warning("%s", error)
            raise _missing(mention) from error
        except UnicodeDecodeError as error:
            raise mention.invalid(f"the file {mention.shown[:80]!r} is not UTF-8 text.") from error
        if len(content) > left:  # escaped, text may be longer than the file
            raise _too_large(mention)
        return content


class Contents:
    """What files hold, as JSON strings. The lately used are kept, up to `most_bytes` of them.

    However many ask for a file at a time, it is read once.
    """

    def __init__(self, blobs: Blobs, most_bytes: int) -> None:
        self._blobs = blobs
        self._left = most_bytes
        self._kept: OrderedDict[tuple[str, Form], bytes] = OrderedDict()
        self._locks: WeakValueDictionary[tuple[str, Form], asyncio.Lock] = WeakValueDictionary()

    async def get(self, file: File, form: Form, media_type: str) -> bytes:
        """The content of a file of that type as a JSON string in that form.

        Raises:
            BlobMissing: the file has been deleted.
            UnicodeDecodeError: it is not UTF-8, and was to be text.
            StoreError: the object store is away.
        """
        key = (file.id, form)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            content = await asyncio.to_thread(_written, await self._read(file), form, media_type)
            self._keep(key, content)
            return content

    async def _read(self, file: File) -> bytes:
        return await self._blobs.of(file.owner).get(blob(file.id))

    def _keep(self, key: tuple[str, Form], content: bytes) -> None:
        self._kept[key] = content
        self._left -= len(content)
        while self._left < 0:
            _, dropped = self._kept.popitem(last=False)
            self._left += len(dropped)


def media_type_of(file: File) -> str:
    """As it was declared; what was declared as mere bytes, as JavaScript's SDKs do, is told by its name."""
    declared = file.mime_type.lower()
    if declared == BINARY:
        guessed, packed = mimetypes.guess_type(file.filename)
        return BINARY if packed else guessed or BINARY
    return _SAME.get(declared, declared)


def _written(data: bytes, form: Form, media_type: str) -> bytes:
    if form == "text":
        return _ENCODER.encode(data.decode())
    head = _ENCODER.encode(f"data:{media_type};base64," if form == "data_url" else "")[:-1]
    return b"".join([head, *base64_pieces(data), b'"'])


def base64_pieces(data: bytes) -> Iterator[bytes]:
    """`data` in base64, made in steps between which other threads can run."""
    for at in range(0, len(data), STEP_BYTES):
        yield binascii.b2a_base64(data[at : at + STEP_BYTES], newline=False)


def _longest(file: File) -> int:
    """Bytes of the file in JSON at most."""
    return file.size * LONGEST_ESCAPE if is_text(media_type_of(file)) else (file.size + 2) // 3 * 4 + LONGEST_HEAD


def _missing(mention: Mention) -> NotFound:
    error = no_such_file(mention.shown)
    return NotFound(f"{mention.path}: {error.message}", param=mention.path, code=error.code)


def _too_large(mention: Mention) -> TooLarge:
    most = f"{MOST_BYTES // MIB} MiB to it, counted as they are sent: base64 is a third more"
    return TooLarge(f"{mention.path}: the files of a request may add at most {most}.", param=mention.path)
