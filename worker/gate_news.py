"""What one worker has heard of gates: which are watched, and through which nothing is sent for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from shared.errors import StoreError
from shared.logs import where
from shared.stores.redis import RedisStore, listen
from worker.limit_scripts import KNOWN

log = logging.getLogger("hermod.worker")

NEWS, GATES = "hermod:gate-news", "hermod:gates"
NEWS_COME_S = 1.0
"""Within which the news of what a worker itself has told come back to it."""
FIRST_NEWS_S = 5.0
"""Longest a worker that starts waits for what the others know."""


class GateNews:
    """Gates go by their names. `watched` is called with each that is watched, whenever news of it come."""

    def __init__(self, store: RedisStore, watched: Callable[[str], None]) -> None:
        self._store = store
        self._tell = watched
        self._watched: dict[str, float] = {}
        self._shut: dict[str, tuple[float, str]] = {}
        self._caught_up = asyncio.Event()
        self._caught_up.set()

    def begin(self) -> None:
        """The first calls wait until what the others know has been read; before `hear`."""
        self._caught_up.clear()

    @property
    def is_caught_up(self) -> bool:
        """What the others know has been read, or was waited for long enough."""
        return self._caught_up.is_set()

    async def caught_up(self) -> None:
        """Wait for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_NEWS_S):
                await self._caught_up.wait()
        self._caught_up.set()

    async def hear(self) -> None:
        """Listen for ever."""
        async for message in listen(self._store.url, NEWS):
            try:
                for line in [message] if message is not None else await self._store.run(KNOWN, GATES):
                    self._learn(line)
            except StoreError as error:
                log.warning("what is known of limits could not be read: %s", error)
            except ValueError as error:
                log.error("news of a limit that cannot be read: %s", where(error))  # noqa: TRY400 - as in leases
            self._caught_up.set()

    def watches(self, gate: str) -> bool:
        """Whether calls through it are to be admitted by all workers together."""
        return self._watched.get(gate, 0.0) > time.monotonic()

    def shut(self, gate: str) -> tuple[float, str]:
        """For how many seconds nothing is sent through it and why; 0 when that is not so."""
        until, why = self._shut.get(gate, (0.0, ""))
        return max(0.0, until - time.monotonic()), why

    def shut_for(self, gate: str, seconds: float, why: str) -> None:
        """This worker has seen it itself."""
        self._shut[gate] = (time.monotonic() + seconds, why)

    def watch(self, gate: str) -> None:
        """This worker has seen trouble, of which all will hear in a moment."""
        self._watched[gate] = max(self._watched.get(gate, 0.0), time.monotonic() + NEWS_COME_S)

    def forget(self) -> None:
        """Drop what is over."""
        now = time.monotonic()
        self._watched = {gate: until for gate, until in self._watched.items() if until > now}
        self._shut = {gate: shut for gate, shut in self._shut.items() if shut[0] > now}

    def _learn(self, line: bytes) -> None:
        gate, known_ms, shut_ms, why = line.decode().split()
        self._watched[gate] = time.monotonic() + int(known_ms) / 1000
        if int(shut_ms):
            self.shut_for(gate, int(shut_ms) / 1000, why)
        else:
            self._shut.pop(gate, None)
        self._tell(gate)
