"""What a batch API can do: one row of functions for each. Pure: `client.py` sends what they write.

An item travels under `<mark>-<index>`: the mark is the gateway's own name for what it sent as one batch, 32 hexadecimal
digits, so that a batch whose acceptance was not heard of can be found again.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """A request to the API; `path` is below the target's base URL."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as its provider shows it.

    Attributes:
        created_s: epoch seconds.
        total: requests; 0 while they have not been counted.
        mark: None where only the results tell.
        results: paths of what it came to.
        failure: why the provider did not take it, though it had accepted it; empty when it did.
    """

    id: str
    ended: bool
    created_s: float
    total: int
    mark: str | None = None
    results: tuple[str, ...] = ()
    failure: str = ""


class Line(msgspec.Struct, frozen=True):
    """What one request came to: an answer as a plain call would have brought it; status 0 was not run."""

    custom_id: str
    status: int = 0
    body: bytes = b""


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

    def uploaded(self, body: bytes) -> str:
        """The id of what was uploaded. Raises msgspec.DecodeError."""
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
