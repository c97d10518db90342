"""A TCP balancer in front of API processes that respects `/ready`, as a Service and its probes do."""

import asyncio
import contextlib
import itertools
from collections import Counter
from urllib.parse import urlsplit

from deploy.probes import http_status
from tests.integration.conftest import until

ASKS_EVERY_S = 0.5
HEARS_WITHIN_S = 60.0
MISSES = 2
"""In a row, after which a backend is dead: on a busy machine one that lives may not answer in time once."""


class Balancer:
    """Connections go round the backends that were ready when last asked; those that are open stay where they are.

    With `cuts_dead` those to a backend that does not answer any more are cut, as by HAProxy's
    `on-marked-down shutdown-sessions`.
    """

    def __init__(self, *, cuts_dead: bool = False) -> None:
        self.url = ""
        self._cuts_dead = cuts_dead
        self._ready: dict[str, bool] = {}
        self._misses: Counter[str] = Counter()
        self._turn = itertools.count()
        self._tasks: dict[asyncio.Task[None], str] = {}

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._asking = asyncio.create_task(self._ask())

    async def close(self) -> None:
        self._asking.cancel()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(self._asking, *self._tasks, return_exceptions=True)

    def add(self, url: str) -> str:
        """The backend's name, for `until`."""
        backend = urlsplit(url).netloc
        self._ready[backend] = False
        return backend

    async def until(self, backend: str, *, ready: bool) -> None:
        await until(lambda: self._ready[backend] is ready, HEARS_WITHIN_S)

    async def _ask(self) -> None:
        while True:
            for backend in list(self._ready):
                host, _, port = backend.partition(":")
                self._hear(backend, await http_status(host, int(port), "/ready"))
            await asyncio.sleep(ASKS_EVERY_S)

    def _hear(self, backend: str, status: int | None) -> None:
        self._misses[backend] = self._misses[backend] + 1 if status is None else 0
        if self._misses[backend] in range(1, MISSES):
            return
        self._ready[backend] = status == 200
        if status is None and self._cuts_dead:
            self._cut(backend)

    def _cut(self, backend: str) -> None:
        for task, its_backend in self._tasks.items():
            if its_backend == backend:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        writers = [writer]
        try:
            ready = [backend for backend, is_ready in self._ready.items() if is_ready]
            backend = ready[next(self._turn) % len(ready)]
            self._tasks[task] = backend
            host, _, port = backend.partition(":")
            back_reader, back_writer = await asyncio.open_connection(host, int(port))
            writers.append(back_writer)
            await asyncio.gather(_pipe(reader, back_writer), _pipe(back_reader, writer))
        except (OSError, ZeroDivisionError):
            writer.transport.abort()
        finally:
            self._tasks.pop(task, None)
            for each in writers:
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
