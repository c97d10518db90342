"""A TCP proxy that passes everything on, but now and then loses a reply after the server has acted."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

MOST = 1 << 16  # bytes relayed at once


class LossyProxy:
    """`loses` is shown what was asked and decides: True cuts the client's connection instead of relaying the reply."""

    def __init__(self, host: str, port: int, loses: Callable[[bytes], bool]) -> None:
        self._target = (host, port)
        self.loses = loses
        self._running: set[asyncio.Task[None]] = set()
        self.lost = 0
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._relay_both_ways(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._running.discard(task)

    async def _relay_both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, onward = await asyncio.open_connection(*self._target)
        asked = bytearray()
        forwarding = asyncio.create_task(_forward(reader, onward, asked))
        try:
            while reply := await answers.read(MOST):
                request = bytes(asked)
                asked.clear()
                if request and self.loses(request):
                    self.lost += 1
                    writer.transport.abort()
                    return
                writer.write(reply)
                await writer.drain()
        finally:
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)
            onward.close()


async def _forward(reader: asyncio.StreamReader, onward: asyncio.StreamWriter, asked: bytearray) -> None:
    while request := await reader.read(MOST):
        asked += request
        onward.write(request)
        await onward.drain()
    onward.close()


def at_random(seed: int, share: float, of: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """Loses this share of the replies to the requests that `of` is true for."""
    draw = random.Random(seed)
    return lambda request: of(request) and draw.random() < share
