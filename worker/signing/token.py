"""One token, fetched off the event loop and shared by all who ask for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("hermod.worker")

AHEAD_S = 300.0
"""How long before its end a token is fetched again, while calls still go out with the old one."""
PAUSE_S = 5.0
"""Between two fetches ahead of the end: the first may fail, or bring a token that ends as soon."""


class Refused(Exception):
    """There is no token; the message says why and holds nothing of the credential."""


class Away(Exception):
    """Who gives the token did not answer."""


class Token:
    """A token and when it ends; create it in a running event loop."""

    def __init__(self, fetch: Callable[[], tuple[str, float]]) -> None:
        """Hold what `fetch` returns: a token and the seconds it is good for. It runs in a thread and may block."""
        self._fetch = fetch
        self._clock = asyncio.get_running_loop().time
        self._value = ""
        self._ends = self._again = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def value(self) -> str:
        """A token that is good now. However many ask, one fetch runs at a time.

        Raises:
            Refused, Away: as `fetch`; a token that is still good hides a failure.
        """
        now = self._clock()
        if now + AHEAD_S < self._ends:
            return self._value
        good = now < self._ends
        if self._fetching is None and (now >= self._again or not good):
            self._fetching = asyncio.create_task(self._refresh())
            self._fetching.add_done_callback(self._done)
        if not good and self._fetching is not None:
            await asyncio.shield(self._fetching)
        return self._value

    async def _refresh(self) -> None:
        value, good_s = await asyncio.to_thread(self._fetch)
        self._value, self._ends = value, self._clock() + good_s

    def _done(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        self._again = self._clock() + PAUSE_S
        if not task.cancelled() and (error := task.exception()):
            log.warning("a provider's token was not refreshed: %s", type(error).__name__)
