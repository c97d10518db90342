"""Chunks to the pieces they hold: the items of a body `{"requests": […]}`, the lines of a file. Pure.

Nothing is held but the piece at hand and the chunk. A body is cut by one regular expression that sees strings and
brackets only; decoding the pieces, and in the end what stood beside them, proves that it was JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from shared.dialects.anthropic.reading import at, join, read
from shared.errors import TooLarge

T = TypeVar("T")

MIB = 1024 * 1024
MAX_ITEM = 32 * MIB
"""Bytes of an item: Anthropic's limit for a message."""
MAX_BESIDE = MIB
"""Bytes of a body beside its items."""

_WHITE = b" \t\r\n"
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?(.*)`)?$")

_RUN = rb'[^"]*+(?:(?<=[^\\]\\)"[^"]*+)*+'
_STRING = rb'"(?:' + _RUN + rb'(?:(?<!\\)"|(?P<open>\Z))|[^"\\]*+(?:\\.[^"\\]*+)*+")'
_NEXT = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+(?P<bracket>[\[\]{}])?", re.DOTALL)
"""The next bracket outside of strings. Without one the chunk has ended, and when `open` matched or something is left
of it, it has ended in a string. `_RUN` passes quotes with one backslash before them, and a quote with none before it
ends the string; that is ten times as fast as pairs of backslash and character, which are left for what has more."""
_KEY = re.compile(rb'[{,]\s*"requests"\s*:\s*\Z')
_KEY_WITHIN = 256
"""How far before its array the key `requests` is looked for."""

_IN_ARRAY, _IN_ITEM = 2, 3
"""Open brackets: of the body, the array, the item."""
_FIRST = frozenset({b"", b"{", b"]"})
_LATER = frozenset({b"", b",", b",{", b"]"})
"""What may stand between items, as far as it has come, white space aside."""


class Splitter:
    """`{"requests": [{…}, …], …}` in chunks, to the raw items."""

    def __init__(self) -> None:
        self._beside = bytearray()
        self._arrays = 0
        self._count = 0
        self._depth = 0
        self._inside = False
        self._string = b""
        self._gap = b""
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The items that end in this chunk; take all. Raises InvalidRequest or TooLarge, naming the index."""
        # A string that goes on is begun anew, by what was taken with the last chunk.
        rest, chunk = len(self._string), self._string + chunk
        found = _NEXT.match(chunk)
        while found and found["bracket"]:
            rest = self._at_bracket(chunk, rest, found.end() - 1)
            if self._parts and self._depth == _IN_ARRAY:
                yield self._whole()
            found = _NEXT.match(chunk, found.end())
        self._string = b""
        if found and (found["open"] is not None or found.end() < len(chunk)):
            backslashes = len(chunk) - len(chunk.rstrip(b"\\"))
            self._string = b'"\\' if backslashes % 2 else b'"'
        self._keep(chunk[rest:])

    def close(self) -> bytes:
        """The body with its array emptied. Raises InvalidRequest."""
        if self._inside:
            raise at(f"requests.{self._count}", "The request body is not valid JSON: it ends here.")
        if self._arrays > 1:
            raise at("requests", "Given more than once")
        return bytes(self._beside)

    def _at_bracket(self, chunk: bytes, rest: int, place: int) -> int:
        """Take what ends with the bracket at `place`, if it ends something; where the rest begins."""
        opens = chunk[place] in b"[{"
        self._depth += 1 if opens else -1
        if not self._inside:
            if self._depth == _IN_ARRAY and chunk[place] in b"[":
                self._aside(chunk[rest:place])
                return place + 1 if self._begin() else place
        elif opens and self._depth == _IN_ITEM:
            self._between(chunk[rest : place + 1])
            return place
        elif not opens and self._depth == _IN_ARRAY:
            self._part(chunk[rest : place + 1])
            return place + 1
        elif self._depth < _IN_ARRAY:
            self._between(chunk[rest : place + 1])
            self._inside = False
            return place + 1
        return rest

    def _keep(self, text: bytes) -> None:
        """Take the end of a chunk, whatever it belongs to."""
        if not self._inside:
            self._aside(text)
        elif self._depth == _IN_ARRAY:
            self._between(text)
        else:
            self._part(text)

    def _aside(self, text: bytes) -> None:
        self._beside += text
        if len(self._beside) > MAX_BESIDE:
            raise TooLarge(f"The request body holds more than {MAX_BESIDE // MIB} MiB beside its `requests`.")

    def _begin(self) -> bool:
        """Whether the bracket at hand opens the array; its content then leaves no trace in `_beside`."""
        self._inside = _KEY.search(self._beside[-_KEY_WITHIN:]) is not None
        if self._inside:
            self._beside += b"[]"
            self._arrays += 1
        return self._inside

    def _between(self, text: bytes) -> None:
        self._gap += text.translate(None, _WHITE)
        if self._gap not in (_LATER if self._count else _FIRST):
            raise at(f"requests.{self._count}", "Expected an object, after a comma unless it is the first")
        if self._gap.endswith((b"{", b"]")):
            self._gap = b""

    def _part(self, text: bytes) -> None:
        self._parts.append(text)
        self._size += len(text)
        check_size(self._size, f"requests.{self._count}")

    def _whole(self) -> bytes:
        item = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        self._count += 1
        return item


class Lines:
    """A file in chunks, to its lines without their ends; LF and CRLF end one."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._count = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk. Raises TooLarge, naming the line."""
        *whole, last = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._parts, whole[0]])
            self._parts, self._size = [], 0
            self._count += len(whole)
        self._parts.append(last)
        self._size += len(last)
        check_size(self._size, f"line {self._count + 1}")
        return [line.removesuffix(b"\r") for line in whole]

    def close(self) -> list[bytes]:
        """The last line, when it has no end."""
        last = b"".join(self._parts)
        return [last] if last else []


def check_size(size: int, where: str) -> None:
    """Raises TooLarge for an item of more than MAX_ITEM bytes."""
    if size > MAX_ITEM:
        raise TooLarge(f"{where}: larger than {MAX_ITEM // MIB} MiB.", param=where)


def decoded(decoder: msgspec.json.Decoder[T], data: bytes, where: str = "") -> T:
    """A piece that stood at `where`, or what stood beside all. Raises InvalidRequest naming the path."""
    try:
        data.isascii() or data.decode()  # strings that a Raw takes over are not looked at
        return decoder.decode(data)
    except UnicodeDecodeError as error:
        raise at(where, f"Not valid UTF-8: byte {error.start} of it") from error
    except (msgspec.ValidationError, RecursionError) as error:
        if unknown := _UNKNOWN.match(str(error)):
            path = join(join(where, unknown[2] or ""), unknown[1])
            raise at(path, "This field is not known here; leave it out") from error
        return read(decoder, data, where)  # which names the field
    except msgspec.DecodeError as error:
        beside = "" if where else ", its requests aside"
        raise at(where, f"Not valid JSON{beside}: {str(error).removeprefix('JSON is malformed: ')}") from error
