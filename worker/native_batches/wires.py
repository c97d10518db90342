"""What a batch API can do: one row of functions for each. Pure: `client.py` sends what they write.

An item travels under `<mark>-<index>`: the mark is the gateway's own name for what it sent as one batch, 32 hexadecimal
digits, so that a batch whose acceptance was not heard of can be found again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """A request to the API; `path` is below `at`, or else the target's base URL."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    at: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as its provider shows it.

    Attributes:
        created_s: epoch seconds.
        total: requests; 0 while they have not been counted.
        mark: None where only the results tell.
        results: what asks for what it came to.
        lines: what it came to, where that comes with the batch.
        failure: why the provider did not take it, though it had accepted it; empty when it did.
        full: it did not for now: too much is waiting there already.
        leftovers: what deletes what an ended batch leaves at the provider.
    """

    id: str
    ended: bool
    created_s: float
    total: int
    mark: str | None = None
    results: tuple[Ask, ...] = ()
    lines: tuple[bytes, ...] = ()
    failure: str = ""
    full: bool = False
    leftovers: tuple[Ask, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """What one request came to: an answer as a plain call would have brought it; status 0 was not run."""

    custom_id: str
    status: int = 0
    body: bytes = b""


def moment(rfc3339: str) -> float:
    """Epoch seconds; 0 for none."""
    return datetime.fromisoformat(f"{rfc3339[:19]}+00:00").timestamp() if rfc3339 else 0.0


class BatchWire(Protocol):
    """How to speak to a batch API."""

    operations: frozenset[str]
    """Of a job's operations, those that can be batched."""

    most_items: int
    most_bytes: int
    """What one batch may hold."""

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        """One request; `path` is where a plain call would send `body`, below the base URL."""
        ...

    def upload(self, lines: list[bytes], mark: str) -> Ask | None:
        """Brings the requests where `create` can name them; None where that is not needed."""
        ...

    def uploaded(self, body: bytes, mark: str) -> str:
        """The id of what was uploaded under that mark. Raises msgspec.DecodeError."""
        ...

    def discard(self, file_id: str) -> Ask:
        """Deletes what was uploaded."""
        ...

    def create(self, lines: list[bytes], path: str, mark: str, file_id: str) -> Ask:
        """Creates the batch; `path` is that of its lines."""
        ...

    def look(self, batch_id: str) -> Ask:
        """Asks for a batch."""
        ...

    def cancel(self, batch_id: str) -> Ask:
        """Cancels it."""
        ...

    def newest(self, after: str) -> Ask:
        """Asks for the newest batches that are older than the batch `after`; empty for all."""
        ...

    def seen(self, body: bytes) -> Seen:
        """The answer to `create` and `look`. Raises msgspec.DecodeError."""
        ...

    def listed(self, body: bytes) -> tuple[list[Seen], str]:
        """The answer to `newest`, and where the next page begins; empty for none. Raises msgspec.DecodeError."""
        ...

    def read(self, line: bytes) -> Line:
        """One line of the results. Raises msgspec.DecodeError."""
        ...
