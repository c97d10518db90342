"""What a process says of itself to whoever watches it: Kubernetes, a load balancer, an operator.

/live     its event loop turns. Nothing else: what only a restart can heal. An outage of Redis is not healed by killing
          the processes that wait for it, and with them every request they hold.
/ready    it takes new work: it has not been told to stop, Redis answers, and the object store has answered once, so
          that a process with a wrong credential never replaces a good one. Later outages of the object store do not
          count: most requests do without it.
/health   it and everything it needs, for people and alarms.
"""

from __future__ import annotations

import asyncio

from shared.errors import StoreError
from shared.queue import Queue
from shared.stores.blobs import Blobs

Said = tuple[int, dict[str, object]]
"""HTTP status and JSON body."""

_OK = "ok"


class Health:
    """Of one process."""

    def __init__(self, queue: Queue, blobs: Blobs) -> None:
        self._queue = queue
        self._blobs = blobs
        self._stored = False
        self._leaving = False

    def leave(self) -> None:
        """The process was told to stop: from now on it is not ready."""
        self._leaving = True

    async def live(self) -> Said:
        """Always 200: that it is said is what matters."""
        return 200, {"status": "stopping" if self._leaving else _OK}

    async def ready(self) -> Said:
        """200 or 503; see above."""
        workers, parts = await self._look()
        if self._leaving:
            return 503, {"status": "stopping", **parts}
        if parts["redis"] != _OK or not self._stored:
            return 503, {"status": "down", **parts}
        return 200, {"status": _OK, **parts, "workers": workers}

    async def health(self) -> Said:
        """200 when the process, its Redis and its object store answer, else 503.

        No worker alive is told but is no failure of this process: jobs are accepted and wait.
        """
        workers, parts = await self._look()
        if set(parts.values()) != {_OK}:
            return 503, {"status": "down", **parts}
        return 200, {"status": _OK if workers else "no workers", **parts, "workers": workers}

    async def _look(self) -> tuple[object, dict[str, object]]:
        """How many workers there are, and what Redis and the object store say."""
        workers, objects = await asyncio.gather(self._queue.workers(), self._blobs.ready(), return_exceptions=True)
        parts: dict[str, object] = {"redis": _said(workers), "object_store": _said(objects)}
        self._stored = self._stored or parts["object_store"] == _OK
        return workers, parts


def _said(answer: object) -> str:
    if isinstance(answer, StoreError):
        return answer.message
    if isinstance(answer, BaseException):
        raise answer
    return _OK
