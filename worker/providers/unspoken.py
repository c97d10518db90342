"""What an adapter has no use for whose wire no client of the gateway speaks: everything is translated there."""

# ruff: noqa: ARG002 - the protocol's
from __future__ import annotations

from shared.errors import ProviderError, Unsupported
from shared.jobs import Job
from worker.providers.base import Row, StreamTap


class Unspoken:
    """The part of `PassThrough` that is about clients' own bodies."""

    wire: str

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:
        """Raise Unsupported."""
        raise self._no_client()

    def relabel(self, body: bytes, job: Job, asked: bytes) -> bytes:
        """As it came."""
        return body

    def failed(self, body: bytes, row: Row) -> ProviderError | None:
        """None: `parse` tells."""
        return None

    def tap(self, row: Row, job: Job, asked: bytes) -> StreamTap:
        """Raise Unsupported."""
        raise self._no_client()

    def _no_client(self) -> Unsupported:
        return Unsupported(f"No client of the gateway speaks the wire {self.wire!r}.", code="unsupported_operation")
