"""A batch: many requests submitted at once, its states, its counts, and how it is cut into shards. Pure.

    validating ──▶ in_progress ──▶ finalizing ──▶ completed
        │               │              │  └─────▶ expired
        ▼               ▼              ▼
      failed        cancelling ──▶ finalizing ──▶ cancelled

The words are OpenAI's; the Anthropic surface says `in_progress`, `canceling`, `ended` for them. Blobs of a batch:

    batches/<id>/in/<n>     what was submitted: the shard's items, one JSON line each, as the dialect writes them
    batches/<id>/out/<n>    the shard's succeeded items, one JSON line each, as the surface shows results
    batches/<id>/err/<n>    its other items, likewise; absent when there is none
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache

import msgspec

from shared.ids import named

WINDOW_MS = 86_400_000
"""Both vendors' window: what has not run a day after the batch was created expires."""

SHARD_ITEMS = 100
SHARD_BYTES = 4 * 1024 * 1024
"""A shard is what one worker holds in memory and repeats at most the running part of; one larger item is one shard."""
FIRST_ITEMS, PART_OF_BATCH = 25, 16
"""The first shards are smaller, and none is more than such a part of what came before it: a small batch too is work for
all workers, and for about as long. How many items will come is not known while they are cut."""

PREFIX = "batches/"
JSONL = "application/jsonl"

START, NATIVE, SHARD, FINISH = "start_batch", "native_batch", "shard", "finish_batch"
OPERATIONS = frozenset({START, NATIVE, SHARD, FINISH})
"""Of the jobs that advance a batch, see `worker/shards.py`: they are no job of the caller's."""

MOST_GROUPS = 16
"""Groups of one batch that run at batch APIs; items of further models, those with the fewest, run directly."""

NATIVE_PROVIDERS = frozenset({"anthropic", "openai", "azure", "bedrock", "gemini"})
"""Those of the catalog that have a batch API of their own: whose batches `native` can run."""

_uuid = lru_cache(maxsize=256)(uuid.UUID)


class BatchState(StrEnum):
    """Where a batch is."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Nothing follows."""
        return self in {BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED}


class Ending(StrEnum):
    """What an item came to; every item comes to exactly one."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What was submitted, by whom. Written once.

    Attributes:
        id: UUID; clients see `msgbatch_…` or `batch_…`.
        owner: as a job's.
        surface: `anthropic` or `openai`: whose routes it was created on, and whose shape its results have.
        dialect: the items' dialect.
        operation: the items' operation, as a job's.
        provider: who serves a model without a `provider/` prefix.
        total: items.
        shards: number of shards.
        headers: as a job's: inbound headers that may travel upstream.
        endpoint: OpenAI's `endpoint`, e.g. `/v1/chat/completions`; empty on the Anthropic surface.
        input_file: UUID of the file the items came from; empty when they came with the request.
        metadata: OpenAI's, echoed.
        output_expires_s: seconds the files of the results are kept: OpenAI's `output_expires_after`; 0 for the usual.
        created_ms: Unix milliseconds; the window ends WINDOW_MS later.
        mode: `direct`, `native` or `auto`: `x-bf-batch-mode`.
        retry_of: id of the batch whose failed items these are; empty for none.
    """

    id: str
    owner: str
    surface: str
    dialect: str
    provider: str
    total: int
    shards: int
    created_ms: int
    operation: str = "chat"
    headers: dict[str, str] = {}
    endpoint: str = ""
    input_file: str = ""
    metadata: dict[str, str] = {}
    output_expires_s: int = 0
    mode: str = "auto"
    retry_of: str = ""

    @property
    def expires_ms(self) -> int:
        """Unix milliseconds of the end of its window."""
        return self.created_ms + WINDOW_MS


class Item(msgspec.Struct, frozen=True):
    """One line of a batch as a shard's input blob holds it.

    Attributes:
        index: its place in the batch, from 0.
        custom_id: the caller's name for it.
        body: the request, JSON as it came.
        problem: why the item itself is wrong, so that it becomes an errored result without being run; else empty.
    """

    index: int
    custom_id: str
    body: msgspec.Raw
    problem: str = ""


class Counts(msgspec.Struct, frozen=True):
    """Items by what they came to; what is in none of them has not ended."""

    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def ended(self) -> int:
        """Items that have come to something."""
        return self.succeeded + self.errored + self.canceled + self.expired


class Spent(msgspec.Struct, frozen=True):
    """What the items of a batch have cost so far; money in nano-US-dollars, items that succeeded.

    Attributes:
        native: items that ran at a provider's own batch API.
        direct: items that ran through workers.
        unpriced: items of either kind whose cost is not known.
        cost: of the others.
        saved: what these would have cost more, had all of them run directly.
        input: tokens, caches included.
        cached: of them, read from a cache.
        output: tokens, reasoning included.
        reasoning: of them.
    """

    native: int = 0
    direct: int = 0
    unpriced: int = 0
    cost: int = 0
    saved: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the records hold it at one instant; times in Unix milliseconds, None for what has not happened.

    Attributes:
        output_file: UUID of the file with the succeeded items, empty on the Anthropic surface.
        error_file: UUID of the file with the others, empty when there is none (yet).
        spent: by the items that have ended.
    """

    batch: Batch
    state: BatchState
    counts: Counts = Counts()
    started_ms: int | None = None
    finalizing_ms: int | None = None
    ended_ms: int | None = None
    cancelling_ms: int | None = None
    output_file: str = ""
    error_file: str = ""
    spent: Spent = Spent()


_encode_line = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Item).decode


def plan(items: Iterable[Item]) -> Iterator[bytes]:
    """The shards of `items`, each as the bytes of its input blob; holds one shard in memory."""
    lines: list[bytes] = []
    size, most = 0, FIRST_ITEMS
    for item in items:
        line = _encode_line(item)
        if lines and (len(lines) == most or size + len(line) > SHARD_BYTES):
            yield b"\n".join(lines)
            lines, size = [], 0
        if not lines:
            most = min(SHARD_ITEMS, max(FIRST_ITEMS, item.index // PART_OF_BATCH))
        lines.append(line)
        size += len(line)
    if lines:
        yield b"\n".join(lines)


def items_of(shard: bytes) -> list[Item]:
    """The items of a shard's input blob."""
    return [_decode_line(line) for line in shard.split(b"\n")]


def final_state(counts: Counts, *, cancelled: bool) -> BatchState:
    """What a batch whose items have all ended has come to."""
    if cancelled:
        return BatchState.CANCELLED
    return BatchState.EXPIRED if counts.expired else BatchState.COMPLETED


def named_after(batch_id: str, what: str) -> str:
    """The UUID of something that a batch has one of, the same whenever it is made again: `output`, `shard 3`."""
    # uuid.uuid5 says the same in three times the time, and each item of a batch has its own.
    found = hashlib.sha1(_uuid(batch_id).bytes + what.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


def blob(batch_id: str, kind: str, shard: int) -> str:
    """The key of a shard's blob; `kind` is `in`, `out` or `err`."""
    return f"{PREFIX}{batch_id}/{kind}/{shard}"


def output_name(batch_id: str, kind: str) -> str:
    """What the file of a batch's results is called; `kind` is `output` or `errors`."""
    return f"{named('batch_', batch_id)}_{kind}.jsonl"
