"""A batch as it arrives: chunks of a request body or of an input file to checked items. Pure.

What a request asks for is its worker's to judge; here only the envelope is, and the first thing wrong with it refuses
the whole batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from api.batch_splitting import MIB, Lines, Splitter, decoded
from shared.batches import Item
from shared.dialects.anthropic.reading import at


class Limits(msgspec.Struct, frozen=True):
    """How much a batch may be: items, and bytes of the body or file."""

    items: int
    size: int


ANTHROPIC_LIMITS = Limits(100_000, 256 * MIB)
"""https://docs.claude.com/en/docs/build-with-claude/batch-processing"""
OPENAI_LIMITS = Limits(50_000, 200 * MIB)
"""https://platform.openai.com/docs/guides/batch"""
MAX_NAME = 512
"""Characters of an OpenAI item's custom_id; Anthropic's rule is `ANTHROPIC_NAME`."""
METADATA_PAIRS, METADATA_NAME, METADATA_VALUE = 16, 64, 512
"""OpenAI's limits: pairs, characters of a name, characters of a value."""
EXPIRES_S = (3600, 2_592_000)
"""OpenAI's limits of `output_expires_after.seconds`."""

ENDPOINTS = {
    "/v1/chat/completions": ("openai_chat", "chat"),
    "/v1/responses": ("openai_responses", "chat"),
    "/v1/embeddings": ("openai_chat", "embeddings"),
}
"""What an OpenAI batch can run: dialect and operation of its items."""

ANTHROPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BOM = b"\xef\xbb\xbf"


Emptied = Annotated[list[None], Meta(max_length=0)]
"""The array whose items the splitter took out."""


class _AnthropicFields(msgspec.Struct, forbid_unknown_fields=True):
    requests: Emptied


class _AnthropicItem(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    params: Raw


class _InlineItem(msgspec.Struct, forbid_unknown_fields=True):
    """Bifrost's form of an OpenAI line, in the request itself."""

    custom_id: str
    method: str = "POST"
    url: str = ""
    body: Raw | UnsetType = UNSET
    params: Raw | UnsetType = UNSET


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    method: str
    url: str
    body: Raw


class ExpiresAfter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """When the files of the results expire: `seconds` after their creation."""

    anchor: Literal["created_at"]
    seconds: int


class OpenAIFields(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of `POST /batches` without its items.

    Attributes:
        input_file_id: as the client names it; empty when the items came in `requests`.
        provider: Bifrost's: who serves a model without a prefix; empty for the default.
    """

    endpoint: str
    completion_window: str
    input_file_id: str | None = None
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None
    provider: str | None = None
    requests: Emptied = []


_ANTHROPIC_FIELDS = msgspec.json.Decoder(_AnthropicFields)
_ANTHROPIC_ITEM = msgspec.json.Decoder(_AnthropicItem)
_INLINE_ITEM = msgspec.json.Decoder(_InlineItem)
_LINE = msgspec.json.Decoder(_Line)
_OPENAI_FIELDS = msgspec.json.Decoder(OpenAIFields)


class Source(Protocol):
    """Chunks in, items out. Both raise InvalidRequest, naming index (or line) and field, or TooLarge."""

    def feed(self, chunk: bytes) -> list[Item]:
        """The items that this chunk completes."""
        ...

    def close(self) -> list[Item]:
        """Nothing comes any more: the last items, when all is well."""
        ...


class Names:
    """Numbers the items and lets no custom_id come twice; `where` tells the place of an index in the caller's words."""

    def __init__(self, most: int, where: Callable[[int], str]) -> None:
        self._most = most
        self._where = where
        self._indexes: dict[str, int] = {}

    @property
    def count(self) -> int:
        """Items so far."""
        return len(self._indexes)

    @property
    def place(self) -> str:
        """Where the next item stands. Raises InvalidRequest when there may be no other."""
        if self.count == self._most:
            raise at(self._where(self._most), f"A batch has at most {self._most:,} requests")
        return self._where(self.count)

    def item(self, custom_id: str, body: Raw, field: str) -> Item:
        """The next item, whose body stood in `field`. Raises InvalidRequest."""
        place, index = self.place, self.count
        earlier = self._indexes.setdefault(custom_id, index)
        if earlier != index:
            raise at(f"{place}.custom_id", f"Already used by {self._where(earlier)}; each must be unique")
        data = bytes(body)
        if not data.startswith(b"{"):
            raise at(f"{place}.{field}", "Expected object")
        # A shard has an item a line; in JSON a line feed is white space.
        return Item(index, custom_id, Raw(data.replace(b"\n", b" ")))


class AnthropicRequests:
    """The body of `POST /v1/messages/batches`; a Source."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._names = Names(ANTHROPIC_LIMITS.items, "requests.{}".format)

    def feed(self, chunk: bytes) -> list[Item]:
        """See Source."""
        return [self._item(raw) for raw in self._splitter.feed(chunk)]

    def close(self) -> list[Item]:
        """See Source."""
        decoded(_ANTHROPIC_FIELDS, self._splitter.close())
        if not self._names.count:
            raise at("requests", "A batch has at least one request")
        return []

    def _item(self, raw: bytes) -> Item:
        place = self._names.place
        item = decoded(_ANTHROPIC_ITEM, raw, place)
        if not ANTHROPIC_NAME.fullmatch(item.custom_id):
            raise at(f"{place}.custom_id", "Expected 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")
        return self._names.item(item.custom_id, item.params, "params")


class OpenAIRequests:
    """The body of `POST /batches`, with or without items of its own; a Source.

    `fields` is set by `close`.
    """

    fields: OpenAIFields

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._names = Names(OPENAI_LIMITS.items, "requests.{}".format)
        self._urls: dict[str, str] = {}

    def feed(self, chunk: bytes) -> list[Item]:
        """See Source."""
        return [self._item(raw) for raw in self._splitter.feed(chunk)]

    def close(self) -> list[Item]:
        """See Source; `url` can be compared only now, for the endpoint may come last."""
        self.fields = _checked(decoded(_OPENAI_FIELDS, self._splitter.close()))
        if bool(self._names.count) == bool(self.fields.input_file_id):
            raise at("input_file_id", "Give either a file of requests or `requests`, one of them and not empty")
        for url, place in self._urls.items():
            _check_url(url, self.fields.endpoint, place)
        return []

    def _item(self, raw: bytes) -> Item:
        place = self._names.place
        item = decoded(_INLINE_ITEM, raw, place)
        _check_call(item.custom_id, item.method, place)
        if item.url and len(self._urls) <= 1:  # of two that differ one is wrong
            self._urls.setdefault(item.url, place)
        if item.params is UNSET and item.body is not UNSET:
            return self._names.item(item.custom_id, item.body, "body")
        if item.body is UNSET and item.params is not UNSET:
            return self._names.item(item.custom_id, item.params, "params")
        raise at(f"{place}.body", "Expected `body`, or else `params`")


class InputFile:
    """A file of requests to `endpoint`, one a line; a Source."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._lines = Lines()
        self._names = Names(OPENAI_LIMITS.items, lambda index: f"line {index + 1}")

    def feed(self, chunk: bytes) -> list[Item]:
        """See Source."""
        return [self._item(line) for line in self._lines.feed(chunk)]

    def close(self) -> list[Item]:
        """See Source."""
        items = [self._item(line) for line in self._lines.close()]
        if not self._names.count:
            raise at("input_file_id", "The file is empty; it needs one request a line")
        return items

    def _item(self, line: bytes) -> Item:
        place = self._names.place
        if not self._names.count:
            line = line.removeprefix(_BOM)
        if not line.strip():
            raise at(place, "This line is blank; each line is one request")
        item = decoded(_LINE, line, place)
        _check_call(item.custom_id, item.method, place)
        _check_url(item.url, self._endpoint, place)
        return self._names.item(item.custom_id, item.body, "body")


def _checked(fields: OpenAIFields) -> OpenAIFields:
    """The fields themselves. Raises InvalidRequest for what their types do not say."""
    if fields.endpoint not in ENDPOINTS:
        raise at("endpoint", f"Expected one of {', '.join(ENDPOINTS)}, got {fields.endpoint[:80]!r}")
    if fields.completion_window != "24h":
        raise at("completion_window", f"Expected '24h', got {fields.completion_window[:80]!r}")
    least, most = EXPIRES_S
    if fields.output_expires_after and not least <= fields.output_expires_after.seconds <= most:
        raise at("output_expires_after.seconds", f"Expected {least} to {most}")
    pairs = fields.metadata or {}
    if len(pairs) > METADATA_PAIRS:
        raise at("metadata", f"Expected at most {METADATA_PAIRS} pairs, got {len(pairs)}")
    for name, value in pairs.items():
        if len(name) > METADATA_NAME or len(value) > METADATA_VALUE:
            limits = f"{METADATA_NAME} characters, and its value at most {METADATA_VALUE}"
            raise at(f"metadata.{name[:METADATA_NAME]}", f"A name has at most {limits}")
    return fields


def _check_call(custom_id: str, method: str, place: str) -> None:
    if not 1 <= len(custom_id) <= MAX_NAME:
        raise at(f"{place}.custom_id", f"Expected 1 to {MAX_NAME} characters, got {len(custom_id)}")
    if method != "POST":
        raise at(f"{place}.method", f"Expected 'POST', got {method[:20]!r}")


def _check_url(url: str, endpoint: str, place: str) -> None:
    if url != endpoint:
        raise at(f"{place}.url", f"Expected the batch's endpoint {endpoint!r}, got {url[:80]!r}")
