"""A file of requests, one a line: looked through before anything of it is sent, and the bytes that are sent then.

Two forms, told apart by the lines themselves:

    {"custom_id": …, "params": {…}}                                     Anthropic's
    {"custom_id": …, "method": "POST", "url": "/v1/…", "body": {…}}     OpenAI's; `method` and `url` may be missing
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import BinaryIO

import msgspec
from msgspec import UNSET, Raw, UnsetType

from api.batch_splitting import MIB, Lines, decoded
from api.batching import ANTHROPIC_LIMITS, ANTHROPIC_NAME, ENDPOINTS, MAX_NAME, OPENAI_LIMITS
from shared.errors import InvalidRequest, TooLarge

ANTHROPIC, OPENAI = "Anthropic", "OpenAI"
PROBLEMS_SHOWN = 20
PIECE = 64 * 1024
"""Bytes sent at once; more where a line is longer."""

_READ = 1024 * 1024
_LIMITS = {ANTHROPIC: ANTHROPIC_LIMITS, OPENAI: OPENAI_LIMITS, "": ANTHROPIC_LIMITS}
_BOM = b"\xef\xbb\xbf"


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line of either form."""

    custom_id: str
    method: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    body: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET

    @property
    def form(self) -> str:
        """ANTHROPIC, OPENAI, or empty when the line has what tells them apart twice, or not at all."""
        if (self.params is UNSET) == (self.body is UNSET):
            return ""
        return OPENAI if self.params is UNSET else ANTHROPIC


class Requests(msgspec.Struct, frozen=True):
    """What a file that is all right holds.

    Attributes:
        form: ANTHROPIC or OPENAI.
        endpoint: of all its lines, e.g. `/v1/responses`; empty in Anthropic's form.
        size: bytes.
    """

    form: str
    endpoint: str
    size: int


class Problems(Exception):
    """What is wrong with a file.

    Attributes:
        shown: the first PROBLEMS_SHOWN, each with its place.
        count: how many there are.
    """

    def __init__(self, found: list[str]) -> None:
        super().__init__(f"{len(found)} problems")
        self.shown = found[:PROBLEMS_SHOWN]
        self.count = len(found)


_LINE = msgspec.json.Decoder(Line)
_encode = msgspec.json.Encoder().encode


def read_requests(file: BinaryIO, endpoint: str) -> Requests:
    """Look the file through; `endpoint` is that of lines without `url`, empty when the lines tell. Raises Problems."""
    look = _Look(endpoint)
    try:
        for raw in _lines(file):
            look.at_line(raw)
    except TooLarge as error:  # no use in reading on
        look.problems.append(error.message)
    return look.end()


def anthropic_body(file: BinaryIO) -> Iterator[bytes]:
    """The body that creates a batch of a file in Anthropic's form."""
    return _pieces(_joined(_lines(file)))


def openai_file(file: BinaryIO, endpoint: str) -> Iterator[bytes]:
    """A file in OpenAI's form with nothing missing from its lines."""
    return _pieces(_complete(raw, endpoint) for raw in _lines(file))


class _Look:
    """What is found out about a file, line by line."""

    def __init__(self, endpoint: str) -> None:
        self.problems: list[str] = []
        self._asked = endpoint
        self._endpoint = endpoint
        self._form = ""
        self._count = 0
        self._size = 0
        self._names: dict[str, int] = {}

    def at_line(self, raw: bytes) -> None:
        """Look at the next line. Raises TooLarge for more than a batch may have, Problems for what is no such file."""
        self._count += 1
        self._size += len(raw) + 1
        place, limits = f"line {self._count}", _LIMITS[self._form]
        if self._count > limits.items:
            raise TooLarge(f"{place}: a batch has at most {limits.items:,} requests; make several files")
        if self._size > limits.size:
            raise TooLarge(f"{place}: a batch has at most {limits.size // MIB} MiB; make several files")
        if self._count == 1 and raw.lstrip().startswith(b"["):
            raise Problems(["line 1: this is a JSON array; write one request a line, as jq -c '.[]' does"])
        if not raw.strip():
            self.problems.append(f"{place}: blank; each line is one request")
            return
        try:
            line = decoded(_LINE, raw, place)
        except InvalidRequest as error:
            self.problems.append(error.message)
        else:
            self.problems += [place + what for what in self._wrong(line)]

    def end(self) -> Requests:
        """Nothing comes any more. Raises Problems."""
        if not self._count and not self.problems:
            self.problems.append("it is empty; each line is one request")
        if self._asked and self._form == ANTHROPIC:
            self.problems.append(f"it is in {ANTHROPIC}'s form, which has no endpoint; leave --endpoint out")
        if self._form == OPENAI and not self._endpoint:
            self.problems.append("no line has a `url`; name the endpoint of all with --endpoint")
        if self.problems:
            raise Problems(self.problems)
        return Requests(self._form, self._endpoint, self._size)

    def _wrong(self, line: Line) -> Iterator[str]:
        if not line.form:
            yield f": expected `params` ({ANTHROPIC}'s form) or else `body` ({OPENAI}'s)"
            return
        self._form = self._form or line.form
        if line.form != self._form:
            yield f": in {line.form}'s form, but the lines before are in {self._form}'s; a file has one form"
            return
        yield from self._wrong_name(line.custom_id)
        yield from self._wrong_anthropic(line) if line.form == ANTHROPIC else self._wrong_openai(line)

    def _wrong_name(self, name: str) -> Iterator[str]:
        if self._form == ANTHROPIC and not ANTHROPIC_NAME.fullmatch(name):
            yield ".custom_id: expected 1 to 64 of the characters A-Z, a-z, 0-9, _ and -"
        if self._form == OPENAI and not 1 <= len(name) <= MAX_NAME:
            yield f".custom_id: expected 1 to {MAX_NAME} characters, got {len(name)}"
        if (earlier := self._names.setdefault(name, self._count)) != self._count:
            yield f".custom_id: already used by line {earlier}; each must be unique"

    def _wrong_anthropic(self, line: Line) -> Iterator[str]:
        yield from _wrong_object("params", line.params)
        for name, value in (("method", line.method), ("url", line.url)):
            if value is not UNSET:
                yield f".{name}: {ANTHROPIC}'s form has none; leave it out"

    def _wrong_openai(self, line: Line) -> Iterator[str]:
        yield from _wrong_object("body", line.body)
        if line.method not in {UNSET, "POST"}:
            yield f".method: expected 'POST', got {str(line.method)[:20]!r}"
        if line.url is UNSET:
            return
        if line.url not in ENDPOINTS:
            yield f".url: expected one of {', '.join(ENDPOINTS)}, got {line.url[:80]!r}"
        elif line.url != (self._endpoint or line.url):
            why = "as --endpoint says" if self._asked else "as in the lines before"
            yield f".url: expected {self._endpoint!r} {why}, got {line.url!r}; a batch has one endpoint"
        else:
            self._endpoint = line.url


def _wrong_object(name: str, value: Raw | UnsetType) -> Iterator[str]:
    if value is not UNSET and not bytes(value).startswith(b"{"):
        yield f".{name}: expected object"


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines from the file's beginning. Raises TooLarge for one that no request may be as large as."""
    file.seek(0)
    lines, before = Lines(), _BOM
    for chunk in iter(partial(file.read, _READ), b""):
        for line in lines.feed(chunk):
            yield line.removeprefix(before)
            before = b""
    for line in lines.close():
        yield line.removeprefix(before)


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    before = b'{"requests":['
    for line in lines:
        yield before + line
        before = b","
    yield b"]}"


def _complete(raw: bytes, endpoint: str) -> bytes:
    line = _LINE.decode(raw)
    if line.method is UNSET or line.url is UNSET:
        line.method, line.url = "POST", endpoint
        raw = _encode(line)
    return raw + b"\n"


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, small ones together: each piece is written to the socket by itself."""
    piece = bytearray()
    for part in parts:
        piece += part
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
