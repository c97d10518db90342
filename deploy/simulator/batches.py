"""Batches: what both vendors' batch APIs have in common. A batch has ended once it was looked at often enough.

A cancelled batch has answered the first half of its requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from deploy.simulator.knobs import read_orders
from deploy.simulator.ledger import Entry
from deploy.simulator.wires import Refusal

AnswerItem = Callable[[str, dict[str, str], bytes], tuple[int, bytes]]
"""Path, headers and body of a request to status and body of its answer."""
WINDOW_S = 86_400


class Item(msgspec.Struct, frozen=True):
    """One request of a batch."""

    custom_id: str
    path: str
    body: bytes


class Result(msgspec.Struct, frozen=True):
    """What a request came to; status 0 was not run."""

    custom_id: str
    status: int = 0
    body: bytes = b""


class Batch(msgspec.Struct, kw_only=True):
    """A batch and how far it is.

    Attributes:
        created: epoch seconds.
        looks: how often it is still seen running; None is for ever.
        results: None while it runs.
    """

    id: str
    items: list[Item]
    headers: dict[str, str]
    created: float
    looks: int | None
    cancelled: bool = False
    results: list[Result] | None = None


class Shelf:
    """The batches of one vendor, newest first."""

    def __init__(self, prefix: str, answer_item: AnswerItem) -> None:
        self._prefix = prefix
        self._answer_item = answer_item
        self._batches: dict[str, Batch] = {}

    def name_of(self, entry: Entry) -> str:
        """What the batch is called that a call creates."""
        return f"{self._prefix}sim{entry.request_sha256[:12]}{entry.n:08x}"

    def add(self, items: list[Item], headers: dict[str, str], entry: Entry, model: str = "") -> Batch:
        """Accept a batch, of the model that its first body names if no other is given.

        Raises Refusal, though it was accepted, when that model orders it.
        """
        entry.model = model or _model(items[0].body)
        orders = read_orders(entry.model)
        batch = Batch(
            id=self.name_of(entry),
            items=items,
            headers=headers,
            created=time.time(),
            looks=None if orders.batch_fault == "stall" else orders.batch_looks,
        )
        self._batches[batch.id] = batch
        if orders.batch_fault == "lost":
            raise Refusal(500, "Internal server error")
        return batch

    def look(self, batch_id: str) -> Batch:
        """The batch, one look nearer to its end. Raises Refusal."""
        batch = self.find(batch_id)
        if batch.looks:
            batch.looks -= 1
        elif batch.looks == 0 and batch.results is None:
            batch.results = [self._run(batch, number, item) for number, item in enumerate(batch.items)]
        return batch

    def newest(self, limit: int, after: str) -> tuple[list[Batch], bool]:
        """Up to `limit` batches that are older than `after`, and whether there are more."""
        names = list(reversed(self._batches))
        if after:
            self.find(after)
            names = names[names.index(after) + 1 :]
        return [self.look(name) for name in names[:limit]], len(names) > limit

    def cancel(self, batch_id: str) -> Batch:
        """Let a running batch end soon. Raises Refusal."""
        batch = self.find(batch_id)
        if batch.results is None and not batch.cancelled:
            batch.cancelled, batch.looks = True, 1
        return batch

    def drop(self, batch_id: str) -> None:
        """Forget a batch. Raises Refusal."""
        del self._batches[self.find(batch_id).id]

    def find(self, batch_id: str) -> Batch:
        """The batch as it is. Raises Refusal."""
        if batch_id not in self._batches:
            raise Refusal(404, f"No such batch: {batch_id}")
        return self._batches[batch_id]

    def _run(self, batch: Batch, number: int, item: Item) -> Result:
        if batch.cancelled and number >= len(batch.items) // 2:
            return Result(item.custom_id)
        return Result(item.custom_id, *self._answer_item(item.path, batch.headers, item.body))


def moment(epoch_s: float) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")


class _Asked(msgspec.Struct):
    model: str = ""


def _model(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Asked).model
    except msgspec.DecodeError:
        return ""
