"""Patience with a Redis that is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import StoreError
from worker.lease import AGAIN_S, PERSIST_S

T = TypeVar("T")


async def outlast(call: Callable[[], Awaitable[T]]) -> T:
    """What `call` returns, tried again while Redis is away: what a provider answered is paid for. Raises StoreError."""
    deadline = time.monotonic() + PERSIST_S
    while True:
        try:
            return await call()
        except StoreError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(AGAIN_S)
