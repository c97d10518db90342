"""Images and documents that a request names by URL: fetched and put in for providers that do not fetch themselves.

Every URL goes through the guard. What cannot be had is the caller's to change: a 400 that names the field.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from shared.chat import ChatRequest, Document, Image, Inline, Message, Part, PlainText, ToolResult, Url
from shared.errors import CallerError, InvalidRequest, TooLarge
from shared.media import is_text
from shared.stores.blobs import BINARY
from worker.attachments import MIB, base64_pieces
from worker.fetcher import MOST_REDIRECTS, Fetched, GuardedFetcher
from worker.guard import FetchFailed
from worker.links import is_web, links
from worker.providers.base import Row
from worker.providers.losses import Losses
from worker.room import Hold, Room

MOST_URLS = 100
"""Of one request; Anthropic takes no more images either."""
MOST_BYTES_EACH = 20 * MIB
MOST_BYTES = 32 * MIB
"""Of one request together: Anthropic takes no larger request."""
ROOM_BYTES = 256 * MIB
"""Of all requests of a worker at a time, until their calls have ended."""
EXPECTED_BYTES = 4 * MIB
"""What is reserved for a URL before its size is known."""
FETCH_S = 20.0
"""For all URLs of a request."""
AT_ONCE = 8
"""URLs of one request that are fetched at a time."""
LONGEST_SHOWN = 100
IMAGES_ONLY = "openai_chat"
"""The wire that gives images by URL, and documents by their bytes only."""

_PDF = "application/pdf"
_UNTYPED = frozenset({"", BINARY, "binary/octet-stream"})
_ENCODINGS = {"utf-8": "utf-8-sig", "us-ascii": "ascii", "iso-8859-1": "latin-1", "windows-1252": "cp1252"}
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))

Where: TypeAlias = Image | Document
Source: TypeAlias = Inline | PlainText
_Refusal: TypeAlias = Callable[[str, str], InvalidRequest]
"""The caller's error for what stands at a path, and why."""

_ENCODER = msgspec.json.Encoder()


class _NoRoom(Exception):
    """More came than was reserved, and there is no more now."""


class Media:
    """Puts what URLs lead to into requests; a worker has one."""

    def __init__(self, fetcher: GuardedFetcher, room: Room | None = None) -> None:
        self._fetcher = fetcher
        self._room = room or Room(ROOM_BYTES)

    async def embedded(self, request: ChatRequest, row: Row) -> ChatRequest:
        """The request with the bytes behind its URLs put in.

        What is neither http nor https, and what the provider reads itself, is left to the adapter.

        Raises:
            InvalidRequest: naming the field whose URL could not be fetched or led to something else.
            TooLarge: together they are too large.
        """
        found = dict(_named(request.messages, row))
        if not found:
            return request
        return _with(request, await self._sources(found, Losses(row.name, request).invalid))

    async def inlined(self, body: bytes, dialect: str, row: Row) -> bytes:
        """`body`, a request in that dialect, with the bytes put in likewise; without URLs byte for byte as it came."""
        fields, found = links(body, dialect)
        fetched = {link.path: link for link in found if _is_fetched(link.part, row)}
        if not fetched:
            return body
        sources = await self._sources({path: link.part for path, link in fetched.items()}, _invalid)
        for path, source in sources.items():
            fetched[path].put(source)
        return _ENCODER.encode(fields)

    async def _sources(self, found: Mapping[str, Where], refusal: _Refusal) -> dict[str, Source]:
        """What is behind each URL, by path. Raises InvalidRequest, TooLarge."""
        if len(found) > MOST_URLS:
            raise refusal(list(found)[MOST_URLS], f"a request may name at most {MOST_URLS} URLs.")
        try:
            return await self._fetched(found)
        except _Failed as failed:
            raise failed.told(refusal) from failed.__cause__

    async def _fetched(self, found: Mapping[str, Where]) -> dict[str, Source]:
        """What is behind each URL, by path. Raises _Failed."""
        try:
            return await self._fetched_within(found, min(len(found) * EXPECTED_BYTES, MOST_BYTES))
        except _NoRoom:
            return await self._fetched_within(found, MOST_BYTES)

    async def _fetched_within(self, found: Mapping[str, Where], reserved: int) -> dict[str, Source]:
        """The same, with so many bytes reserved. Raises _NoRoom, _Failed."""
        async with self._room.taken(reserved) as hold:
            run = _Run(self._fetcher, hold)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = {path: group.create_task(run.fetch(path, part)) for path, part in found.items()}
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
            sources = {path: task.result() for path, task in tasks.items()}
            hold.give(max(0, hold.size - run.size))
            return sources


class _Failed(Exception):
    def __init__(self, path: str, part: Where, why: str, *, too_large: bool = False) -> None:
        super().__init__(why)
        self._path, self._part, self._why, self._too_large = path, part, why, too_large

    def told(self, refusal: _Refusal) -> CallerError:
        kind = "image" if isinstance(self._part, Image) else "document"
        advice = f"Send it inline, or give a URL of the {kind} that anyone can fetch."
        why = f"the {kind} at {_shown(self._part)} cannot be used: {self._why}. {advice}"
        error = refusal(self._path, why)
        return TooLarge(error.message, param=error.param) if self._too_large else error


class _Run:
    """One request's fetching; `size` counts the bytes that came."""

    def __init__(self, fetcher: GuardedFetcher, hold: Hold) -> None:
        self._fetcher = fetcher
        self._hold = hold
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._deadline = asyncio.get_running_loop().time() + FETCH_S
        self.size = 0

    async def fetch(self, path: str, part: Where) -> Source:
        try:
            async with (
                self._turns,
                self._fetcher.open(
                    part.source.url,  # type: ignore[union-attr] # only such parts are asked for
                    timeout_s=self._deadline - asyncio.get_running_loop().time(),
                    max_bytes=MOST_BYTES_EACH,
                    redirects=MOST_REDIRECTS,
                ) as answer,
            ):
                if answer.status != 200:  # noqa: PLR2004 - HTTP
                    raise FetchFailed(f"its host answered {answer.status}")
                media_type = _declared(answer)
                _check_type(part, media_type)
                data = await self._read(path, part, answer)
                return await _source(part, media_type, answer.charset, data)
        except FetchFailed as failed:
            raise _Failed(path, part, failed.why) from failed.__cause__

    async def _read(self, path: str, part: Where, answer: Fetched) -> bytes:
        data = bytearray()
        async for chunk in answer.chunks():
            data += chunk
            self.size += len(chunk)
            if self.size > MOST_BYTES:
                why = f"what the URLs of a request lead to may be {MOST_BYTES // MIB} MiB at most"
                raise _Failed(path, part, why, too_large=True)
            if not self._hold.grow(self.size):
                raise _NoRoom
        return bytes(data)


def _declared(answer: Fetched) -> str:
    """What the host says it is; where it says nothing, what the name says."""
    if answer.media_type not in _UNTYPED:
        return answer.media_type
    return mimetypes.guess_type(answer.url.path)[0] or ""


def _check_type(part: Where, media_type: str) -> None:
    if isinstance(part, Image):
        if media_type and not media_type.startswith("image/"):
            raise FetchFailed(f"it is {media_type[:50]!r}, and an image must be PNG, JPEG, GIF or WebP")
    elif media_type not in {"", _PDF} and not is_text(media_type):
        raise FetchFailed(f"it is {media_type[:50]!r}, and a document must be a PDF or text")


async def _source(part: Where, media_type: str, charset: str | None, data: bytes) -> Source:
    """The bytes as a request carries them; what they are is told by how they begin."""
    if isinstance(part, Document) and is_text(media_type):
        try:
            return PlainText(data.decode(_ENCODINGS[(charset or "utf-8").lower()]))
        except (UnicodeDecodeError, LookupError):
            raise FetchFailed("it is not text in UTF-8, or in another encoding that it is declared in") from None
    seen = seen_type(data)
    if isinstance(part, Image) and not seen.startswith("image/"):
        raise FetchFailed("it is no PNG, JPEG, GIF or WebP image")
    if isinstance(part, Document) and seen != _PDF:
        raise FetchFailed("it is neither a PDF nor declared as text")
    return Inline(seen, await asyncio.to_thread(_base64, data) if len(data) > MIB // 4 else _base64(data))


def seen_type(data: bytes) -> str:
    """The media type that the first bytes tell of: an image that all providers take, or PDF; else empty."""
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return _PDF if b"%PDF-" in data[:1024] else ""


def _base64(data: bytes) -> str:
    return b"".join(base64_pieces(data)).decode("ascii")


def _shown(part: Where) -> str:
    """The URL without what may be a credential: its query and fragment, and a user."""
    url = part.source.url.partition("?")[0].partition("#")[0]  # type: ignore[union-attr] # only such are asked for
    scheme, _, rest = url.partition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}"[:LONGEST_SHOWN]


# --- where they are in a request --------------------------------------------------------------------------


def _is_fetched(part: Where, row: Row) -> bool:
    """Whether it is given by a URL that the provider does not read itself, or has no place for."""
    source = part.source
    if not isinstance(source, Url) or not is_web(source) or source.url.startswith(row.reads):
        return False
    return not row.fetches or (isinstance(part, Document) and row.wire == IMAGES_ONLY)


def _invalid(path: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{path}: {why}", param=path)


def _named(messages: tuple[Message, ...], row: Row) -> Iterator[tuple[str, Where]]:
    """The parts that are to be fetched, each with its path."""
    for number, message in enumerate(messages):
        yield from _within(message.content, f"messages.{number}.content", row)


def _within(parts: tuple[Part, ...], path: str, row: Row) -> Iterator[tuple[str, Where]]:
    for number, part in enumerate(parts):
        if isinstance(part, ToolResult):
            yield from _within(part.content, f"{path}.{number}.content", row)
        elif isinstance(part, Image | Document) and _is_fetched(part, row):
            yield f"{path}.{number}", part


def _with(request: ChatRequest, sources: dict[str, Source]) -> ChatRequest:
    messages = [
        replace(message, content=_put(message.content, f"messages.{number}.content", sources))
        for number, message in enumerate(request.messages)
    ]
    return replace(request, messages=tuple(messages))


def _put(parts: tuple[Part, ...], path: str, sources: dict[str, Source]) -> tuple[Part, ...]:
    put: list[Part] = []
    for number, part in enumerate(parts):
        own = f"{path}.{number}"
        if isinstance(part, ToolResult):
            put.append(replace(part, content=_put(part.content, f"{own}.content", sources)))
        else:
            put.append(replace(part, source=sources[own]) if own in sources else part)
    return tuple(put)
