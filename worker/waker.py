"""Waiting for work: for the tokens of the lanes that a worker has room for."""

from __future__ import annotations

import asyncio
import logging

from shared.lanes import WAKE, Lane
from shared.stores.redis import connect
from worker.lease import AGAIN_S

log = logging.getLogger("hermod.worker")

IDLE_S = 1.0
"""Longest wait for a wake-up: bounds what a token costs that was popped by a worker that then died."""


class Waker:
    """One wait at a time, on a connection of its own.

    The wait for a token outlasts a `wait` that ended otherwise: to end it costs the connection, and a worker whose
    async jobs have taken all they may is told of every one that ends.
    """

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        self._token: asyncio.Task[None] | None = None
        self._lanes: tuple[Lane, ...] = ()

    async def wait(self, lanes: tuple[Lane, ...], freed: asyncio.Future[None], wait_ms: int) -> None:
        """Until there may be work in one of the lanes, `freed` is done, `wait_ms` (-1 for none) or IDLE_S are over.

        Work is to be looked for before the next one, whatever ended this: a token may have been taken with it.
        """
        if self._token and self._lanes != lanes:
            await self.end()
            return
        if not self._token:
            self._lanes, self._token = lanes, asyncio.create_task(self._pop(lanes))
        # The wait for the token ends by itself. With a timeout of the same length here there were two claims for one.
        soon_s = max(wait_ms, 1) / 1000 if 0 <= wait_ms < IDLE_S * 1000 else None
        await asyncio.wait((self._token, freed), timeout=soon_s, return_when=asyncio.FIRST_COMPLETED)
        if self._token.done():
            self._token = None

    async def end(self) -> bool:
        """Wait for no token any more; whether one may have been taken."""
        token, self._token = self._token, None
        if token is None:
            return False
        token.cancel()
        await asyncio.wait([token])
        return True

    async def close(self) -> None:
        """Close the connection."""
        await self.end()
        await self._redis.aclose()

    async def _pop(self, lanes: tuple[Lane, ...]) -> None:
        """Until a token came, or IDLE_S are over."""
        tokens = [WAKE + lane for lane in lanes]
        try:
            # Not its `blpop`, whose stub wants whole seconds.
            await self._redis.execute_command("BLPOP", *tokens, IDLE_S)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - whatever the client raises: work is looked for again
            log.debug("waiting for work: %s", type(error).__name__)  # an outage is said by the store, once
            await asyncio.sleep(AGAIN_S)
