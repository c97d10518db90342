"""A bound on the bytes that many requests hold at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token

_attempt: ContextVar[list[Hold] | None] = ContextVar("attempt", default=None)


class kept:  # noqa: N801 - a context manager, and no generator's: every call to a provider is made within one
    """What is taken of any room within this stays taken until its end."""

    __slots__ = ("_holds", "_token")

    def __enter__(self) -> None:
        self._holds: list[Hold] = []
        self._token: Token[list[Hold] | None] = _attempt.set(self._holds)

    def __exit__(self, *_: object) -> None:
        _attempt.reset(self._token)
        for hold in self._holds:
            hold.give(hold.size)


class Room:
    """So many bytes, given out first come, first served.

    Who holds some and waits for more may wait for ever: take once what is needed, and of several rooms always in the
    same order.

    Attributes:
        size: bytes in all.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[Hold]:
        """Take `size` bytes, or all there are when it is more, once they are free.

        They are given back on leaving; within `kept()` at its end, or at once when leaving with an error.
        """
        size = min(size, self.size)
        await self._take(size)
        hold = Hold(self, size)
        try:
            yield hold
        except BaseException:
            hold.give(hold.size)
            raise
        holds = _attempt.get()
        if holds is None:
            hold.give(hold.size)
        else:
            holds.append(hold)

    async def _take(self, size: int) -> None:
        if not self._waiting and self.take_now(size):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                self._waiting.remove((size, turn))
                self._serve()
            raise

    def take_now(self, size: int) -> bool:
        """Whether `size` bytes were free; they are taken then."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give(self, size: int) -> None:
        """Give bytes back."""
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self.take_now(self._waiting[0][0]):
            self._waiting.popleft()[1].set_result(None)


class Hold:
    """Bytes taken of a room.

    Attributes:
        size: how many.
    """

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self.size = size

    def grow(self, size: int) -> bool:
        """Whether it could be made so large without waiting; what holds the whole room may be of any size."""
        if size > self.size and not self._room.take_now(size - self.size):
            return self.size == self._room.size
        self.size = max(self.size, size)
        return True

    def give(self, size: int) -> None:
        """Give so many back."""
        self.size -= size
        self._room.give(size)
