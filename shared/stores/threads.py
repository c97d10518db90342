"""Blocking calls of a store, in a few threads of their own; the exceptions of its library become ours here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

PAGE = 1000
"""Items fetched per hop; what S3 lists per request."""


class Threads:
    """Up to `count` calls at once; the rest wait their turn, so a slow store cannot take the process's threads.

    `foreign` are the exceptions of the library beneath; `ours` makes one of them, and the key that was asked for if
    its absence is an answer, into the error to raise.
    """

    def __init__(
        self,
        name: str,
        count: int,
        foreign: tuple[type[Exception], ...],
        ours: Callable[[Exception, str | None], Exception],
    ) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._foreign = foreign
        self._ours = ours

    async def run(self, call: Callable[..., T], *args: object, key: str | None = None) -> T:
        """Run `call(*args)`. Cancelled while it runs, it runs on unheard."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)
        except self._foreign as cause:
            raise self._ours(cause, key) from cause

    async def each(self, items: Iterator[T]) -> AsyncGenerator[T, None]:
        """The items of a blocking iterator, fetched a page at a time."""

        def fetch() -> list[T]:
            return list(islice(items, PAGE))

        while page := await self.run(fetch):
            for item in page:
                yield item

    async def close(self) -> None:
        """Wait for the running calls; start no other."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
