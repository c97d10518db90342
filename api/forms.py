"""A multipart/form-data body as it arrives: the bytes of one part go to the object store, the other parts are fields.

The parts come in any order (Python's SDKs send the file last, JavaScript's first). Whatever is wrong with the form is
found before the last bytes of the part are handed on, so that the object store drops what it has of them.
"""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec
from multipart import (  # type: ignore[import-untyped]  # no stubs
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from api.incoming import incoming
from api.submit import AnyRequest
from shared.errors import InvalidRequest, Stalled, TooLarge
from shared.stores.blobs import BINARY

MIB = 1024 * 1024
SILENCE_S = 60.0
"""A client that sends nothing for so long is given up."""
MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 100
FRAMING_BYTES = MIB
"""What boundaries, headers and fields may add to the bytes of the part."""

NO_NAME = "unnamed"
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line separators, and what makes a name read backwards."""
_MIME_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII)


class Terms(msgspec.Struct, frozen=True):
    """What the fields of a form ask for.

    Attributes:
        limit_bytes: the most the part may hold.
        purpose: as a File's.
        expires_s: seconds after which the file expires, None for never.
    """

    limit_bytes: int
    purpose: str = ""
    expires_s: int | None = None


class Read(Protocol):
    """From the fields to the terms."""

    def __call__(self, fields: Mapping[str, str], *, whole: bool) -> Terms:
        """Without `whole`, more fields may come. Raises InvalidRequest."""


class Form:
    """Reads one form; once `content` has ended, the attributes tell the rest of it.

    Attributes:
        terms: what the other parts, the fields, ask for.
        filename: the wanted part's, fit to be shown and stored.
        mime_type: the wanted part's, as declared, else guessed from the name.
    """

    def __init__(self, request: AnyRequest, wanted: str, read: Read, most_bytes: int) -> None:
        """`wanted` is the part with the content; `most_bytes` is the largest limit that the terms may name."""
        self.terms = Terms(most_bytes)
        self.filename = self.mime_type = ""
        self._wanted = wanted
        self._read = read
        self._most = most_bytes
        self._request = request
        self._fields: dict[str, str] = {}
        self._reading = ""  # the part, for who is told what was wrong
        self._field = bytearray()
        self._size = 0
        self._found = False

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes of the wanted part.

        Raises:
            InvalidRequest: not multipart/form-data, malformed, cut short, a part missing, sent twice or wrong.
            TooLarge: the part is larger than the terms allow.
            Stalled: the client has stopped sending.
        """
        async for event in self._events():
            if isinstance(event, MultipartSegment):
                self._begin(event)
            elif event is None:
                self._end()
            elif self._reading == self._wanted:
                self._count(len(event))
                yield event
            else:
                self._collect(event)
        self._reading = self._wanted
        if not self._found:
            raise self._wrong("the form has no such part")
        self.terms = self._read(self._fields, whole=True)
        self._count(0)

    def _begin(self, segment: MultipartSegment) -> None:
        self._reading = segment.name or ""
        if self._reading != self._wanted:
            return
        if self._found:
            raise self._wrong("sent twice")
        self._found = True
        self.filename = clean_name(segment.filename or "")
        self.mime_type = mime_type(segment.content_type or "", self.filename)
        self.terms = self._read(self._fields, whole=False)

    def _end(self) -> None:
        if self._reading != self._wanted:
            self._keep_field()
        self._reading = ""

    def _keep_field(self) -> None:
        if self._reading in self._fields:
            raise self._wrong("sent twice")
        try:
            self._fields[self._reading] = self._field.decode()
        except UnicodeDecodeError as error:
            raise self._wrong("expected UTF-8 text") from error
        self._field.clear()

    def _collect(self, piece: bytes) -> None:
        self._field += piece
        if len(self._field) > MAX_FIELD_BYTES:
            raise self._wrong(f"a field may have at most {MAX_FIELD_BYTES // 1024} KiB")

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > self.terms.limit_bytes:
            raise too_large(self._wanted, self.terms.limit_bytes)

    async def _events(self) -> AsyncIterator[MultipartSegment | bytes | None]:
        try:
            parser = PushMultipartParser(_boundary(self._request), max_segment_count=MAX_PARTS)
            async for chunk in self._chunks():
                for event in parser.parse(chunk):
                    yield event
            parser.close()
        except MultipartError as error:
            raise self._wrong(f"the body is not well-formed multipart/form-data: {error}") from error

    async def _chunks(self) -> AsyncIterator[bytes]:
        over = too_large(self._wanted, self._most)
        stream = incoming(self._request, self._most + FRAMING_BYTES, over)
        while chunk := await _next(stream):
            yield chunk

    def _wrong(self, what: str) -> InvalidRequest:
        name = self._reading[:80]
        return InvalidRequest(f"{name}: {what}." if name else f"{what[0].upper()}{what[1:]}.", param=name or None)


def too_large(part: str, limit_bytes: int) -> TooLarge:
    """The error for a part over its limit."""
    return TooLarge(f"{part}: larger than {limit_bytes // MIB} MiB, the most that is taken here.", param=part)


def clean_name(given: str) -> str:
    """The last component of the path, whoever's path it is, without control characters; `unnamed` for none."""
    name = _UNFIT.sub("", re.split(r"[/\\]", given)[-1]).strip()
    return NO_NAME if name in {"", ".", ".."} else name


def mime_type(declared: str, filename: str) -> str:
    """The declared type if it is one, else what the name suggests."""
    if _MIME_TYPE.fullmatch(declared) and declared != BINARY:  # which says that nothing is known
        return declared
    return mimetypes.guess_type(filename)[0] or BINARY


def _boundary(request: AnyRequest) -> str:
    """Raises InvalidRequest for any other content type."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise InvalidRequest(
            f"content-type: expected multipart/form-data with a boundary, got {kind[:80]!r}.", param="content-type"
        )
    return str(options["boundary"])


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    try:
        async with asyncio.timeout(SILENCE_S):
            return await anext(stream, b"")
    except TimeoutError as error:
        raise Stalled(f"Nothing came for {SILENCE_S:g} s before the body's end; send it again.") from error
