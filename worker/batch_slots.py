"""How many parts of batches a worker may run, so that other requests always find a slot."""

from __future__ import annotations

import asyncio


class BatchSlots:
    """`most` of them at providers, and as many again that are only being written out.

    More would not be bounded: what is on its way to a store that is slow stays in memory until it is there.

    Attributes:
        freed: done when one has come free since `free` was asked; only one waits for it.
    """

    freed: asyncio.Future[None]

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: set[str] = set()
        self._winding_up: set[str] = set()

    def free(self) -> int:
        """How many more may be claimed; in a running event loop."""
        self.freed = asyncio.get_running_loop().create_future()
        held = len(self._held)
        return max(0, min(self._most - held + len(self._winding_up), 2 * self._most - held))

    def take(self, job_id: str) -> None:
        """A part was claimed."""
        self._held.add(job_id)
        self._winding_up.discard(job_id)

    def wind_up(self, job_id: str) -> None:
        """What is left to do of a part takes no provider."""
        if job_id in self._held:
            self._winding_up.add(job_id)
            self._tell()

    def give(self, job_id: str) -> None:
        """A job has ended, or was given back; maybe no part of a batch."""
        if job_id in self._held:
            self._held.remove(job_id)
            self._winding_up.discard(job_id)
            self._tell()

    def _tell(self) -> None:
        if not self.freed.done():
            self.freed.set_result(None)
